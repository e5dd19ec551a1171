package turn

import (
	"fmt"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/forward/kernel"
)

// quotas counts allocations. A unit is acquired when the engine is about to
// allocate and released when the allocation's socket closes, or at once when none
// came to be. The engine answers a retransmitted request from its cache, without
// asking, so a retransmission neither counts nor can be refused.
type quotas struct {
	limit Quota
	began time.Time
	// kernel has the meters of bandwidth where it forwards; else nil.
	kernel *kernel.Path
	// bandwidth meters what all users relay; nil is no limit.
	bandwidth *bandwidth

	mu    sync.Mutex
	users map[string]*account
	total int
	// drained closes when the relay drains and total is zero; nil before.
	drained chan struct{}
}

// account is what one user holds.
type account struct {
	allocations int // quotas.mu guards it
	bandwidth   *bandwidth
}

func newQuotas(limit Quota, path *kernel.Path) *quotas {
	q := &quotas{limit: limit, began: time.Now(), users: make(map[string]*account), kernel: path}
	q.bandwidth = q.newBandwidth(limit.TotalBandwidth)
	return q
}

// bandwidth meters payloads: by a meter that the kernel's path takes from as well,
// where there is one, or by one of its own. A nil bandwidth is no limit.
type bandwidth struct {
	own    *meter
	shared *kernel.Meter
}

func (q *quotas) newBandwidth(rate int64) *bandwidth {
	if rate <= 0 {
		return nil
	}
	if q.kernel != nil {
		if m, err := q.kernel.Meter(rate, bandwidthBurst); err == nil {
			return &bandwidth{shared: m}
		}
	}
	return &bandwidth{own: newMeter(float64(rate), float64(rate)*bandwidthBurst)}
}

func (b *bandwidth) take(now int64, n int) bool {
	switch {
	case b == nil:
		return true
	case b.shared != nil:
		return b.shared.Take(n)
	}
	return b.own.take(now, n)
}

func (b *bandwidth) end() {
	if b != nil && b.shared != nil {
		b.shared.Close()
	}
}

// bandwidthBurst is how many seconds of its bandwidth a user can use at once: a key
// frame is many times larger than the frames around it.
const bandwidthBurst = 1

// acquire takes a unit for user. When it may not, rule and reason say why.
func (q *quotas) acquire(user string) (rule, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.users[user]
	switch {
	case q.drained != nil:
		return RuleDraining, "relay is shutting down and takes no new allocations"
	case a != nil && a.allocations >= q.limit.PerUser:
		return RuleUserQuota, fmt.Sprintf("user has %d allocations, and %d are the most", a.allocations, q.limit.PerUser)
	case q.total >= q.limit.Total:
		return RuleTotalQuota, fmt.Sprintf("relay has %d allocations, and %d are the most", q.total, q.limit.Total)
	}
	if a == nil {
		a = &account{bandwidth: q.newBandwidth(q.limit.UserBandwidth)}
		q.users[user] = a
	}
	a.allocations++
	q.total++
	return "", ""
}

func (q *quotas) release(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if a := q.users[user]; a != nil {
		if a.allocations--; a.allocations <= 0 {
			delete(q.users, user)
			a.bandwidth.end()
		}
	}
	if q.drained != nil && q.total == 0 {
		close(q.drained)
	}
}

// account is that of a user who holds a unit.
func (q *quotas) account(user string) *account {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.users[user]
}

// spend says whether n bytes of payload may be relayed for the account, and takes
// them from its bandwidth and from that of all. It is for the data path: it takes
// no lock.
func (q *quotas) spend(a *account, n int) bool {
	if a.bandwidth == nil && q.bandwidth == nil {
		return true
	}
	now := int64(time.Since(q.began))
	return a.bandwidth.take(now, n) && q.bandwidth.take(now, n)
}

// meters are those of an account, for the kernel; none when it cannot have them all.
func (q *quotas) meters(a *account) []*kernel.Meter {
	var shared []*kernel.Meter
	for _, b := range []*bandwidth{a.bandwidth, q.bandwidth} {
		switch {
		case b == nil:
		case b.shared == nil:
			return nil
		default:
			shared = append(shared, b.shared)
		}
	}
	return shared
}

// drain refuses from now on. What it returns closes when nothing is held any more.
func (q *quotas) drain() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.drained == nil {
		q.drained = make(chan struct{})
		if q.total == 0 {
			close(q.drained)
		}
	}
	return q.drained
}
