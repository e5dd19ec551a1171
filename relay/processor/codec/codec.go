package codec

import "strings"

// Frame is the length of the frames that Encoders make, in milliseconds. Decoders take
// other lengths too.
const Frame = 20

// Longest is the longest packet that a Decoder takes, in milliseconds: the longest of
// Opus.
const Longest = 120

// Codec is an audio codec.
type Codec struct {
	// Name is the encoding name as in an SDP's rtpmap.
	Name string
	// ClockRate is that of RTP timestamps in Hz, and Rate that of samples. They differ
	// in G722, by a mistake that has become the rule (RFC 3551, section 4.5.2).
	ClockRate, Rate int
	// Channels is the number in the rtpmap, which is 2 for opus whatever is coded (RFC
	// 7587, section 7). Samples are of one channel always.
	Channels int
	// Static is the static payload type (RFC 3551, section 6); -1 when there is none.
	Static int
	// Stateless: what a frame is encoded to does not depend on those before it.
	Stateless bool

	decoder func() (Decoder, error)
	encoder func() (Encoder, error)
}

// Decoder decodes one stream to samples of one channel.
type Decoder interface {
	// Decode decodes a payload to the beginning of pcm, which has room for Longest, and
	// returns how many samples it has.
	Decode(pcm []int16, payload []byte) (int, error)
	// Conceal fills pcm, a frame of 10 or 20 ms, with what is likely where packets are
	// missing.
	Conceal(pcm []int16)
}

// Encoder encodes frames of 20 ms.
type Encoder interface {
	// Encode encodes a frame (Rate/50 samples) to the end of payload. It allocates
	// nothing when that has room for 1500 bytes.
	Encode(payload []byte, pcm []int16) ([]byte, error)
	// Follow takes over from another Encoder of the codec: whose receiver has heard the
	// other so far hears no seam. past is what the other has encoded last, in whole
	// frames, for those whose state cannot be copied.
	Follow(other Encoder, past []int16) error
}

// NewDecoder makes a Decoder.
func (c Codec) NewDecoder() (Decoder, error) { return c.decoder() }

// NewEncoder makes an Encoder.
func (c Codec) NewEncoder() (Encoder, error) { return c.encoder() }

// All are the codecs, in the order in which a mixer prefers them.
func All() []Codec {
	return []Codec{
		{
			Name: "opus", ClockRate: opusRate, Rate: opusRate, Channels: 2, Static: -1,
			decoder: newOpusDecoder, encoder: newOpusEncoder,
		},
		{
			Name: "G722", ClockRate: 8000, Rate: 16000, Channels: 1, Static: 9,
			decoder: func() (Decoder, error) { return newG722Decoder(), nil },
			encoder: func() (Encoder, error) { return newG722Encoder(), nil },
		},
		{
			Name: "PCMU", ClockRate: 8000, Rate: 8000, Channels: 1, Static: 0, Stateless: true,
			decoder: func() (Decoder, error) { return newPCMU(), nil },
			encoder: func() (Encoder, error) { return newPCMU(), nil },
		},
		{
			Name: "PCMA", ClockRate: 8000, Rate: 8000, Channels: 1, Static: 8, Stateless: true,
			decoder: func() (Decoder, error) { return newPCMA(), nil },
			encoder: func() (Encoder, error) { return newPCMA(), nil },
		},
	}
}

// Find returns the codec of an encoding name, in any case, and a clock rate in Hz.
func Find(name string, clockRate int) (Codec, bool) {
	for _, c := range All() {
		if strings.EqualFold(c.Name, name) && c.ClockRate == clockRate {
			return c, true
		}
	}
	return Codec{}, false
}
