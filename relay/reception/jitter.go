package reception

import (
	"math"
	"time"
)

// Jitter is the interarrival jitter of RFC 3550, section 6.4.1 and appendix A.8.
// The packets of one video frame have one timestamp and leave one after the other;
// for video it therefore includes the time that sending a frame takes, as in RTCP.
type Jitter struct {
	rate    float64
	started bool
	arrival time.Time
	stamp   uint32
	value   float64 // in units of the clock
}

// NewJitter makes one for a stream whose timestamps run at rate hertz.
func NewJitter(rate uint32) *Jitter { return &Jitter{rate: float64(rate)} }

// Received takes a packet by its time of arrival and its RTP timestamp, which may
// wrap around.
func (j *Jitter) Received(arrival time.Time, stamp uint32) {
	if j.started {
		elapsed := arrival.Sub(j.arrival).Seconds() * j.rate
		d := math.Abs(elapsed - float64(int32(stamp-j.stamp)))
		j.value += (d - j.value) / 16
	}
	j.started, j.arrival, j.stamp = true, arrival, stamp
}

// Units is the jitter in units of the RTP clock, as a report holds it.
func (j *Jitter) Units() uint32 { return uint32(min(j.value, math.MaxUint32)) }

// Duration is the jitter as a time.
func (j *Jitter) Duration() time.Duration {
	if j.rate == 0 {
		return 0
	}
	return time.Duration(j.value / j.rate * float64(time.Second))
}
