package turn

import (
	"net/netip"
	"testing"
	"time"
)

func TestAMeterLetsPassItsRateAndItsBurst(t *testing.T) {
	const second = int64(time.Second)
	m := newMeter(10, 5) // 10 a second, 5 at once
	for _, c := range []struct {
		at   int64
		n    int
		pass bool
	}{
		{0, 5, true}, {0, 1, false},
		{second / 10, 1, true}, {second / 10, 1, false},
		{second / 5, 2, false}, // a refusal changes nothing
		{second / 5, 1, true},
		{100 * second, 6, false}, // a rest saves a burst up, not more
		{100 * second, 5, true}, {100 * second, 1, false},
	} {
		if got := m.take(c.at, c.n); got != c.pass {
			t.Errorf("%d units at %v: %v, wanted %v", c.n, time.Duration(c.at), got, c.pass)
		}
	}
	if !m.full(100*second) || m.full(101*second) {
		t.Error("full: wanted true at the end of a burst and false a second later")
	}
	if none := newMeter(0, 0); !none.take(0, 1<<30) || none.full(0) {
		t.Error("no meter must let everything pass")
	}
}

func TestOneMachineIsOneSource(t *testing.T) {
	at := func(s string) source { return sourceOf(netip.MustParseAddrPort(s)) }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::2]:1", true},
		{"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false},
	} {
		if got := at(c.a) == at(c.b); got != c.same {
			t.Errorf("%s and %s: same source is %v, wanted %v", c.a, c.b, got, c.same)
		}
	}
}

// Sources can be forged, so a flood of them must not fill memory.
func TestSourcesAreBounded(t *testing.T) {
	const most = 100
	s := newStrangers(Limits{Sources: most}.complete())
	busy := netip.MustParseAddrPort("198.51.100.1:1")
	for i := range 10 * most {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		if ok, _ := s.asks(client); !ok {
			t.Fatalf("the first request of %v is passed over", client)
		}
		s.asks(busy)
	}
	if n := s.size(); n > most {
		t.Errorf("%d sources are remembered, wanted %d at most", n, most)
	}
	// Who keeps asking is not forgotten.
	if ok, _ := s.asks(busy); ok {
		t.Error("a source that asked a thousand times at once is answered")
	}
}
