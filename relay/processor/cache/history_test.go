package cache_test

import (
	"testing"
	"time"

	"github.com/callpath/callpath/relay/processor/cache"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ms(n int) time.Time { return begin.Add(time.Duration(n) * time.Millisecond) }

func TestHistoryLimitsRepeats(t *testing.T) {
	type ask struct {
		at   int // ms
		seq  uint16
		rtt  time.Duration
		want cache.Verdict
	}
	for _, c := range []struct {
		name   string
		limits cache.Limits
		asks   []ask
	}{
		{"the first request is answered at once", cache.Limits{}, []ask{{0, 5, time.Second, cache.Again}}},
		{"the next one only after a round trip", cache.Limits{}, []ask{
			{0, 5, 100 * time.Millisecond, cache.Again},
			{50, 5, 100 * time.Millisecond, cache.TooSoon},
			{99, 5, 100 * time.Millisecond, cache.TooSoon},
			{100, 5, 100 * time.Millisecond, cache.Again},
		}},
		{"or after the hold-off, when the round-trip time is not known", cache.Limits{HoldOff: 30 * time.Millisecond}, []ask{
			{0, 5, 0, cache.Again}, {29, 5, 0, cache.TooSoon}, {30, 5, 0, cache.Again},
		}},
		{"three times by default", cache.Limits{}, []ask{
			{0, 5, 0, cache.Again}, {100, 5, 0, cache.Again}, {200, 5, 0, cache.Again}, {300, 5, 0, cache.TooOften},
		}},
		{"as often as configured", cache.Limits{Repeats: 1}, []ask{{0, 5, 0, cache.Again}, {100, 5, 0, cache.TooOften}}},
		{"each packet by itself", cache.Limits{Repeats: 1}, []ask{{0, 5, 0, cache.Again}, {0, 6, 0, cache.Again}}},
		{"what was never sent", cache.Limits{}, []ask{{0, 10, 0, cache.Unknown}, {0, 65535, 0, cache.Unknown}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := cache.NewHistory[int](16, c.limits)
			for seq := range uint16(10) {
				h.Put(seq, int(seq)*7)
			}
			for _, a := range c.asks {
				what, verdict := h.Again(a.seq, ms(a.at), a.rtt)
				if verdict != a.want {
					t.Errorf("packet %d at %d ms: %v, want %v", a.seq, a.at, verdict, a.want)
				}
				if want := int(a.seq) * 7; verdict == cache.Again && what != want {
					t.Errorf("packet %d: got %d, want %d", a.seq, what, want)
				}
			}
		})
	}
}

func TestHistoryForgets(t *testing.T) {
	h := cache.NewHistory[uint16](16, cache.Limits{})
	for seq := uint16(65520); seq != 20; seq++ {
		h.Put(seq, seq)
	}
	h.Put(65520, 1) // too late
	for seq := uint16(65500); seq != 30; seq++ {
		what, verdict := h.Again(seq, ms(0), 0)
		if kept := int16(seq-4) >= 0 && int16(seq-20) < 0; (verdict == cache.Again) != kept || kept && what != seq {
			t.Errorf("packet %d: %d, %v", seq, what, verdict)
		}
	}
	// The same low bits, one round of the numbers later.
	h.Put(40000, 40000)
	if _, verdict := h.Again(19, ms(0), 0); verdict != cache.Unknown {
		t.Errorf("a packet from before a jump: %v", verdict)
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	for v, want := range map[cache.Verdict]string{
		cache.Unknown: "unknown", cache.Again: "again", cache.TooSoon: "too soon", cache.TooOften: "too often", 9: "invalid",
	} {
		if got := v.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHistoryAllocatesNothing(t *testing.T) {
	h := cache.NewHistory[[3]uint64](0, cache.Limits{})
	seq := uint16(0)
	if n := testing.AllocsPerRun(2000, func() {
		h.Put(seq, [3]uint64{1, 2, 3})
		h.Again(seq-20, begin, 0)
		seq++
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
