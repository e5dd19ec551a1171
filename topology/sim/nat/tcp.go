package nat

import (
	"net/netip"
	"time"

	"github.com/callpath/callpath/topology/sim/packet"
)

// state is that of a TCP connection as seen from the middle (RFC 6146, section
// 3.5.2, with inside and outside for IPv6 and IPv4).
type state uint8

const (
	closed      state = iota
	insideInit        // a SYN has come from inside
	outsideInit       // a SYN has come from outside
	established       // SYNs have come from both sides
	insideFin         // a FIN has come from inside
	outsideFin        // a FIN has come from outside
	bothFin           // FINs have come from both sides
	transitory        // a reset has come; the connection may live on all the same
	states
)

type event uint8

const (
	insideSYN event = iota
	outsideSYN
	insideFIN
	outsideFIN
	reset
	other // a segment without SYN, FIN and RST
	events
)

// transitions is the state machine. What it does not list leaves the state as it
// is. A SYN in a closing state begins anew, since a host may use its port again.
var transitions = [states][events]state{
	closed:      {insideSYN: insideInit, outsideSYN: outsideInit},
	insideInit:  {outsideSYN: established, reset: transitory},
	outsideInit: {insideSYN: established, reset: transitory},
	established: {insideFIN: insideFin, outsideFIN: outsideFin, reset: transitory},
	insideFin:   {outsideFIN: bothFin, reset: transitory},
	outsideFin:  {insideFIN: bothFin, reset: transitory},
	bothFin:     {insideSYN: insideInit, outsideSYN: outsideInit},
	transitory:  {insideSYN: insideInit, outsideSYN: outsideInit, other: established},
}

// connection is one TCP connection of a mapping.
type connection struct {
	state state
	seen  time.Time // when the latest segment passed
}

func (c *connection) expired(n *NAT, now time.Time) bool {
	timeout := transitoryTimeout
	switch c.state {
	case established, insideFin, outsideFin:
		timeout = time.Duration(n.cfg.TCPTimeout)
	}
	return now.Sub(c.seen) >= timeout
}

func classify(flags packet.Flags, fromInside bool) event {
	pick := func(inside, outside event) event {
		if fromInside {
			return inside
		}
		return outside
	}
	switch {
	case flags&packet.RST != 0:
		return reset
	case flags&packet.SYN != 0:
		return pick(insideSYN, outsideSYN)
	case flags&packet.FIN != 0:
		return pick(insideFIN, outsideFIN)
	}
	return other
}

// segment takes a segment through the state machine. It returns false when there
// is no connection that it belongs to and it begins none; an unsolicited SYN that
// the filter lets through begins one (RFC 5382, REQ-3).
func (m *mapping) segment(n *NAT, p *packet.Packet, remote netip.AddrPort, fromInside bool, now time.Time) bool {
	e := classify(p.TCPFlags(), fromInside)
	c := m.connections[remote]
	if c == nil || c.expired(n, now) {
		next := transitions[closed][e]
		if next == closed || p.TCPFlags()&packet.ACK != 0 {
			return false
		}
		m.connections[remote] = &connection{state: next, seen: now}
		return true
	}
	if next := transitions[c.state][e]; next != closed {
		c.state = next
	}
	c.seen = now
	return true
}
