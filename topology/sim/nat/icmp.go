package nat

import (
	"net/netip"
	"time"

	"github.com/callpath/callpath/topology/sim/packet"
)

// errorInbound translates an ICMP error from outside to the host that sent what
// the error is about (RFC 5508, REQ-4): the packet inside it had the external
// endpoint as its source.
func (n *NAT) errorInbound(p *packet.Packet, now time.Time) Verdict {
	about, ok := p.Embedded()
	if !ok || !translatable(&about) || about.SourceAddr() != p.DestinationAddr() {
		return Untranslatable
	}
	m := n.outside[outsideKey{about.Protocol(), about.Source()}]
	if m == nil || m.expired(n, now) {
		return NoMapping
	}
	// The error may come from any router on the way, but it must be about
	// something that was sent.
	if !m.admits(n, about.Destination(), now) {
		return Filtered
	}
	p.RewriteEmbedded(m.internal, netip.AddrPort{})
	p.SetDestination(m.internal)
	return Pass
}

// errorOutbound translates an ICMP error from inside (RFC 5508, REQ-5): the packet
// in it came from outside and shows the internal endpoint as its destination.
func (n *NAT) errorOutbound(p *packet.Packet, now time.Time) Verdict {
	about, ok := p.Embedded()
	if !ok || !translatable(&about) || about.SourceAddr() != p.DestinationAddr() {
		return Untranslatable
	}
	m := n.lookup(about.Protocol(), about.Destination(), about.Source(), now)
	if m == nil {
		return NoMapping
	}
	p.RewriteEmbedded(netip.AddrPort{}, m.external)
	// A router inside has no mapping of its own; like the host, it speaks for the
	// external address.
	p.SetSource(m.external)
	return n.turn(p.DestinationAddr())
}
