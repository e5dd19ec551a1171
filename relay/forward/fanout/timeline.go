package fanout

import "github.com/callpath/callpath/relay/forward/srtp"

// Timeline turns the sequence numbers and timestamps of what a receiver gets, which is
// now from one source and now from another, with parts left out, into those of one
// stream. The zero value begins with sequence number 1 and timestamp 0.
//
// It has one pair of offsets, which is for the packets since the last change. Packets
// from before it that come late are withheld: their numbers were given to others.
type Timeline struct {
	muted bool
	// next says what the next packet is; elapsed is for a switch.
	next    place
	elapsed uint32
	// The offsets from source to receiver.
	seqBy  uint16
	timeBy uint32
	// from is the sequence number, at the source, from which on the offsets are good,
	// and heard the newest that has come, muted or not.
	from, heard uint16
	// The newest that the receiver got.
	seq       uint16
	timestamp uint32
}

// place is where in the stream a packet is.
type place uint8

const (
	first   place = iota // at its beginning
	within               // after others, with the same offsets
	resumed              // after a mute
	changed              // after a change of source
)

// reach is how far behind the newest packet from may fall before it follows. Numbers are
// compared over half their range, so that a from that stood still would become new
// again. No packet comes later than an Opener's window allows.
const reach = srtp.Window

// NewTimeline makes a Timeline whose first packet has these numbers. A sequence number
// below 2^15 spares those who miss the first packets a wrong guess of the rollover
// counter (RFC 3711 section 3.3.1).
func NewTimeline(seq uint16, timestamp uint32) Timeline {
	return Timeline{seq: seq - 1, timestamp: timestamp}
}

// Mute withholds all packets until Unmute.
func (t *Timeline) Mute() { t.muted = true }

// Unmute lets packets through again. Sequence numbers go on where they stopped, since
// nothing was lost; timestamps go on as they are at the source, since time has passed.
func (t *Timeline) Unmute() {
	t.muted = false
	if t.next == within {
		t.next = resumed
	}
}

// Muted says whether packets are withheld.
func (t *Timeline) Muted() bool { return t.muted }

// Switch says that the packets to come are another source's. elapsed is the time since
// the last packet that the receiver got, in ticks of the stream's clock.
func (t *Timeline) Switch(elapsed uint32) {
	if t.next != first {
		t.next, t.elapsed = changed, elapsed
	}
}

// Map returns the numbers of a packet for the receiver. ok is false when the packet is
// not for it.
func (t *Timeline) Map(seq uint16, timestamp uint32) (outSeq uint16, outTimestamp uint32, ok bool) {
	ahead := int16(seq-t.heard) > 0
	if ahead || t.next == first || t.next == changed {
		t.heard = seq
	}
	switch {
	case t.muted, t.next == resumed && !ahead: // or late, from the mute
		return 0, 0, false
	case t.next != within:
		t.begin(seq, timestamp)
	}
	since := int16(seq - t.from)
	if since < 0 {
		return 0, 0, false
	}
	if since > reach {
		t.from = seq - reach
	}
	outSeq, outTimestamp = seq+t.seqBy, timestamp+t.timeBy
	if int16(outSeq-t.seq) > 0 {
		t.seq = outSeq
	}
	if int32(outTimestamp-t.timestamp) > 0 {
		t.timestamp = outTimestamp
	}
	return outSeq, outTimestamp, true
}

// Time returns what a timestamp of the current source is at the receiver, as sender reports
// (RFC 3550, section 6.4.1) need it. ok is false before the first packet, and from a
// switch to the first packet after it.
func (t *Timeline) Time(timestamp uint32) (out uint32, ok bool) {
	if t.next == first || t.next == changed {
		return 0, false
	}
	return timestamp + t.timeBy, true
}

// begin sets the offsets so that a packet is the next one of the stream.
func (t *Timeline) begin(seq uint16, timestamp uint32) {
	t.from, t.seqBy = seq, t.seq+1-seq
	switch t.next {
	case first:
		t.timeBy = t.timestamp - timestamp
	case changed:
		t.timeBy = t.timestamp + t.elapsed - timestamp
	}
	t.next = within
}
