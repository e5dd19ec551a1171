package processor

import (
	"slices"
	"time"
)

// asleep is after how long without a packet a track gives its slot to others that have
// none.
const asleep = 3 * time.Second

// listen finds who speaks.
func (c *conference) listen() {
	dominant, changed := c.detector.Update(c.w.now)
	if !changed || dominant == nil {
		return
	}
	i := slices.IndexFunc(c.speakers, func(t *track) bool { return t.speaker == dominant })
	if i < 0 {
		return
	}
	t := c.speakers[i]
	c.speakers = slices.Insert(slices.Delete(c.speakers, i, i+1), 0, t)
	c.changed = true
}

// assign puts tracks on all slots.
func (c *conference) assign() {
	c.mixing.assign(c)
	for _, l := range c.legs {
		if l.state != connected {
			continue
		}
		c.assignKind(l, KindAudio)
		c.assignKind(l, KindSlides)
		c.assignKind(l, KindVideo)
		c.tell(l)
	}
}

// assignKind puts tracks on one kind of a leg's slots. Slides have slots of their own where
// the client has them, and otherwise the first ones of video.
func (c *conference) assignKind(l *leg, kind string) {
	slots := make([]*slot, 0, len(l.slots))
	separate := false
	for _, s := range l.slots {
		separate = separate || s.kind == KindSlides
		if s.kind == kind && !s.mixed {
			slots = append(slots, s)
		}
	}
	wanted := make([]*track, 0, len(slots))
	for _, t := range c.ranked(kind, separate) {
		if t.leg != l && len(wanted) < len(slots) && slots[0].takes(t) {
			wanted = append(wanted, t)
		}
	}
	for _, s := range slots {
		if i := slices.Index(wanted, s.track); i >= 0 {
			wanted = slices.Delete(wanted, i, i+1)
		} else if s.track != nil {
			s.show(nil)
		}
	}
	for _, s := range slots {
		if s.track == nil && len(wanted) > 0 {
			s.show(wanted[0])
			wanted = wanted[1:]
		}
	}
}

// ranked returns the tracks of one kind, the most important in front: slides, then those
// who spoke last, then the others as they came; who sends nothing comes last.
func (c *conference) ranked(kind string, separate bool) []*track {
	var all []*track
	for _, l := range c.legs {
		if l.state != connected {
			continue
		}
		for _, t := range l.tracks {
			if t.begun && (t.kind == kind || kind == KindVideo && t.kind == KindSlides && !separate) {
				all = append(all, t)
			}
		}
	}
	rank := func(t *track) int {
		r := slices.IndexFunc(c.speakers, func(s *track) bool { return s.leg == t.leg })
		if r < 0 {
			r = len(c.speakers)
		}
		if t.kind == KindSlides {
			r = -1
		}
		if c.w.now.Sub(t.heard) > asleep {
			r += 1 << 20
		}
		return r
	}
	slices.SortStableFunc(all, func(a, b *track) int { return rank(a) - rank(b) })
	return all
}

// tell says what is on a leg's slots, if that has changed.
func (c *conference) tell(l *leg) {
	layout := make([]Slot, len(l.slots))
	for i, s := range l.slots {
		layout[i] = Slot{Mid: s.mid, Kind: s.kind}
		if s.mixed {
			layout[i].Participant = Mixed
		} else if s.track != nil {
			layout[i].Kind, layout[i].Participant = s.track.kind, s.track.leg.name
		}
	}
	if l.layout != nil && slices.Equal(layout, l.layout) {
		return
	}
	l.layout = layout
	c.w.p.herald.layout(Layout{Conference: c.name, Participant: l.name, Slots: slices.Clone(layout)})
}
