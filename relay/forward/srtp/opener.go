package srtp

import "encoding/binary"

// defaultStreams is how many streams an Opener knows unless told otherwise: several
// times what the largest simulcast sender has.
const defaultStreams = 256

// OpenerConfig says what an Opener accepts. Its zero value is what a call needs.
type OpenerConfig struct {
	// Streams is how many SSRCs there may be, of SRTP and of SRTCP each; 0 is 256.
	// Only authentic packets count.
	Streams int
	// ClearRTCP accepts SRTCP packets that are authenticated but not encrypted.
	ClearRTCP bool
}

// Opener opens SRTP and SRTCP packets of one peer. One goroutine at a time uses it.
type Opener struct {
	cfg       OpenerConfig
	overhead  int
	aead      bool
	rtp, rtcp transform
	media     streams
	reports   streams
}

// Opener makes an Opener that has seen no packet.
func (k *Keys) Opener(cfg OpenerConfig) *Opener {
	if cfg.Streams <= 0 {
		cfg.Streams = defaultStreams
	}
	return &Opener{
		cfg:      cfg,
		overhead: k.shape.tag,
		aead:     k.shape.aead,
		rtp:      k.rtp.transform(),
		rtcp:     k.rtcp.transform(),
		media:    newStreams(),
		reports:  newStreams(),
	}
}

// Start tells the rollover counter of a stream's first packet when it is not 0: who
// joins late learns it by signaling (RFC 3711 section 3.3.1). A stream that is known
// already stays as it is, and Start returns false.
func (o *Opener) Start(ssrc, roc uint32) bool {
	if o.media.all[ssrc] != nil || len(o.media.all) >= o.cfg.Streams {
		return false
	}
	o.media.all[ssrc] = &stream{ssrc: ssrc, roc: roc}
	return true
}

// RTP opens a packet in place, and returns its two parts. After an error the packet's
// bytes mean nothing.
func (o *Opener) RTP(packet []byte) (header, payload []byte, err error) {
	n, ok := headerLength(packet)
	if !ok || len(packet)-n < o.overhead {
		return nil, nil, ErrMalformed
	}
	ssrc := binary.BigEndian.Uint32(packet[8:])
	in := o.media.find(ssrc)
	index, err := in.index(binary.BigEndian.Uint16(packet[2:]))
	if err != nil {
		return nil, nil, err
	}
	if err := in.seen.check(index); err != nil {
		return nil, nil, err
	}
	if !o.rtp.open(packet, n, ssrc, index) {
		return nil, nil, ErrUnauthentic
	}
	if err := o.media.keep(in, o.cfg.Streams); err != nil {
		return nil, nil, err
	}
	in.seen.mark(index)
	return packet[:n:n], packet[n : len(packet)-o.overhead], nil
}

// RTCP opens a packet in place, and returns the RTCP packet. After an error the
// packet's bytes mean nothing.
func (o *Opener) RTCP(packet []byte) ([]byte, error) {
	end := len(packet) - o.overhead - indexWord
	if end < headerRTCP || packet[0]>>6 != 2 {
		return nil, ErrMalformed
	}
	// The word with E bit and index: after the tag of an AEAD, before the tag of HMAC.
	at := end
	if o.aead {
		at = len(packet) - indexWord
	}
	word := binary.BigEndian.Uint32(packet[at:])
	if word&encrypted == 0 && !o.cfg.ClearRTCP {
		return nil, ErrClear
	}
	ssrc, index := binary.BigEndian.Uint32(packet[4:]), uint64(word&^encrypted)
	in := o.reports.find(ssrc)
	if err := in.seen.check(index); err != nil {
		return nil, err
	}
	if !o.rtcp.openRTCP(packet, ssrc, word) {
		return nil, ErrUnauthentic
	}
	if err := o.reports.keep(in, o.cfg.Streams); err != nil {
		return nil, err
	}
	in.seen.mark(index)
	return packet[:end], nil
}

// streams are the streams of a peer that have had an authentic packet. Anyone can
// invent an SSRC, so one that is not known costs no memory until it is proved.
type streams struct {
	last *stream // of the packet before
	next *stream // for an SSRC that is not known yet
	all  map[uint32]*stream
}

func newStreams() streams {
	return streams{last: &stream{}, next: &stream{}, all: make(map[uint32]*stream)}
}

// find returns the stream of an SSRC, or the one that is to become it.
func (s *streams) find(ssrc uint32) *stream {
	if s.last.ssrc == ssrc && s.last.seen.any {
		return s.last
	}
	if in := s.all[ssrc]; in != nil {
		return in
	}
	s.next.ssrc = ssrc
	return s.next
}

// keep makes the stream of an authentic packet a known one.
func (s *streams) keep(in *stream, most int) error {
	if in == s.last {
		return nil
	}
	if in == s.next {
		if len(s.all) >= most {
			return ErrStreams
		}
		s.all[in.ssrc] = in
		s.next = &stream{}
	}
	s.last = in
	return nil
}
