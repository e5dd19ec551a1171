package quality

import "time"

// Freezes counts frozen video by the rules of W3C webrtc-stats, freezeCount and
// totalFreezesDuration of RTCInboundRtpStreamStats: the time between two rendered
// frames is a freeze when it is at least three times the average, and at least the
// average and 150 ms, where the average is that of the last 30 frames. The zero
// value is ready.
type Freezes struct {
	last  time.Time
	times [30]time.Duration
	n     int // of times, ever

	count int
	total time.Duration
}

// Frame takes the time at which a frame was shown.
func (f *Freezes) Frame(at time.Time) {
	if !f.last.IsZero() {
		took := at.Sub(f.last)
		if average, ok := f.average(); ok && took >= max(3*average, average+150*time.Millisecond) {
			f.count++
			f.total += took
		}
		f.times[f.n%len(f.times)] = took
		f.n++
	}
	f.last = at
}

// Pause says that no frames are meant to come: the time to the next is no freeze.
func (f *Freezes) Pause() { f.last = time.Time{} }

// Count is the number of freezes, Total the time that they took.
func (f *Freezes) Count() int           { return f.count }
func (f *Freezes) Total() time.Duration { return f.total }

func (f *Freezes) average() (time.Duration, bool) {
	n := min(f.n, len(f.times))
	if n == 0 {
		return 0, false
	}
	var sum time.Duration
	for _, t := range f.times[:n] {
		sum += t
	}
	return sum / time.Duration(n), true
}
