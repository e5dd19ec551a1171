package signaling

import (
	"net/netip"
	"time"
)

const (
	// missLimit wrong secrets for one user from one address may come within
	// missWindow. The address counts too, so that nobody can lock others out.
	missLimit  = 10
	missWindow = time.Minute
	// maxMisses bounds how many users and addresses are watched.
	maxMisses = 4096
)

// misses counts wrong secrets. Controller.mu guards it.
type misses struct {
	byKey map[missKey]*miss
}

type missKey struct {
	user string
	from netip.Addr
}

type miss struct {
	count int
	since time.Time
}

func newMissKey(user, remote string) missKey {
	// A remote without an address counts as one.
	addr, _ := netip.ParseAddrPort(remote)
	if !validUserID(user) {
		user = ""
	}
	return missKey{user: user, from: addr.Addr().Unmap()}
}

// wait is how long the user must wait; 0 when another try is allowed.
func (m *misses) wait(user, remote string, now time.Time) time.Duration {
	old := m.byKey[newMissKey(user, remote)]
	if old == nil || old.count < missLimit {
		return 0
	}
	return max(0, old.since.Add(missWindow).Sub(now))
}

// add counts a wrong secret.
func (m *misses) add(user, remote string, now time.Time) {
	key := newMissKey(user, remote)
	old := m.byKey[key]
	if old != nil && now.Sub(old.since) < missWindow {
		old.count++
		return
	}
	if len(m.byKey) >= maxMisses {
		for k, v := range m.byKey {
			if now.Sub(v.since) >= missWindow {
				delete(m.byKey, k)
			}
		}
		if len(m.byKey) >= maxMisses {
			m.byKey = nil // better to count anew than to grow
		}
	}
	if m.byKey == nil {
		m.byKey = map[missKey]*miss{}
	}
	m.byKey[key] = &miss{count: 1, since: now}
}
