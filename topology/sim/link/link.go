// Package link models one direction of a link: what delay, jitter, loss,
// reordering, bandwidth, queue and MTU do to packets. A Link only decides, from
// the time and a seeded generator, when a packet comes out at the other end or
// why it never does; a Schedule then holds packets until their time.
//
// Neither knows what a packet is beyond its size. The model is that of a router's
// output port: a drop-tail queue in front of a line of fixed rate, behind which
// comes the propagation delay. Start reading at Link.
package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/callpath/callpath/topology"
)

// Values for what a topology.Link leaves zero.
const (
	DefaultMTU   = 1500 // bytes
	DefaultQueue = 100  // packets
)

// Bounds on how long a reordered packet is held back.
const (
	leastHold = 200 * time.Microsecond
	mostHold  = 100 * time.Millisecond
)

// Fate is what became of a packet that was put on a link.
type Fate uint8

// The fates. All but Passed are drops.
const (
	Passed Fate = iota
	Cut
	Lost
	QueueFull
)

// String says the fate in words, as a reason for a drop.
func (f Fate) String() string {
	switch f {
	case Passed:
		return "passed"
	case Cut:
		return "link is cut"
	case Lost:
		return "lost on the link"
	case QueueFull:
		return "link's queue is full"
	}
	return fmt.Sprintf("fate %d", f)
}

// Check refuses a configuration that no link can have, naming the field.
func Check(l topology.Link) error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(l.Delay < 0, "delay %v is negative", time.Duration(l.Delay))
	refuse(l.Jitter < 0, "jitter %v is negative", time.Duration(l.Jitter))
	refuse(!(l.Loss >= 0 && l.Loss <= 1), "loss %v is not from 0 to 1", float64(l.Loss))
	refuse(!(l.Reorder >= 0 && l.Reorder <= 1), "reorder %v is not from 0 to 1", float64(l.Reorder))
	refuse(l.Queue < 0, "queue of %d packets is negative", l.Queue)
	refuse(l.MTU != 0 && l.MTU < 68, "MTU of %d bytes is below 68, the least of IPv4", l.MTU)
	return errors.Join(errs...)
}

// Link is one direction of a link. It is safe for concurrent use.
type Link struct {
	mu     sync.Mutex
	cfg    topology.Link
	random *rand.Rand

	busyUntil time.Time   // when the line has sent all that was queued
	waiting   []time.Time // when each queued packet will have been sent, in order
	last      time.Time   // when the latest packet in order comes out
	previous  time.Time   // when the latest packet was put on the link
	spacing   time.Duration
}

// New makes a link. Links with equal seeds and packets decide equally.
func New(cfg topology.Link, seed uint64) *Link {
	return &Link{cfg: cfg, random: rand.New(rand.NewPCG(seed, 0x6c696e6b))}
}

// Set changes the link for packets that are put on it from now on. Those that are
// under way come out when they would have.
func (l *Link) Set(cfg topology.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg = cfg
}

// MTU is the size in bytes of the largest packet that the link takes. The caller
// keeps to it: what is too large is a matter of IP.
func (l *Link) MTU() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.MTU == 0 {
		return DefaultMTU
	}
	return l.cfg.MTU
}

// Pass puts a packet of size bytes on the link. It returns when the packet comes
// out; a time that is not after now means at once. The time has no meaning when
// the fate is not Passed.
func (l *Link) Pass(now time.Time, size int) (time.Time, Fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.cfg
	if c.Cut {
		return now, Cut
	}
	if c.Loss > 0 && l.random.Float64() < float64(c.Loss) {
		return now, Lost
	}
	sent := now
	if c.Bandwidth > 0 {
		if !l.enqueue(now, size) {
			return now, QueueFull
		}
		sent = l.busyUntil
	}
	out := sent.Add(time.Duration(c.Delay))
	if c.Jitter > 0 {
		out = out.Add(time.Duration(l.random.NormFloat64() * float64(c.Jitter)))
		if out.Before(sent) {
			out = sent // nothing is faster than the line
		}
	}
	if out.Before(l.last) {
		out = l.last // packets keep their order
	}
	if c.Reorder > 0 {
		l.measure(now)
		if l.random.Float64() < float64(c.Reorder) {
			return out.Add(l.hold()), Passed
		}
	}
	l.last = out
	return out, Passed
}

// enqueue gives the packet its turn on the line, and says whether the queue had
// room. The packet that is being sent does not count as waiting.
func (l *Link) enqueue(now time.Time, size int) bool {
	done := 0
	for done < len(l.waiting) && !l.waiting[done].After(now) {
		done++
	}
	l.waiting = append(l.waiting[:0], l.waiting[done:]...)
	limit := l.cfg.Queue
	if limit == 0 {
		limit = DefaultQueue
	}
	if len(l.waiting) > limit {
		return false
	}
	if l.busyUntil.Before(now) {
		l.busyUntil = now
	}
	// In floating point: size × 8 × 10⁹ overflows for sizes that nobody sends,
	// but a link is not the place to rely on that.
	l.busyUntil = l.busyUntil.Add(time.Duration(float64(size) * 8 * float64(time.Second) / float64(l.cfg.Bandwidth)))
	l.waiting = append(l.waiting, l.busyUntil)
	return true
}

// measure keeps the mean spacing of packets, as RFC 6298 keeps a round-trip time.
func (l *Link) measure(now time.Time) {
	if !l.previous.IsZero() {
		l.spacing += (now.Sub(l.previous) - l.spacing) / 8
	}
	l.previous = now
}

// hold is how much longer a reordered packet takes: one to three times the mean
// spacing, so that about as many later packets overtake it.
func (l *Link) hold() time.Duration {
	extra := time.Duration((1 + 2*l.random.Float64()) * float64(l.spacing))
	return min(max(extra, leastHold), mostHold)
}
