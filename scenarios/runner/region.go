package runner

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/callpath/callpath/topology"
)

// regionOf is the region of a site; a site without one is a region of its own.
func regionOf(n *topology.Network, site string) string {
	if s := n.Site(site); s != nil {
		return cmp.Or(s.Region, s.Name)
	}
	return site
}

// clientRegion says where a client is, by the address from which its packets come:
// that of its site's NAT, or its own. It is empty where the network does not say.
func clientRegion(n *topology.Network, client netip.Addr) string {
	for _, s := range n.Sites {
		if s.NAT != nil && slices.Contains(s.NAT.Addresses, client) {
			return s.Region
		}
		for _, sub := range s.Subnets {
			if slices.ContainsFunc(sub.Prefixes, func(p netip.Prefix) bool { return p.Contains(client) }) {
				return s.Region
			}
		}
	}
	return ""
}
