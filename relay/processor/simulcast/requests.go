package simulcast

import "time"

// Requests decides when a source is asked for a key frame, whatever number of receivers
// want one. The zero value is ready, and asks at most every 500 ms.
type Requests struct {
	// Interval is the shortest time between two requests; 500 ms by default.
	Interval time.Duration
}

// Want says that a receiver needs a key frame.
func (r *Requests) Want() {}

// Came says that a key frame has come, so that nobody needs one any more.
func (r *Requests) Came() {}

// Due says whether to ask now, and takes it that it is done. It stays wanted until a key
// frame comes, and is asked for again after the interval: requests get lost too.
func (r *Requests) Due(now time.Time) bool { return false }
