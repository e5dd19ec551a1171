package srtp

import "encoding/binary"

// Sealer seals RTP and RTCP packets. One goroutine at a time uses it. Different
// goroutines that send to the same peer have a Sealer each, for different SSRCs.
type Sealer struct {
	keys     *Keys
	overhead int
	rtp      transform
	// rtcp is nil before the first report: most Sealers of a fan-out have none.
	rtcp transform
	// last is the stream of the packet before: most often also of the next.
	last    *stream
	streams map[uint32]*stream
	// reports is the next SRTCP index for each sender of reports.
	reports map[uint32]uint32
}

// Sealer makes a Sealer with no streams.
func (k *Keys) Sealer() *Sealer {
	return &Sealer{
		keys:     k,
		overhead: k.shape.tag,
		rtp:      k.rtp.transform(),
		last:     &stream{},
		streams:  make(map[uint32]*stream),
	}
}

// Start begins a stream with a rollover counter other than 0, before its first packet:
// when it goes on from a Sealer on another machine. It returns ErrTaken when the
// stream has begun.
func (s *Sealer) Start(ssrc, roc uint32) error {
	if err := s.keys.claim(claim{ssrc: ssrc}); err != nil {
		return err
	}
	s.streams[ssrc] = &stream{ssrc: ssrc, roc: roc}
	return nil
}

// Overhead is how many bytes RTP adds to a packet.
func (s *Sealer) Overhead() int { return s.overhead }

// RTP seals a packet: it appends the sealed payload and the tag to header, whose
// capacity must have room for them, and returns the whole. header is an RTP header
// with its CSRCs and extension; payload includes padding. To seal in place, payload is
// what follows header in its buffer. Otherwise it must not overlap that, and the only
// copy that is made of it is the encrypted one.
//
// Each sequence number is sealed once. To repeat a packet, repeat what was sealed.
func (s *Sealer) RTP(header, payload []byte) ([]byte, error) {
	if n, ok := headerLength(header); !ok || n != len(header) {
		return nil, ErrMalformed
	}
	if cap(header)-len(header) < len(payload)+s.overhead {
		return nil, ErrRoom
	}
	ssrc := binary.BigEndian.Uint32(header[8:])
	out := s.last
	if out.ssrc != ssrc || !out.seen.any {
		var err error
		if out, err = s.stream(ssrc); err != nil {
			return nil, err
		}
	}
	index, err := out.index(binary.BigEndian.Uint16(header[2:]))
	if err != nil {
		return nil, err
	}
	if out.seen.check(index) != nil {
		return nil, ErrRepeated
	}
	out.seen.mark(index)
	return s.rtp.seal(header, payload, ssrc, index), nil
}

// stream finds a stream, or begins it.
func (s *Sealer) stream(ssrc uint32) (*stream, error) {
	out := s.streams[ssrc]
	if out == nil {
		if err := s.keys.claim(claim{ssrc: ssrc}); err != nil {
			return nil, err
		}
		out = &stream{ssrc: ssrc}
		s.streams[ssrc] = out
	}
	s.last = out
	return out, nil
}

// RTCP seals a packet, which may be a compound one, in place. Its capacity must have
// room for Profile.OverheadRTCP more bytes. The stream is that of its first SSRC.
func (s *Sealer) RTCP(packet []byte) ([]byte, error) {
	if len(packet) < headerRTCP || packet[0]>>6 != 2 {
		return nil, ErrMalformed
	}
	if cap(packet)-len(packet) < s.overhead+indexWord {
		return nil, ErrRoom
	}
	ssrc := binary.BigEndian.Uint32(packet[4:])
	if s.rtcp == nil {
		s.rtcp, s.reports = s.keys.rtcp.transform(), make(map[uint32]uint32)
	}
	index, begun := s.reports[ssrc]
	if !begun {
		if err := s.keys.claim(claim{rtcp: true, ssrc: ssrc}); err != nil {
			return nil, err
		}
	}
	if index >= encrypted {
		return nil, ErrExhausted
	}
	s.reports[ssrc] = index + 1
	return s.rtcp.sealRTCP(packet, ssrc, index|encrypted), nil
}

// headerLength is the length of an RTP header with CSRCs and extension (RFC 3550
// section 5.1, 5.3.1), if p is as long.
func headerLength(p []byte) (int, bool) {
	if len(p) < 12 || p[0]>>6 != 2 {
		return 0, false
	}
	n := 12 + 4*int(p[0]&0x0f)
	if p[0]&0x10 != 0 {
		if len(p) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(p[n+2:]))
	}
	return n, n <= len(p)
}
