package simulcast

import "time"

// Layer is one of the streams in which a picture comes, as measured.
type Layer struct {
	SSRC uint32
	// Bitrate is what a receiver needs for it, in bit/s (Meter.Rate); 0 when nothing
	// comes of it: then it is not chosen.
	Bitrate uint64
}

// LadderConfig is how a Ladder hesitates. A field that is 0 has its default.
type LadderConfig struct {
	// Headroom is how much more than a layer needs must be there before it is gone up
	// to, in percent: 15 by default.
	Headroom int
	// Up is for how long that must be so; 1 s by default.
	Up time.Duration
	// Backoff is the longest time that is waited instead of Up when going up did not
	// last: each time that it did not, twice as long is waited. 30 s by default.
	Backoff time.Duration
}

// Ladder chooses the layer of one picture for one receiver.
type Ladder struct{ cfg LadderConfig }

// NewLadder makes a Ladder that has chosen nothing yet.
func NewLadder(cfg LadderConfig) *Ladder { return &Ladder{cfg: cfg} }

// Choose returns the index of the layer that fits into budget (bit/s). layers are in the
// order of their quality, the lowest first. Down it goes at once, up as the configuration
// says; at first it takes the best that fits. The lowest layer that comes is
// chosen even if it does not fit, since budgets are estimates, unless budget is 0. -1 is
// none.
func (l *Ladder) Choose(layers []Layer, budget uint64, now time.Time) int { return -1 }

// Current returns what Choose returned last; -1 at first.
func (l *Ladder) Current() int { return -1 }

// Demand is what one slot of a receiver could show.
type Demand struct {
	// Ladder is the slot's, and Layers what can be chosen from.
	Ladder *Ladder
	Layers []Layer
	// Most is the highest index that the slot wants, for a small picture; -1 is any.
	Most int
	// Choice is filled in by Share: the index of the layer, or -1.
	Choice int
}

// Share divides budget (bit/s) among a receiver's slots, which are in the order of their
// importance, and fills in what each gets: first each gets its lowest layer, as long as
// that fits, then the first goes up as far as it can, then the second, and so on. It
// returns what is needed for all that is chosen, in bit/s.
func Share(demands []Demand, budget uint64, now time.Time) (needed uint64) { return 0 }

// Meter measures the bitrate of a stream over the last second. The zero value is ready.
type Meter struct{}

// Add counts a packet of so many bytes.
func (m *Meter) Add(bytes int, now time.Time) {}

// Rate returns the bitrate in bit/s; 0 when nothing has come for a second.
func (m *Meter) Rate(now time.Time) uint64 { return 0 }
