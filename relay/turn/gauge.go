package turn

import (
	"slices"
	"sync/atomic"
)

// add and remove keep a set and the gauge that counts the members of all such
// sets in step. A closed set was taken off the gauge as a whole, and does not
// change any more. The sets are slices, as nearly all have one or two members and
// there are two for each allocation.
func add[T comparable](set *[]T, v T, closed bool, gauge *atomic.Int64) bool {
	if closed || slices.Contains(*set, v) {
		return false
	}
	*set = append(*set, v)
	gauge.Add(1)
	return true
}

func remove[T comparable](set *[]T, v T, closed bool, gauge *atomic.Int64) {
	i := slices.Index(*set, v)
	if i < 0 || closed {
		return
	}
	*set = slices.Delete(*set, i, i+1)
	gauge.Add(-1)
}
