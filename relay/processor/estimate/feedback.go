package estimate

import (
	"encoding/binary"
	"errors"
	"time"
)

// feedback is a transport-wide congestion control packet (section 3.1 of the draft), read
// where it lies. It is an iterator over the sequence numbers that it speaks of.
type feedback struct {
	base  uint16
	count uint16 // of sequence numbers
	// reference is the time from which deltas count, in units of 64 ms, 24 bits.
	reference uint32

	chunks, deltas []byte
	// The chunk that is being read: how many statuses are left in it, and where they are.
	left   uint16
	run    bool
	symbol uint8  // of a run
	vector uint16 // of the others, the next status the highest bits
	size   uint8  // of a status in the vector, in bits
	index  uint16 // of the next sequence number
}

// status is what became of a packet.
type status struct {
	seq      uint16
	received bool
	// delta is the time since the last received one, or since the reference time.
	delta time.Duration
}

const (
	referenceUnit = 64 * time.Millisecond
	deltaUnit     = 250 * time.Microsecond

	rtcpTransport   = 205 // RFC 4585: transport layer feedback
	rtcpPayload     = 206 // and payload-specific
	formatTransport = 15
	formatREMB      = 15
	feedbackHeader  = 20
	statusSmall     = 1
	statusLarge     = 2
)

var (
	errFormat    = errors.New("not a transport-wide feedback packet (RTCP type 205, format 15)")
	errLength    = errors.New("transport-wide feedback: the length is not what the header says")
	errStatuses  = errors.New("transport-wide feedback: fewer statuses than the count says")
	errDeltas    = errors.New("transport-wide feedback: fewer deltas than packets were received")
	errReserved  = errors.New("transport-wide feedback: a reserved status")
	errNoPackets = errors.New("transport-wide feedback of no packets")
)

// parse reads a packet, and checks all of it.
func parse(packet []byte) (f feedback, err error) {
	body, err := rtcpBody(packet, rtcpTransport, formatTransport, feedbackHeader)
	if err != nil {
		return feedback{}, err
	}
	f = feedback{
		base:      binary.BigEndian.Uint16(body[12:]),
		count:     binary.BigEndian.Uint16(body[14:]),
		reference: binary.BigEndian.Uint32(body[16:]) >> 8,
		chunks:    body[feedbackHeader:],
	}
	if f.count == 0 {
		return feedback{}, errNoPackets
	}
	// Deltas begin behind the last chunk: where that is shows when the chunks are read.
	left := int(f.count)
	at := 0
	for left > 0 {
		if at+2 > len(f.chunks) {
			return feedback{}, errStatuses
		}
		left -= int(chunkLength(binary.BigEndian.Uint16(f.chunks[at:])))
		at += 2
	}
	f.chunks, f.deltas = f.chunks[:at], f.chunks[at:]
	check := f
	for range f.count {
		if _, err := check.next(); err != nil {
			return feedback{}, err
		}
	}
	return f, nil
}

// rtcpBody returns an RTCP packet without what follows it and its padding, when it is of a
// type and format and has at least so many bytes.
func rtcpBody(packet []byte, kind, format uint8, least int) ([]byte, error) {
	if len(packet) < 4 || packet[0]>>6 != 2 || packet[0]&0x1f != format || packet[1] != kind {
		return nil, errFormat
	}
	size := 4 * (int(binary.BigEndian.Uint16(packet[2:])) + 1)
	if size > len(packet) {
		return nil, errLength
	}
	body := packet[:size]
	if packet[0]&0x20 != 0 {
		padding := int(body[size-1])
		if padding == 0 || padding > size {
			return nil, errLength
		}
		body = body[:size-padding]
	}
	if len(body) < least {
		return nil, errLength
	}
	return body, nil
}

// chunkLength returns how many statuses a chunk has (sections 3.1.3 and 3.1.4).
func chunkLength(chunk uint16) uint16 {
	switch chunk >> 14 {
	case 2:
		return 14
	case 3:
		return 7
	}
	return chunk & 0x1fff
}

// next returns the status of the next sequence number. It is called count times.
func (f *feedback) next() (s status, err error) {
	for f.left == 0 {
		if len(f.chunks) < 2 {
			return status{}, errStatuses
		}
		chunk := binary.BigEndian.Uint16(f.chunks)
		f.chunks = f.chunks[2:]
		f.left = chunkLength(chunk)
		switch chunk >> 14 {
		case 2:
			f.run, f.vector, f.size = false, chunk<<2, 1
		case 3:
			f.run, f.vector, f.size = false, chunk<<2, 2
		default:
			f.run, f.symbol = true, uint8(chunk>>13&3)
		}
	}
	symbol := f.symbol
	if !f.run {
		symbol = uint8(f.vector >> (16 - f.size))
		f.vector <<= f.size
	}
	f.left--
	s = status{seq: f.base + f.index}
	f.index++
	switch symbol {
	case statusSmall:
		if len(f.deltas) < 1 {
			return status{}, errDeltas
		}
		s.received, s.delta = true, time.Duration(f.deltas[0])*deltaUnit
		f.deltas = f.deltas[1:]
	case statusLarge:
		if len(f.deltas) < 2 {
			return status{}, errDeltas
		}
		s.received, s.delta = true, time.Duration(int16(binary.BigEndian.Uint16(f.deltas)))*deltaUnit
		f.deltas = f.deltas[2:]
	case 3:
		return status{}, errReserved
	}
	return s, nil
}

// ParseREMB reads the bitrate of a REMB packet (draft-alvestrand-rmcat-remb-03, section
// 2.2) in bit/s: one RTCP packet with its header, opened. ok is false when it is not one,
// or malformed.
func ParseREMB(packet []byte) (bitrate uint64, ok bool) {
	body, err := rtcpBody(packet, rtcpPayload, formatREMB, 20)
	if err != nil || string(body[12:16]) != "REMB" || len(body) < 20+4*int(body[16]) {
		return 0, false
	}
	exponent := body[17] >> 2
	mantissa := uint64(body[17]&3)<<16 | uint64(binary.BigEndian.Uint16(body[18:]))
	if bitrate = mantissa << exponent; bitrate>>exponent != mantissa {
		return 1<<64 - 1, true // more than there are bits for
	}
	return bitrate, true
}
