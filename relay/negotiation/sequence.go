package negotiation

// order is where a packet's index stands among those seen before.
type order uint8

const (
	advanced order = iota // higher than all before
	late                  // lower, and new
	repeated              // seen before
	tooOld                // below the window: new or not, nobody knows
	doubtful              // too far ahead to be believed without a second one
)

// windowSize is how far below the highest index repetition is known. Real streams
// are out of order by tens of packets.
const windowSize = 1024

// window remembers which indices were seen. Indices begin at 1; the zero window
// has seen none.
type window struct {
	max  uint64
	bits [windowSize / 64]uint64
}

func (w *window) add(i uint64) order {
	switch {
	case i > w.max:
		if i-w.max >= windowSize {
			w.bits = [windowSize / 64]uint64{}
		} else {
			for j := w.max + 1; j < i; j++ {
				w.bits[j%windowSize/64] &^= 1 << (j % 64)
			}
		}
		w.max = i
		w.bits[i%windowSize/64] |= 1 << (i % 64)
		return advanced
	case w.max-i >= windowSize:
		return tooOld
	case w.bits[i%windowSize/64]&(1<<(i%64)) != 0:
		return repeated
	}
	w.bits[i%windowSize/64] |= 1 << (i % 64)
	return late
}

// maxDropout is RFC 3550's, appendix A.1: a larger gap is believed once the next
// packet follows, unless the packet is authentic.
const maxDropout = 3000

// sequence extends sequence numbers by the rollover counter (RFC 3711, section
// 3.3.1, and RFC 3550, appendix A.1) and counts what is missing.
type sequence struct {
	window
	started  bool
	lowest   uint64
	received uint64
	skipped  uint64 // by jumps, which are not losses
	next     int32  // that would make a doubtful jump credible; 0 is none
}

// offset keeps indices above zero when packets from before the first come late.
const offset = 1 << 16

// add takes the next packet's number; authentic is true when its tag verified.
func (s *sequence) add(number uint16, authentic bool) order {
	if !s.started {
		s.started = true
		s.lowest = offset + uint64(number)
		s.received = 1
		s.window.add(s.lowest)
		return advanced
	}
	// The index is the one nearest to the highest.
	delta := int64(int16(number - uint16(s.max)))
	i := uint64(int64(s.max) + delta)
	if delta >= maxDropout || delta <= -windowSize {
		if !authentic {
			if s.next != int32(number)+1 {
				s.next = int32(number+1) + 1
				return doubtful
			}
			if delta > 0 {
				s.skipped += uint64(delta) - 1
			}
		}
		if delta < 0 {
			return tooOld
		}
	}
	s.next = 0
	result := s.window.add(i)
	if result == advanced || result == late {
		s.received++
		s.lowest = min(s.lowest, i)
	}
	return result
}

// rollover is the rollover counter, taken as 0 at the first packet seen.
func (s *sequence) rollover() uint32 {
	if s.max < offset {
		return 0
	}
	return uint32(s.max>>16) - 1
}

// lost is how many of those expected were not received.
func (s *sequence) lost() uint64 {
	if !s.started {
		return 0
	}
	return s.max - s.lowest + 1 - s.received - s.skipped
}
