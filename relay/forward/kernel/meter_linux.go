package kernel

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Meter is a limit of bandwidth that the program and the sockets' way share: the
// generic cell rate algorithm (ITU-T I.371) on one word that both change by
// compare-and-swap. Its methods are safe for concurrent use.
type Meter struct {
	path *Path
	slot uint32
	once sync.Once
}

// costUnits is the fixed point of a byte's cost in nanoseconds.
const costUnits = 1 << 16

// Meter makes a meter of rate bytes in a second, and of what passes in burst seconds
// at once.
func (p *Path) Meter(rate int64, burst float64) (*Meter, error) {
	if rate <= 0 || burst <= 0 {
		return nil, fmt.Errorf("meter of %d bytes a second and %v seconds at once; valid: above 0", rate, burst)
	}
	slot := p.meters.take(time.Now())
	if slot == 0 {
		return nil, fmt.Errorf("meter: all %d are in use", maxMeters-1)
	}
	m := p.meters.at(slot)
	m.due.Store(0)
	m.cost = uint64(costUnits * float64(time.Second) / float64(rate))
	m.burst = uint64(burst * float64(time.Second))
	return &Meter{path: p, slot: slot}, nil
}

// Take lets n bytes pass, or returns false and changes nothing.
func (m *Meter) Take(n int) bool {
	s := m.path.meters.at(m.slot)
	now := m.path.now()
	cost := int64(uint64(n) * s.cost / costUnits)
	for {
		old := s.due.Load()
		due := max(old, now) + cost
		if due-now > int64(s.burst) {
			return false
		}
		if s.due.CompareAndSwap(old, due) {
			return true
		}
	}
}

// Close gives the meter back. Nothing that is bound may use it any more.
func (m *Meter) Close() { m.once.Do(func() { m.path.meters.give(m.slot, time.Now()) }) }

// clock reads the clock that the program reads, without a system call.
type clock struct {
	started time.Time
	at      int64
}

func newClock() (clock, error) {
	var t unix.Timespec
	started := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return clock{}, fmt.Errorf("monotonic clock: %w", err)
	}
	return clock{started, t.Nano()}, nil
}

func (c clock) now() int64 { return c.at + int64(time.Since(c.started)) }
