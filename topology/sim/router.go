package sim

import (
	"net/netip"
	"slices"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/link"
	"github.com/callpath/callpath/topology/sim/packet"
)

// exit is where a route leads: a subnet, another router, a tunnel or the internet.
type exit interface {
	// carry takes a packet over that a router has aged and recorded.
	carry(at *router, f *frame)
}

// route sends a prefix to an exit.
type route struct {
	prefix netip.Prefix
	to     exit
	// hop is what the packet's way shows of the router when it takes this route: an
	// edge is a HopRouter between two subnets, and a HopEdge otherwise.
	hop topology.Hop
}

// table is a routing table, longest prefix first. It does not change once built.
type table []route

func newTable(routes []route) table {
	t := slices.Clone(routes)
	slices.SortStableFunc(t, func(a, b route) int { return b.prefix.Bits() - a.prefix.Bits() })
	return t
}

// lookup finds the longest prefix that has the address, or nil.
func (t table) lookup(a netip.Addr) *route {
	for i := range t {
		if t[i].prefix.Contains(a) {
			return &t[i]
		}
	}
	return nil
}

// router forwards packets inside a site. An edge has one for its inner side.
type router struct {
	net    *Internet
	hop    topology.Hop
	v4, v6 netip.Addr // from which it sends ICMP errors; zero when it has none
	table  table
}

// receive forwards a packet from a subnet or another router.
func (r *router) receive(f *frame) {
	if !f.p.Age() {
		r.answer(f, packet.TimeExceeded, 0)
		r.net.drop(f, r.hop, WhyTTL, "")
		return
	}
	to := r.table.lookup(f.p.DestinationAddr())
	if to == nil {
		r.answer(f, packet.NoRoute, 0)
		r.net.drop(f, r.hop, WhyNoRoute, "")
		return
	}
	f.at(to.hop)
	to.to.carry(r, f)
}

// carry makes a router another router's exit.
func (r *router) carry(_ *router, f *frame) { r.receive(f) }

// originate sends a packet of the router's own.
func (r *router) originate(f *frame) {
	to := r.table.lookup(f.p.DestinationAddr())
	if to == nil {
		r.net.drop(f, r.hop, WhyNoRoute, "")
		return
	}
	to.to.carry(r, f)
}

// answer sends an ICMP error about a packet to its source. The packet itself stays
// as it is.
func (r *router) answer(f *frame, reason packet.Reason, mtu int) {
	from := r.v4
	if f.p.Version() == 6 {
		from = r.v6
	}
	if from.IsValid() {
		r.reply(f.p.Error(reason, from, mtu))
	}
}

// reply sends data, unless it is nil, as a packet of the router's own. It goes by
// way of a schedule: the packet that it answers may still be on its sender's
// stack, whose locks the answer would meet.
func (r *router) reply(data []byte) {
	if data == nil {
		return
	}
	p, err := packet.Parse(data)
	if err != nil {
		r.net.log.Error("router's own packet is malformed", "router", r.hop.Name, "error", err)
		return
	}
	f := newFrame(p, r.hop.Name, r.hop)
	f.own = true
	r.net.later(f, r.originate)
}

// subnet is a segment with the hosts on it, and the router that serves it.
type subnet struct {
	net      *Internet
	name     string
	prefixes []netip.Prefix
	router   *router
	hosts    hostTable
}

func (s *subnet) contains(a netip.Addr) bool {
	return slices.ContainsFunc(s.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// fromHost takes a packet that a host of the subnet has sent: to a neighbour
// without a router, or to the router.
func (s *subnet) fromHost(f *frame) {
	if !s.contains(f.p.DestinationAddr()) {
		s.router.receive(f)
		return
	}
	s.carry(s.router, f)
}

// carry sends a packet down to the host that it is for.
func (s *subnet) carry(at *router, f *frame) {
	to := s.hosts.get(f.p.DestinationAddr())
	if to == nil {
		at.answer(f, packet.HostUnreachable, 0)
		s.net.drop(f, at.hop, WhyNoHost, "")
		return
	}
	if mtu := to.down.link.MTU(); tooBig(f, mtu) {
		at.answer(f, packet.TooBig, mtu)
		s.net.drop(f, at.hop, WhyTooBig, "")
		return
	}
	to.down.transmit(f)
}

// The core is the internet between the sites: one router that knows them all. Its
// own addresses are IPv4's dummy address for routers (RFC 7600), and one from the
// documentation prefix that no site should use.
var (
	coreHop   = topology.Hop{Kind: topology.HopInternet, Name: "internet"}
	coreAddr4 = netip.AddrFrom4([4]byte{192, 0, 0, 8})
	coreAddr6 = netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
)

// mtuOf is a link's MTU with its default.
func mtuOf(l topology.Link) int {
	if l.MTU == 0 {
		return link.DefaultMTU
	}
	return l.MTU
}
