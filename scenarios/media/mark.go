package media

import (
	"bytes"
	"encoding/binary"
)

// All sources of a codec play the same file, so that in a conference a payload alone
// does not say whose it is. A mark does: it makes every frame one that only its
// sender sends, and sends once. Decoders do not see it.
//
// A mark is the sender's SSRC and the frame's number, in 16 bytes of four bits each,
// none of them zero, so that no codec takes them for something else.
type mark [16]byte

func newMark(ssrc, number uint32) mark {
	var plain [8]byte
	binary.BigEndian.PutUint32(plain[:], ssrc)
	binary.BigEndian.PutUint32(plain[4:], number)
	var m mark
	for i, b := range plain {
		m[2*i], m[2*i+1] = 0xa0|b>>4, 0xa0|b&15
	}
	return m
}

// seiMark begins a user_data_unregistered SEI message (H.264, section D.1.7): its
// size, and the UUID that says whose it is.
var seiMark = []byte{0, 0, 0, 1, 0x06, 0x05, 32,
	0xca, 0x11, 0xba, 0x74, 0x91, 0x4d, 0x4a, 0x5e, 0xb1, 0x0c, 0xc0, 0xde, 0xfe, 0xed, 0xfa, 0xce}

// Mark has the frames of s marked from now on as those of an SSRC. Without it they
// are those of the file.
func (s *Source) Mark(ssrc uint32) { s.marked, s.ssrc = true, ssrc }

// signed puts the next mark into a frame.
func (s *Source) signed(frame Frame) Frame {
	if !s.marked {
		return frame
	}
	s.signatures++
	m := newMark(s.ssrc, s.signatures)
	switch s.format.Codec {
	case Opus:
		frame.Data = markOpus(frame.Data, m)
	case PCMU:
		frame.Data = markPCMU(frame.Data, m)
	case VP8:
		// RFC 6386, section 9.5: the last partition takes what is left, and its
		// decoder reads no further than the picture does.
		frame.Data = append(bytes.Clone(frame.Data), m[:]...)
	case H264:
		frame.Data = markH264(frame.Data, m)
	}
	return frame
}

// markOpus puts a mark into the padding of an Opus packet, which decoders accept
// with any value (RFC 6716, section 3.2.5). A packet that has padding already is
// left as it is; the files here have none.
func markOpus(data []byte, m mark) []byte {
	if len(data) == 0 {
		return data
	}
	// The byte that counts the frames: VBR in bit 7, padding in bit 6.
	count, ok := map[byte]byte{0: 0x41, 1: 0x42, 2: 0xc2}[data[0]&3]
	if !ok {
		return data
	}
	out := append(make([]byte, 0, len(data)+2+len(m)), data[0]|3, count, byte(len(m)))
	return append(append(out, data[1:]...), m[:]...)
}

// markPCMU puts a mark into the lowest bits of the first samples, where it is less
// than the noise of µ-law.
func markPCMU(data []byte, m mark) []byte {
	out := bytes.Clone(data)
	for i := range min(len(out), 8*len(m)) {
		out[i] = out[i]&^1 | m[i/8]>>(7-i%8)&1
	}
	return out
}

// markH264 puts a mark into an SEI message before the picture's slice, which is the
// last NAL unit here.
func markH264(data []byte, m mark) []byte {
	at := bytes.LastIndex(data, []byte{0, 0, 0, 1})
	if at < 0 {
		return data
	}
	out := append(make([]byte, 0, len(data)+len(seiMark)+len(m)+1), data[:at]...)
	out = append(append(out, seiMark...), m[:]...)
	return append(append(out, 0x80), data[at:]...) // 0x80: the trailing bits
}
