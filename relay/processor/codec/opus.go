package codec

import (
	"fmt"

	"github.com/thesyncim/gopus"
)

const (
	opusRate = 48000
	// opusBitrate is that of mixes, in bit/s: full-band speech, and a little more
	// (RFC 7587, section 3.1.1).
	opusBitrate = 40000
	// opusComplexity is how much an encoder works, of 10. Each participant who speaks has
	// one.
	opusComplexity = 5
	// opusMost is more than an encoder makes of a frame (RFC 6716, section 3.2.1).
	opusMost = 1276
)

// opusDecoder decodes to one channel, whatever the packet has.
type opusDecoder struct {
	d *gopus.Decoder
}

func newOpusDecoder() (Decoder, error) {
	d, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(opusRate, 1))
	if err != nil {
		return nil, fmt.Errorf("opus decoder: %w", err)
	}
	return &opusDecoder{d}, nil
}

func (o *opusDecoder) Decode(pcm []int16, payload []byte) (n int, err error) {
	if len(payload) == 0 {
		return 0, fmt.Errorf("an empty opus packet")
	}
	defer o.fence(&n, &err)
	if n, err = o.d.DecodeInt16(payload, pcm); err != nil {
		return 0, fmt.Errorf("opus packet of %d bytes: %w", len(payload), err)
	}
	return n, nil
}

// Conceal is RFC 6716's section 4.4, in the library.
func (o *opusDecoder) Conceal(pcm []int16) {
	var n int
	var err error
	func() {
		defer o.fence(&n, &err)
		n, err = o.d.DecodeInt16(nil, pcm)
	}()
	if err != nil || n < len(pcm) {
		clear(pcm[max(n, 0):])
	}
}

// fence makes an error of a panic in the library, which is large and reads what comes from
// the network: one bad packet must not end the calls of all.
func (o *opusDecoder) fence(n *int, err *error) {
	if r := recover(); r != nil {
		*n, *err = 0, fmt.Errorf("opus decoder: %v", r)
		o.d.Reset()
	}
}

// opusEncoder encodes one channel.
type opusEncoder struct {
	e *gopus.Encoder
	// unheard is where Follow encodes to.
	unheard []byte
}

func newOpusEncoder() (Encoder, error) {
	// A mix is not one voice, which is what the encoder would look for otherwise; and in
	// this mode little of a frame depends on those before it, if one is lost.
	e, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: opusRate, Channels: 1, Application: gopus.ApplicationAudio})
	if err != nil {
		return nil, fmt.Errorf("opus encoder: %w", err)
	}
	if err := e.SetBitrate(opusBitrate); err != nil {
		return nil, fmt.Errorf("opus encoder: bitrate of %d bit/s: %w", opusBitrate, err)
	}
	if err := e.SetComplexity(opusComplexity); err != nil {
		return nil, fmt.Errorf("opus encoder: complexity of %d: %w", opusComplexity, err)
	}
	return &opusEncoder{e, make([]byte, 0, opusMost)}, nil
}

func (o *opusEncoder) Encode(payload []byte, pcm []int16) ([]byte, error) {
	at := len(payload)
	if cap(payload)-at < opusMost {
		payload = append(payload, make([]byte, opusMost)...)
	}
	n, err := o.e.EncodeInt16(pcm, payload[at:at+opusMost])
	if err != nil {
		return payload[:at], fmt.Errorf("opus encoder: frame of %d samples: %w", len(pcm), err)
	}
	return payload[:at+n], nil
}

// Follow encodes once more what the other encoded: what an encoder predicts from is of the
// last frames.
func (o *opusEncoder) Follow(_ Encoder, past []int16) error {
	o.e.Reset()
	const frame = opusRate * Frame / 1000
	for ; len(past) >= frame; past = past[frame:] {
		if _, err := o.Encode(o.unheard, past[:frame]); err != nil {
			return err
		}
	}
	return nil
}
