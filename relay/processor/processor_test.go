package processor_test

import (
	"testing"

	"github.com/pion/webrtc/v4"
)

// Three peers join with one offer and one answer each, and get each other's media.
func TestParticipantsGetEachOthersMedia(t *testing.T) {
	s := serve(t, nil)
	names := []string{"alice", "bob", "carol"}
	var peers []*peer
	for _, name := range names {
		p := newPeer(t, name, media{audio: audioOf(t, name), video: videoOf(t, name), audioSlots: 2, videoSlots: 2})
		p.join(s, "meeting")
		peers = append(peers, p)
	}
	for _, p := range peers {
		for _, codec := range []string{webrtc.MimeTypeOpus, webrtc.MimeTypeVP8} {
			content := audioContent
			if codec == webrtc.MimeTypeVP8 {
				content = videoContent
			}
			until(t, p.name+" gets "+codec+" of both others", func() bool {
				got := p.payloads(codec, content)
				if got[p.name] > 0 {
					t.Fatalf("%s gets its own %s", p.name, codec)
				}
				n := 0
				for _, name := range names {
					if got[name] > 20 {
						n++
					}
				}
				return n == 2
			})
		}
	}
	if n := s.Stats(); n.Participants != 3 || n.Connected != 3 || n.Conferences != 1 || n.PacketsIn == 0 || n.PacketsOut < n.PacketsIn {
		t.Errorf("%+v", n)
	}
	t.Log(s.Stats(), s.shown("alice"))
}
