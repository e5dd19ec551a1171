package processor

import (
	"fmt"
	"slices"

	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/simulcast"
)

// configure takes the m-lines of an offer: what is there already keeps its streams, by the
// m-line's id and place.
func (l *leg) configure(offer *description.Offer) ([]description.Stream, error) {
	streams := make([]description.Stream, len(offer.Media))
	var tracks []*track
	var slots []*slot
	l.extensions = description.Extensions{}
	mixed := false
	for i := range offer.Media {
		m := &offer.Media[i]
		if m.Refused != "" {
			continue
		}
		name := m.Mid
		if name == "" {
			name = fmt.Sprint(i)
		}
		for kind, id := range m.Extensions {
			if id != 0 {
				l.extensions[kind] = id
			}
		}
		if m.Send {
			tracks = append(tracks, l.trackOf(m))
		}
		if m.Receive {
			s, err := l.slotOf(m, name)
			if err != nil {
				return nil, err
			}
			// The mix is one stream, on the first slot of audio; others stay empty.
			s.mixed = l.mix && s.kind == KindAudio && !mixed
			mixed = mixed || s.mixed
			slots = append(slots, s)
			streams[i] = description.Stream{SSRC: s.ssrc, RTX: s.rtx}
		}
	}
	for _, t := range l.tracks {
		if !slices.Contains(tracks, t) {
			t.end()
		}
	}
	for _, s := range l.slots {
		if !slices.Contains(slots, s) {
			s.show(nil)
			delete(l.bySSRC, s.ssrc)
		}
	}
	l.tracks, l.slots = tracks, slots
	// A client that can say what it takes is sent little before it has.
	l.measured = slices.ContainsFunc(slots, func(s *slot) bool {
		return s.kind != KindAudio && (s.media.Extensions[transportCC] != 0 || s.media.Codecs[0].Has("goog-remb"))
	})
	return streams, nil
}

func kindOf(m *description.Media) string {
	if m.Slides {
		return KindSlides
	}
	return m.Kind
}

// trackOf returns the track of an m-line.
func (l *leg) trackOf(m *description.Media) *track {
	for _, t := range l.tracks {
		if t.media.Mid == m.Mid && t.kind == kindOf(m) {
			t.media = m
			for _, y := range t.layers {
				y.codec = nil // payload types may have changed
			}
			return t
		}
	}
	t := &track{leg: l, media: m, kind: kindOf(m)}
	if t.kind == KindAudio {
		c := l.conference
		t.speaker = c.detector.Add(l.name)
		c.speakers[t.speaker] = t
	}
	return t
}

// slotOf returns the slot of an m-line.
func (l *leg) slotOf(m *description.Media, name string) (*slot, error) {
	rtx := slices.ContainsFunc(m.Codecs, func(c description.Codec) bool { return c.RTX != 0 })
	for _, s := range l.slots {
		if s.mid == name && s.kind == kindOf(m) && (s.rtx != 0) == rtx {
			s.media, s.codec = m, nil
			return s, nil
		}
	}
	s := &slot{leg: l, media: m, mid: name, kind: kindOf(m), temporal: simulcast.AllTemporal}
	for _, ssrc := range []*uint32{&s.ssrc, &s.rtx} {
		if ssrc == &s.rtx && !rtx {
			break
		}
		for *ssrc == 0 || l.bySSRC[*ssrc] != nil || *ssrc == l.ssrc {
			n, err := l.w.number()
			if err != nil {
				return nil, err
			}
			*ssrc = n
		}
		l.bySSRC[*ssrc] = s
	}
	n, err := l.w.number()
	if err != nil {
		return nil, err
	}
	s.seq, s.rtxSeq, s.timestamp = uint16(n)&0x3fff, uint16(n>>16)&0x3fff, n
	return s, nil
}
