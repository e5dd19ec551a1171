package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/esp"
	"github.com/callpath/callpath/topology/sim/firewall"
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/link"
	"github.com/callpath/callpath/topology/sim/nat"
)

// edgeName is how a site's routes name its edge.
const edgeName = "edge"

// build makes the places and joins them. Nothing runs yet.
func (i *Internet) build() error {
	i.core = &router{net: i, hop: coreHop, v4: coreAddr4, v6: coreAddr6}
	var public []route
	for n := range i.network.Sites {
		site := &i.network.Sites[n]
		routes, err := i.buildSite(site)
		if err != nil {
			return fmt.Errorf("site %s: %w", site.Name, err)
		}
		public = append(public, routes...)
	}
	i.core.table = newTable(public)
	for n := range i.network.Hosts {
		h := &i.network.Hosts[n]
		if err := i.buildHost(h); err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
	}
	return nil
}

// buildSite makes a site's edge, routers and subnets, and returns the routes by
// which the internet reaches it.
func (i *Internet) buildSite(site *topology.Site) ([]route, error) {
	if err := link.Check(site.Uplink); err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	e := &edge{
		net:           i,
		hop:           topology.Hop{Kind: topology.HopEdge, Name: site.Name, Site: site.Name},
		router:        &router{net: i, hop: topology.Hop{Kind: topology.HopRouter, Name: site.Name, Site: site.Name}},
		concentrators: make(map[netip.Addr]*concentrator),
	}
	e.up = i.newPipe("uplink up "+site.Name, site.Uplink, e.hop, i.core.receive)
	e.down = i.newPipe("uplink down "+site.Name, site.Uplink, coreHop, e.inbound)
	var err error
	if e.firewall, err = firewall.New(firewall.Config{Firewall: site.Firewall, Prefixes: i.prefixes, Now: i.now}); err != nil {
		return nil, err
	}
	if site.NAT != nil {
		random := rand.New(rand.NewPCG(i.seed("nat "+site.Name), 0))
		if e.nat, err = nat.New(nat.Config{NAT: *site.NAT, Now: i.now, Random: random}); err != nil {
			return nil, err
		}
	}
	i.edges[site.Name] = e
	routers, err := i.buildRouters(site, e)
	if err != nil {
		return nil, err
	}
	public, err := i.buildConcentrators(site, e)
	if err != nil {
		return nil, err
	}
	for _, a := range natAddresses(site) {
		public = append(public, route{netip.PrefixFrom(a, a.BitLen()), downlink{e}, coreHop})
	}
	for _, s := range site.Subnets {
		if routers[s.Router] == nil {
			return nil, fmt.Errorf("subnet %s: no router %q", s.Name, s.Router)
		}
		for _, p := range s.Prefixes {
			if e.nat == nil || !e.nat.Translates(p.Addr()) {
				public = append(public, route{p, downlink{e}, coreHop})
			}
		}
	}
	return public, nil
}

// prefixes resolves the names in firewall rules in the network as it is when the
// rules are set.
func (i *Internet) prefixes(name string) ([]netip.Prefix, error) { return i.network.Prefixes(name) }

func natAddresses(site *topology.Site) []netip.Addr {
	if site.NAT == nil {
		return nil
	}
	return site.NAT.Addresses
}

// buildRouters makes a site's subnets and the tables of its routers, which it
// returns by name; the edge's is there as "" and "edge".
func (i *Internet) buildRouters(site *topology.Site, e *edge) (map[string]*router, error) {
	routers := map[string]*router{"": e.router, edgeName: e.router}
	for _, r := range site.Routers {
		routers[r.Name] = &router{net: i, hop: topology.Hop{Kind: topology.HopRouter, Name: r.Name, Site: site.Name}}
	}
	tables := make(map[*router][]route)
	for n := range site.Subnets {
		data := &site.Subnets[n]
		r := routers[data.Router]
		if r == nil {
			return nil, fmt.Errorf("subnet %s: no router %q", data.Name, data.Router)
		}
		if err := link.Check(data.Link); err != nil {
			return nil, fmt.Errorf("subnet %s: link: %w", data.Name, err)
		}
		s := &subnet{net: i, name: data.Name, prefixes: data.Prefixes, router: r}
		i.subnets[site.Name+"/"+data.Name] = s
		for _, p := range data.Prefixes {
			tables[r] = append(tables[r], route{p, s, r.hop})
			r.number(i.network.Hosts, p)
		}
	}
	add := func(r *router, routes []topology.Route) error {
		for _, to := range routes {
			via := routers[to.Via]
			if via == nil || via == r {
				return fmt.Errorf("router %s: route to %v: no next router %q", r.hop.Name, to.To, to.Via)
			}
			tables[r] = append(tables[r], route{to.To, via, r.hop})
		}
		return nil
	}
	for _, data := range site.Routers {
		r := routers[data.Name]
		if err := add(r, data.Routes); err != nil {
			return nil, err
		}
		// Behind what Routes says, so that a default of its own comes first.
		for _, all := range everywhere {
			tables[r] = append(tables[r], route{all, e.router, r.hop})
		}
	}
	if err := add(e.router, site.Routes); err != nil {
		return nil, err
	}
	for _, v := range i.network.VPNs {
		if v.Site == site.Name {
			c := &concentrator{net: i, vpn: v, edge: e}
			i.concentrators[v.Name] = c
			tables[e.router] = append(tables[e.router], route{v.Pool, c, e.hop})
		}
	}
	for _, all := range everywhere {
		tables[e.router] = append(tables[e.router], route{all, uplink{e}, e.hop})
	}
	for _, r := range routers {
		r.table = newTable(tables[r])
	}
	numberTheRest(site, e.router, routers)
	return routers, nil
}

// numberTheRest gives those routers an address that have no subnet: the edge its
// NAT's, or that of a router; other routers the edge's.
func numberTheRest(site *topology.Site, edge *router, routers map[string]*router) {
	for _, a := range natAddresses(site) {
		if a.Is4() {
			edge.v4 = cmp.Or(edge.v4, a)
		} else {
			edge.v6 = cmp.Or(edge.v6, a)
		}
	}
	for _, data := range site.Routers {
		r := routers[data.Name]
		edge.v4, edge.v6 = cmp.Or(edge.v4, r.v4), cmp.Or(edge.v6, r.v6)
	}
	for _, r := range routers {
		r.v4, r.v6 = cmp.Or(r.v4, edge.v4), cmp.Or(r.v6, edge.v6)
	}
}

var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// number gives a router its address for ICMP errors, if it has none yet: the first
// of a subnet that no host has.
func (r *router) number(hosts []topology.Host, p netip.Prefix) {
	has := &r.v4
	if p.Addr().Is6() {
		has = &r.v6
	}
	if has.IsValid() {
		return
	}
	taken := make(map[netip.Addr]bool)
	for _, h := range hosts {
		for _, a := range h.Addresses {
			taken[a] = true
		}
	}
	a := p.Masked().Addr().Next()
	for p.Contains(a) && taken[a] {
		a = a.Next()
	}
	if p.Contains(a) {
		*has = a
	}
}

// buildConcentrators finishes the concentrators at a site's edge.
func (i *Internet) buildConcentrators(site *topology.Site, e *edge) ([]route, error) {
	var public []route
	for _, v := range i.network.VPNs {
		if v.Site != site.Name {
			continue
		}
		if !v.Concentrator.IsValid() {
			return nil, fmt.Errorf("VPN %s: no concentrator address", v.Name)
		}
		c := i.concentrators[v.Name]
		c.hop = topology.Hop{Kind: topology.HopTunnel, Name: v.Name, Site: site.Name}
		c.address = netip.AddrPortFrom(v.Concentrator, esp.Port)
		c.beat = defaultBeat
		c.bySPI, c.byAddr = make(map[uint32]*tunnel), make(map[netip.Addr]*tunnel)
		var err error
		if c.firewall, err = firewall.New(firewall.Config{Firewall: v.Firewall, Prefixes: i.prefixes, Now: i.now}); err != nil {
			return nil, fmt.Errorf("VPN %s: %w", v.Name, err)
		}
		e.concentrators[v.Concentrator] = c
		public = append(public, route{netip.PrefixFrom(v.Concentrator, v.Concentrator.BitLen()), downlink{e}, coreHop})
		if e.nat == nil || !e.nat.Translates(v.Pool.Addr()) {
			public = append(public, route{v.Pool, downlink{e}, coreHop})
		}
	}
	return public, nil
}

// buildHost makes a host's port and plugs it in.
func (i *Internet) buildHost(h *topology.Host) error {
	if len(h.Addresses) == 0 {
		return errors.New("no address")
	}
	p := &port{net: i, name: h.Name}
	i.ports[h.Name] = p
	at, err := i.attach(p, h)
	if err != nil {
		return err
	}
	p.plugIn(at)
	if h.VPN == "" {
		return nil
	}
	c := i.concentrators[h.VPN]
	if c == nil {
		return fmt.Errorf("no VPN %q", h.VPN)
	}
	if !h.Tunnel.IsValid() {
		return fmt.Errorf("no address in VPN %s", h.VPN)
	}
	return c.add(p, h.Tunnel)
}

// attach makes a host's place in its subnet, without plugging it in.
func (i *Internet) attach(p *port, h *topology.Host) (*attachment, error) {
	s := i.subnets[h.Site+"/"+h.Subnet]
	if s == nil {
		return nil, fmt.Errorf("no subnet %q in site %q", h.Subnet, h.Site)
	}
	for _, a := range h.Addresses {
		if !s.contains(a) {
			return nil, fmt.Errorf("address %v is in none of the prefixes %v of subnet %s", a, s.prefixes, s.name)
		}
		if other := s.hosts.get(a); other != nil {
			return nil, fmt.Errorf("address %v is host %s's", a, other.port.name)
		}
	}
	at := &attachment{
		port:      p,
		subnet:    s,
		addresses: h.Addresses,
		hop:       topology.Hop{Kind: topology.HopHost, Name: h.Name, Site: h.Site},
	}
	data, err := i.subnetData(h.Site, h.Subnet)
	if err != nil {
		return nil, err
	}
	where := h.Name + " at " + h.Site + "/" + h.Subnet
	at.up = i.newPipe("host up "+where, data.Link, at.hop, s.fromHost)
	at.down = i.newPipe("host down "+where, data.Link, s.router.hop, at.receive)
	return at, nil
}

// plugIn makes an attachment the host's place.
func (p *port) plugIn(at *attachment) {
	p.plug.Store(at)
	at.subnet.hosts.change(func(m map[netip.Addr]*attachment) {
		for _, a := range at.addresses {
			m[a] = at
		}
	})
}

// unplug takes the host out of its subnet. It can still send, into the void.
func (p *port) unplug() {
	at := p.plug.Load()
	at.subnet.hosts.change(func(m map[netip.Addr]*attachment) {
		for _, a := range at.addresses {
			delete(m, a)
		}
	})
}

// interfaces is what a host's stack has: its own interface, and its tunnel's.
func (i *Internet) interfaces(h *topology.Host) ([]host.Interface, error) {
	at := i.ports[h.Name].plug.Load()
	// No interface has less than IPv6's least MTU. What is too large for a smaller
	// link is answered by the router at its end.
	own := host.Interface{Name: primary, MTU: max(at.up.link.MTU(), host.MinMTU)}
	for _, p := range at.subnet.prefixes {
		own.Routes = append(own.Routes, p)
		for _, a := range h.Addresses {
			if p.Contains(a) {
				own.Addresses = append(own.Addresses, netip.PrefixFrom(a, p.Bits()))
			}
		}
	}
	var inTunnel []netip.Prefix
	all := []host.Interface{own}
	if h.VPN != "" {
		v := i.network.VPN(h.VPN)
		var err error
		if inTunnel, err = i.tunnelled(v); err != nil {
			return nil, err
		}
		all = append(all, host.Interface{
			Name:      v.Name,
			MTU:       i.concentrators[v.Name].mtu(),
			Addresses: []netip.Prefix{netip.PrefixFrom(h.Tunnel, v.Pool.Bits())},
			Routes:    append([]netip.Prefix{v.Pool}, inTunnel...),
		})
	}
	for _, def := range everywhere {
		has := false
		for _, p := range own.Addresses {
			has = has || p.Addr().Is4() == def.Addr().Is4()
		}
		for _, p := range inTunnel {
			has = has && p != def // the tunnel has the default route
		}
		if has {
			all[0].Routes = append(all[0].Routes, def)
		}
	}
	return all, nil
}

// tunnelled lists the prefixes that a VPN's clients send into the tunnel. An empty
// list in the topology is everything of the pool's family.
func (i *Internet) tunnelled(v *topology.VPN) ([]netip.Prefix, error) {
	if len(v.Tunnelled) == 0 {
		if v.Pool.Addr().Is4() {
			return everywhere[:1], nil
		}
		return everywhere[1:], nil
	}
	var out []netip.Prefix
	for _, name := range v.Tunnelled {
		p, err := i.network.Prefixes(name)
		if err != nil {
			return nil, fmt.Errorf("VPN %s: tunnelled: %w", v.Name, err)
		}
		for _, one := range p {
			if one.Addr().Is4() == v.Pool.Addr().Is4() {
				out = append(out, one) // the tunnel has no address of the other family
			}
		}
	}
	return out, nil
}
