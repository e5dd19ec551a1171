package cache

import "time"

// Verdict is whether a packet may be sent again.
type Verdict uint8

const (
	// Unknown: the packet was never sent, or so long ago that nobody knows.
	Unknown Verdict = iota
	// Again: it may be sent now, and counts as sent.
	Again
	// TooSoon: it was sent again less than a round trip ago, so that it is still on its
	// way: the request was made before it could come.
	TooSoon
	// TooOften: it was sent again as often as Limits allow.
	TooOften
)

var verdicts = [...]string{Unknown: "unknown", Again: "again", TooSoon: "too soon", TooOften: "too often"}

func (v Verdict) String() string {
	if int(v) < len(verdicts) {
		return verdicts[v]
	}
	return "invalid"
}

// The defaults of Limits.
const (
	defaultRepeats = 3
	defaultHoldOff = 10 * time.Millisecond
)

// Limits bound what a receiver can ask for again, which is a lever: one NACK of a few
// bytes names 17 packets, and can be forged by whoever has the receiver's keys.
type Limits struct {
	// Repeats is how often one packet is sent again; 3 by default, 255 at most.
	Repeats int
	// HoldOff is the shortest time between two repeats of one packet, for receivers
	// whose round-trip time is shorter or not known yet; 10 ms by default.
	HoldOff time.Duration
}

// History is what one receiver was sent: for each of the last sequence numbers a T, which
// says how to make the packet again. It is a ring of fixed memory.
type History[T any] struct {
	limits Limits
	sent   []entry[T]
	newest newest
}

type entry[T any] struct {
	what    T
	last    time.Time // of the last repeat
	seq     uint16
	repeats uint8
	used    bool
}

// NewHistory makes an empty History of so many packets: 512 by default (0), rounded up
// to a power of two, and 16384 at most.
func NewHistory[T any](packets int, limits Limits) *History[T] {
	if limits.Repeats <= 0 {
		limits.Repeats = defaultRepeats
	}
	limits.Repeats = min(limits.Repeats, 0xff)
	if limits.HoldOff <= 0 {
		limits.HoldOff = defaultHoldOff
	}
	return &History[T]{limits: limits, sent: make([]entry[T], ring(packets))}
}

// Put says what was sent with a sequence number.
func (h *History[T]) Put(seq uint16, what T) {
	if !h.newest.follow(seq, len(h.sent)) {
		return
	}
	h.sent[int(seq)&(len(h.sent)-1)] = entry[T]{what: what, seq: seq, used: true}
}

// Again says whether a packet that a NACK names may be sent again now, and what it was.
// With Again it counts as sent. rtt is the receiver's round-trip time, 0 when it is not
// known.
func (h *History[T]) Again(seq uint16, now time.Time, rtt time.Duration) (what T, verdict Verdict) {
	e := &h.sent[int(seq)&(len(h.sent)-1)]
	switch {
	case !e.used || e.seq != seq || !h.newest.near(seq, len(h.sent)):
		return what, Unknown
	case int(e.repeats) >= h.limits.Repeats:
		return what, TooOften
	case e.repeats > 0 && now.Sub(e.last) < max(rtt, h.limits.HoldOff):
		return what, TooSoon
	}
	e.last = now
	e.repeats++
	return e.what, Again
}
