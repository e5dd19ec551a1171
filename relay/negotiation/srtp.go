package negotiation

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// media is the leg's SRTP and SRTCP. Per packet it allocates nothing.
type media struct {
	journal *journal
	limit   int // of streams

	rates  [128]uint32 // Hz, by payload type
	told   [128]bool   // by ClockRate
	byKey  map[streamKey]*stream
	order  []*stream
	keying keying

	// after is how many bytes come after the index of SRTCP; known once the
	// profile is.
	after      int
	afterKnown bool

	// scratch takes plaintext that nobody reads, header the parts of a header. It is
	// there once there are keys.
	scratch []byte
	header  rtp.Header
	control rtcp.Header
}

// maxPlaintext is the longest payload that is verified; a packet on the internet
// has at most 1500 bytes, one on loopback 64 KiB.
const maxPlaintext = 1 << 16

type streamKey struct {
	ssrc     uint32
	outbound bool
}

// stream is one SSRC in one direction.
type stream struct {
	SRTP
	outbound bool
	sequence sequence
	control  window
	// jitter is in units of the clock; arrived and timestamp are those of the
	// packet before.
	jitter     float64
	clock      uint32
	arrived    time.Time
	timestamp  uint32
	comparable bool
}

// clock takes the rate of a payload type; told is true for ClockRate, which goes
// before what descriptions say.
func (m *media) clock(payloadType uint8, hz uint32, told bool) {
	if payloadType >= 128 || m.told[payloadType] && !told {
		return
	}
	m.rates[payloadType] = hz
	m.told[payloadType] = told && hz > 0
}

// stream finds or begins a stream; nil when there are too many.
func (m *media) stream(ssrc uint32, outbound bool) *stream {
	key := streamKey{ssrc, outbound}
	s := m.byKey[key]
	if s != nil || len(m.order) == m.limit {
		return s
	}
	if m.byKey == nil {
		m.byKey = map[streamKey]*stream{}
	}
	s = &stream{SRTP: SRTP{SSRC: ssrc, Direction: directionName(outbound)}, outbound: outbound}
	m.byKey[key] = s
	m.order = append(m.order, s)
	return s
}

// rtp takes a packet of at least 12 bytes.
func (m *media) rtp(t time.Time, outbound bool, b []byte) {
	s := m.stream(binary.BigEndian.Uint32(b[8:]), outbound)
	if s == nil {
		return
	}
	number := binary.BigEndian.Uint16(b[2:])
	if s.Packets == 0 {
		s.First = t
		s.PayloadType = b[1] & 0x7f
		m.event(t, EventFirst, s, number)
	}
	s.Packets++
	s.Bytes += uint64(len(b))
	s.Last = t
	verified := false
	if m.keying.known() {
		if verified = m.keying.verifyRTP(m, outbound, b); !verified {
			// Its header may be forged too, so nothing else is read from it.
			if s.AuthFailures++; s.AuthFailures == 1 {
				m.event(t, EventAuthFailure, s, number)
			}
			return
		}
		s.Verified++
	}
	before := s.sequence.rollover()
	switch s.sequence.add(number, verified) {
	case repeated:
		if s.Replayed++; s.Replayed == 1 {
			m.event(t, EventReplayed, s, number)
		}
	case advanced:
		s.PayloadType = b[1] & 0x7f
		s.interarrival(t, binary.BigEndian.Uint32(b[4:]), m.rates[s.PayloadType])
		if s.sequence.rollover() > before {
			m.event(t, EventRollover, s, number)
		}
	}
}

// interarrival is RFC 3550, section 6.4.1.
func (s *stream) interarrival(t time.Time, timestamp, hz uint32) {
	if s.comparable && hz == s.clock && hz > 0 {
		elapsed := t.Sub(s.arrived).Seconds() * float64(hz)
		d := math.Abs(elapsed - float64(int32(timestamp-s.timestamp)))
		s.jitter += (d - s.jitter) / 16
	}
	if hz != s.clock {
		s.jitter = 0
	}
	s.arrived, s.timestamp, s.clock, s.comparable = t, timestamp, hz, true
}

func (m *media) event(t time.Time, name string, s *stream, number uint16) {
	m.journal.event(t, name, slog.String(KeySSRC, fmt.Sprintf("%#08x", s.SSRC)), slog.String(KeyDirection, s.Direction),
		slog.Int(KeyPayloadType, int(s.PayloadType)), slog.Int(KeySequence, int(number)),
		slog.Uint64(KeyRollover, uint64(s.sequence.rollover())))
}

// rtcp takes a packet of at least 8 bytes; its SSRC is that of the first report's
// sender.
func (m *media) rtcp(t time.Time, outbound bool, b []byte) {
	s := m.stream(binary.BigEndian.Uint32(b[4:]), outbound)
	if s == nil {
		return
	}
	if s.Packets == 0 {
		if s.RTCP.Packets == 0 {
			s.First = t
		}
		s.Last = t
	}
	s.RTCP.Packets++
	s.RTCP.Bytes += uint64(len(b))
	if m.keying.known() {
		if !m.keying.verifyRTCP(m, outbound, b) {
			if s.RTCP.AuthFailures++; s.RTCP.AuthFailures == 1 {
				m.journal.event(t, EventAuthFailure, slog.String(KeySSRC, fmt.Sprintf("%#08x", s.SSRC)),
					slog.String(KeyDirection, s.Direction), slog.String(KeyProtocol, "srtcp"))
			}
			return
		}
		s.RTCP.Verified++
	}
	const word = 4
	if at := len(b) - m.after - word; m.afterKnown && at >= rtcpHeader {
		const encrypted = 1 << 31
		if s.control.add(uint64(binary.BigEndian.Uint32(b[at:])&^uint32(encrypted))+1) == repeated {
			s.RTCP.Replayed++
		}
	}
}

// record copies the streams.
func (m *media) record() []SRTP {
	all := make([]SRTP, 0, len(m.order))
	for _, s := range m.order {
		rec := s.SRTP
		rec.RolloverCounter = s.sequence.rollover()
		if !s.outbound {
			rec.Lost = s.sequence.lost()
		}
		if s.clock > 0 {
			rec.Jitter = time.Duration(s.jitter / float64(s.clock) * float64(time.Second)).Round(time.Microsecond)
		}
		all = append(all, rec)
	}
	return all
}
