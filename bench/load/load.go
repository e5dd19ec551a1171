// Package load says what traffic the benchmark sends: which flows, which packets,
// and when each of them is due. It sends nothing itself.
//
// A load is data (Load, Catalog); a Schedule is the times at which its packets are
// due, which depend on the load, the rate and the seed alone, never on how the
// relay keeps up. Start reading at Load.
package load

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Direction is which way a stream goes.
type Direction string

// The directions.
const (
	Up        Direction = "up"        // from each client to its peer
	Down      Direction = "down"      // from the peer to each client
	Alternate Direction = "alternate" // one flow up, the next down
	Duplex    Direction = "duplex"    // both ways in each flow, each at the stream's rate
)

// Stream is one kind of packets in every flow of a load.
type Stream struct {
	// Payload is the size of what is relayed, in bytes.
	Payload int `json:"payload"`
	// Rate is in packets per second, for each flow.
	Rate float64 `json:"rate"`
	// Run is how many packets are due at once; 0 and 1 mean one.
	Run int `json:"run,omitempty"`
	// Segmented has the sender hand a run to the kernel as one message
	// (UDP_SEGMENT), as senders of video can.
	Segmented bool      `json:"segmented,omitempty"`
	Direction Direction `json:"direction"`
}

// run is how many packets are due at once.
func (s Stream) run() int { return max(1, s.Run) }

// ways is how many streams of one direction a flow has on average.
func (s Stream) ways() float64 {
	if s.Direction == Duplex {
		return 2
	}
	return 1
}

// Load is traffic over a number of flows. A flow is one allocation with one bound
// channel.
type Load struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Flows   int      `json:"flows"`
	Streams []Stream `json:"streams"`
}

// Rate is the load's packets per second in all.
func (l Load) Rate() float64 {
	sum := 0.0
	for _, s := range l.Streams {
		sum += s.Rate * s.ways() * float64(l.Flows)
	}
	return sum
}

// At is the same load at another rate in all: each stream sends more, or less,
// often.
func (l Load) At(rate float64) Load {
	factor := rate / l.Rate()
	l.Streams = slices.Clone(l.Streams)
	for i := range l.Streams {
		l.Streams[i].Rate *= factor
	}
	return l
}

// Over is the same load over another number of flows, at the same rate in all.
func (l Load) Over(flows int) Load {
	rate := l.Rate()
	l.Flows = flows
	return l.At(rate)
}

// Within is the load with no more than so many flows, each of which does as
// before, and no more than so many packets per second.
func (l Load) Within(flows int, rate float64) Load {
	l.Flows = min(l.Flows, flows)
	if l.Rate() > rate {
		l = l.At(rate)
	}
	return l
}

// The bounds of what can be sent.
const (
	MaxFlows   = 12_000 // of the 16,384 relay ports
	MaxRate    = 5_000_000
	MinPayload = StampSize
	MaxPayload = 1400
	MaxRun     = 40 // MaxRun×MaxPayload still is one message
)

// Check refuses what cannot be sent.
func (l Load) Check() error {
	if l.Flows < 1 || l.Flows > MaxFlows {
		return fmt.Errorf("load %s: %d flows; wanted 1 to %d", l.Name, l.Flows, MaxFlows)
	}
	if len(l.Streams) == 0 {
		return fmt.Errorf("load %s has no streams", l.Name)
	}
	for i, s := range l.Streams {
		switch {
		case s.Payload < MinPayload || s.Payload > MaxPayload:
			return fmt.Errorf("load %s: stream %d: payload of %d bytes; wanted %d to %d", l.Name, i, s.Payload, MinPayload, MaxPayload)
		case !(s.Rate > 0):
			return fmt.Errorf("load %s: stream %d: rate %v; wanted above 0", l.Name, i, s.Rate)
		case s.Run < 0 || s.Run > MaxRun:
			return fmt.Errorf("load %s: stream %d: runs of %d; wanted up to %d", l.Name, i, s.Run, MaxRun)
		}
		switch s.Direction {
		case Up, Down, Alternate, Duplex:
		default:
			return fmt.Errorf("load %s: stream %d: direction %q; wanted up, down, alternate or duplex", l.Name, i, s.Direction)
		}
	}
	if r := l.Rate(); r > MaxRate {
		return fmt.Errorf("load %s: %.0f packets/s; wanted up to %d", l.Name, r, MaxRate)
	}
	return nil
}

// Catalog is the loads that have names.
func Catalog() []Load {
	one := func(payload int, rate float64, run int) []Stream {
		return []Stream{{Payload: payload, Rate: rate, Run: run, Segmented: run > 1, Direction: Alternate}}
	}
	const frames = 30 // per second
	return []Load{
		{"spread", "50 flows of 1,000 packets/s of 160 bytes", 50, one(160, 1000, 1)},
		{"spread-60", "the same with 60 bytes", 50, one(60, 1000, 1)},
		{"spread-1200", "the same with 1200 bytes", 50, one(1200, 1000, 1)},
		{"audio", "1,000 flows of 50 packets/s of 160 bytes", 1000, one(160, 50, 1)},
		{"audio-5000", "5,000 flows of 50 packets/s of 160 bytes", 5000, one(160, 50, 1)},
		{"bursty", "50 flows of 1,000 packets/s of 1200 bytes, in runs of 16 that the sender segments", 50, one(1200, 1000, 16)},
		{"bursty-160", "the same with 160 bytes", 50, one(160, 1000, 16)},
		{"calls", "100 calls, both ways: audio of 160 bytes 50 times a second, video frames of 8 packets of 1200 bytes 30 times", 100, []Stream{
			{Payload: 160, Rate: 50, Direction: Duplex},
			{Payload: 1200, Rate: 8 * frames, Run: 8, Direction: Duplex},
		}},
	}
}

// Named finds a load of the catalogue.
func Named(name string) (Load, error) {
	var names []string
	for _, l := range Catalog() {
		if l.Name == name {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return Load{}, fmt.Errorf("no load %q; valid: %s", name, strings.Join(names, ", "))
}

// period is how often a run of the stream is due in one flow.
func (s Stream) period() time.Duration {
	return time.Duration(float64(time.Second) * float64(s.run()) / s.Rate)
}
