package topology

import (
	"net/netip"
	"slices"

	"github.com/callpath/callpath/topology/document"
)

// Complete validates the network and fills in what was left out: subnets and their
// prefixes, hosts' roles, subnets and addresses, the external addresses of NATs
// and the concentrators of VPNs, addresses in tunnels, and the defaults of
// firewalls. It gives out the next free address of a range that a reader
// recognises, in the network's own order, so that the same network always gets the
// same addresses. What is set stays: a second call changes nothing.
//
// An error is of type document.Errors and holds every finding of the first stage
// that found any; the network may then be filled in partly.
func (n *Network) Complete() error { return n.complete(nil, "") }

// complete places its findings in the document, if there is one.
func (n *Network) complete(d *document.Document, base string) error {
	c := &checker{n: n, d: d, base: base}
	// Each stage relies on what the ones before it have made sure of.
	for _, stage := range []func(){c.words, c.fill, c.addresses, c.routes, c.vpns, c.firewalls} {
		stage()
		if len(c.errs) > 0 {
			return c.errs
		}
	}
	return nil
}

// The ranges from which addresses are given out. The first three are those of RFC
// 5737 for documentation; relays have theirs in the range that Azure Communication
// Services has for media.
var (
	servicesRange = netip.MustParsePrefix("192.0.2.0/24")
	customerRange = netip.MustParsePrefix("198.51.100.0/24") // NATs and concentrators of customer networks
	nomadicRange  = netip.MustParsePrefix("203.0.113.0/24")  // NATs and public subnets of everyone else
	mediaRange    = netip.MustParsePrefix("20.202.0.0/16")
	officeRange   = netip.MustParsePrefix("10.0.0.0/8")
	homeRange     = netip.MustParsePrefix("192.168.0.0/16")
	tunnelRange   = netip.MustParsePrefix("172.16.0.0/12")
)

const (
	// firstHost4 and firstHost6 are the offsets of the first host in a subnet;
	// smaller ones are for routers.
	firstHost4, firstHost6 = 10, 0x10
	// maxSearched bounds the search for a free address.
	maxSearched = 4096
)

// fill fills in what was left out.
func (c *checker) fill() {
	n := c.n
	if n.Name == "" {
		n.Name = "inline"
	}
	for i := range n.Sites {
		if s := &n.Sites[i]; len(s.Subnets) == 0 {
			s.Subnets = []Subnet{{Name: "lan"}}
		}
	}
	for i := range n.Sites {
		c.fillSite(i)
	}
	for i := range n.VPNs {
		c.fillVPN(i)
	}
	for i := range n.Hosts {
		c.fillHost(i)
	}
}

func (c *checker) fillSite(i int) {
	s := &c.n.Sites[i]
	for j := range s.Subnets {
		if sub := &s.Subnets[j]; len(sub.Prefixes) == 0 {
			if p, ok := c.freePrefix(rangeOf(s)); ok {
				sub.Prefixes = []netip.Prefix{p}
			} else {
				c.report(place("sites", i, "subnets", j, "prefixes"), "no prefix is free; name one")
			}
		}
	}
	if s.NAT != nil && len(s.NAT.Addresses) == 0 {
		if a, ok := c.freePublic(s.Kind); ok {
			s.NAT.Addresses = []netip.Addr{a}
		} else {
			c.report(place("sites", i, "nat.addresses"), "no address is free; name one")
		}
	}
	s.Firewall.fill()
}

// rangeOf is where a site's subnets come from, and how long their prefixes are.
func rangeOf(s *Site) (netip.Prefix, int) {
	switch {
	case s.Kind == CommunicationServices:
		return mediaRange, 24
	case s.Kind == CustomerNetwork:
		return officeRange, 24
	case s.NAT != nil:
		return homeRange, 24
	}
	return nomadicRange, 28
}

func (f *Firewall) fill() {
	if f == nil {
		return
	}
	if f.Inbound == "" {
		f.Inbound = Allow
	}
	if f.Outbound == "" {
		f.Outbound = Allow
	}
	for i := range f.Rules {
		if f.Rules[i].Protocol == "" {
			f.Rules[i].Protocol = AnyProtocol
		}
	}
}

func (c *checker) fillVPN(i int) {
	v := &c.n.VPNs[i]
	if !v.Pool.IsValid() {
		p, ok := c.freePrefix(tunnelRange, 24)
		if !ok {
			c.report(place("vpns", i, "pool"), "no prefix is free; name one")
		}
		v.Pool = p
	}
	if !v.Concentrator.IsValid() {
		a, ok := c.freePublic(c.n.Site(v.Site).Kind)
		if !ok {
			c.report(place("vpns", i, "concentrator"), "no address is free; name one")
		}
		v.Concentrator = a
	}
	v.Firewall.fill()
}

func (c *checker) fillHost(i int) {
	h := &c.n.Hosts[i]
	if h.Role == "" {
		h.Role = Client
	}
	site := c.n.Site(h.Site)
	sub := site.Subnet(h.Subnet)
	h.Subnet = sub.Name
	if len(h.Addresses) == 0 {
		taken := c.hostAddresses(h.Site)
		for _, p := range sub.Prefixes {
			if a, ok := freeHost(p, taken); ok {
				h.Addresses = append(h.Addresses, a)
			} else {
				c.report(place("hosts", i), "no address is free in %s of %s/%s", p, site.Name, sub.Name)
			}
		}
	}
	v := c.n.VPN(h.VPN)
	switch {
	case v == nil:
		h.Tunnel = netip.Addr{}
	case !v.Pool.Contains(h.Tunnel):
		var taken []netip.Addr
		for _, other := range c.n.Hosts {
			taken = append(taken, other.Tunnel)
		}
		a, ok := freeHost(v.Pool, taken)
		if !ok {
			c.report(place("hosts", i, "vpn"), "no address is free in the pool %s of %q", v.Pool, v.Name)
		}
		h.Tunnel = a
	}
}

// hostAddresses are those of the hosts of a site.
func (c *checker) hostAddresses(site string) []netip.Addr {
	var all []netip.Addr
	for _, h := range c.n.Hosts {
		if h.Site == site {
			all = append(all, h.Addresses...)
		}
	}
	return all
}

// freeHost is the first address of a subnet that no host has. Small subnets begin
// after the router's own.
func freeHost(p netip.Prefix, taken []netip.Addr) (netip.Addr, bool) {
	offset := firstHost4
	if p.Addr().Is6() {
		offset = firstHost6
	}
	if p.Addr().BitLen()-p.Bits() < 5 {
		offset = 2
	}
	a := p.Masked().Addr()
	for range offset {
		a = a.Next()
	}
	for range maxSearched {
		if !p.Contains(a) || a == broadcast(p) {
			break
		}
		if !slices.Contains(taken, a) {
			return a, true
		}
		a = a.Next()
	}
	return netip.Addr{}, false
}

// Gateway is the address that a subnet's router has in one of its prefixes: the
// first after the prefix itself.
func Gateway(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// broadcast is the last address of an IPv4 prefix; IPv6 has none.
func broadcast(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() {
		return netip.Addr{}
	}
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// prefixes are all that are in use: subnets and pools.
func (c *checker) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range c.n.Sites {
		for _, sub := range s.Subnets {
			all = append(all, sub.Prefixes...)
		}
	}
	for _, v := range c.n.VPNs {
		if v.Pool.IsValid() {
			all = append(all, v.Pool)
		}
	}
	return all
}

// edges are the addresses of NATs and concentrators.
func (c *checker) edges() []netip.Addr {
	var all []netip.Addr
	for _, s := range c.n.Sites {
		if s.NAT != nil {
			all = append(all, s.NAT.Addresses...)
		}
	}
	for _, v := range c.n.VPNs {
		if v.Concentrator.IsValid() {
			all = append(all, v.Concentrator)
		}
	}
	return all
}

// freePrefix is the first prefix of a length in a range that overlaps nothing. A
// range of private addresses begins at its second, for a reader expects 10.1.0.0
// and 192.168.1.0.
func (c *checker) freePrefix(from netip.Prefix, bits int) (netip.Prefix, bool) {
	used, edges := c.prefixes(), c.edges()
	for _, h := range c.n.Hosts {
		edges = append(edges, h.Addresses...)
	}
	p := netip.PrefixFrom(from.Addr(), bits)
	if from.Addr().IsPrivate() {
		p = afterPrefix(p)
	}
	for range maxSearched {
		if !from.Contains(p.Addr()) {
			break
		}
		if !slices.ContainsFunc(used, p.Overlaps) && !slices.ContainsFunc(edges, p.Contains) {
			return p, true
		}
		p = afterPrefix(p)
	}
	return netip.Prefix{}, false
}

// afterPrefix is the next prefix of the same length, of IPv4.
func afterPrefix(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(broadcast(p).Next(), p.Bits())
}

// freePublic is the first public address for an edge of a site of some kind.
func (c *checker) freePublic(kind SiteKind) (netip.Addr, bool) {
	from := nomadicRange
	switch kind {
	case CustomerNetwork:
		from = customerRange
	case CommunicationServices:
		from = servicesRange
	}
	used, edges := c.prefixes(), c.edges()
	for a := from.Addr().Next(); from.Contains(a) && a != broadcast(from); a = a.Next() {
		inside := slices.ContainsFunc(used, func(p netip.Prefix) bool { return p.Contains(a) })
		if !inside && !slices.Contains(edges, a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}
