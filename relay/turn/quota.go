package turn

import (
	"fmt"
	"sync"
)

// quotas counts allocations. A unit is acquired when the engine is about to
// allocate and released when the allocation's socket closes, or at once when none
// came to be. The engine answers a retransmitted request from its cache, without
// asking, so a retransmission neither counts nor can be refused.
type quotas struct {
	limit Quota

	mu    sync.Mutex
	users map[string]int
	total int
}

func newQuotas(limit Quota) *quotas { return &quotas{limit: limit, users: make(map[string]int)} }

// acquire takes a unit for user. When it may not, rule and reason say why.
func (q *quotas) acquire(user string) (rule, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.users[user] >= q.limit.PerUser:
		return RuleUserQuota, fmt.Sprintf("user has %d allocations, and %d are the most", q.users[user], q.limit.PerUser)
	case q.total >= q.limit.Total:
		return RuleTotalQuota, fmt.Sprintf("relay has %d allocations, and %d are the most", q.total, q.limit.Total)
	}
	q.users[user]++
	q.total++
	return "", ""
}

func (q *quotas) release(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.users[user]--; q.users[user] <= 0 {
		delete(q.users, user)
	}
}
