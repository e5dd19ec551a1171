package reception

// Sequence counts the packets of one RTP stream by their sequence numbers (RFC
// 3550, appendices A.1 and A.3). The zero value is ready. It does without the
// probation of A.1, which guards against packets that are no RTP at all: what comes
// out of SRTP is authenticated.
type Sequence struct {
	started bool
	base    uint32 // first extended sequence number
	highest uint32 // extended: cycles in the upper 16 bits
	bad     uint32 // the number that would confirm a restart, or noBad

	received uint64
	// Of streams that restarted: what they expected.
	before uint64
	// At the last report.
	expectedPrior, receivedPrior uint64
}

const (
	maxDropout  = 3000 // A.1, MAX_DROPOUT
	maxMisorder = 100  // A.1, MAX_MISORDER
	noBad       = 1 << 16
)

// Arrival is what a packet's sequence number says of it.
type Arrival int

// The kinds of arrival.
const (
	// Next is the packet after the highest so far, or the first.
	Next Arrival = iota
	// Gap is one that leaves others out, which are lost or late.
	Gap
	// Late is one from before the highest, out of order or a duplicate.
	Late
	// Jump is one so far off that it is not counted unless the next one
	// confirms that the stream has restarted.
	Jump
	// Restart is that next one.
	Restart
)

// Received takes a packet and says what kind of arrival it is; missing is the
// number of packets that a gap leaves out.
func (s *Sequence) Received(number uint16) (kind Arrival, missing int) {
	if !s.started {
		s.start(number)
		return Next, 0
	}
	delta := number - uint16(s.highest)
	switch {
	case delta == 0:
		kind = Late
	case delta < maxDropout:
		s.highest += uint32(delta) // carries into the cycles by itself
		s.bad = noBad
		if delta > 1 {
			kind, missing = Gap, int(delta)-1
		}
	case uint32(delta) <= 1<<16-maxMisorder:
		if uint32(number) != s.bad {
			s.bad = uint32(number + 1)
			return Jump, 0
		}
		s.before = s.Expected()
		s.start(number)
		return Restart, 0
	default:
		kind = Late
	}
	s.received++
	return kind, missing
}

func (s *Sequence) start(number uint16) {
	s.started = true
	s.base, s.highest, s.bad = uint32(number), uint32(number), noBad
	s.received++
}

// Highest is the extended highest sequence number received.
func (s *Sequence) Highest() uint32 { return s.highest }

// Expected is how many packets should have come so far.
func (s *Sequence) Expected() uint64 {
	if !s.started {
		return 0
	}
	return s.before + uint64(s.highest-s.base) + 1
}

// ReceivedCount is how many packets came; duplicates count, as in A.3.
func (s *Sequence) ReceivedCount() uint64 { return s.received }

// Lost is the cumulative loss. With duplicates it may be negative, as in A.3.
func (s *Sequence) Lost() int64 { return int64(s.Expected()) - int64(s.received) }

// Report is what a receiver report says (RFC 3550, section 6.4.1).
type Report struct {
	// Fraction is the loss since the last report in 256ths, never negative.
	Fraction uint8
	// Lost is the cumulative loss, held within its 24 bits.
	Lost int32
	// Highest is the extended highest sequence number.
	Highest uint32
}

// Report makes the next report; it ends the interval that its fraction is about.
func (s *Sequence) Report() Report {
	expected := s.Expected()
	inInterval := int64(expected - s.expectedPrior)
	lost := inInterval - int64(s.received-s.receivedPrior)
	s.expectedPrior, s.receivedPrior = expected, s.received
	r := Report{Lost: int32(min(max(s.Lost(), -1<<23), 1<<23-1)), Highest: s.highest}
	if inInterval > 0 && lost > 0 {
		r.Fraction = uint8(min(lost<<8/inInterval, 255))
	}
	return r
}
