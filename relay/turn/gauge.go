package turn

import "sync/atomic"

// add and remove keep a set and the gauge that counts the members of all such
// sets in step. A closed set was taken off the gauge as a whole, and does not
// change any more.
func add[K comparable](set map[K]struct{}, k K, closed bool, gauge *atomic.Int64) bool {
	if _, ok := set[k]; ok || closed {
		return false
	}
	set[k] = struct{}{}
	gauge.Add(1)
	return true
}

func remove[K comparable](set map[K]struct{}, k K, closed bool, gauge *atomic.Int64) {
	if _, ok := set[k]; !ok || closed {
		return
	}
	delete(set, k)
	gauge.Add(-1)
}
