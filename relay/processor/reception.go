package processor

import (
	"time"

	"github.com/pion/rtcp"
)

// reception is what report blocks say of a received stream (RFC 3550, appendix A.3, A.8).
type reception struct {
	begun                         bool
	first                         uint16
	newest                        uint32 // extended by how often the numbers have gone round
	packets                       uint32
	expectedBefore, packetsBefore uint32
	transit                       int64
	jitter                        float64 // in ticks of the clock
	start                         time.Time
}

func (r *reception) packet(seq uint16, timestamp, rate uint32, now time.Time) {
	if !r.begun {
		r.begun, r.first, r.newest, r.start = true, seq, uint32(seq), now
		r.transit = -int64(timestamp)
	}
	r.packets++
	if ahead := int16(seq - uint16(r.newest)); ahead > 0 {
		r.newest += uint32(ahead)
	}
	transit := int64(now.Sub(r.start).Seconds()*float64(rate)) - int64(timestamp)
	d := float64(int32(transit - r.transit)) // timestamps go round too
	r.transit = transit
	if d < 0 {
		d = -d
	}
	r.jitter += (d - r.jitter) / 16
}

// block makes the report block of the time since the last one.
func (r *reception) block(ssrc uint32, sr senderReport, now time.Time) rtcp.ReceptionReport {
	expected := r.newest - uint32(r.first) + 1
	lost := int64(expected) - int64(r.packets)
	interval := expected - r.expectedBefore
	lostNow := int64(interval) - int64(r.packets-r.packetsBefore)
	r.expectedBefore, r.packetsBefore = expected, r.packets
	b := rtcp.ReceptionReport{
		SSRC: ssrc, LastSequenceNumber: r.newest, Jitter: uint32(r.jitter),
		TotalLost: uint32(min(max(lost, 0), 1<<23-1)), // pion/rtcp has it unsigned
	}
	if interval > 0 && lostNow > 0 {
		b.FractionLost = uint8(min(lostNow<<8/int64(interval), 255))
	}
	if sr.known {
		b.LastSenderReport = uint32(sr.ntp >> 16)
		b.Delay = uint32(now.Sub(sr.arrived).Seconds() * 65536)
	}
	return b
}

// senderReport is a publisher's last one of a stream.
type senderReport struct {
	ntp       uint64
	timestamp uint32
	arrived   time.Time
	known     bool
}

// clock relates a publisher's clock to the processor's.
type clock struct {
	offset time.Duration // with the shortest way that a report had lately
	known  bool
}

// creep is how fast the offset follows a clock that drifts, for each report.
const creep = time.Millisecond

func (c *clock) report(ntp uint64, now time.Time) {
	offset := now.Sub(timeOf(ntp))
	if !c.known || offset < c.offset || offset > c.offset+5*time.Second {
		c.offset, c.known = offset, true
		return
	}
	c.offset = min(offset, c.offset+creep)
}

// local is a publisher's time on the processor's clock.
func (c *clock) local(ntp uint64) time.Time { return timeOf(ntp).Add(c.offset) }

// ntpEpoch is 1970 in seconds since 1900.
const ntpEpoch = 2208988800

// ntpOf is a time as an NTP timestamp: 32.32 bits of seconds since 1900.
func ntpOf(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

func timeOf(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)-ntpEpoch, int64(ntp&0xffffffff*1e9>>32))
}
