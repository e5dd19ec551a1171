package turn

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// meter lets so much pass in the long run and so much at once: the generic cell
// rate algorithm (ITU-T I.371), which needs one number and no lock. A nil meter
// lets everything pass.
type meter struct {
	// perUnit is the time that one unit takes at the rate, burst the time that a
	// full burst takes, both in nanoseconds.
	perUnit float64
	burst   int64
	// due is when all that has passed will have been paid for.
	due atomic.Int64
}

// newMeter makes a meter of rate units in a second and burst units at once; nil,
// which lets everything pass, when the rate is not above zero.
func newMeter(rate, burst float64) *meter {
	if rate <= 0 {
		return nil
	}
	perUnit := float64(time.Second) / rate
	return &meter{perUnit: perUnit, burst: int64(burst * perUnit)}
}

// take lets n units pass at now, in nanoseconds of any clock that never goes back,
// or returns false and changes nothing.
func (m *meter) take(now int64, n int) bool {
	if m == nil {
		return true
	}
	cost := int64(float64(n) * m.perUnit)
	for {
		old := m.due.Load()
		due := max(old, now) + cost
		if due-now > m.burst {
			return false
		}
		if m.due.CompareAndSwap(old, due) {
			return true
		}
	}
}

// full is true when the meter lets nothing pass.
func (m *meter) full(now int64) bool {
	return m != nil && m.due.Load()+int64(m.perUnit)-now > m.burst
}

// source is whom a limit counts: an IPv4 address, or the /64 of an IPv6 address,
// of which one machine has many.
type source netip.Prefix

func sourceOf(client netip.AddrPort) source {
	addr := client.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return source(prefix)
}

// stranger is what is known of a source.
type stranger struct {
	// asks counts requests that anybody can make, fails those whose credential
	// was wrong.
	asks, fails meter
	// told is set from the first request that was passed over until one is let
	// pass again.
	told atomic.Bool
}

// strangers meters requests without a valid credential by their source. Sources
// can be forged on UDP, so their number is bounded: they live in two generations,
// and when the younger is full the elder is forgotten.
type strangers struct {
	rate, burst float64
	most        int
	began       time.Time

	mu             sync.Mutex
	younger, elder map[source]*stranger
}

func newStrangers(l Limits) *strangers {
	return &strangers{rate: float64(l.Requests), burst: float64(l.RequestsAtOnce), most: max(1, l.Sources/2),
		began: time.Now(), younger: make(map[source]*stranger)}
}

func (s *strangers) get(from source) *stranger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.younger[from]; known != nil {
		return known
	}
	known := s.elder[from]
	if known == nil {
		known = &stranger{}
		for _, m := range []*meter{&known.asks, &known.fails} {
			fresh := newMeter(s.rate, s.burst)
			m.perUnit, m.burst = fresh.perUnit, fresh.burst
		}
	}
	if len(s.younger) >= s.most {
		s.elder, s.younger = s.younger, make(map[source]*stranger)
	}
	s.younger[from] = known
	return known
}

// size is the number of sources that are remembered.
func (s *strangers) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.younger) + len(s.elder)
}

// asks says whether a request that anybody can make may be answered; tell is true
// for the first of a row that may not.
func (s *strangers) asks(client netip.AddrPort) (ok, tell bool) {
	if s.rate < 0 {
		return true, false
	}
	known := s.get(sourceOf(client))
	if known.asks.take(s.now(), 1) {
		known.told.Store(false)
		return true, false
	}
	return false, !known.told.Swap(true)
}

// failed counts a request with a wrong credential.
func (s *strangers) failed(client netip.AddrPort) {
	if s.rate >= 0 {
		s.get(sourceOf(client)).fails.take(s.now(), 1)
	}
}

// mayTry says whether a client's credential is looked at.
func (s *strangers) mayTry(client netip.AddrPort) (ok, tell bool) {
	if s.rate < 0 {
		return true, false
	}
	known := s.get(sourceOf(client))
	if !known.fails.full(s.now()) {
		return true, false
	}
	return false, !known.told.Swap(true)
}

func (s *strangers) now() int64 { return int64(time.Since(s.began)) }
