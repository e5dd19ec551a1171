package processor

import (
	"slices"

	"github.com/callpath/callpath/relay/processor/codec"
	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/mixer"
)

// mixing is a conference's mixed audio, which is there while somebody wants it.
type mixing struct {
	mixer *mixer.Mixer
	legs  []*mixed
}

// mixed is a participant in the mixer.
type mixed struct {
	leg  *leg
	mix  *mixer.Leg
	slot *slot  // that gets the mix; nil for who only speaks
	from *layer // what comes of it
	base uint32 // what the mixer's timestamp 0 is on the slot
	// media are the m-lines that it was made for.
	media []*description.Media
}

// assign gives the mixer those who are connected, if anybody wants the mix.
func (x *mixing) assign(c *conference) {
	wanted := slices.ContainsFunc(c.legs, func(l *leg) bool { return l.mix && l.state == connected })
	if !wanted {
		x.mixer, x.legs = nil, nil
		return
	}
	if x.mixer == nil {
		x.mixer = mixer.New(mixer.Config{})
	}
	for _, l := range c.legs {
		if l.state == connected {
			x.enter(l)
		}
	}
}

// enter takes a leg into the mix, again when its audio has changed.
func (x *mixing) enter(l *leg) {
	var slot *slot
	var media []*description.Media
	for _, s := range l.slots {
		if s.mixed {
			slot = s
			media = append(media, s.media)
		}
	}
	receive := make(map[uint8]codec.Codec)
	for _, t := range l.tracks {
		if t.kind != KindAudio {
			continue
		}
		media = append(media, t.media)
		for _, one := range t.media.Codecs {
			if found, ok := codec.Find(one.Name, int(one.ClockRate)); ok {
				receive[one.PayloadType] = found
			}
		}
	}
	i := slices.IndexFunc(x.legs, func(one *mixed) bool { return one.leg == l })
	if i >= 0 && slices.Equal(x.legs[i].media, media) {
		return
	}
	x.remove(l)
	cfg := mixer.LegConfig{Name: l.name, Receive: receive}
	if slot != nil {
		for _, one := range slot.media.Codecs {
			if found, ok := codec.Find(one.Name, int(one.ClockRate)); ok {
				cfg.Send, cfg.PayloadType = found, one.PayloadType
				break
			}
		}
		slot.begin(cfg.Send.Name)
	}
	mix, err := x.mixer.Add(cfg)
	if err != nil {
		l.w.p.cfg.Log.Warn("no mix for a participant", "conference", l.conference.name, "participant", l.name, "error", err)
		return
	}
	m := &mixed{leg: l, mix: mix, slot: slot, media: media}
	if slot != nil {
		m.base = slot.timestamp
	}
	x.legs = append(x.legs, m)
}

// begin prepares a slot for the mix: a former stream of one participant ends.
func (s *slot) begin(name string) {
	s.show(nil)
	s.stream, s.of = nil, ""
	if s.codec = s.find(name); s.codec == nil {
		return
	}
	if !s.last.IsZero() {
		s.timestamp += uint32(s.leg.w.now.Sub(s.last).Seconds() * float64(s.codec.ClockRate))
	}
}

func (x *mixing) remove(l *leg) {
	i := slices.IndexFunc(x.legs, func(one *mixed) bool { return one.leg == l })
	if i >= 0 {
		x.mixer.Remove(x.legs[i].mix)
		x.legs = slices.Delete(x.legs, i, i+1)
	}
}

// take gives a packet of audio to the mix.
func (x *mixing) take(y *layer, p *packet) {
	if x.mixer == nil {
		return
	}
	for _, m := range x.legs {
		if m.leg != y.track.leg {
			continue
		}
		if m.from != y {
			if m.from != nil {
				m.mix.Restart()
			}
			m.from = y
		}
		m.mix.Push(y.codec.PayloadType, p.seq, p.timestamp, p.media(), y.track.leg.w.now)
		return
	}
}

// tick sends what is due of the mix.
func (x *mixing) tick(c *conference) {
	if x.mixer == nil {
		return
	}
	for {
		frames, ok := x.mixer.Tick(c.w.now)
		if !ok {
			return
		}
		for i := range frames {
			x.send(&frames[i])
		}
	}
}

func (x *mixing) send(f *mixer.Frame) {
	i := slices.IndexFunc(x.legs, func(one *mixed) bool { return one.mix == f.Leg })
	if i < 0 || x.legs[i].slot == nil || x.legs[i].leg.state != connected {
		return
	}
	m := x.legs[i]
	marker := byte(0)
	if f.Marker {
		marker = 0x80
	}
	seq, timestamp := m.slot.seq+1, m.base+f.Timestamp
	if m.slot.send(m.slot.ssrc, f.PayloadType, 0, marker, seq, timestamp, f.Payload, false, false) {
		m.slot.count(seq, timestamp, len(f.Payload))
	}
}
