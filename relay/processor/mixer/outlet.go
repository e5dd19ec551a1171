package mixer

import (
	"fmt"

	"github.com/callpath/callpath/relay/processor/codec"
)

// kept is how many frames of the past an outlet keeps for those that follow it.
const kept = 5

// outlet encodes one mix: that of one leg, or the one that all share who are silent.
type outlet struct {
	codec   codec.Codec
	encoder codec.Encoder
	down    *codec.Resampler
	past    []int16 // the last frames in the codec's rate, the newest last
	payload []byte
}

func newOutlet(c codec.Codec) (*outlet, error) {
	encoder, err := c.NewEncoder()
	if err != nil {
		return nil, err
	}
	down, err := codec.NewResampler(rate, c.Rate)
	if err != nil {
		return nil, fmt.Errorf("codec %s: %w", c.Name, err)
	}
	return &outlet{
		codec: c, encoder: encoder, down: down,
		past: make([]int16, kept*c.Rate*codec.Frame/1000), payload: make([]byte, 0, largest),
	}, nil
}

// encode makes the payload of a frame of 48 kHz.
func (o *outlet) encode(mix []int16) error {
	size := len(o.past) / kept
	copy(o.past, o.past[size:])
	now := o.past[len(o.past)-size:]
	o.down.Process(now, mix)
	var err error
	o.payload, err = o.encoder.Encode(o.payload[:0], now)
	return err
}

// follow takes over from another outlet of the codec.
func (o *outlet) follow(other *outlet) error {
	o.down.Follow(other.down)
	copy(o.past, other.past)
	return o.encoder.Follow(other.encoder, other.past)
}
