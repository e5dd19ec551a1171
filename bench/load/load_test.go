package load_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/bench/load"
)

func TestEveryNamedLoadCanBeSent(t *testing.T) {
	for _, l := range load.Catalog() {
		if err := l.Check(); err != nil {
			t.Error(err)
		}
		got, err := load.Named(l.Name)
		if err != nil || got.Summary != l.Summary || l.Summary == "" {
			t.Errorf("%s: found %+v (%v)", l.Name, got, err)
		}
	}
	if _, err := load.Named("spraed"); err == nil || !strings.Contains(err.Error(), "spread") {
		t.Errorf("a wrong name is not told which are valid: %v", err)
	}
}

func TestCheckRefuses(t *testing.T) {
	good := load.Load{Name: "x", Flows: 1, Streams: []load.Stream{{Payload: 100, Rate: 10, Direction: load.Up}}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*load.Load){
		"0 flows":         func(l *load.Load) { l.Flows = 0 },
		"no streams":      func(l *load.Load) { l.Streams = nil },
		"payload of 10":   func(l *load.Load) { l.Streams[0].Payload = 10 },
		"rate 0":          func(l *load.Load) { l.Streams[0].Rate = 0 },
		"rate NaN":        func(l *load.Load) { l.Streams[0].Rate = math.NaN() },
		"runs of 1000":    func(l *load.Load) { l.Streams[0].Run = 1000 },
		"direction":       func(l *load.Load) { l.Streams[0].Direction = "left" },
		"6000000 packets": func(l *load.Load) { l.Streams[0].Rate = 6_000_000 },
	} {
		bad := good
		bad.Streams = []load.Stream{good.Streams[0]}
		change(&bad)
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wanted an error with %q, got %v", want, err)
		}
	}
}

func TestRateIsKeptOrChangedAsAsked(t *testing.T) {
	calls, err := load.Named("calls")
	if err != nil {
		t.Fatal(err)
	}
	const each = 2 * (50 + 240) // both ways, audio and video
	for _, c := range []struct {
		name  string
		load  load.Load
		flows int
		rate  float64
	}{
		{"as it is", calls, 100, 100 * each},
		{"at another rate", calls.At(1000), 100, 1000},
		{"over more flows", calls.Over(1000), 1000, 100 * each},
		{"within fewer flows", calls.Within(10, load.MaxRate), 10, 10 * each},
		{"within a lower rate", calls.Within(1000, 500), 100, 500},
	} {
		if got := c.load.Rate(); math.Abs(got-c.rate) > 0.01 || c.load.Flows != c.flows {
			t.Errorf("%s: %d flows at %f, wanted %d at %f", c.name, c.load.Flows, got, c.flows, c.rate)
		}
	}
	if calls.Rate() != 100*each {
		t.Error("a load was changed by making another of it")
	}
}

// What the schedule sends in a second is the load's rate, in order of time, each
// source at its own period.
func TestScheduleIsTheLoad(t *testing.T) {
	l := load.Load{Name: "x", Flows: 10, Streams: []load.Stream{
		{Payload: 160, Rate: 50, Direction: load.Duplex},
		{Payload: 1200, Rate: 240, Run: 8, Segmented: true, Direction: load.Alternate},
	}}
	sources := l.Sources()
	if len(sources) != 30 {
		t.Fatalf("%d sources, wanted 20 and 10", len(sources))
	}
	s := load.NewSchedule(l, 7)
	again, other := load.NewSchedule(l, 7), load.NewSchedule(l, 8)
	packets := make(map[int]int)
	last := make(map[int]time.Duration)
	var before time.Duration
	differs := false
	for s.Peek().At < time.Second {
		peeked := s.Peek()
		e := s.Next()
		if e != peeked || e != again.Next() {
			t.Fatal("the same schedule is not the same twice")
		}
		differs = differs || e != other.Next()
		if e.At < before {
			t.Fatalf("%v comes after %v", e.At, before)
		}
		before = e.At
		packets[e.Source] += sources[e.Source].Run
		period := 20 * time.Millisecond
		if sources[e.Source].Run == 8 {
			period = time.Second / 30
		}
		if at, ok := last[e.Source]; ok && (e.At-at-period).Abs() > time.Nanosecond {
			t.Fatalf("source %d sends after %v, wanted %v", e.Source, e.At-at, period)
		}
		last[e.Source] = e.At
	}
	if !differs {
		t.Error("the seed changes nothing")
	}
	ups := 0
	for i, source := range sources {
		want, payload := 50, 160
		if i >= 20 {
			want, payload = 240, 1200
		}
		if packets[i] < want-8 || packets[i] > want+8 || source.Payload != payload || source.Segmented != (i >= 20) {
			t.Errorf("source %d %+v: %d packets in a second, wanted %d", i, source, packets[i], want)
		}
		if source.Up {
			ups++
		}
	}
	if ups != 15 {
		t.Errorf("%d sources go up, wanted half of 30", ups)
	}
}

func TestDirections(t *testing.T) {
	for direction, want := range map[load.Direction][]bool{
		load.Up: {true, true}, load.Down: {false, false}, load.Alternate: {true, false}, load.Duplex: {true, false, true, false},
	} {
		l := load.Load{Flows: 2, Streams: []load.Stream{{Payload: 60, Rate: 1, Direction: direction}}}
		sources := l.Sources()
		if len(sources) != len(want) {
			t.Errorf("%s: %d sources, wanted %d", direction, len(sources), len(want))
			continue
		}
		for i, s := range sources {
			if s.Up != want[i] {
				t.Errorf("%s: source %d goes up: %t", direction, i, s.Up)
			}
		}
	}
}

func TestStampIsWhatWasPut(t *testing.T) {
	want := load.Stamp{Session: 1, Phase: 2, Source: 3, Sequence: 4, Due: 5}
	p := make([]byte, load.StampSize)
	want.Put(p)
	if got, ok := load.ReadStamp(p); !ok || got != want {
		t.Errorf("got %+v (%t), wanted %+v", got, ok, want)
	}
	if _, ok := load.ReadStamp(p[1:]); ok {
		t.Error("read a stamp that is cut")
	}
	p[0] ^= 1
	if _, ok := load.ReadStamp(p); ok {
		t.Error("read a stamp without its mark")
	}
}

func FuzzReadStamp(f *testing.F) {
	p := make([]byte, load.StampSize)
	load.Stamp{Session: 1, Due: -1}.Put(p)
	f.Add(p)
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, p []byte) {
		s, ok := load.ReadStamp(p)
		if !ok {
			return
		}
		again := make([]byte, load.StampSize)
		s.Put(again)
		if string(again) != string(p[:load.StampSize]) {
			t.Errorf("read %x as %+v", p, s)
		}
	})
}
