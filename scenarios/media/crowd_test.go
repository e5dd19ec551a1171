package media

import (
	"bytes"
	"slices"
	"testing"
)

// Whatever a media processor does to the header, a payload says whose it is; a piece
// of a picture that several sent may be any one's.
func TestOriginsFindWhoSentAPayload(t *testing.T) {
	for _, codec := range Codecs() {
		t.Run(string(codec), func(t *testing.T) {
			l := NewLedger(nil)
			f, err := FormatOf(codec)
			if err != nil {
				t.Fatal(err)
			}
			unique := map[string]int{}
			for i, sender := range []string{"alice", "bob"} {
				ssrc := uint32(100 + i)
				stream, err := l.OpenMarked(sender, f.Kind, codec, ssrc)
				if err != nil {
					t.Fatal(err)
				}
				source, err := NewSource(codec, 3) // the same place of the file
				if err != nil {
					t.Fatal(err)
				}
				source.Mark(ssrc)
				packetizer := NewPacketizer(f, ssrc, f.PayloadType, 1)
				for range 40 {
					for _, p := range packetizer.Packets(source.Next()) {
						stream.Send(p)
						payload := bytes.Clone(p.Payload)
						if codec == VP8 {
							payload[2] ^= 0x7f // another picture ID, as a processor writes
						}
						origins := l.Origins(codec, payload)
						if !slices.Contains(origins, Origin{sender, f.Kind}) {
							t.Fatalf("a payload of %s is of %v", sender, origins)
						}
						if len(origins) == 1 {
							unique[sender]++
						}
						payload[len(payload)/2] ^= 0x10
						if got := l.Origins(codec, payload); len(got) != 0 {
							t.Fatalf("a changed payload is of %v", got)
						}
					}
				}
				if silence, ok := source.Silence(); ok {
					other, _ := source.Silence()
					if bytes.Equal(silence.Data, other.Data) {
						t.Error("two silent frames are the same")
					}
				}
			}
			// Bob comes second, so that whatever he sent alone was marked.
			if unique["bob"] < 40 {
				t.Errorf("%d payloads of bob are only his, wanted one of each frame or more", unique["bob"])
			}
		})
	}
}

func TestAMarkedStreamIsNoOtherSenders(t *testing.T) {
	l := NewLedger(nil)
	if _, err := l.OpenMarked("alice", Slides, VP8, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := l.OpenMarked("bob", Video, VP8, 1); err == nil {
		t.Error("an SSRC in use is taken again")
	}
	if got := l.Origins(VP8, nil); got != nil {
		t.Errorf("an empty payload is of %v", got)
	}
}

// RFC 6716, section 3.2.5: what was the frame is found again behind the padding's
// length, and before the padding.
func TestAMarkIsPaddingToOpus(t *testing.T) {
	m := newMark(1, 2)
	for name, data := range map[string][]byte{
		"one frame": {0x78, 1, 2, 3}, "two of one size": {0x79, 1, 2, 3, 4}, "two of two sizes": {0x7a, 1, 9, 2, 3},
	} {
		got := markOpus(data, m)
		frames := data[0]&3 + 1
		if frames == 3 {
			frames = 2
		}
		if got[0] != data[0]|3 || got[1]&0x3f != frames || got[1]&0x40 == 0 || int(got[2]) != len(m) ||
			!bytes.Equal(got[3:len(got)-len(m)], data[1:]) || !bytes.HasSuffix(got, m[:]) {
			t.Errorf("%s: % x became % x", name, data, got)
		}
	}
	if already := []byte{0x7b, 0x41, 0}; !bytes.Equal(markOpus(already, m), already) {
		t.Error("a packet of code 3 was changed")
	}
}
