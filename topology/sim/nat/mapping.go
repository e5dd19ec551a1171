package nat

import (
	"net/netip"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/packet"
)

// Timeouts that the configuration does not set.
const (
	queryTimeout      = 60 * time.Second // RFC 5508, REQ-2
	transitoryTimeout = 4 * time.Minute  // RFC 5382, REQ-5
)

// mapping is an internal endpoint's external one.
type mapping struct {
	key                insideKey
	internal, external netip.AddrPort
	refreshed          time.Time // by an outbound packet (RFC 4787, REQ-6)
	// known is the filter: whom the internal endpoint has sent to, by as much of
	// the endpoint as the filtering behaviour looks at, and when last.
	known map[netip.AddrPort]time.Time
	// connections are TCP's, by remote endpoint; nil for other protocols.
	connections map[netip.AddrPort]*connection
}

// create maps an internal endpoint to a free external one. It returns nil when
// there is none.
func (n *NAT) create(protocol packet.Protocol, internal, remote netip.AddrPort, now time.Time) *mapping {
	pool := n.external(internal.Addr())
	paired := n.pairs[internal.Addr()]
	if paired == nil {
		paired = &pair{external: pool[n.nextPair%len(pool)]}
		n.nextPair++
	}
	external, ok := n.freePort(protocol, paired.external, internal.Port())
	if !ok {
		return nil
	}
	n.pairs[internal.Addr()] = paired
	paired.mappings++
	m := &mapping{
		key:       insideKey{protocol, internal, scope(n.cfg.Mapping, remote)},
		internal:  internal,
		external:  external,
		refreshed: now,
		known:     make(map[netip.AddrPort]time.Time),
	}
	if protocol == packet.TCP {
		m.connections = make(map[netip.AddrPort]*connection)
	}
	n.inside[m.key] = m
	n.outside[outsideKey{protocol, external}] = m
	return m
}

// freePort finds an external port: the internal one if it is to be preserved and
// free, otherwise a random one of the same range, system or not (RFC 4787, REQ-3).
func (n *NAT) freePort(protocol packet.Protocol, external netip.Addr, internal uint16) (netip.AddrPort, bool) {
	free := func(port int) (netip.AddrPort, bool) {
		a := netip.AddrPortFrom(external, uint16(port))
		_, taken := n.outside[outsideKey{protocol, a}]
		return a, !taken
	}
	if n.cfg.PortPreservation && internal != 0 {
		if a, ok := free(int(internal)); ok {
			return a, true
		}
	}
	first, last := 1024, 65535
	if internal < 1024 {
		first, last = 1, 1023
	}
	size := last - first + 1
	start := n.random.IntN(size)
	for i := range size {
		if a, ok := free(first + (start+i)%size); ok {
			return a, true
		}
	}
	return netip.AddrPort{}, false
}

func (m *mapping) timeout(n *NAT) time.Duration {
	if m.key.protocol == packet.UDP {
		return time.Duration(n.cfg.UDPTimeout)
	}
	return queryTimeout
}

// expired says whether nothing keeps the mapping alive: of UDP and queries, no
// outbound packet for its timeout; of TCP, no connection.
func (m *mapping) expired(n *NAT, now time.Time) bool {
	if m.connections == nil {
		return now.Sub(m.refreshed) >= m.timeout(n)
	}
	for remote, c := range m.connections {
		if !c.expired(n, now) {
			return false
		}
		delete(m.connections, remote)
	}
	return true
}

// forget shortens the filter to those whom it still lets through, so that a
// long-lived mapping does not remember everyone.
func (m *mapping) forget(n *NAT, now time.Time) {
	timeout := m.timeout(n)
	if m.connections != nil {
		timeout = max(transitoryTimeout, time.Duration(n.cfg.TCPTimeout))
	}
	for remote, last := range m.known {
		if now.Sub(last) >= timeout {
			delete(m.known, remote)
		}
	}
}

// outbound notes a packet from inside. It returns false when TCP's state does not
// allow it.
func (m *mapping) outbound(n *NAT, p *packet.Packet, remote netip.AddrPort, now time.Time) bool {
	if m.connections != nil && !m.segment(n, p, remote, true, now) {
		return false
	}
	m.refreshed = now
	m.known[scope(n.cfg.Filtering, remote)] = now
	return true
}

// inbound judges a packet from outside.
func (m *mapping) inbound(n *NAT, p *packet.Packet, remote netip.AddrPort, now time.Time) Verdict {
	if !m.admits(n, remote, now) {
		return Filtered
	}
	if m.connections != nil && !m.segment(n, p, remote, false, now) {
		return NoSession
	}
	return Pass
}

// admits is the filter. For TCP a connection keeps its sender known.
func (m *mapping) admits(n *NAT, remote netip.AddrPort, now time.Time) bool {
	if c := m.connections[remote]; c != nil && !c.expired(n, now) {
		return true
	}
	key := scope(n.cfg.Filtering, remote)
	last, ok := m.known[key]
	if !ok {
		return n.cfg.Filtering == topology.EndpointIndependent
	}
	if m.connections == nil && now.Sub(last) >= m.timeout(n) && n.cfg.Filtering != topology.EndpointIndependent {
		delete(m.known, key)
		return false
	}
	return true
}
