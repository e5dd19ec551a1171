package processor

import (
	"slices"
	"time"

	"github.com/callpath/callpath/relay/processor/speaker"
)

// asleep is after how long without a packet a track comes behind those that send.
const asleep = 3 * time.Second

// listen finds who speaks, and has slots assigned anew when that matters.
func (c *conference) listen() {
	if _, changed := c.detector.Update(c.w.now); changed {
		c.changed = true
	}
	if c.scarce > 0 {
		now := c.detector.Loudest(c.spare[:0], c.scarce)
		if !slices.Equal(now, c.loudest) {
			c.changed = true
		}
		c.loudest, c.spare = now, c.loudest
	}
}

// ranked are a conference's tracks, the most important of each kind in front.
type ranked struct {
	audio, video, slides []*track
	// pictures are slides and video, for who has no slot for slides.
	pictures []*track
}

// last is the rank of those who have none.
const last = 1 << 20

// rank puts tracks in order: audio by loudness, video by who spoke last, and both then as
// they came; who sends nothing comes last. Only tracks that have sent count.
func (c *conference) rank() (r ranked) {
	loud, spoke := make(map[*speaker.Speaker]int), make(map[*leg]int)
	for i, s := range c.detector.Loudest(nil, len(c.speakers)) {
		loud[s] = i
	}
	for i, s := range c.detector.Recent(nil) {
		if t := c.speakers[s]; t != nil {
			spoke[t.leg] = i
		}
	}
	for _, l := range c.legs {
		if l.state != connected {
			continue
		}
		for _, t := range l.tracks {
			if !t.begun {
				continue
			}
			t.rank = last
			switch t.kind {
			case KindAudio:
				r.audio = append(r.audio, t)
				if i, ok := loud[t.speaker]; ok {
					t.rank = i
				}
			case KindVideo:
				r.video = append(r.video, t)
				if i, ok := spoke[l]; ok {
					t.rank = i
				}
			case KindSlides:
				r.slides = append(r.slides, t)
			}
			if c.w.now.Sub(t.heard) > asleep {
				t.rank += last
			}
		}
	}
	for _, all := range [][]*track{r.audio, r.video, r.slides} {
		slices.SortStableFunc(all, func(a, b *track) int { return a.rank - b.rank })
	}
	r.pictures = slices.Concat(r.slides, r.video)
	return r
}

// assign puts tracks on all slots.
func (c *conference) assign() {
	c.mixing.assign(c)
	r := c.rank()
	c.scarce = 0
	for _, l := range c.legs {
		if l.state != connected {
			continue
		}
		pictures := r.pictures
		if slices.ContainsFunc(l.slots, func(s *slot) bool { return s.kind == KindSlides }) {
			pictures = r.video
		}
		if l.mix {
			l.fill(KindAudio, nil) // all are in the mix
		} else if n := l.fill(KindAudio, r.audio); n < len(r.audio) {
			c.scarce = max(c.scarce, n+1) // one of them may be the listener
		}
		l.fill(KindSlides, r.slides)
		l.fill(KindVideo, pictures)
		c.tell(l)
	}
}

// fill puts the first of the tracks on the leg's slots of a kind, and returns how many of
// these there are. Who is on a slot already stays there.
func (l *leg) fill(kind string, from []*track) int {
	slots := make([]*slot, 0, len(l.slots))
	for _, s := range l.slots {
		if s.kind == kind && !s.mixed {
			slots = append(slots, s)
		}
	}
	wanted := make([]*track, 0, len(slots))
	for _, t := range from {
		if len(wanted) == len(slots) {
			break
		}
		if t.leg != l && slots[0].takes(t) {
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
	return len(slots)
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
