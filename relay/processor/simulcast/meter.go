package simulcast

import "time"

const (
	meterBuckets = 20
	meterBucket  = 100 * time.Millisecond
	// leastTime is what a rate is at least taken over, so that the first packets of a
	// stream are no flood.
	leastTime = 3 * meterBucket
)

// Meter measures the bitrate of a stream over the last two seconds. The zero value is
// ready.
type Meter struct {
	begun, last time.Time
	bytes       [meterBuckets]uint64
	sum         uint64
	bucket      int64 // the one that is being filled
}

// Add counts a packet of so many bytes.
func (m *Meter) Add(bytes int, now time.Time) {
	if m.begun.IsZero() || now.Sub(m.last) >= meterBuckets*meterBucket {
		*m = Meter{begun: now}
	}
	m.advance(now)
	m.bytes[m.bucket%meterBuckets] += uint64(bytes)
	m.sum += uint64(bytes)
	m.last = now
}

// advance empties the buckets whose time has passed.
func (m *Meter) advance(now time.Time) {
	to := int64(now.Sub(m.begun) / meterBucket)
	if to-m.bucket >= meterBuckets {
		m.bytes, m.sum, m.bucket = [meterBuckets]uint64{}, 0, to
	}
	for m.bucket < to {
		m.bucket++
		b := &m.bytes[m.bucket%meterBuckets]
		m.sum -= *b
		*b = 0
	}
}

// Rate returns the bitrate in bit/s; 0 when nothing has come for two seconds.
func (m *Meter) Rate(now time.Time) uint64 {
	if m.begun.IsZero() {
		return 0
	}
	m.advance(now)
	since := now.Sub(m.begun)
	if since > meterBuckets*meterBucket {
		// The whole buckets, and the part of the one that is being filled.
		since = (meterBuckets-1)*meterBucket + since%meterBucket
	}
	return uint64(float64(8*m.sum) / max(since, leastTime).Seconds())
}
