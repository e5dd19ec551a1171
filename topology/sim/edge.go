package sim

import (
	"net/netip"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/firewall"
	"github.com/callpath/callpath/topology/sim/nat"
	"github.com/callpath/callpath/topology/sim/packet"
)

// edge is a site's edge. From inside to the internet a packet meets the inner
// router, the firewall, the NAT and the uplink; inwards the same in reverse. TCP
// connections are kept to segments that fit the uplink (packet.ClampMSS). The
// VPN concentrators stand beside NAT and firewall, with public addresses of their
// own: a tunnel's outer packets pass neither when they come from the internet.
type edge struct {
	net      *Internet
	hop      topology.Hop // HopEdge
	router   *router      // the inner side
	firewall *firewall.Firewall
	nat      *nat.NAT // nil when the site's addresses are global
	up, down *pipe
	// fragments are put together before firewall and NAT, which look at ports.
	outgoing, incoming packet.Reassembler
	concentrators      map[netip.Addr]*concentrator
}

// uplink is the edge as the exit of its inner router to the internet.
type uplink struct{ *edge }

// carry takes a packet from inside to the internet.
func (e uplink) carry(_ *router, f *frame) { e.outbound(f) }

// downlink is the edge as an exit of the internet's core.
type downlink struct{ *edge }

// carry takes a packet from the core to the edge.
func (e downlink) carry(core *router, f *frame) {
	if mtu := e.down.link.MTU(); tooBig(f, mtu) {
		core.answer(f, packet.TooBig, mtu)
		e.net.drop(f, core.hop, WhyTooBig, "")
		return
	}
	e.down.transmit(f)
}

func (e *edge) outbound(f *frame) {
	if !assemble(e.net, &e.outgoing, f) {
		return
	}
	if f.own {
		f.own = false // to others it is a packet like any other
	} else if !e.judge(topology.Outbound, f) {
		return
	}
	if c := e.concentrators[f.p.DestinationAddr()]; c != nil {
		c.take(f) // from inside, a tunnel needs no NAT
		return
	}
	mtu := e.up.link.MTU()
	f.p.ClampMSS(mtu)
	// Before the NAT, so that the error shows the sender its own packet.
	if tooBig(f, mtu) {
		e.router.answer(f, packet.TooBig, mtu)
		e.net.drop(f, e.hop, WhyTooBig, "")
		return
	}
	if e.nat != nil {
		switch v := e.nat.Outbound(&f.p); v {
		case nat.Pass:
		case nat.Hairpin:
			e.enter(f)
			return
		default:
			e.net.drop(f, e.hop, v.String(), "")
			return
		}
	}
	e.up.transmit(f)
}

// inbound takes a packet from the internet.
func (e *edge) inbound(f *frame) {
	f.at(e.hop)
	f.own = false
	if c := e.concentrators[f.p.DestinationAddr()]; c != nil {
		c.take(f)
		return
	}
	if !assemble(e.net, &e.incoming, f) {
		return
	}
	f.p.ClampMSS(e.up.link.MTU())
	e.enter(f)
}

// enter takes a packet, from the internet or hairpinned, into the site.
func (e *edge) enter(f *frame) {
	if e.nat != nil {
		if v := e.nat.Inbound(&f.p); v != nat.Pass {
			e.net.drop(f, e.hop, v.String(), "")
			return
		}
	}
	if e.judge(topology.Inbound, f) {
		e.inside(f)
	}
}

// inside routes a packet that the edge has let in.
func (e *edge) inside(f *frame) {
	if !f.p.Age() {
		e.router.answer(f, packet.TimeExceeded, 0)
		e.net.drop(f, e.hop, WhyTTL, "")
		return
	}
	to := e.router.table.lookup(f.p.DestinationAddr())
	if to == nil || to.to == exit(uplink{e}) {
		// The internet believes that the address is here; sending the packet back
		// would only make a loop.
		e.router.answer(f, packet.NoRoute, 0)
		e.net.drop(f, e.hop, WhyNoRoute, "")
		return
	}
	to.to.carry(e.router, f)
}

// judge asks the perimeter firewall. It ends the packet when it may not pass.
func (e *edge) judge(direction topology.Direction, f *frame) bool {
	return judge(e.router, e.firewall, e.hop, direction, f)
}

// judge asks a firewall that stands at a router, and answers what it rejects.
func judge(r *router, fw *firewall.Firewall, where topology.Hop, direction topology.Direction, f *frame) bool {
	v := fw.Check(direction, &f.p)
	switch v.Action {
	case topology.Allow:
		return true
	case topology.Reject:
		if f.p.Protocol() == packet.TCP {
			r.reply(f.p.Reset())
		} else {
			r.answer(f, packet.AdminProhibited, 0)
		}
		r.net.drop(f, where, WhyRejected, v.Rule)
	default:
		r.net.drop(f, where, WhyDenied, v.Rule)
	}
	return false
}

// assemble says whether the frame is a whole packet, or has become one with earlier
// fragments. Otherwise the fragment is kept, and its frame is done with.
func assemble(i *Internet, r *packet.Reassembler, f *frame) bool {
	if !f.p.IsFragment() {
		return true
	}
	w, done := r.Add(f.p, i.now())
	if !done {
		f.free()
		return false
	}
	p, err := packet.Parse(w.Data)
	if err != nil {
		i.drop(f, f.way[len(f.way)-1], WhyMalformed, "")
		return false
	}
	f.p, f.split, f.id = p, w.Largest, w.ID
	// Which fragment came last is chance; the first knows the ports.
	f.sentFrom = withPort(f.sentFrom, p.Source())
	f.sentTo = withPort(f.sentTo, p.Destination())
	return true
}

// withPort gives an endpoint that has no port the one of another.
func withPort(a, b netip.AddrPort) netip.AddrPort {
	if a.Port() != 0 {
		return a
	}
	return netip.AddrPortFrom(a.Addr(), b.Port())
}
