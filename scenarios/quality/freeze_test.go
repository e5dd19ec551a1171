package quality

import (
	"testing"
	"time"
)

// W3C webrtc-stats, freezeCount.
func TestFreezesAreGapsOfThreeTimesTheAverage(t *testing.T) {
	ms := func(values ...int) []int { return values }
	steady := func(n, each int) (gaps []int) {
		for range n {
			gaps = append(gaps, each)
		}
		return gaps
	}
	for _, c := range []struct {
		name  string
		gaps  []int // milliseconds between frames
		count int
		total time.Duration
	}{
		{"no frame", nil, 0, 0},
		{"steady", steady(100, 33), 0, 0},
		{"one gap is no average", ms(1000), 0, 0},
		{"just short: average and 150 ms", append(steady(40, 33), 182), 0, 0},
		{"average and 150 ms", append(steady(40, 33), 183), 1, 183 * time.Millisecond},
		{"just short: three times", append(steady(40, 200), 599), 0, 0},
		{"three times", append(steady(40, 200), 600), 1, 600 * time.Millisecond},
		{"a freeze raises the average", append(steady(10, 30), 1000, 260), 1, time.Second},
		{"which forgets it after 30 frames", append(append(append(steady(10, 30), 1000), steady(30, 30)...), 260), 2, 1260 * time.Millisecond},
	} {
		var f Freezes
		at := time.Unix(100, 0)
		f.Frame(at)
		for _, g := range c.gaps {
			at = at.Add(time.Duration(g) * time.Millisecond)
			f.Frame(at)
		}
		if f.Count() != c.count || f.Total() != c.total {
			t.Errorf("%s: wanted %d freezes of %v, got %d of %v", c.name, c.count, c.total, f.Count(), f.Total())
		}
	}
	var f Freezes
	at := time.Unix(100, 0)
	for range 10 {
		f.Frame(at)
		at = at.Add(33 * time.Millisecond)
	}
	f.Pause()
	f.Frame(at.Add(time.Minute))
	if f.Count() != 0 {
		t.Error("a pause counts as a freeze")
	}
}
