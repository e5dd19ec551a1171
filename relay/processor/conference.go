package processor

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/estimate"
	"github.com/callpath/callpath/relay/processor/speaker"
)

// conference is participants who get each other's media.
type conference struct {
	w    *worker
	name string
	legs []*leg // in the order in which they came
	// changed says that slots are to be assigned anew.
	changed  bool
	detector *speaker.Detector
	// speakers are the tracks of audio.
	speakers map[*speaker.Speaker]*track
	// scarce is how many of the loudest matter, 0 while there are slots for all; loudest
	// are those of the last look, and spare is memory for the next.
	scarce         int
	loudest, spare []*speaker.Speaker
	mixing         mixing
}

func newConference(w *worker, name string) *conference {
	return &conference{w: w, name: name, detector: speaker.New(speaker.Config{}), speakers: make(map[*speaker.Speaker]*track)}
}

func (c *conference) find(participant string) *leg {
	for _, l := range c.legs {
		if l.name == participant {
			return l
		}
	}
	return nil
}

// join answers a participant's offer.
func (c *conference) join(j Join, offer *description.Offer) (string, error) {
	l := c.find(j.Participant)
	if l != nil && (offer.Session != l.offer.Session || !slices.Equal(offer.Fingerprints, l.offer.Fingerprints) || j.Latching != l.latching) {
		// Another session: the client has begun anew. The former leg makes room only when
		// the offer was answered.
		fresh, answer, err := c.newLeg(j, offer)
		if err != nil {
			return "", err
		}
		c.add(fresh)
		l.on(replaced, "the participant has joined anew")
		return answer, nil
	}
	if l != nil {
		l.mix = j.Mix
		answer, err := l.answer(offer)
		l.describe(j.Offer, answer, err)
		c.changed = true
		return answer, err
	}
	if len(c.legs) >= c.w.p.cfg.Limits.Participants {
		return "", fmt.Errorf("%w: conference %q has %d participants", ErrFull, c.name, len(c.legs))
	}
	l, answer, err := c.newLeg(j, offer)
	if err != nil {
		return "", err
	}
	c.add(l)
	return answer, nil
}

func (c *conference) add(l *leg) {
	c.legs = append(c.legs, l)
	c.changed = true
	c.w.event(Event{Kind: EventJoined, Conference: c.name, Participant: l.name})
}

// newLeg makes a leg, and answers its offer.
func (c *conference) newLeg(j Join, offer *description.Offer) (*leg, string, error) {
	w := c.w
	id, err := w.number()
	if err != nil {
		return nil, "", err
	}
	l := &leg{
		w: w, conference: c, name: j.Participant, mix: j.Mix, latching: j.Latching,
		begun: w.now, heard: w.now, session: uint64(id), cname: fmt.Sprintf("callpath-%08x", id), ssrc: id,
		passwords: make(map[string]string),
		streams:   make(map[uint32]*layer), repairs: make(map[uint32]*layer), bySSRC: make(map[uint32]*slot),
		estimate: estimate.NewSender(estimate.Config{}), arrivals: estimate.NewRecorder(id),
	}
	if w.p.cfg.Recorder != nil {
		l.recorder = w.p.cfg.Recorder(c.name, j.Participant)
	}
	answer, err := l.answer(offer)
	l.describe(j.Offer, answer, err)
	if err == nil && l.latching {
		err = w.latches.add(l, offer.Fingerprints)
	}
	if err != nil {
		l.remove()
		return nil, "", err
	}
	return l, answer, nil
}

// number makes a random number that is not 0.
func (w *worker) number() (uint32, error) {
	for range 8 {
		var b [4]byte
		if _, err := io.ReadFull(w.p.cfg.Rand, b[:]); err != nil {
			return 0, fmt.Errorf("random number: %w", err)
		}
		if n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]); n != 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("random number: 0 again and again")
}

// remove takes a leg away.
func (c *conference) remove(l *leg) {
	for _, t := range l.tracks {
		t.end()
	}
	for _, s := range l.slots {
		s.show(nil)
	}
	c.mixing.remove(l)
	if i := slices.Index(c.legs, l); i >= 0 {
		c.legs = slices.Delete(c.legs, i, i+1)
	}
	c.changed = true
}

// tick does what is due: each 10 ms.
func (w *worker) tick() {
	w.ticks++
	const often, seldom = uint(100 * time.Millisecond / tick), uint(time.Second / tick)
	for _, c := range w.conferences {
		c.mixing.tick(c)
		for i := 0; i < len(c.legs); i++ {
			l := c.legs[i]
			l.timers()
			if w.ticks%seldom == 0 {
				l.look()
				if l.state == over {
					i--
					continue
				}
			}
		}
		if w.ticks%often == 0 {
			c.listen()
		}
		if c.changed {
			c.changed = false
			c.assign()
		}
	}
}
