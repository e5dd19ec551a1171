package simulcast_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/processor/simulcast"
)

// layers are of 150, 500 and 1800 kbit/s, as a browser sends 180p, 360p and 720p.
var layers = []simulcast.Layer{{SSRC: 1, Bitrate: 150_000}, {SSRC: 2, Bitrate: 500_000}, {SSRC: 3, Bitrate: 1_800_000}}

func TestLadder(t *testing.T) {
	type step struct {
		at     int // ms
		budget uint64
		want   int
	}
	without := func(missing ...int) []simulcast.Layer {
		l := append([]simulcast.Layer(nil), layers...)
		for _, i := range missing {
			l[i].Bitrate = 0
		}
		return l
	}
	for _, c := range []struct {
		name   string
		layers []simulcast.Layer
		steps  []step
	}{
		{"300 kbit/s is the low layer", layers, []step{{0, 300_000, 0}, {5000, 300_000, 0}}},
		{"3 Mbit/s is the high one", layers, []step{{0, 3_000_000, 2}, {5000, 3_000_000, 2}}},
		{"up after a second of room, by more than one layer", layers, []step{
			{0, 300_000, 0}, {100, 3_000_000, 0}, {1000, 3_000_000, 0}, {1100, 3_000_000, 2},
		}},
		{"the second must be whole", layers, []step{
			{0, 300_000, 0}, {100, 600_000, 0}, {900, 300_000, 0}, {1200, 600_000, 0}, {2100, 600_000, 0}, {2200, 600_000, 1},
		}},
		{"with headroom", layers, []step{{0, 300_000, 0}, {100, 570_000, 0}, {9000, 570_000, 0}, {9100, 580_000, 0}, {10100, 580_000, 1}}},
		{"down at once", layers, []step{{0, 3_000_000, 2}, {100, 1_000_000, 1}, {200, 200_000, 0}}},
		{"but with slack", layers, []step{{0, 1_800_000, 2}, {100, 1_650_000, 2}, {200, 1_600_000, 1}}},
		{"what is too much for the lowest does not end it", layers, []step{{0, 50_000, 0}, {100, 20_000, 0}}},
		{"but nothing does", layers, []step{{0, 300_000, 0}, {100, 0, -1}, {200, 300_000, -1}, {1200, 300_000, 0}}},
		{"a layer that does not come is not chosen", without(0, 2), []step{{0, 3_000_000, 1}, {100, 100_000, 1}}},
		{"nothing comes", without(0, 1, 2), []step{{0, 3_000_000, -1}}},
		{"up again only after twice as long when it did not last, and so on", layers, []step{
			{0, 300_000, 0}, {100, 700_000, 0}, {1100, 700_000, 1}, {2000, 300_000, 0},
			{2100, 700_000, 0}, {3200, 700_000, 0}, {4100, 700_000, 1}, {5000, 300_000, 0},
			{5100, 700_000, 0}, {9000, 700_000, 0}, {9100, 700_000, 1},
		}},
		{"when it lasted, after a second again", layers, []step{
			{0, 300_000, 0}, {100, 700_000, 0}, {1100, 700_000, 1}, {2000, 300_000, 0},
			{2100, 700_000, 0}, {4100, 700_000, 1}, {20000, 300_000, 0},
			{20100, 700_000, 0}, {21100, 700_000, 1},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := simulcast.NewLadder(simulcast.LadderConfig{})
			if l.Current() != -1 {
				t.Fatal("has chosen already")
			}
			for _, s := range c.steps {
				if got := l.Choose(c.layers, s.budget, at(s.at)); got != s.want || l.Current() != got {
					t.Fatalf("at %d ms with %d bit/s: got %d, want %d", s.at, s.budget, got, s.want)
				}
			}
		})
	}
}

func TestALayerThatStopsOrGoesAway(t *testing.T) {
	l := simulcast.NewLadder(simulcast.LadderConfig{})
	l.Choose(layers, 3_000_000, at(0))
	stopped := append([]simulcast.Layer(nil), layers...)
	stopped[2].Bitrate = 0
	if got := l.Choose(stopped, 3_000_000, at(100)); got != 1 {
		t.Errorf("stopped: got %d", got)
	}
	if got := l.Choose(layers[:1], 3_000_000, at(200)); got != 0 {
		t.Errorf("gone: got %d", got)
	}
	if got := l.Choose(nil, 3_000_000, at(300)); got != -1 {
		t.Errorf("all gone: got %d", got)
	}
}

func TestShare(t *testing.T) {
	none := []simulcast.Layer{{SSRC: 9}}
	for _, c := range []struct {
		budget uint64
		slots  [][]simulcast.Layer
		want   []int
		needed uint64
	}{
		{5_000_000, [][]simulcast.Layer{layers, layers}, []int{2, 2}, 3_600_000},
		{2_000_000, [][]simulcast.Layer{layers, layers}, []int{2, 0}, 1_950_000},
		{1_000_000, [][]simulcast.Layer{layers, layers, layers}, []int{1, 0, 0}, 800_000},
		{1_200_000, [][]simulcast.Layer{layers, layers, layers}, []int{1, 1, 0}, 1_150_000},
		{310_000, [][]simulcast.Layer{layers, layers, layers}, []int{0, 0, -1}, 300_000},
		{100_000, [][]simulcast.Layer{layers, layers}, []int{0, -1}, 150_000},
		{0, [][]simulcast.Layer{layers}, []int{0}, 150_000},
		{5_000_000, [][]simulcast.Layer{none, layers, nil}, []int{-1, 2, -1}, 1_800_000},
		{2_000_000, [][]simulcast.Layer{layers[:1], layers}, []int{0, 2}, 1_950_000},
		{5_000_000, nil, nil, 0},
	} {
		var demands []simulcast.Demand
		for _, l := range c.slots {
			demands = append(demands, simulcast.Demand{Ladder: simulcast.NewLadder(simulcast.LadderConfig{}), Layers: l})
		}
		needed := simulcast.Share(demands, c.budget, at(0))
		var got []int
		for _, d := range demands {
			got = append(got, d.Choice)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) || needed != c.needed {
			t.Errorf("%d bit/s for %d slots: got %v, needs %d; want %v, %d", c.budget, len(c.slots), got, needed, c.want, c.needed)
		}
	}
}

// A receiver whose bandwidth swings about a layer's need does not see it come and go with
// each swing.
func TestShareDoesNotFlap(t *testing.T) {
	demands := []simulcast.Demand{
		{Ladder: simulcast.NewLadder(simulcast.LadderConfig{}), Layers: layers},
		{Ladder: simulcast.NewLadder(simulcast.LadderConfig{}), Layers: layers},
	}
	changes := 0
	last := [2]int{-2, -2}
	for ms := 0; ms < 60_000; ms += 100 {
		budget := uint64(280_000)
		if ms/700%2 == 0 {
			budget = 360_000
		}
		simulcast.Share(demands, budget, at(ms))
		now := [2]int{demands[0].Choice, demands[1].Choice}
		if now != last {
			changes++
			last = now
		}
	}
	if changes > 3 {
		t.Errorf("%d changes in a minute", changes)
	}
}

func TestMeter(t *testing.T) {
	var m simulcast.Meter
	if got := m.Rate(at(0)); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
	within := func(ms int, want float64) {
		t.Helper()
		if got := float64(m.Rate(at(ms))); got < 0.93*want || got > 1.07*want {
			t.Errorf("at %d ms: %.0f bit/s, want about %.0f", ms, got, want)
		}
	}
	for ms := 0; ms < 10_000; ms += 10 {
		m.Add(1250, at(ms)) // 1 Mbit/s
		if ms >= 300 {
			within(ms, 1e6)
		}
	}
	within(11_000, 0.5e6)
	if got := m.Rate(at(12_100)); got != 0 {
		t.Errorf("two seconds later: %d", got)
	}
	m.Add(1250, at(60_000))
	within(60_010, 1250*8/0.3) // of a flood nothing is known yet
	for ms := 60_010; ms < 64_000; ms += 10 {
		m.Add(125, at(ms))
	}
	within(64_000, 1e5)
}

func TestRequests(t *testing.T) {
	for _, interval := range []time.Duration{0, 200 * time.Millisecond} {
		r := simulcast.Requests{Interval: interval}
		step := int(interval.Milliseconds())
		if interval == 0 {
			step = 500
		}
		due := func(ms int, want bool) {
			t.Helper()
			if got := r.Due(at(ms)); got != want {
				t.Errorf("interval %v, at %d ms: due is %v", interval, ms, got)
			}
		}
		due(0, false) // nobody wants one
		r.Want()
		due(0, true) // at once
		r.Want()
		due(step-1, false)
		due(step, true) // it was lost
		r.Came()
		if r.Wanted() {
			t.Error("wanted after it came")
		}
		due(2*step, false)
		r.Want()
		due(2*step, true)
	}
}
