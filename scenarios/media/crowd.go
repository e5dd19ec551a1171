package media

import (
	"hash/maphash"
	"slices"

	"github.com/pion/rtp/codecs"
)

// Slides is the kind of a shared screen, which is video with a=content:slides (RFC
// 4796).
const Slides = "slides"

// OpenMarked begins a stream of marked frames (Source.Mark), of a kind that may be
// Slides. What it sends can be found by Origin, whatever a media processor has made
// of its SSRC, sequence numbers and timestamps.
func (l *Ledger) OpenMarked(sender, kind string, codec Codec, ssrc uint32) (*Stream, error) {
	return l.open(&Stream{ledger: l, sender: sender, codec: codec, kind: kind, crowd: true}, ssrc)
}

// Origin is who sent a payload.
type Origin struct {
	Sender string
	Kind   string
}

// Origins are those who sent a payload of a codec, of marked streams: nobody, one,
// or several for a piece of a picture without its mark.
func (l *Ledger) Origins(codec Codec, payload []byte) []Origin {
	sum := maphash.Bytes(l.seed, content(codec, payload))
	l.marking.RLock()
	defer l.marking.RUnlock()
	var origins []Origin
	for _, s := range l.marks[sum] {
		if o := (Origin{s.sender, s.kind}); !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
	}
	return origins
}

// enter notes that s has sent a payload.
func (s *Stream) enter(payload []byte) {
	l := s.ledger
	sum := maphash.Bytes(l.seed, content(s.codec, payload))
	l.marking.Lock()
	defer l.marking.Unlock()
	if !slices.Contains(l.marks[sum], s) {
		l.marks[sum] = append(l.marks[sum], s)
	}
}

// content is what a media processor leaves as it is: it may number VP8's pictures
// anew, in the payload descriptor (RFC 7741, section 4.2).
func content(codec Codec, payload []byte) []byte {
	if codec != VP8 {
		return payload
	}
	var packet codecs.VP8Packet
	if data, err := packet.Unmarshal(payload); err == nil {
		return data
	}
	return payload
}
