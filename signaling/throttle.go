package signaling

import (
	"net/netip"
	"time"
)

const (
	// missLimit wrong secrets for one user from one network may come within
	// missWindow. The network counts too, so that nobody can lock others out.
	missLimit  = 10
	missWindow = time.Minute
	// maxMisses bounds how many users and networks are watched.
	maxMisses = 4096
)

// misses counts wrong secrets. Controller.mu guards it.
type misses struct {
	byKey map[missKey]*miss
}

// missKey is a user, or nil for all who do not exist, and an IPv4 address or the
// /64 of an IPv6 address, of which one machine has many.
type missKey struct {
	user *user
	from netip.Prefix
}

type miss struct {
	count int
	since time.Time
}

// newMissKey takes a remote of the form "address:port"; those of another form
// count as one.
func newMissKey(u *user, remote string) missKey {
	at, _ := netip.ParseAddrPort(remote)
	addr := at.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	from, _ := addr.Prefix(bits)
	return missKey{user: u, from: from}
}

// wait is how long must be waited before another try; 0 when it is allowed.
func (m *misses) wait(key missKey, now time.Time) time.Duration {
	old := m.byKey[key]
	if old == nil || old.count < missLimit {
		return 0
	}
	return max(0, old.since.Add(missWindow).Sub(now))
}

// add counts a wrong secret.
func (m *misses) add(key missKey, now time.Time) {
	if m.byKey == nil {
		m.byKey = map[missKey]*miss{}
	}
	old := m.byKey[key]
	if old != nil && now.Sub(old.since) < missWindow {
		old.count++
		return
	}
	if len(m.byKey) >= maxMisses {
		m.tidy(now)
	}
	m.byKey[key] = &miss{count: 1, since: now}
}

// tidy drops what is over, and one more when all is in use.
func (m *misses) tidy(now time.Time) {
	for key, old := range m.byKey {
		if now.Sub(old.since) >= missWindow {
			delete(m.byKey, key)
		}
	}
	for key := range m.byKey {
		if len(m.byKey) < maxMisses {
			return
		}
		delete(m.byKey, key)
	}
}
