package topology

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/callpath/callpath/topology/document"
)

// Host returns the host of a name, nil when there is none.
func (n *Network) Host(name string) *Host {
	for i := range n.Hosts {
		if n.Hosts[i].Name == name {
			return &n.Hosts[i]
		}
	}
	return nil
}

// Site returns the site of a name, nil when there is none.
func (n *Network) Site(name string) *Site {
	for i := range n.Sites {
		if n.Sites[i].Name == name {
			return &n.Sites[i]
		}
	}
	return nil
}

// VPN returns the VPN of a name, nil when there is none.
func (n *Network) VPN(name string) *VPN {
	for i := range n.VPNs {
		if n.VPNs[i].Name == name {
			return &n.VPNs[i]
		}
	}
	return nil
}

// HostsWith returns the hosts of a role, in the network's order.
func (n *Network) HostsWith(role Role) []*Host {
	var found []*Host
	for i := range n.Hosts {
		if h := &n.Hosts[i]; h.Role == role || (h.Role == "" && role == Client) {
			found = append(found, h)
		}
	}
	return found
}

// Subnet returns the subnet of a name, nil when there is none. The empty name is
// the first.
func (s *Site) Subnet(name string) *Subnet {
	for i := range s.Subnets {
		if s.Subnets[i].Name == name || name == "" {
			return &s.Subnets[i]
		}
	}
	return nil
}

// Router returns the router of a name, nil when there is none; the edge is none.
func (s *Site) Router(name string) *Router {
	for i := range s.Routers {
		if s.Routers[i].Name == name {
			return &s.Routers[i]
		}
	}
	return nil
}

// Prefixes resolves a name as it stands in Rule.From, Rule.To and VPN.Tunnelled: a
// site is the prefixes of its subnets, without its NAT's external addresses (media
// to those must not be drawn into a tunnel to that site); a host is its addresses,
// with the one that it has in a VPN; "site/subnet", an address or a prefix are
// themselves. The error is a *document.Error with the names that are valid.
func (n *Network) Prefixes(name string) ([]netip.Prefix, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Prefix{single(a)}, nil
	}
	if p, err := netip.ParsePrefix(name); err == nil {
		return []netip.Prefix{p.Masked()}, nil
	}
	if siteName, subnetName, ok := strings.Cut(name, "/"); ok {
		if s := n.Site(siteName); s != nil && subnetName != "" && s.Subnet(subnetName) != nil {
			return slices.Clone(s.Subnet(subnetName).Prefixes), nil
		}
	}
	if s := n.Site(name); s != nil {
		var all []netip.Prefix
		for _, sub := range s.Subnets {
			all = append(all, sub.Prefixes...)
		}
		return all, nil
	}
	if h := n.Host(name); h != nil {
		var all []netip.Prefix
		for _, a := range h.Addresses {
			all = append(all, single(a))
		}
		if h.Tunnel.IsValid() {
			all = append(all, single(h.Tunnel))
		}
		return all, nil
	}
	var anywhere *document.Document
	return nil, anywhere.Error("", fmt.Sprintf("%q is no site, host, subnet, address or prefix", name), n.places()...)
}

// single is the prefix of one address.
func single(a netip.Addr) netip.Prefix {
	a = a.WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// places are the names that Prefixes knows.
func (n *Network) places() []string {
	names := make(map[string]bool)
	for _, s := range n.Sites {
		names[s.Name] = true
		for _, sub := range s.Subnets {
			names[s.Name+"/"+sub.Name] = true
		}
	}
	for _, h := range n.Hosts {
		names[h.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Clone returns a deep copy.
func (n *Network) Clone() *Network {
	c := *n
	c.Sites = slices.Clone(n.Sites)
	for i := range c.Sites {
		s := &c.Sites[i]
		s.Subnets = slices.Clone(s.Subnets)
		for j := range s.Subnets {
			s.Subnets[j].Prefixes = slices.Clone(s.Subnets[j].Prefixes)
		}
		s.Routers = slices.Clone(s.Routers)
		for j := range s.Routers {
			s.Routers[j].Routes = slices.Clone(s.Routers[j].Routes)
		}
		s.Routes = slices.Clone(s.Routes)
		s.NAT = s.NAT.Clone()
		s.Firewall = s.Firewall.Clone()
	}
	c.VPNs = slices.Clone(n.VPNs)
	for i := range c.VPNs {
		c.VPNs[i].Tunnelled = slices.Clone(c.VPNs[i].Tunnelled)
		c.VPNs[i].Firewall = c.VPNs[i].Firewall.Clone()
	}
	c.Hosts = slices.Clone(n.Hosts)
	for i := range c.Hosts {
		c.Hosts[i].Addresses = slices.Clone(c.Hosts[i].Addresses)
		c.Hosts[i].Names = slices.Clone(c.Hosts[i].Names)
	}
	return &c
}

// Clone returns a deep copy; that of nil is nil.
func (n *NAT) Clone() *NAT {
	if n == nil {
		return nil
	}
	c := *n
	c.Addresses = slices.Clone(n.Addresses)
	return &c
}

// Clone returns a deep copy; that of nil is nil.
func (f *Firewall) Clone() *Firewall {
	if f == nil {
		return nil
	}
	c := *f
	c.Rules = slices.Clone(f.Rules)
	for i := range c.Rules {
		r := &c.Rules[i]
		r.Ports, r.From, r.To = slices.Clone(r.Ports), slices.Clone(r.From), slices.Clone(r.To)
	}
	return &c
}
