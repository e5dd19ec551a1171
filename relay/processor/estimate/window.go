package estimate

import "time"

const (
	windowBuckets = 20
	windowBucket  = 25 * time.Millisecond
	windowLength  = windowBuckets * windowBucket
)

// window adds up bytes over the last half second of a clock that may go back a little. The
// zero value is ready.
type window struct {
	begun  time.Duration
	some   bool
	bucket int64
	bytes  [windowBuckets]uint64
	sum    uint64
}

func (w *window) add(bytes int, at time.Duration) {
	if !w.some {
		w.begun, w.some, w.bucket = at, true, int64(at/windowBucket)
	}
	w.advance(at)
	w.bytes[uint64(w.bucket)%windowBuckets] += uint64(bytes)
	w.sum += uint64(bytes)
}

func (w *window) advance(at time.Duration) {
	to := int64(at / windowBucket)
	if to-w.bucket >= windowBuckets {
		// Nothing for all of its length: what comes now is a beginning.
		w.bytes, w.sum, w.bucket, w.begun = [windowBuckets]uint64{}, 0, to, at
	}
	for w.bucket < to {
		w.bucket++
		b := &w.bytes[uint64(w.bucket)%windowBuckets]
		w.sum -= *b
		*b = 0
	}
}

// rate returns bit/s. ok is false when it is of too short a time to mean something.
func (w *window) rate(at time.Duration) (rate float64, ok bool) {
	if !w.some {
		return 0, false
	}
	w.advance(at)
	since := at - w.begun
	if since > windowLength {
		since = windowLength - windowBucket + at%windowBucket
	}
	if since < windowLength/2 {
		return 0, false
	}
	return float64(8*w.sum) / since.Seconds(), true
}
