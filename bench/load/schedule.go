package load

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Event is a run of packets that is due.
type Event struct {
	// At is when, from the beginning of the load.
	At time.Duration
	// Source is who sends it: an index of Sources.
	Source int
}

// Source is one stream of one flow in one direction.
type Source struct {
	Flow    int
	Up      bool
	Payload int
	// Run is the number of packets at each event.
	Run       int
	Segmented bool
}

// Sources are all that send in a load, in a fixed order: the streams in turn, the
// flows of each in turn, and of a duplex flow the way up first.
func (l Load) Sources() []Source {
	var all []Source
	for _, s := range l.Streams {
		all = append(all, l.sources(s)...)
	}
	return all
}

func (l Load) sources(s Stream) []Source {
	var all []Source
	for flow := range l.Flows {
		add := func(up bool) {
			all = append(all, Source{Flow: flow, Up: up, Payload: s.Payload, Run: s.run(), Segmented: s.Segmented && s.run() > 1})
		}
		switch s.Direction {
		case Up, Down:
			add(s.Direction == Up)
		case Alternate:
			add(flow%2 == 0)
		case Duplex:
			add(true)
			add(false)
		}
	}
	return all
}

// Schedule tells the events of a load in the order of their times, without end. Each
// source sends at a fixed period from a random beginning, as the senders of many
// calls do, so that packets of different flows also meet.
type Schedule struct {
	streams []turn
}

// turn is the sources of one stream: as all have the same period, they take turns
// in the order of their beginnings for ever.
type turn struct {
	period time.Duration
	first  int             // index of the stream's first source
	begin  []time.Duration // of each turn, within one period, rising
	source []int           // whose turn it is, from first
	next   int             // the turn that comes
	round  int64           // periods gone by
}

func (t *turn) at() time.Duration {
	return time.Duration(t.round)*t.period + t.begin[t.next]
}

// NewSchedule makes the schedule of a checked load.
func NewSchedule(l Load, seed uint64) *Schedule {
	random := rand.New(rand.NewPCG(seed, 0x6c6f6164))
	s := &Schedule{}
	first := 0
	for _, stream := range l.Streams {
		n := len(l.sources(stream))
		t := turn{period: max(1, stream.period()), first: first, begin: make([]time.Duration, n), source: random.Perm(n)}
		for i := range t.begin {
			t.begin[i] = time.Duration(random.Int64N(int64(t.period)))
		}
		slices.Sort(t.begin)
		s.streams = append(s.streams, t)
		first += n
	}
	return s
}

// Peek is the event that is due next.
func (s *Schedule) Peek() Event {
	t := s.soonest()
	return Event{At: t.at(), Source: t.first + t.source[t.next]}
}

// Next returns the event that is due next and goes on to the one after it.
func (s *Schedule) Next() Event {
	t := s.soonest()
	e := Event{At: t.at(), Source: t.first + t.source[t.next]}
	if t.next++; t.next == len(t.begin) {
		t.next = 0
		t.round++
	}
	return e
}

func (s *Schedule) soonest() *turn {
	best := &s.streams[0]
	for i := range s.streams[1:] {
		if t := &s.streams[i+1]; t.at() < best.at() {
			best = t
		}
	}
	return best
}
