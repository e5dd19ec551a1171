package forward

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// table finds values by endpoint. Readers take no lock and wait for nobody: a
// bucket is a list of nodes that never change once they can be seen, and the array
// of buckets is replaced as a whole when it has become too small. What readers may
// still hold of the old ones is left to the garbage collector.
type table[V comparable] struct {
	seed    [2]uint64
	buckets atomic.Pointer[[]bucket[V]]

	mu    sync.Mutex
	count int
}

type bucket[V comparable] struct{ atomic.Pointer[node[V]] }

type node[V comparable] struct {
	key   endpoint
	value V
	next  *node[V]
}

const minBuckets = 64

func newTable[V comparable]() *table[V] {
	t := &table[V]{seed: [2]uint64{rand.Uint64(), rand.Uint64()}}
	b := make([]bucket[V], minBuckets)
	t.buckets.Store(&b)
	return t
}

// get returns the value of k, or the zero value.
func (t *table[V]) get(k endpoint) (v V) {
	b := *t.buckets.Load()
	for n := b[k.hash(t.seed)&uint64(len(b)-1)].Load(); n != nil; n = n.next {
		if n.key == k {
			return n.value
		}
	}
	return v
}

// set sets the value of k.
func (t *table[V]) set(k endpoint, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := *t.buckets.Load()
	if t.count >= len(b) {
		b = t.grow(b)
	}
	at := &b[k.hash(t.seed)&uint64(len(b)-1)]
	rest, found := without(at.Load(), k)
	at.Store(&node[V]{k, v, rest})
	if !found {
		t.count++
	}
}

// remove removes k, unless its value is not v any more.
func (t *table[V]) remove(k endpoint, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.get(k) != v {
		return
	}
	b := *t.buckets.Load()
	at := &b[k.hash(t.seed)&uint64(len(b)-1)]
	rest, found := without(at.Load(), k)
	at.Store(rest)
	if found {
		t.count--
	}
}

// grow doubles the buckets; its caller holds mu.
func (t *table[V]) grow(old []bucket[V]) []bucket[V] {
	b := make([]bucket[V], 2*len(old))
	for i := range old {
		for n := old[i].Load(); n != nil; n = n.next {
			at := &b[n.key.hash(t.seed)&uint64(len(b)-1)]
			at.Store(&node[V]{n.key, n.value, at.Load()})
		}
	}
	t.buckets.Store(&b)
	return b
}

// without returns a list without k. The nodes in front of k are copied, as readers
// may be on their way through the old ones.
func without[V comparable](list *node[V], k endpoint) (rest *node[V], found bool) {
	if list == nil {
		return nil, false
	}
	if list.key == k {
		return list.next, true
	}
	rest, found = without(list.next, k)
	if !found {
		return list, false
	}
	return &node[V]{list.key, list.value, rest}, true
}
