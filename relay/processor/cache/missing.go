package cache

import (
	"time"

	"github.com/pion/rtcp"
)

// Arrival is what a received packet was to its stream.
type Arrival uint8

const (
	// Next: newer than all before, or the first.
	Next Arrival = iota
	// Late: older than others that came, and nobody had asked for it.
	Late
	// Recovered: it was asked for.
	Recovered
	// Repeat: it was here before, or is so old that nobody knows or needs it.
	Repeat
	// Jump: so far from the others that the stream has begun anew; nothing before it is
	// missing any more.
	Jump
)

var arrivals = [...]string{Next: "next", Late: "late", Recovered: "recovered", Repeat: "repeat", Jump: "jump"}

func (a Arrival) String() string {
	if int(a) < len(arrivals) {
		return arrivals[a]
	}
	return "invalid"
}

// MissingConfig says when to ask for what has not come. A field that is 0 has its default.
type MissingConfig struct {
	// Window is how many packets behind the newest one a packet is still asked for; 512
	// by default, rounded up to a power of two, 16384 at most. A larger gap is a Jump.
	Window int
	// Reorder is how long a packet may be overtaken by others before it counts as
	// missing; 10 ms by default.
	Reorder time.Duration
	// Interval is the shortest time between two requests for one packet, where the
	// round-trip time is shorter or not known yet; 20 ms by default.
	Interval time.Duration
	// Tries is how often one packet is asked for; 10 by default, 255 at most.
	Tries int
	// GiveUp is how long after its gap was seen a packet is of no use any more; 1 s by
	// default.
	GiveUp time.Duration
}

// MissingStats count what came and what did not.
type MissingStats struct {
	Received  uint64 // packets, without repeats
	Repeats   uint64
	Asked     uint64 // requests: a packet that is asked for twice counts twice
	Recovered uint64 // came after they were asked for
	Late      uint64 // came by themselves, out of order
	GivenUp   uint64
	Jumps     uint64
}

// Missing finds out which packets of a received stream have not come, over reordering and
// rollovers of the sequence number.
type Missing struct {
	cfg   MissingConfig
	stats MissingStats
}

// NewMissing makes a Missing for a stream of which nothing has come yet.
func NewMissing(cfg MissingConfig) *Missing { return &Missing{cfg: cfg} }

// Received says that a packet has come. It is called for each packet of the stream, also
// for those that came as retransmissions, with their original numbers (RFC 4588).
func (m *Missing) Received(seq uint16, now time.Time) Arrival { return Next }

// Due appends to ask the sequence numbers that are to be asked for now, in the stream's
// order, and takes it that they are. rtt is the publisher's round-trip time, 0 when it is
// not known. givenUp is how many packets have been given up since the last call: of a
// video stream a key frame should be asked for then. It is called every few milliseconds
// while Count is not 0.
func (m *Missing) Due(ask []uint16, now time.Time, rtt time.Duration) (asked []uint16, givenUp int) {
	return ask, 0
}

// Count returns how many packets are missing that have not been given up.
func (m *Missing) Count() int { return 0 }

// Stats returns what was counted so far.
func (m *Missing) Stats() MissingStats { return m.stats }

// AppendPairs appends the packet ids and bit masks of a NACK (RFC 4585, section 6.2.1) for
// sequence numbers in their stream's order.
func AppendPairs(pairs []rtcp.NackPair, seqs []uint16) []rtcp.NackPair {
	for _, seq := range seqs {
		if n := len(pairs); n > 0 {
			if by := seq - pairs[n-1].PacketID; by >= 1 && by <= 16 {
				pairs[n-1].LostPackets |= 1 << (by - 1)
				continue
			}
		}
		pairs = append(pairs, rtcp.NackPair{PacketID: seq})
	}
	return pairs
}
