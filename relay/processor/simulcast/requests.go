package simulcast

import "time"

const defaultRequestInterval = 500 * time.Millisecond

// Requests decides when a source is asked for a key frame, whatever number of receivers
// want one. The zero value is ready.
type Requests struct {
	// Interval is the shortest time between two requests; 500 ms by default (0).
	Interval time.Duration

	wanted, some bool
	asked        time.Time
}

// Want says that a receiver needs a key frame.
func (r *Requests) Want() { r.wanted = true }

// Came says that a key frame has come, so that nobody needs one any more.
func (r *Requests) Came() { r.wanted = false }

// Wanted says whether a key frame is wanted that has not come.
func (r *Requests) Wanted() bool { return r.wanted }

// Due says whether to ask now, and takes it that it is done. It stays wanted until a key
// frame comes, and is asked for again after the interval: requests get lost, too.
func (r *Requests) Due(now time.Time) bool {
	interval := r.Interval
	if interval <= 0 {
		interval = defaultRequestInterval
	}
	if !r.wanted || r.some && now.Sub(r.asked) < interval {
		return false
	}
	r.some, r.asked = true, now
	return true
}
