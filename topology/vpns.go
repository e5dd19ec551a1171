package topology

import (
	"net/netip"
)

// vpns checks pools and what is tunnelled against the networks that a tunnel joins.
func (c *checker) vpns() {
	for i := range c.n.VPNs {
		c.pool(i)
		c.tunnelled(i)
	}
}

func (c *checker) pool(i int) {
	v := &c.n.VPNs[i]
	path := place("vpns", i, "pool")
	if !v.Pool.Addr().Is4() {
		c.report(path, "%s is IPv6; wanted an IPv4 pool", v.Pool)
	}
	for j, other := range c.n.VPNs[:i] {
		if v.Pool.Overlaps(other.Pool) {
			c.report(path, "%s overlaps the pool %s of the VPN %q", v.Pool, c.n.VPNs[j].Pool, other.Name)
		}
	}
	for s := range c.n.Sites {
		site := &c.n.Sites[s]
		if !c.joins(v, site.Name) && site.NAT != nil {
			continue // neither side of the tunnel ever sees these addresses
		}
		for _, sub := range site.Subnets {
			for _, p := range sub.Prefixes {
				if v.Pool.Overlaps(p) {
					c.report(path, "%s overlaps %s of the subnet %s/%s", v.Pool, p, site.Name, sub.Name)
				}
			}
		}
	}
	for _, a := range c.edges() {
		if v.Pool.Contains(a) {
			c.report(path, "%s holds %s, the address of an edge", v.Pool, a)
		}
	}
}

// joins says whether a site is at either end of a VPN.
func (c *checker) joins(v *VPN, site string) bool {
	if v.Site == site {
		return true
	}
	for _, h := range c.n.Hosts {
		if h.VPN == v.Name && h.Site == site {
			return true
		}
	}
	return false
}

// tunnelled makes sure that a client can tell its own network from what is behind
// the tunnel.
func (c *checker) tunnelled(i int) {
	v := &c.n.VPNs[i]
	var inside []netip.Prefix // what is behind the tunnel
	for k, name := range v.Tunnelled {
		prefixes, ok := c.resolve(place("vpns", i, "tunnelled", k), name)
		if !ok {
			continue
		}
		inside = append(inside, prefixes...)
		for _, p := range prefixes {
			if p.IsSingleIP() && p.Addr() == v.Concentrator {
				c.report(place("vpns", i, "tunnelled", k), "%s is the concentrator itself; the tunnel cannot carry its own packets", p.Addr())
			}
		}
	}
	for _, sub := range c.n.Site(v.Site).Subnets {
		inside = append(inside, sub.Prefixes...)
	}
	for j := range c.n.Hosts {
		h := &c.n.Hosts[j]
		if h.VPN != v.Name {
			continue
		}
		for _, own := range c.n.Site(h.Site).Subnet(h.Subnet).Prefixes {
			for _, p := range inside {
				// A default route is less specific than any subnet.
				if p.Bits() > 1 && p.Overlaps(own) {
					c.report(place("hosts", j, "vpn"), "%s, behind the VPN %q, overlaps the host's own network %s", p, v.Name, own)
				}
			}
		}
	}
}
