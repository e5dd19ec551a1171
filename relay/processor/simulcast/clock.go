package simulcast

import "time"

// Clock relates a source's RTP timestamps to the sender's wall clock, by its sender
// reports (RFC 3550, section 6.4.1). The zero value knows nothing.
type Clock struct {
	ntp   uint64
	rtp   uint32
	rate  uint32
	known bool
}

// Report takes in a sender report: its NTP timestamp (32.32 bits) and RTP timestamp. rate
// is the stream's clock rate in Hz; a report with rate 0, or without the time (NTP 0),
// says nothing.
func (c *Clock) Report(ntp uint64, rtp, rate uint32) {
	if rate != 0 && ntp != 0 {
		*c = Clock{ntp: ntp, rtp: rtp, rate: rate, known: true}
	}
}

// since returns the time from when timestamp was sampled at one source, to when own was
// sampled at this one, as the sender's clock has it. ok is false when reports are missing.
func (c *Clock) since(own uint32, other *Clock, timestamp uint32) (d time.Duration, ok bool) {
	if c == nil || other == nil || !c.known || !other.known {
		return 0, false
	}
	// 32.32 bits; the reports of one sender are seconds apart, never years.
	apart := time.Duration(float64(int64(c.ntp-other.ntp)) / (1 << 32) * float64(time.Second))
	return apart + c.after(own) - other.after(timestamp), true
}

// after returns how long after the report a timestamp is.
func (c *Clock) after(timestamp uint32) time.Duration {
	return time.Duration(int32(timestamp-c.rtp)) * time.Second / time.Duration(c.rate)
}
