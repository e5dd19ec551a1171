package reception

import (
	"testing"
	"time"
)

func TestSequenceNumbersAreExtendedAndCounted(t *testing.T) {
	run := func(from, n int) (numbers []uint16) {
		for i := range n {
			numbers = append(numbers, uint16(from+i))
		}
		return numbers
	}
	join := func(parts ...[]uint16) (all []uint16) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, c := range []struct {
		name               string
		numbers            []uint16
		expected, received uint64
		highest            uint32
		last               Arrival
		missing            int
	}{
		{"one", run(7, 1), 1, 1, 7, Next, 0},
		{"in order", run(100, 50), 50, 50, 149, Next, 0},
		{"wrapping around", run(65500, 100), 100, 100, 65599, Next, 0},
		{"wrapping around twice", run(65500, 65536*2), 65536 * 2, 65536 * 2, 65500 + 65536*2 - 1, Next, 0},
		{"a gap", join(run(10, 5), run(18, 1)), 9, 6, 18, Gap, 3},
		{"a gap at the wrap", join(run(65534, 1), run(1, 1)), 4, 2, 65537, Gap, 2},
		{"late", []uint16{1, 2, 4, 3}, 4, 4, 4, Late, 0},
		{"late over the wrap", []uint16{65534, 0, 65535}, 3, 3, 65536, Late, 0},
		{"a duplicate", []uint16{1, 2, 2}, 2, 3, 2, Late, 0},
		{"the largest gap", []uint16{1, 3000}, 3000, 2, 3000, Gap, 2998},
		{"a jump that nothing confirms", []uint16{1, 30000, 2}, 2, 2, 2, Next, 0},
		{"a jump", []uint16{1, 30000}, 1, 1, 1, Jump, 0},
		{"a restart", []uint16{1, 2, 30000, 30001}, 3, 3, 30001, Restart, 0},
		{"after a restart", []uint16{1, 2, 30000, 30001, 30003}, 5, 4, 30003, Gap, 1},
	} {
		var s Sequence
		var last Arrival
		var missing int
		for _, n := range c.numbers {
			last, missing = s.Received(n)
		}
		if s.Expected() != c.expected || s.ReceivedCount() != c.received || s.Highest() != c.highest || last != c.last || missing != c.missing {
			t.Errorf("%s: wanted expected %d, received %d, highest %d, arrival %d with %d missing; got %d, %d, %d, %d, %d", c.name,
				c.expected, c.received, c.highest, c.last, c.missing, s.Expected(), s.ReceivedCount(), s.Highest(), last, missing)
		}
	}
	var none Sequence
	if none.Expected() != 0 || none.Lost() != 0 || none.Report() != (Report{}) {
		t.Errorf("nothing received: %+v", none)
	}
}

// RFC 3550, appendix A.3.
func TestReportsHoldTheLossOfTheirInterval(t *testing.T) {
	var s Sequence
	receive := func(numbers ...uint16) {
		for _, n := range numbers {
			s.Received(n)
		}
	}
	check := func(name string, wanted Report) {
		t.Helper()
		if got := s.Report(); got != wanted {
			t.Errorf("%s: wanted %+v, got %+v", name, wanted, got)
		}
	}
	receive(1, 2, 3, 4)
	check("no loss", Report{0, 0, 4})
	receive(5, 8)
	check("2 of 4 lost", Report{128, 2, 8})
	receive(9, 10)
	check("no loss since: the fraction is of the interval", Report{0, 2, 10})
	check("nothing since", Report{0, 2, 10})
	receive(6, 7)
	check("late ones are no negative loss", Report{0, 0, 10})
	receive(10, 10)
	check("duplicates make the cumulative loss negative", Report{0, -2, 10})
	receive(3009)
	check("nearly all lost", Report{255, 2996, 3009})
}

func FuzzSequence(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 255, 255, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Sequence
		var highest uint32
		for ; len(b) >= 2; b = b[2:] {
			kind, missing := s.Received(uint16(b[0])<<8 | uint16(b[1]))
			if (missing > 0) != (kind == Gap) || missing < 0 || missing >= maxDropout {
				t.Fatalf("arrival %d with %d missing", kind, missing)
			}
			if kind != Restart && s.Highest() < highest {
				t.Fatalf("highest fell from %d to %d", highest, s.Highest())
			}
			highest = s.Highest()
			if r := s.Report(); int64(r.Lost) != s.Lost() {
				t.Fatalf("report %+v, lost %d", r, s.Lost())
			}
		}
	})
}

// RFC 3550, appendix A.8: J += (|D| - J) / 16.
func TestJitterOfKnownArrivals(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		rate     uint32
		arrivals []float64 // milliseconds
		stamps   []uint32
		units    float64
	}{
		{"one packet", 8000, []float64{5}, []uint32{0}, 0},
		{"even", 8000, []float64{0, 20, 40, 60}, []uint32{0, 160, 320, 480}, 0},
		{"even, stamps wrap around", 8000, []float64{0, 20, 40}, []uint32{4294967136, 0, 160}, 0},
		// D is 0, +40, -40 units.
		{"5 ms late once", 8000, []float64{0, 20, 45, 60}, []uint32{0, 160, 320, 480}, 2.5 + (40-2.5)/16},
		{"5 ms late once, 48 kHz", 48000, []float64{0, 20, 45, 60}, []uint32{0, 960, 1920, 2880}, 6 * (2.5 + (40-2.5)/16)},
		{"out of order", 8000, []float64{0, 40, 41}, []uint32{0, 320, 160}, 168.0 / 16},
		{"a video frame in three packets", 90000, []float64{0, 1, 2}, []uint32{0, 0, 0}, 90.0/16 + (90-90.0/16)/16},
	} {
		j := NewJitter(c.rate)
		for i, ms := range c.arrivals {
			j.Received(start.Add(time.Duration(ms*float64(time.Millisecond))), c.stamps[i])
		}
		near(t, c.name, j.value, c.units, 1e-6)
		near(t, c.name, j.Duration().Seconds(), c.units/float64(c.rate), 1e-9)
		near(t, c.name, float64(j.Units()), c.units, 1)
	}
	if d := (&Jitter{}).Duration(); d != 0 {
		t.Errorf("no clock: %v", d)
	}
}

func TestJitterOfASteadyDisturbanceIsItsSize(t *testing.T) {
	j := NewJitter(8000)
	at := time.Unix(0, 0)
	for i := range uint32(1000) {
		late := time.Duration(i%2) * 10 * time.Millisecond
		j.Received(at.Add(time.Duration(i)*20*time.Millisecond+late), 160*i)
	}
	near(t, "jitter", j.Duration().Seconds(), 0.010, 1e-6)
}

// RFC 3550, section 6.4.1, figure 2.
func TestRoundTripOfTheRFCsExample(t *testing.T) {
	at := func(ntp uint64) time.Time {
		return time.Unix(int64(ntp>>32)+ntpEpoch, int64((ntp&0xffffffff)*1e9>>32)+1)
	}
	// n = 10 Nov 1995 11:33:36.5 UTC: NTP 0xb44db705.20000000 + 11.375 s + 5.25 s … as A = 0xb710:8000.
	now := at(0xb44d_b710_8000_0000)
	rtt, ok := RoundTrip(now, 0xb705_2000, 0x0005_4000)
	if !ok || rtt != 6125*time.Millisecond {
		t.Errorf("wanted 6.125s, got %v, %v", rtt, ok)
	}
	for name, c := range map[string]struct{ lsr, dlsr uint32 }{
		"no sender report": {0, 0},
		"from the future":  {0xb711_0000, 0},
		"kept for longer":  {0xb705_2000, 0x0010_0000},
	} {
		if rtt, ok := RoundTrip(now, c.lsr, c.dlsr); ok {
			t.Errorf("%s: got %v", name, rtt)
		}
	}
}

func TestNTPTime(t *testing.T) {
	for _, c := range []struct {
		time   time.Time
		ntp    uint64
		middle uint32
	}{
		{time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), 0, 0},
		{time.Unix(0, 0), 2208988800 << 32, 0x7e80_0000},
		{time.Unix(0, 5e8), 2208988800<<32 | 1<<31, 0x7e80_8000},
	} {
		if got := NTP(c.time); got != c.ntp || Middle(got) != c.middle {
			t.Errorf("%v: wanted %#x and %#x, got %#x and %#x", c.time, c.ntp, c.middle, got, Middle(got))
		}
	}
}
