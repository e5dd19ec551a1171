package cache_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/processor/cache"
)

func TestMissing(t *testing.T) {
	type step struct {
		at   int // ms
		seq  uint16
		want cache.Arrival
		// due is asked for instead of a packet when ask is not nil.
		ask     []uint16
		rtt     time.Duration
		givenUp int
	}
	none := []uint16{}
	for _, c := range []struct {
		name  string
		cfg   cache.MissingConfig
		steps []step
	}{
		{"nothing is missing of a stream in order", cache.MissingConfig{}, []step{
			{at: 0, seq: 65534, want: cache.Next}, {at: 1, seq: 65535, want: cache.Next}, {at: 2, seq: 0, want: cache.Next},
			{at: 100, ask: none},
		}},
		{"a gap is asked for after the time that reordering may take", cache.MissingConfig{}, []step{
			{at: 0, seq: 65534, want: cache.Next}, {at: 1, seq: 2, want: cache.Next},
			{at: 10, ask: none}, {at: 11, ask: []uint16{65535, 0, 1}},
		}},
		{"what comes in that time was never missed", cache.MissingConfig{}, []step{
			{at: 0, seq: 1, want: cache.Next}, {at: 1, seq: 3, want: cache.Next}, {at: 2, seq: 2, want: cache.Late},
			{at: 20, ask: none},
		}},
		{"what was asked for has been recovered, once", cache.MissingConfig{}, []step{
			{at: 0, seq: 1, want: cache.Next}, {at: 1, seq: 3, want: cache.Next}, {at: 11, ask: []uint16{2}},
			{at: 30, seq: 2, want: cache.Recovered}, {at: 31, seq: 2, want: cache.Repeat}, {at: 90, ask: none},
		}},
		{"it is asked for again after a round trip", cache.MissingConfig{}, []step{
			{at: 0, seq: 1, want: cache.Next}, {at: 0, seq: 3, want: cache.Next},
			{at: 10, ask: []uint16{2}, rtt: 80 * time.Millisecond},
			{at: 89, ask: none, rtt: 80 * time.Millisecond},
			{at: 90, ask: []uint16{2}, rtt: 80 * time.Millisecond},
		}},
		{"or after the interval", cache.MissingConfig{Interval: 30 * time.Millisecond}, []step{
			{at: 0, seq: 1, want: cache.Next}, {at: 0, seq: 3, want: cache.Next},
			{at: 10, ask: []uint16{2}}, {at: 39, ask: none}, {at: 40, ask: []uint16{2}},
		}},
		{"given up after as many tries as configured", cache.MissingConfig{Tries: 2}, []step{
			{at: 0, seq: 1, want: cache.Next}, {at: 0, seq: 3, want: cache.Next},
			{at: 10, ask: []uint16{2}}, {at: 30, ask: []uint16{2}}, {at: 49, ask: none},
			{at: 50, ask: none, givenUp: 1}, {at: 70, ask: none},
			{at: 80, seq: 2, want: cache.Repeat},
		}},
		{"given up when it is of no use any more", cache.MissingConfig{GiveUp: 50 * time.Millisecond}, []step{
			{at: 0, seq: 1, want: cache.Next}, {at: 0, seq: 3, want: cache.Next},
			{at: 20, seq: 5, want: cache.Next},
			{at: 50, ask: []uint16{4}, givenUp: 1}, {at: 70, ask: none, givenUp: 1},
		}},
		{"given up when it leaves the window", cache.MissingConfig{Window: 4}, []step{
			{at: 0, seq: 10, want: cache.Next}, {at: 0, seq: 12, want: cache.Next}, {at: 0, seq: 14, want: cache.Next},
			{at: 0, seq: 15, want: cache.Next}, {at: 10, ask: []uint16{13}, givenUp: 1},
		}},
		{"a new beginning", cache.MissingConfig{Window: 16}, []step{
			{at: 0, seq: 10, want: cache.Next}, {at: 0, seq: 12, want: cache.Next}, {at: 0, seq: 30000, want: cache.Jump},
			{at: 0, seq: 30001, want: cache.Next}, {at: 20, ask: none, givenUp: 1},
			{at: 30, seq: 29990, want: cache.Repeat}, // never missed: from before the beginning
			{at: 40, seq: 5, want: cache.Jump}, {at: 41, seq: 6, want: cache.Next},
			{at: 42, seq: 65533, want: cache.Repeat},
		}},
		{"the window is as long as a gap can be", cache.MissingConfig{Window: 4}, []step{
			{at: 0, seq: 10, want: cache.Next}, {at: 0, seq: 14, want: cache.Next}, {at: 10, ask: []uint16{11, 12, 13}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := cache.NewMissing(c.cfg)
			for i, s := range c.steps {
				if s.ask == nil {
					if got := m.Received(s.seq, ms(s.at)); got != s.want {
						t.Fatalf("step %d: packet %d: %v, want %v", i, s.seq, got, s.want)
					}
					continue
				}
				got, givenUp := m.Due([]uint16{}, ms(s.at), s.rtt)
				if !slices.Equal(got, s.ask) || givenUp != s.givenUp {
					t.Fatalf("step %d at %d ms: asked for %v, gave up %d; want %v, %d", i, s.at, got, givenUp, s.ask, s.givenUp)
				}
			}
		})
	}
}

// Over a path that loses and reorders, everything comes in the end, is asked for only when
// it had not come, and the books balance.
func TestMissingRecoversALossyStream(t *testing.T) {
	const packets = 100_000
	r := rand.New(rand.NewPCG(3, 4))
	m := cache.NewMissing(cache.MissingConfig{})
	type arrival struct {
		at  int
		seq int
	}
	var way []arrival // sorted by time
	send := func(at, seq int) {
		if r.IntN(10) == 0 {
			return // lost
		}
		if r.IntN(10) == 0 {
			at += r.IntN(15) // overtaken
		}
		i, _ := slices.BinarySearchFunc(way, at+20, func(a arrival, at int) int { return a.at - at })
		for i < len(way) && way[i].at == at+20 {
			i++
		}
		way = slices.Insert(way, i, arrival{at + 20, seq})
	}
	got := make([]int, packets)
	counts := map[cache.Arrival]uint64{}
	highest := 0
	for now := 0; now < packets+1000; now++ {
		if now < packets {
			send(now, now)
		}
		for len(way) > 0 && way[0].at <= now {
			a := way[0]
			way = way[1:]
			counts[m.Received(uint16(a.seq+60000), ms(now))]++
			got[a.seq]++
			highest = max(highest, a.seq)
		}
		if now%5 == 0 {
			ask, _ := m.Due(nil, ms(now), 40*time.Millisecond)
			for _, seq := range ask {
				full := highest - int(uint16(highest+60000)-seq)
				if got[full] > 0 {
					t.Fatalf("asked for packet %d, which has come", full)
				}
				send(now+20, full)
			}
		}
	}
	missing := 0
	for _, n := range got[:highest] {
		if n == 0 {
			missing++
		}
	}
	s := m.Stats()
	if missing != 0 || m.Count() != 0 || s.GivenUp != 0 {
		t.Errorf("%d packets never came, %d are missing, %d were given up", missing, m.Count(), s.GivenUp)
	}
	if counts[cache.Jump] != 0 || s.Recovered != counts[cache.Recovered] || s.Late != counts[cache.Late] ||
		s.Repeats != counts[cache.Repeat] || s.Received != uint64(highest+1) {
		t.Errorf("stats %+v, arrivals %v, highest %d", s, counts, highest)
	}
	if s.Recovered < packets/20 || s.Late < packets/50 {
		t.Errorf("the path was too good: %+v", s)
	}
}

func TestArrivalsHaveNames(t *testing.T) {
	for a, want := range map[cache.Arrival]string{
		cache.Next: "next", cache.Late: "late", cache.Recovered: "recovered", cache.Repeat: "repeat", cache.Jump: "jump", 9: "invalid",
	} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// FuzzMissing: whatever comes, nothing is asked for that has come or was never skipped,
// and the count is of what is asked for.
func FuzzMissing(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 0, 5, 0xff, 0xf0, 0, 3})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := cache.NewMissing(cache.MissingConfig{Window: 64, Tries: 255, GiveUp: time.Hour})
		come := map[uint16]bool{}
		now := 0
		for ; len(raw) >= 2; raw = raw[2:] {
			seq := uint16(raw[0])<<8 | uint16(raw[1])
			if m.Received(seq, ms(now)) == cache.Jump {
				clear(come)
			}
			come[seq] = true
			now += 20
			ask, _ := m.Due(nil, ms(now), 0)
			if len(ask) != m.Count() || len(ask) >= 64 {
				t.Fatalf("asked for %d, %d are missing", len(ask), m.Count())
			}
			for _, a := range ask {
				if come[a] && int16(seq-a) < 64 && int16(seq-a) >= 0 {
					t.Fatalf("asked for %d, which has come", a)
				}
			}
			now += 20
		}
	})
}

func TestMissingAllocatesNothing(t *testing.T) {
	m := cache.NewMissing(cache.MissingConfig{})
	seq, now, ask := uint16(0), begin, make([]uint16, 0, 600)
	if n := testing.AllocsPerRun(5000, func() {
		if seq%7 != 0 {
			m.Received(seq, now)
		}
		seq++
		now = now.Add(time.Millisecond)
		ask, _ = m.Due(ask[:0], now, 0)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkMissing(b *testing.B) {
	m := cache.NewMissing(cache.MissingConfig{})
	seq, now := uint16(0), begin
	b.ReportAllocs()
	for b.Loop() {
		m.Received(seq, now)
		seq++
	}
}
