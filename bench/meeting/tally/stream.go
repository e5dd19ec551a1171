package tally

import (
	"math"
	"time"

	"github.com/callpath/callpath/relay/reception"
)

// Stream is one received stream, such as a slot's. It is for one goroutine at a time.
type Stream struct {
	// Voice says that its intervals are scored.
	voice    bool
	sequence reception.Sequence
	jitter   *reception.Jitter

	// Of the interval that goes on.
	gaps uint16
	// heard is true when something came since Heard.
	heard bool
	// Of the intervals before it.
	expected, received uint64
}

// NewStream makes one whose timestamps run at rate hertz.
func NewStream(voice bool, rate uint32) *Stream {
	return &Stream{voice: voice, jitter: reception.NewJitter(rate)}
}

// Packet takes a packet that came at a time.
func (s *Stream) Packet(t *Tally, at time.Time, number uint16, timestamp uint32, payload []byte) {
	kind, _ := s.sequence.Received(number)
	switch kind {
	case reception.Jump:
		t.Stray++
		return
	case reception.Gap:
		s.gaps++
	}
	s.jitter.Received(at, timestamp)
	s.heard = true
	if stamp, ok := ReadStamp(payload); ok {
		t.Latency.Add(at.UnixNano() - stamp.Due)
	}
}

// Begun says whether anything came.
func (s *Stream) Begun() bool { return s.sequence.ReceivedCount() > 0 }

// Heard says whether anything came since it was asked last.
func (s *Stream) Heard() bool {
	heard := s.heard
	s.heard = false
	return heard
}

// Report makes what a receiver report says of the stream, and its jitter in units of the
// RTP clock.
func (s *Stream) Report() (reception.Report, uint32) { return s.sequence.Report(), s.jitter.Units() }

// Interval ends an interval; rtt is the participant's latest, 0 when there is none yet.
func (s *Stream) Interval(t *Tally, rtt time.Duration) {
	expected, received := s.sequence.Expected()-s.expected, s.sequence.ReceivedCount()-s.received
	if expected == 0 && received == 0 {
		return // nobody is on the slot
	}
	s.expected += expected
	s.received += received
	t.Expected += expected
	t.Received += received
	jitter := s.jitter.Duration()
	t.Jitter.Add(int64(jitter))
	if s.voice {
		t.voice[interval{
			expected: counted(expected), lost: counted(expected - min(received, expected)), gaps: s.gaps,
			jitter: rounded(jitter, jitterUnit), rtt: rounded(rtt, rttUnit),
		}]++
	}
	s.gaps = 0
}

// interval is what voice is scored by, in units that make no difference to a score.
type interval struct{ expected, lost, gaps, jitter, rtt uint16 }

const (
	jitterUnit = time.Millisecond / 4
	rttUnit    = time.Millisecond
)

func counted(n uint64) uint16 { return uint16(min(n, math.MaxUint16)) }

func rounded(d, unit time.Duration) uint16 {
	return uint16(min(max(0, (d+unit/2)/unit), math.MaxUint16))
}
