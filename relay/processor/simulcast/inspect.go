package simulcast

import (
	"encoding/binary"
	"strings"
)

// Codec is a codec whose payloads are read.
type Codec uint8

const (
	// Opaque is any other codec, such as audio: each packet is one that a receiver can
	// begin with.
	Opaque Codec = iota
	// VP8 is RFC 7741's payload format.
	VP8
	// H264 is RFC 6184's, in packetization mode 0 or 1.
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
	// Key: a receiver that has nothing of the stream yet can begin with this packet. Of
	// VP8 it is the first one of a key frame; of H.264 the one with the sequence
	// parameter set, which comes before the picture itself and is needed, too. (A sender
	// that gives its parameter sets in the SDP only is not understood.) Of Opaque it is
	// always true.
	Key bool
	// Empty: there is nothing in it. Senders probe with such packets, which have padding
	// only (RFC 3550, section 5.1).
	Empty bool
	// VP8 is the payload descriptor; its Size is 0 for other codecs.
	VP8 Descriptor
}

// Inspect reads a payload, without its padding. ok is false when it is malformed; such a
// packet should not be forwarded.
func (c Codec) Inspect(payload []byte) (f Frame, ok bool) {
	if len(payload) == 0 {
		return Frame{Empty: true}, true
	}
	switch c {
	case VP8:
		if f.VP8, ok = ParseVP8(payload); ok {
			rest := payload[f.VP8.Size:]
			// Section 4.3: the bit P of the payload header, which the first partition has.
			f.Key = f.VP8.Start && f.VP8.Partition == 0 && rest[0]&1 == 0
		}
		return f, ok
	case H264:
		f.Key, ok = scanH264(payload)
		return f, ok
	}
	return Frame{Key: true}, true
}

// The types of H.264 NAL units, and of what packets have in their place (RFC 6184,
// section 5.2).
const (
	nalType     = 0x1f
	nalSPS      = 7
	nalLast     = 23 // of the types that are NAL units
	nalSTAPA    = 24
	nalFUA      = 28
	fuStart     = 0x80
	stapHeader  = 1
	stapSize    = 2
	fuHeader    = 2
	fuTypeIndex = 1
)

// scanH264 says whether a payload has the beginning of a sequence parameter set. Packets
// of the interleaved mode (STAP-B, MTAP, FU-B) are not understood, nor ever negotiated by
// WebRTC endpoints.
func scanH264(payload []byte) (sps, ok bool) {
	switch kind := payload[0] & nalType; {
	case kind >= 1 && kind <= nalLast:
		return kind == nalSPS, true
	case kind == nalSTAPA:
		rest := payload[stapHeader:]
		if len(rest) == 0 {
			return false, false
		}
		for len(rest) > 0 {
			if len(rest) < stapSize {
				return false, false
			}
			size := int(binary.BigEndian.Uint16(rest))
			if rest = rest[stapSize:]; size == 0 || size > len(rest) {
				return false, false
			}
			sps = sps || rest[0]&nalType == nalSPS
			rest = rest[size:]
		}
		return sps, true
	case kind == nalFUA:
		if len(payload) <= fuHeader {
			return false, false
		}
		fu := payload[fuTypeIndex]
		return fu&fuStart != 0 && fu&nalType == nalSPS, true
	}
	return false, false
}
