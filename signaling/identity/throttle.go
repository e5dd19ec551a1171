package identity

import (
	"net/netip"
	"sync"
	"time"
)

// maxThrottled bounds how many keys a throttle watches.
const maxThrottled = 8192

// throttle lets so many tries with a key pass in a window. A try is counted before
// its outcome is known and given back when it was right, so that those under way
// at the same time count, too.
type throttle struct {
	limit  int
	window time.Duration

	mu    sync.Mutex
	byKey map[string]*tries
	swept time.Time // when tidy last looked at all of them
}

type tries struct {
	count int
	since time.Time
}

// take counts a try. When there have been too many it does not, and says how long
// to wait.
func (t *throttle) take(key string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.byKey[key]
	if old == nil || now.Sub(old.since) >= t.window {
		if len(t.byKey) >= maxThrottled {
			t.tidy(now)
		}
		if t.byKey == nil {
			t.byKey = map[string]*tries{}
		}
		t.byKey[key] = &tries{count: 1, since: now}
		return 0
	}
	if old.count >= t.limit {
		return old.since.Add(t.window).Sub(now)
	}
	old.count++
	return 0
}

// give takes a try back.
func (t *throttle) give(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.byKey[key]; old != nil && old.count > 0 {
		old.count--
	}
}

// tidy drops what is over, and one more when all is in use. It looks at all of
// them once a second at most. t.mu is held.
func (t *throttle) tidy(now time.Time) {
	if now.Sub(t.swept) >= time.Second {
		t.swept = now
		for key, old := range t.byKey {
			if now.Sub(old.since) >= t.window {
				delete(t.byKey, key)
			}
		}
	}
	for key := range t.byKey {
		if len(t.byKey) < maxThrottled {
			return
		}
		delete(t.byKey, key)
	}
}

// network is an IPv4 address, or the /64 of an IPv6 address, of which one machine
// has many.
func network(from netip.AddrPort) string {
	addr := from.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil || !addr.IsValid() {
		return "unknown"
	}
	return p.String()
}
