package processor

import (
	"slices"
	"time"

	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

const transportCC = description.TransportCC

// share divides what a receiver can take among its slots, and selects layers.
func (l *leg) share() {
	w := l.w
	var demands []simulcast.Demand
	var slots, single []*slot
	var fixed, want uint64
	for _, s := range l.slots {
		t := s.track
		if t == nil || s.kind == KindAudio {
			continue
		}
		if s.ladder == nil {
			// One layer, which comes whatever it needs, if need be with fewer frames.
			single = append(single, s)
			for _, y := range t.layers {
				fixed += y.meter.Rate(w.now)
			}
			continue
		}
		t.sort(w.now)
		d := simulcast.Demand{Ladder: s.ladder}
		best := uint64(0)
		for _, y := range t.layers {
			rate := y.meter.Rate(w.now)
			if y.codec == nil {
				rate = 0
			}
			best = max(best, rate)
			d.Layers = append(d.Layers, simulcast.Layer{SSRC: y.id, Bitrate: rate})
		}
		want += best
		demands, slots = append(demands, d), append(slots, s)
	}
	// A layer is gone up to with headroom, and its bitrate is not the same all the time.
	l.estimate.Want((fixed + want) * 5 / 4)
	if l.measured {
		streams := fixed
		for i, s := range slots {
			for k, y := range s.track.layers {
				if s.stream != nil && (y.id == s.stream.Selected() || y.id == s.stream.Current()) {
					streams += demands[i].Layers[k].Bitrate
				}
			}
		}
		l.pacer.set(l.estimate.Bitrate(w.now), streams)
	}
	budget := uint64(1 << 40) // a client that does not say what it can take gets all
	if l.measured {
		budget = l.estimate.Bitrate(w.now)
	}
	for _, s := range single {
		s.thin(fixed, budget)
	}
	budget -= min(budget, fixed)
	simulcast.Share(demands, budget, w.now)
	for i, d := range demands {
		s := slots[i]
		switch {
		case d.Choice >= 0:
			before := s.selected()
			s.selects(s.track.layers[d.Choice])
			if before != 0 && before != s.selected() {
				w.stats.Switches++
			}
			if i == 0 { // which goes out even if its lowest layer does not fit
				s.thin(d.Layers[d.Choice].Bitrate, budget)
			} else {
				s.thin(0, budget)
			}
		case d.Lowest() > 0 && s.stream != nil:
			s.stream.Select(0, true) // it does not fit: nothing is better than what loses packets of all
		}
	}
}

// thin leaves out temporal layers of what needs more than there is for it, in bit/s.
func (s *slot) thin(needs, budget uint64) {
	s.temporal = simulcast.Temporal(s.temporal, needs, budget)
	if s.stream != nil {
		s.stream.Limit(s.temporal)
	}
}

func (s *slot) selected() uint32 {
	if s.stream == nil {
		return 0
	}
	return s.stream.Selected()
}

// sort keeps the layers in the order of what they need, and lets small differences be.
func (t *track) sort(now time.Time) {
	slices.SortStableFunc(t.layers, func(a, b *layer) int {
		x, y := a.meter.Rate(now), b.meter.Rate(now)
		switch {
		case x == 0 || y == 0:
		case x > y+y/4:
			return 1
		case y > x+x/4:
			return -1
		}
		return 0
	})
}

// probing sends more than there is for a moment, to find out what a path can carry.
type probing struct {
	bytes int
	until time.Time
}

// padding is what one packet of it has.
const padding = 255

// tick sends the part of a probe that is due.
func (p *probing) tick(l *leg) {
	i := slices.IndexFunc(l.slots, func(s *slot) bool {
		return s.packets > 0 && s.codec != nil && s.codec.RTX != 0 && s.media.Extensions[transportCC] != 0
	})
	if i < 0 {
		return
	}
	now := l.w.now
	if p.bytes <= 0 || !now.Before(p.until) {
		p.bytes = 0
		if probe, ok := l.estimate.Probe(now); ok {
			p.bytes, p.until = probe.Bytes, now.Add(probe.Duration)
		} else {
			return
		}
	}
	// What is left goes out evenly over the ticks that are left.
	ticks := max(1, int(p.until.Sub(now)/tick))
	due := p.bytes / ticks
	if l.pacer.n > 0 {
		// Media that waits is better than padding.
		l.pacer.spend(-due)
		p.bytes -= due
		return
	}
	for ; due > 0 && l.slots[i].pad(padding); due -= padding {
		p.bytes -= padding
	}
}
