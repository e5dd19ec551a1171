package simulcast

import (
	"slices"
	"time"
)

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
	// Slack is how much more than there is the present layer may need before it is left,
	// in percent: 10 by default. Bitrates of video are averages.
	Slack int
	// Up is for how long there must be headroom; 1 s by default.
	Up time.Duration
	// Backoff is the longest time that is waited instead of Up when going up did not
	// last: each time that it did not, twice as long is waited. 30 s by default.
	Backoff time.Duration
}

// lasting is how long a step up must have held, to have been right.
const lasting = 10 * time.Second

// Ladder chooses the layer of one picture for one receiver.
type Ladder struct {
	cfg     LadderConfig
	begun   bool
	current int
	// roomy is since when there has been room for a better layer; zero when there is not.
	roomy time.Time
	// climbed is when it last went up, and wait for how long there must be room now.
	climbed time.Time
	wait    time.Duration
}

// NewLadder makes a Ladder that has chosen nothing yet.
func NewLadder(cfg LadderConfig) *Ladder {
	if cfg.Headroom <= 0 {
		cfg.Headroom = 15
	}
	if cfg.Slack <= 0 {
		cfg.Slack = 10
	}
	if cfg.Up <= 0 {
		cfg.Up = time.Second
	}
	if cfg.Backoff <= 0 {
		cfg.Backoff = 30 * time.Second
	}
	return &Ladder{cfg: cfg, current: -1, wait: cfg.Up}
}

// Choose returns the index of the layer that fits into budget (bit/s). layers are in the
// order of their quality, the lowest first. Down it goes at once, up as the configuration
// says; at first it takes the best that fits. The lowest layer that comes is
// chosen even if it does not fit, since budgets are estimates, unless budget is 0. -1 is
// none.
func (l *Ladder) Choose(layers []Layer, budget uint64, now time.Time) int {
	if !slices.ContainsFunc(layers, func(layer Layer) bool { return layer.Bitrate > 0 }) {
		// Nothing comes of any: what does is as at first, since that says nothing of the path.
		l.begun, l.current, l.roomy = false, -1, time.Time{}
		return -1
	}
	fits := -1 // the best that does; else the lowest that comes
	if budget > 0 {
		for i, layer := range layers {
			if layer.Bitrate > 0 && (fits < 0 || layer.Bitrate <= budget) {
				fits = i
			}
		}
	}
	if !l.begun {
		if fits >= 0 {
			l.begun, l.current = true, fits
		}
		return l.current
	}
	switch keeps := l.keeps(layers, budget); {
	case fits >= 0 && l.current >= 0 && !comes(layers, l.current):
		// Nothing comes of it any more: that says nothing of the path.
		l.current, l.roomy = fits, time.Time{}
	case fits < l.current && !keeps:
		if l.climbed.IsZero() || now.Sub(l.climbed) >= lasting {
			l.wait = l.cfg.Up
		} else {
			l.wait = min(2*l.wait, l.cfg.Backoff)
		}
		l.climbed = time.Time{}
		l.current, l.roomy = fits, time.Time{}
	default:
		l.climb(layers, budget, now)
	}
	return l.current
}

func comes(layers []Layer, i int) bool { return i < len(layers) && layers[i].Bitrate > 0 }

// keeps says whether the present layer may stay.
func (l *Ladder) keeps(layers []Layer, budget uint64) bool {
	return l.current < 0 || budget > 0 && comes(layers, l.current) &&
		layers[l.current].Bitrate <= budget+budget/100*uint64(l.cfg.Slack)
}

// climb goes up when there has been room for it for long enough.
func (l *Ladder) climb(layers []Layer, budget uint64, now time.Time) {
	to := l.current
	for i := l.current + 1; i < len(layers); i++ {
		if b := layers[i].Bitrate; b > 0 && b+b/100*uint64(l.cfg.Headroom) <= budget {
			to = i
		}
	}
	switch {
	case to == l.current:
		l.roomy = time.Time{}
	case l.roomy.IsZero():
		l.roomy = now
	case now.Sub(l.roomy) >= l.wait:
		l.current, l.climbed, l.roomy = to, now, time.Time{}
	}
}

// Current returns what Choose returned last; -1 at first.
func (l *Ladder) Current() int { return l.current }

// Demand is what one slot of a receiver could show.
type Demand struct {
	// Ladder is the slot's, and Layers what can be chosen from, the lowest first: without
	// those that are too large for the slot.
	Ladder *Ladder
	Layers []Layer
	// Choice is filled in by Share: the index of the layer, or -1.
	Choice int
}

// Lowest returns what the lowest layer that comes needs, in bit/s; 0 when none does.
func (d *Demand) Lowest() uint64 {
	for _, l := range d.Layers {
		if l.Bitrate > 0 {
			return l.Bitrate
		}
	}
	return 0
}

// Temporal returns the highest temporal layer, for Stream.Limit, that there is room for of a
// stream that needs so much with all of them (both in bit/s) and had those up to before
// until now. It is a guess: of three layers, encoders of WebRTC give the lowest 40 %, and the
// lowest two 60 %. The lowest goes out however little there is; up it goes with 15 % of
// headroom only.
func Temporal(before uint8, needs, budget uint64) uint8 {
	to := temporal(needs, budget)
	if to > before {
		to = max(before, temporal(needs+needs/100*15, budget))
	}
	return to
}

func temporal(needs, budget uint64) uint8 {
	switch {
	case needs <= budget:
		return AllTemporal
	case needs/10*6 <= budget:
		return 1
	}
	return 0
}

// Share divides budget (bit/s) among a receiver's slots, which are in the order of their
// importance, and fills in what each gets: first each gets its lowest layer, as long as
// that fits (the first one even if it does not), then the first goes up as far as it
// can, then the second, and so on. It returns what is needed for all that is chosen, in
// bit/s.
func Share(demands []Demand, budget uint64, now time.Time) (needed uint64) {
	left := budget
	for i := range demands {
		d := &demands[i]
		lowest := d.Lowest()
		if d.Choice = -1; i == 0 || lowest <= left {
			d.Choice = 0 // it takes part
			left -= min(left, lowest)
		}
	}
	for i := range demands {
		d := &demands[i]
		if d.Choice < 0 {
			d.Ladder.Choose(d.Layers, 0, now)
			continue
		}
		left += d.Lowest()
		if d.Choice = d.Ladder.Choose(d.Layers, left, now); d.Choice >= 0 {
			left -= min(left, d.Layers[d.Choice].Bitrate)
			needed += d.Layers[d.Choice].Bitrate
		}
	}
	return needed
}
