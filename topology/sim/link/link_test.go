package link_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/link"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ms(f float64) topology.Duration { return topology.Duration(f * float64(time.Millisecond)) }

// pass puts n packets of 1250 bytes (10,000 bits) on a link, spaced apart, and
// returns when each came out, after the start; a negative time is a drop.
func pass(l *link.Link, n int, spacing time.Duration) []time.Duration {
	var out []time.Duration
	for k := range n {
		at, fate := l.Pass(start.Add(time.Duration(k)*spacing), 1250)
		if fate != link.Passed {
			out = append(out, -1)
			continue
		}
		out = append(out, at.Sub(start))
	}
	return out
}

func TestPerfectLinkPassesAtOnce(t *testing.T) {
	for k, at := range pass(link.New(topology.Link{}, 1), 100, time.Millisecond) {
		if want := time.Duration(k) * time.Millisecond; at != want {
			t.Errorf("packet %d comes out at %v, want %v", k, at, want)
		}
	}
}

func TestDelay(t *testing.T) {
	for k, at := range pass(link.New(topology.Link{Delay: ms(30)}, 1), 10, time.Millisecond) {
		if want := time.Duration(k+30) * time.Millisecond; at != want {
			t.Errorf("packet %d comes out at %v, want %v", k, at, want)
		}
	}
}

// A line of 1 Mbit/s sends 10,000 bits in 10 ms, one packet after the other, and
// what finds the queue full is dropped.
func TestBandwidthAndQueue(t *testing.T) {
	l := link.New(topology.Link{Bandwidth: 1_000_000, Queue: 3, Delay: ms(5)}, 1)
	got := pass(l, 6, 0)
	want := []time.Duration{15 * time.Millisecond, 25 * time.Millisecond, 35 * time.Millisecond, 45 * time.Millisecond, -1, -1}
	if !slices.Equal(got, want) {
		t.Errorf("a burst comes out at %v, want %v", got, want)
	}
	// Once the first has been sent there is room for another.
	if at, fate := l.Pass(start.Add(10*time.Millisecond), 1250); fate != link.Passed || at.Sub(start) != 55*time.Millisecond {
		t.Errorf("the next comes out at %v (%v), want 55ms", at.Sub(start), fate)
	}
	// An idle line begins anew.
	if at, _ := l.Pass(start.Add(time.Second), 1250); at.Sub(start) != 1015*time.Millisecond {
		t.Errorf("a later one comes out at %v, want 1.015s", at.Sub(start))
	}
	if got := pass(link.New(topology.Link{Bandwidth: 1_000_000}, 1), 150, 0); got[100] < 0 || got[101] >= 0 {
		t.Errorf("the default queue lets packet 100 come out at %v and 101 at %v, want room for 100 behind the first", got[100], got[101])
	}
}

func TestLossIsTheFractionAndSeeded(t *testing.T) {
	lost := func(seed uint64) []time.Duration {
		return pass(link.New(topology.Link{Loss: 0.1}, seed), 10_000, time.Millisecond)
	}
	first := lost(7)
	n := 0
	for _, at := range first {
		if at < 0 {
			n++
		}
	}
	if n < 900 || n > 1100 {
		t.Errorf("%d of 10000 packets were lost, want about 1000", n)
	}
	if !slices.Equal(first, lost(7)) {
		t.Error("the same seed loses other packets")
	}
	if slices.Equal(first, lost(8)) {
		t.Error("another seed loses the same packets")
	}
}

func TestJitterIsNormalAndKeepsOrder(t *testing.T) {
	// Far enough apart that the order does not change the delays.
	const n, spacing = 5000, time.Second
	var sum, squares float64
	for k, at := range pass(link.New(topology.Link{Delay: ms(100), Jitter: ms(10)}, 1), n, spacing) {
		d := (at - time.Duration(k)*spacing).Seconds() * 1000
		sum += d
		squares += d * d
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean-100) > 1 || math.Abs(deviation-10) > 1 {
		t.Errorf("delay of %.1f ± %.1f ms, want 100 ± 10", mean, deviation)
	}
	close := pass(link.New(topology.Link{Delay: ms(2), Jitter: ms(10)}, 1), n, time.Millisecond)
	if !slices.IsSorted(close) {
		t.Error("jitter changed the order")
	}
	for k, at := range close {
		if at < time.Duration(k)*time.Millisecond {
			t.Fatalf("packet %d came out before it was sent", k)
		}
	}
}

func TestReorderIsTheFraction(t *testing.T) {
	got := pass(link.New(topology.Link{Delay: ms(20), Reorder: 0.05}, 1), 10_000, 20*time.Millisecond)
	overtaken := 0
	for k := 1; k < len(got); k++ {
		if got[k] < got[k-1] {
			overtaken++
		}
	}
	if overtaken < 400 || overtaken > 600 {
		t.Errorf("%d of 10000 packets were overtaken, want about 500", overtaken)
	}
}

func TestSet(t *testing.T) {
	l := link.New(topology.Link{}, 1)
	if l.MTU() != 1500 {
		t.Errorf("MTU %d, want 1500", l.MTU())
	}
	l.Set(topology.Link{Cut: true, MTU: 1280})
	if _, fate := l.Pass(start, 100); fate != link.Cut {
		t.Errorf("fate %v, want cut", fate)
	}
	if l.MTU() != 1280 {
		t.Errorf("MTU %d, want 1280", l.MTU())
	}
	// What is under way is not overtaken by what comes after a change.
	l.Set(topology.Link{Delay: ms(50)})
	first, _ := l.Pass(start, 100)
	l.Set(topology.Link{})
	if second, _ := l.Pass(start.Add(time.Millisecond), 100); second.Before(first) {
		t.Errorf("comes out at %v, before %v", second.Sub(start), first.Sub(start))
	}
}

func TestCheckNamesTheField(t *testing.T) {
	for _, c := range []struct {
		word string
		link topology.Link
	}{
		{"delay", topology.Link{Delay: -1}},
		{"jitter", topology.Link{Jitter: -1}},
		{"loss", topology.Link{Loss: 1.5}},
		{"loss", topology.Link{Loss: topology.Fraction(math.NaN())}},
		{"reorder", topology.Link{Reorder: -0.1}},
		{"queue", topology.Link{Queue: -1}},
		{"MTU", topology.Link{MTU: 67}},
		{"MTU", topology.Link{MTU: -1}},
	} {
		if err := link.Check(c.link); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%+v: error %v, want one about %s", c.link, err, c.word)
		}
	}
	if err := link.Check(topology.Link{Delay: ms(1), Loss: 1, Reorder: 1, Queue: 1, MTU: 68, Bandwidth: 1}); err != nil {
		t.Errorf("a valid link: %v", err)
	}
}

func TestFatesInWords(t *testing.T) {
	for fate, want := range map[link.Fate]string{
		link.Passed: "passed", link.Cut: "link is cut", link.Lost: "lost on the link",
		link.QueueFull: "link's queue is full", 99: "fate 99",
	} {
		if fate.String() != want {
			t.Errorf("%d: %q, want %q", fate, fate.String(), want)
		}
	}
}
