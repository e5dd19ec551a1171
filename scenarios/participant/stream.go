package participant

import (
	"time"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/scenarios/media"
)

// recent is how many sequence numbers are kept to tell a packet from its copy.
const recent = 1 << 12

// stream measures one received stream: counts and jitter by RFC 3550, appendix A,
// and what of each interval was lost. It is guarded by its reception.
type stream struct {
	format media.Format
	ssrc   uint32

	started  bool
	first    uint64         // extended sequence number of the first packet
	highest  uint64         // of the newest
	seen     [recent]uint64 // extended sequence number + 1, by its low bits
	received uint64         // packets, copies not counted
	intact   uint64
	corrupt  uint64
	bytes    uint64 // of payload

	begin, last time.Time // arrivals
	stamp       uint32    // of the last packet that moved the jitter
	arrival     time.Time
	variation   float64 // RFC 3550's J, in seconds

	since interim // what had been counted when the interval began
	anew  bool    // the next packet begins an interval: one without any was before
	mos   mean
	trips mean // one-way delay that the scores assumed
	lossy mean // loss that the scores assumed

	pictures  *pictures // video only
	requested time.Time // of the last request for a key frame
}

// interim is what a stream had counted at the beginning of an interval.
type interim struct {
	next     uint64 // extended sequence number
	received uint64
	bytes    uint64
}

// taken is what came in one interval.
type taken struct {
	expected, received, bytes, loss float64
	silent                          bool // nothing came
}

func newStream(f media.Format, ssrc uint32) *stream {
	s := &stream{format: f, ssrc: ssrc}
	if f.Kind == media.Video {
		s.pictures = newPictures(f)
	}
	return s
}

// add counts one packet. A copy, such as the answer to a NACK that was not needed,
// counts only when it is corrupt.
func (s *stream) add(p *rtp.Packet, verdict media.Verdict, arrived time.Time) {
	switch verdict {
	case media.Corrupt, media.Misdirected, media.Unknown:
		s.corrupt++
	}
	number := s.extend(p.SequenceNumber)
	if s.seen[number%recent] == number+1 {
		return
	}
	s.seen[number%recent] = number + 1
	if s.anew {
		s.since = interim{next: number, received: s.received, bytes: s.bytes}
		s.anew = false
	}
	s.received++
	s.bytes += uint64(len(p.Payload))
	if verdict == media.Intact {
		s.intact++
	}
	if number > s.highest || s.received == 1 {
		s.highest = number
		s.vary(p.Timestamp, arrived)
	}
	s.last = arrived
	if s.pictures != nil {
		s.pictures.add(number, p, arrived)
	}
}

// extend gives a sequence number its cycles (RFC 3550, appendix A.1). The first
// cycle begins well above zero, so that packets before the first have a number.
func (s *stream) extend(seq uint16) uint64 {
	if !s.started {
		s.started = true
		s.first = 1<<16 | uint64(seq)
		s.highest = s.first
		s.since.next = s.first
		return s.first
	}
	number := uint64(int64(s.highest) + int64(int16(seq-uint16(s.highest))))
	s.first = min(s.first, number)
	return number
}

// vary moves the jitter (RFC 3550, appendix A.8) by the first packet of each
// frame: the packets of a picture have one timestamp, and are sent apart.
func (s *stream) vary(stamp uint32, arrived time.Time) {
	if s.begin.IsZero() {
		s.begin, s.stamp, s.arrival = arrived, stamp, arrived
		return
	}
	if stamp == s.stamp {
		return
	}
	sent := float64(int32(stamp-s.stamp)) / float64(s.format.ClockRate)
	difference := arrived.Sub(s.arrival).Seconds() - sent
	if difference < 0 {
		difference = -difference
	}
	s.variation += (difference - s.variation) / 16
	s.stamp, s.arrival = stamp, arrived
}

// jitter is RFC 3550's interarrival jitter.
func (s *stream) jitter() time.Duration { return time.Duration(s.variation * float64(time.Second)) }

func (s *stream) expected() uint64 {
	if !s.started {
		return 0
	}
	return s.highest - s.first + 1
}

func (s *stream) lost() uint64 {
	if expected := s.expected(); expected > s.received {
		return expected - s.received
	}
	return 0
}

// interval ends an interval and returns what came in it.
func (s *stream) interval() taken {
	t := taken{
		expected: float64(s.highest + 1 - s.since.next),
		received: float64(s.received - s.since.received),
		bytes:    float64(s.bytes - s.since.bytes),
		silent:   s.received == s.since.received,
	}
	if t.expected > 0 {
		// Late packets of the interval before may make it more than expected.
		t.loss = max(0, 1-t.received/t.expected)
	}
	s.since = interim{next: s.highest + 1, received: s.received, bytes: s.bytes}
	return t
}

// resume has the next packet begin an interval, whatever was lost before it: the
// intervals without a packet have been counted.
func (s *stream) resume() { s.anew = true }

// rate is the mean bit rate of payload.
func (s *stream) rate() float64 {
	if d := s.last.Sub(s.begin).Seconds(); d > 0 {
		return float64(s.bytes) * 8 / d
	}
	return 0
}
