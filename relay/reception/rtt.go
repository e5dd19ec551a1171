package reception

import "time"

// ntpEpoch is 1900 in Unix seconds (RFC 3550, section 4).
const ntpEpoch = -2208988800

// NTP is a wallclock time as sender reports hold it: seconds since 1900 and
// fractions of 2^-32.
func NTP(t time.Time) uint64 {
	seconds := uint64(t.Unix() - ntpEpoch)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// Middle is the middle 32 bits of an NTP time, in which reports echo it (LSR).
func Middle(ntp uint64) uint32 { return uint32(ntp >> 16) }

// RoundTrip is the round-trip time by a report block that arrived at now: what
// passed since the sender report that it echoes, less the time that the reporter
// kept it (RFC 3550, section 6.4.1). ok is false when the block echoes no report,
// or one from the future, as after a step of the clock.
func RoundTrip(now time.Time, lsr, dlsr uint32) (rtt time.Duration, ok bool) {
	if lsr == 0 {
		return 0, false
	}
	units := int32(Middle(NTP(now)) - lsr - dlsr)
	if units < 0 {
		return 0, false
	}
	return time.Duration(units) * time.Second >> 16, true
}
