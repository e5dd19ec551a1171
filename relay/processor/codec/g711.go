package codec

import (
	"fmt"

	"github.com/zaf/g711"
)

// law is one of G.711's two: sample by sample, without state but what Conceal needs.
type law struct {
	decode func(uint8) int16
	encode func(int16) uint8
	past   past
}

func newPCMU() *law {
	return &law{decode: g711.DecodeUlawFrame, encode: g711.EncodeUlawFrame, past: newPast(8000)}
}

func newPCMA() *law {
	return &law{decode: g711.DecodeAlawFrame, encode: g711.EncodeAlawFrame, past: newPast(8000)}
}

func (l *law) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || len(payload) > len(pcm) {
		return 0, fmt.Errorf("G.711 payload of %d bytes; valid: 1 to %d", len(payload), len(pcm))
	}
	for i, b := range payload {
		pcm[i] = l.decode(b)
	}
	l.past.put(pcm[:len(payload)])
	return len(payload), nil
}

func (l *law) Conceal(pcm []int16) { l.past.conceal(pcm) }

func (l *law) Encode(payload []byte, pcm []int16) ([]byte, error) {
	for _, s := range pcm {
		payload = append(payload, l.encode(s))
	}
	return payload, nil
}

func (l *law) Follow(Encoder, []int16) error { return nil }
