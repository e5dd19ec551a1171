package simulcast

import "strings"

// Codec is a codec whose payloads are read.
type Codec uint8

const (
	// Opaque is any other codec, such as audio: each packet is one that a receiver can
	// begin with.
	Opaque Codec = iota
	// VP8 is RFC 7741's payload format.
	VP8
	// H264 is RFC 6184's.
	H264
)

var codecs = [...]string{Opaque: "opaque", VP8: "VP8", H264: "H264"}

func (c Codec) String() string {
	if int(c) < len(codecs) {
		return codecs[c]
	}
	return "invalid"
}

// CodecOf returns the Codec of an encoding name as in an SDP's rtpmap, in any case.
func CodecOf(name string) Codec {
	for c, known := range codecs {
		if strings.EqualFold(name, known) {
			return Codec(c)
		}
	}
	return Opaque
}

// Frame is what a payload says of the frame that it is a part of.
type Frame struct {
	// Key: a receiver that has nothing of the stream yet can begin with this packet: it
	// is where a key frame starts. Of Opaque it is always true.
	Key bool
	// VP8 is the payload descriptor; nil for other codecs. It is good as long as the
	// Frame is.
	VP8 Descriptor
}

// Inspect reads a payload. ok is false when it is malformed; such a packet should not be
// forwarded.
func (c Codec) Inspect(payload []byte) (f Frame, ok bool) {
	return Frame{Key: c == Opaque}, true
}
