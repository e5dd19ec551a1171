package cache

import (
	"time"
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
	// ring has a place for each sequence number of the window. What is not missing has
	// come, or belongs to the time before the stream began.
	ring []gap
	// Those that are missing are in (oldest-1, newest].
	newest, oldest uint16
	count          int
	begun          bool
	givenUp        int // since the last Due, for leaving the window
}

// gap is a packet that has not come.
type gap struct {
	seen    time.Time // when its gap was
	asked   time.Time
	tries   uint8
	missing bool
}

// The defaults of MissingConfig.
const (
	defaultReorder  = 10 * time.Millisecond
	defaultInterval = 20 * time.Millisecond
	defaultTries    = 10
	defaultGiveUp   = time.Second
)

// NewMissing makes a Missing for a stream of which nothing has come yet.
func NewMissing(cfg MissingConfig) *Missing {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&cfg.Reorder, defaultReorder}, {&cfg.Interval, defaultInterval}, {&cfg.GiveUp, defaultGiveUp}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if cfg.Tries <= 0 {
		cfg.Tries = defaultTries
	}
	cfg.Tries = min(cfg.Tries, 0xff)
	return &Missing{cfg: cfg, ring: make([]gap, ring(cfg.Window))}
}

// Received says that a packet has come. It is called for each packet of the stream, also
// for those that came as retransmissions, with their original numbers (RFC 4588).
func (m *Missing) Received(seq uint16, now time.Time) Arrival {
	if !m.begun {
		m.begun, m.newest, m.oldest = true, seq, seq+1
		m.stats.Received++
		return Next
	}
	ahead := int(int16(seq - m.newest))
	switch {
	case ahead > len(m.ring):
		m.begin(seq)
		return Jump
	case ahead > 0:
		for next := m.newest + 1; next != seq; next++ {
			m.miss(next, now)
		}
		m.slip(seq)
		m.newest = seq
		m.stats.Received++
		return Next
	case ahead <= -len(m.ring):
		if ahead <= -max(2*len(m.ring), past) {
			m.begin(seq)
			return Jump
		}
	case m.at(seq).missing:
		tries := m.at(seq).tries
		m.found(seq)
		m.stats.Received++
		if tries > 0 {
			m.stats.Recovered++
			return Recovered
		}
		m.stats.Late++
		return Late
	}
	m.stats.Repeats++
	return Repeat
}

// begin forgets everything: the stream goes on from seq.
func (m *Missing) begin(seq uint16) {
	clear(m.ring)
	m.givenUp += m.count
	m.stats.GivenUp += uint64(m.count)
	m.count, m.newest, m.oldest = 0, seq, seq+1
	m.stats.Jumps++
	m.stats.Received++
}

func (m *Missing) at(seq uint16) *gap { return &m.ring[int(seq)&(len(m.ring)-1)] }

// miss says that a packet has been overtaken.
func (m *Missing) miss(seq uint16, now time.Time) {
	m.slip(seq)
	if m.count == 0 {
		m.oldest = seq
	}
	*m.at(seq) = gap{seen: now, missing: true}
	m.count++
}

// slip gives up the packet whose place in the ring a new one takes.
func (m *Missing) slip(seq uint16) {
	if g := m.at(seq); g.missing {
		g.missing = false
		m.count--
		m.abandoned()
	}
}

func (m *Missing) found(seq uint16) {
	m.at(seq).missing = false
	m.count--
}

func (m *Missing) abandoned() {
	m.givenUp++
	m.stats.GivenUp++
}

// Due appends to ask the sequence numbers that are to be asked for now, in the stream's
// order, and takes it that they are. rtt is the publisher's round-trip time, 0 when it is
// not known. givenUp is how many packets have been given up since the last call: of a
// video stream a key frame should be asked for then. It is called every few milliseconds
// while Count is not 0.
func (m *Missing) Due(ask []uint16, now time.Time, rtt time.Duration) (asked []uint16, givenUp int) {
	if m.count > 0 {
		ask = m.due(ask, now, max(rtt, m.cfg.Interval))
	}
	givenUp, m.givenUp = m.givenUp, 0
	return ask, givenUp
}

func (m *Missing) due(ask []uint16, now time.Time, interval time.Duration) []uint16 {
	// What has left the window was given up when its place was taken.
	if behind := m.newest - m.oldest; int(behind) >= len(m.ring) {
		m.oldest = m.newest - uint16(len(m.ring)-1)
	}
	first := true
	for seq, left := m.oldest, m.count; left > 0; seq++ {
		g := m.at(seq)
		if !g.missing {
			continue
		}
		left--
		switch {
		case now.Sub(g.seen) >= m.cfg.GiveUp,
			int(g.tries) >= m.cfg.Tries && now.Sub(g.asked) >= interval:
			m.found(seq)
			m.abandoned()
			continue
		case int(g.tries) < m.cfg.Tries && now.Sub(g.seen) >= m.cfg.Reorder &&
			(g.tries == 0 || now.Sub(g.asked) >= interval):
			g.tries++
			g.asked = now
			m.stats.Asked++
			ask = append(ask, seq)
		}
		if first {
			m.oldest, first = seq, false
		}
	}
	return ask
}

// Count returns how many packets are missing that have not been given up.
func (m *Missing) Count() int { return m.count }

// Stats returns what was counted so far.
func (m *Missing) Stats() MissingStats { return m.stats }
