package processor

import (
	"time"

	"github.com/callpath/callpath/relay/processor/simulcast"
)

// pacer spreads bursts of video, such as a large key frame, over the time in which the
// receiver's path can carry them: they would fill its queue otherwise, which looks like
// a path that has become narrower. What fits goes out at once; the rest waits, opened, and
// is sealed when it goes, since its transport-wide number says when that is. Audio and
// retransmissions do not wait. It is for receivers whose bandwidth is
// estimated.
type pacer struct {
	rate     float64 // bytes a second; 0 is no limit
	budget   float64 // bytes that may go at once
	refilled time.Time
	// waiting is a ring of n packets from first on, whose memory is used again.
	waiting  []delayed
	first, n int
	bytes    int
}

// delayed is a packet that waits.
type delayed struct {
	slot            *slot
	payloadType     byte
	padding, marker byte
	numbers         simulcast.Numbers
	payload         []byte
}

const (
	// paceFactor is how much faster than the estimate packets may go: a stream is
	// not even, and is chosen to need less than the estimate.
	paceFactor = 1.1
	// paceBurst is what goes at once, in time.
	paceBurst = 0.01
	// paceDelay is in what time all that waits goes out, at most.
	paceDelay = 0.2
	// paceLeast is the smallest burst, in bytes.
	paceLeast = 3000
)

// set takes what the receiver's path can carry and what its streams have, in bit/s.
func (p *pacer) set(estimate, streams uint64) {
	p.rate = max(paceFactor*float64(estimate), 1.5*float64(streams)) / 8
}

// spend takes what goes out at once out of the budget.
func (p *pacer) spend(size int) { p.budget -= float64(size) }

// refill adds what has become free by now.
func (p *pacer) refill(now time.Time) {
	rate := max(p.rate, float64(p.bytes)/paceDelay)
	p.budget = min(p.budget+now.Sub(p.refilled).Seconds()*rate, max(paceBurst*rate, paceLeast))
	p.refilled = now
}

// passes says whether a packet may go at once.
func (p *pacer) passes(size int, now time.Time) bool {
	if p.rate == 0 {
		return true
	}
	if p.n > 0 {
		return false
	}
	if p.refill(now); p.budget <= 0 {
		return false
	}
	p.budget -= float64(size)
	return true
}

// hold lets a packet wait. It copies the payload.
func (l *leg) hold(s *slot, p *packet, n simulcast.Numbers) {
	q := &l.pacer
	if q.n == 0 {
		l.w.paced = append(l.w.paced, l)
	}
	if q.n == len(q.waiting) {
		larger := make([]delayed, max(16, 2*q.n))
		copy(larger[copy(larger, q.waiting[q.first:]):], q.waiting[:q.first])
		q.waiting, q.first = larger, 0
	}
	d := &q.waiting[(q.first+q.n)%len(q.waiting)]
	q.n++
	payload := append(d.payload[:0], p.payload...)
	*d = delayed{slot: s, payloadType: s.codec.PayloadType, padding: p.padding, marker: p.marker, numbers: n, payload: payload}
	q.bytes += len(payload)
}

// release sends what may go by now of what waits; it says whether something still does.
func (l *leg) release() bool {
	q := &l.pacer
	if l.state != connected {
		return false
	}
	q.refill(l.w.now)
	for ; q.n > 0 && q.budget > 0; q.n-- {
		d := &q.waiting[q.first]
		q.first = (q.first + 1) % len(q.waiting)
		q.bytes -= len(d.payload)
		q.budget -= float64(len(d.payload) + l.overhead + mostHeader)
		d.slot.send(d.slot.ssrc, d.payloadType, d.padding, d.marker, d.numbers.Seq, d.numbers.Timestamp, d.payload, false, false)
		d.slot = nil
	}
	return q.n > 0
}

// pace sends what has waited for long enough.
func (w *worker) pace() {
	kept := w.paced[:0]
	for _, l := range w.paced {
		if l.release() {
			kept = append(kept, l)
		}
	}
	clear(w.paced[len(kept):])
	w.paced = kept
}
