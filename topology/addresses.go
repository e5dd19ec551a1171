package topology

import (
	"net/netip"
	"slices"
	"strings"
)

// owned is a prefix and whose it is.
type owned struct {
	prefix netip.Prefix
	path   string // in the document
	what   string // in words
	site   int    // index; -1 for none
	// global prefixes are routed between the sites, untranslated.
	global bool
}

// addresses checks prefixes and addresses, when every one is filled in.
func (c *checker) addresses() {
	var all []owned
	for i := range c.n.Sites {
		all = append(all, c.subnets(i)...)
	}
	c.overlaps(all)
	c.edgeAddresses(all)
	for i := range c.n.Hosts {
		c.hostIn(i)
	}
}

// subnets checks the prefixes of a site's subnets and returns them.
func (c *checker) subnets(i int) []owned {
	s := &c.n.Sites[i]
	var all []owned
	for j, sub := range s.Subnets {
		families := map[bool]bool{}
		for k, p := range sub.Prefixes {
			path := place("sites", i, "subnets", j, "prefixes", k)
			if families[p.Addr().Is4()] {
				c.report(path, "%s is the second prefix of its family in the subnet; wanted at most one of IPv4 and one of IPv6", p)
			}
			families[p.Addr().Is4()] = true
			if p.Addr().Is6() && sub.Link.MTU != 0 && sub.Link.MTU < minMTU6 {
				c.report(place("sites", i, "subnets", j, "link.mtu"), "%d bytes carry no IPv6; wanted %d or more (RFC 8200, section 5)", sub.Link.MTU, minMTU6)
			}
			if s.Kind == CommunicationServices && !public(p.Addr()) {
				c.report(path, "%s is not public; the provider's hosts must be reachable from the internet, for example in %s", p, mediaRange)
			}
			all = append(all, owned{prefix: p, path: path, what: "the subnet " + s.Name + "/" + sub.Name, site: i,
				global: s.NAT == nil || p.Addr().Is6()})
		}
	}
	return all
}

// prefix checks a subnet's or pool's prefix by itself.
func (c *checker) prefix(path string, p netip.Prefix) {
	least, most := 8, 30
	if p.Addr().Is6() {
		least, most = 32, 126
	}
	switch {
	case p.Masked() != p:
		c.report(path, "%s has bits set after its length; wanted %s", p, p.Masked())
	case p.Bits() < least || p.Bits() > most:
		c.report(path, "the length of %s is out of range; wanted /%d to /%d", p, least, most)
	case !p.Addr().IsGlobalUnicast() || p.Addr().Is4In6():
		c.report(path, "%s is not for hosts; wanted unicast addresses that are not loopback or link-local", p)
	}
}

var sharedRange = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// public says whether an address can be reached from anywhere on the internet.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedRange.Contains(a)
}

// overlaps refuses prefixes that make routing ambiguous. Two networks that are both
// behind NATs may use the same addresses, as homes do; a VPN between them is
// checked with the VPN.
func (c *checker) overlaps(all []owned) {
	for i, a := range all {
		for _, b := range all[:i] {
			if a.prefix.Overlaps(b.prefix) && (a.site == b.site || a.global || b.global) {
				c.report(a.path, "%s overlaps %s of %s", a.prefix, b.prefix, b.what)
			}
		}
	}
}

// edgeAddresses checks the addresses of NATs and concentrators.
func (c *checker) edgeAddresses(subnets []owned) {
	taken := map[netip.Addr]string{}
	check := func(path string, a netip.Addr, what string, site int) {
		if !a.Is4() || !public(a) {
			c.report(path, "%s is not a public IPv4 address, such as one of %s", a, customerRange)
			return
		}
		if other := taken[a]; other != "" {
			c.report(path, "%s is taken by %s", a, other)
		}
		taken[a] = what
		for _, o := range subnets {
			if o.prefix.Contains(a) && (o.global || o.site == site) {
				c.report(path, "%s is inside %s of %s; the edge needs an address of its own", a, o.prefix, o.what)
			}
		}
	}
	for i, s := range c.n.Sites {
		if s.NAT == nil {
			continue
		}
		for k, a := range s.NAT.Addresses {
			check(place("sites", i, "nat.addresses", k), a, "the NAT of "+s.Name, i)
		}
	}
	for i, v := range c.n.VPNs {
		site := slices.IndexFunc(c.n.Sites, func(s Site) bool { return s.Name == v.Site })
		check(place("vpns", i, "concentrator"), v.Concentrator, "the concentrator of "+v.Name, site)
	}
}

// hostIn checks the addresses of a host against its subnet and the site's others.
func (c *checker) hostIn(i int) {
	h := &c.n.Hosts[i]
	sub := c.n.Site(h.Site).Subnet(h.Subnet)
	for k, a := range h.Addresses {
		path := place("hosts", i, "addresses", k)
		in := slices.IndexFunc(sub.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
		if in < 0 {
			c.report(path, "%s is not in %s/%s, which is %s", a, h.Site, sub.Name, joinPrefixes(sub.Prefixes))
			continue
		}
		switch p := sub.Prefixes[in]; a {
		case p.Addr(), broadcast(p):
			c.report(path, "%s is the network's own or its broadcast address in %s", a, p)
		case Gateway(p):
			c.report(path, "%s is the router's address in %s", a, p)
		}
		for j, other := range c.n.Hosts[:i+1] {
			same := slices.Index(other.Addresses, a)
			if other.Site == h.Site && same >= 0 && (j < i || same < k) {
				c.report(path, "%s is taken by the host %q", a, other.Name)
			}
		}
	}
}

func joinPrefixes(list []netip.Prefix) string {
	text := make([]string, len(list))
	for i, p := range list {
		text[i] = p.String()
	}
	return strings.Join(text, " and ")
}
