package topology

import (
	"net/netip"
	"slices"
	"strings"
)

// routes makes sure that inside each site every packet gets somewhere: no prefix
// goes round in a circle, and every subnet can be reached from every router.
func (c *checker) routes() {
	for i := range c.n.Sites {
		s := &c.n.Sites[i]
		seen := map[netip.Prefix]bool{}
		for k, r := range s.Routes {
			c.masked(place("sites", i, "routes", k, "to"), r.To)
			c.follow(s, r.To.Masked(), place("sites", i, "routes", k), seen)
		}
		for j, router := range s.Routers {
			for k, r := range router.Routes {
				c.masked(place("sites", i, "routers", j, "routes", k, "to"), r.To)
				c.follow(s, r.To.Masked(), place("sites", i, "routers", j, "routes", k), seen)
			}
		}
		for j, sub := range s.Subnets {
			for _, p := range sub.Prefixes {
				c.follow(s, p, place("sites", i, "subnets", j), seen)
			}
		}
	}
}

func (c *checker) masked(path string, p netip.Prefix) {
	if p.Masked() != p {
		c.report(path, "%s has bits set after its length; wanted %s", p, p.Masked())
	}
}

// follow sends a packet for a prefix from the edge and from each router, and
// reports the first circle, and for the prefix of a subnet the first router from
// which it goes elsewhere.
func (c *checker) follow(s *Site, p netip.Prefix, path string, seen map[netip.Prefix]bool) {
	if seen[p] {
		return
	}
	seen[p] = true
	home, isSubnet := server(s, p)
	for _, from := range append([]string{edgeRouter}, routerNames(s)...) {
		at, way := from, []string{from}
		for {
			next, ok := s.NextHop(at, p)
			if !ok {
				break
			}
			if slices.Contains(way, next) {
				c.report(path, "packets for %s go round in a circle: %s", p, strings.Join(append(way, next), " → "))
				return
			}
			at, way = next, append(way, next)
		}
		if isSubnet && at != home {
			c.report(path, "packets for %s never arrive: from %s they end at %s, but the subnet is at %s; add a route to it", p, from, at, home)
			return
		}
	}
}

func routerNames(s *Site) []string {
	names := make([]string, len(s.Routers))
	for i, r := range s.Routers {
		names[i] = r.Name
	}
	return names
}

// server is the router that has the subnet of exactly this prefix.
func server(s *Site, p netip.Prefix) (string, bool) {
	for _, sub := range s.Subnets {
		if slices.Contains(sub.Prefixes, p) {
			return sub.At(), true
		}
	}
	return "", false
}

// At names the router that serves the subnet: Router, or "edge".
func (s *Subnet) At() string {
	if s.Router == "" {
		return edgeRouter
	}
	return s.Router
}

// NextHop says to which router of the site the router at (or "edge") sends what is
// for all of p: the longest prefix in its own subnets and routes that holds p
// decides, then a router's default route to the edge. False means that it sends it
// nowhere inside the site: it serves the subnet itself, or it is the edge and p is
// outside.
func (s *Site) NextHop(at string, p netip.Prefix) (string, bool) {
	longest, via := -1, ""
	routes := s.Routes
	if at != edgeRouter {
		via = edgeRouter
		if r := s.Router(at); r != nil {
			routes = r.Routes
		}
	}
	consider := func(q netip.Prefix, to string) {
		if q.Contains(p.Addr()) && q.Bits() <= p.Bits() && q.Bits() > longest {
			longest, via = q.Bits(), to
		}
	}
	for i := range s.Subnets {
		if sub := &s.Subnets[i]; sub.At() == at {
			for _, q := range sub.Prefixes {
				consider(q, "")
			}
		}
	}
	for _, r := range routes {
		consider(r.To, r.Via)
	}
	return via, via != ""
}
