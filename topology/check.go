package topology

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/callpath/callpath/topology/document"
)

// checker validates a network and fills it in; its findings stand in the document
// from which the network came, if there is one.
type checker struct {
	n    *Network
	d    *document.Document // nil for a network made by hand
	base string             // the network's path in d
	errs document.Errors
}

// The bounds of a network: large enough for every drawing of a network, small
// enough that a file cannot exhaust the machine.
const (
	maxSites    = 64
	maxHosts    = 256
	maxSubnets  = 128 // of all sites
	maxRouters  = 32  // of a site
	maxRoutes   = 256 // of all sites
	maxVPNs     = 32
	maxRules    = 256 // of all firewalls
	maxInRule   = 64  // ports, sources or destinations, and the prefixes that they mean
	maxDelay    = time.Minute
	maxTimeout  = 7 * 24 * time.Hour
	maxQueue    = 100_000
	minMTU      = 576 // RFC 791
	minMTU6     = 1280
	maxMTU      = 9216
	maxName     = 63
	maxEdgeAddr = 64
)

// place makes a path of keys and indices: place("sites", 1, "nat") is
// "sites[1].nat".
func place(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", p)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p)
		}
	}
	return b.String()
}

// report adds a finding at path.
func (c *checker) report(path, format string, args ...any) {
	c.suggest(path, fmt.Sprintf(format, args...))
}

// suggest adds a finding with the words that are valid.
func (c *checker) suggest(path, problem string, valid ...string) {
	if c.base != "" {
		path = strings.TrimSuffix(c.base+"."+path, ".")
	}
	c.errs = append(c.errs, c.d.Error(path, problem, valid...))
}

// word checks a value that must be one of a list.
func word[S ~string](c *checker, path string, value S, valid []S, optional bool) {
	switch {
	case value == "" && optional:
		return
	case value == "":
		c.suggest(path, "is missing", words(valid)...)
		return
	}
	for _, v := range valid {
		if v == value {
			return
		}
	}
	c.suggest(path, fmt.Sprintf("%q is not known", value), words(valid)...)
}

// atMost checks a length.
func (c *checker) atMost(path string, have, most int, of string) {
	if have > most {
		c.report(path, "has %d %s; wanted at most %d", have, of, most)
	}
}

// names are those that may not stand twice.
type names map[string]string

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// name checks a name and that it is the only one among seen.
func (c *checker) name(path, name, what string, seen names) {
	switch {
	case name == "":
		c.report(path, "is missing: the %s needs a name", what)
	case len(name) > maxName || !validName.MatchString(name):
		c.report(path, "%q is no name; wanted lower-case letters, digits and hyphens, at most %d", shorten(name), maxName)
	case seen[name] != "":
		c.report(path, "the name %q is taken by %s", name, seen[name])
	default:
		seen[name] = "a " + what
	}
}

// shorten keeps messages readable.
func shorten(s string) string {
	if len(s) > maxName {
		return strings.ToValidUTF8(s[:maxName], "") + "…"
	}
	return s
}

// words checks names, words, references, numbers and prefixes: each by itself.
func (c *checker) words() {
	n := c.n
	if n.Name != "" {
		c.name("name", n.Name, "network", names{})
	}
	c.atMost("sites", len(n.Sites), maxSites, "sites")
	c.atMost("hosts", len(n.Hosts), maxHosts, "hosts")
	c.atMost("vpns", len(n.VPNs), maxVPNs, "VPNs")
	if len(n.Sites) == 0 {
		c.report("sites", "is empty: a network needs at least one site")
	}
	if len(n.Hosts) == 0 {
		c.report("hosts", "is empty: a network needs at least one host")
	}
	if len(c.errs) > 0 {
		return
	}
	c.sums()
	if len(c.errs) > 0 {
		return
	}
	// Rules name sites and hosts alike, so one name cannot mean both.
	seen := names{}
	for i := range n.Sites {
		c.site(i, seen)
	}
	for i := range n.Hosts {
		c.name(place("hosts", i, "name"), n.Hosts[i].Name, "host", seen)
	}
	vpns := names{}
	for i := range n.VPNs {
		c.vpn(i, vpns)
	}
	for i := range n.Hosts {
		c.host(i)
	}
}

// sums bounds what the sites have together, for the checks compare each with each.
func (c *checker) sums() {
	subnets, routes, rules := 0, 0, 0
	count := func(f *Firewall) {
		if f != nil {
			rules += len(f.Rules)
		}
	}
	for _, s := range c.n.Sites {
		subnets += len(s.Subnets)
		routes += len(s.Routes)
		for _, r := range s.Routers {
			routes += len(r.Routes)
		}
		count(s.Firewall)
	}
	for _, v := range c.n.VPNs {
		count(v.Firewall)
	}
	c.atMost("sites", subnets, maxSubnets, "subnets")
	c.atMost("sites", routes, maxRoutes, "routes")
	c.atMost("sites", rules, maxRules, "firewall rules")
}

func (c *checker) site(i int, seen names) {
	s := &c.n.Sites[i]
	c.name(place("sites", i, "name"), s.Name, "site", seen)
	word(c, place("sites", i, "kind"), s.Kind, siteKinds(), false)
	c.atMost(place("sites", i, "routers"), len(s.Routers), maxRouters, "routers")
	if s.Region != "" {
		c.name(place("sites", i, "region"), s.Region, "region", names{})
	}
	c.link(place("sites", i, "uplink"), s.Uplink)

	routers := names{edgeRouter: "the edge"}
	vias := []string{edgeRouter}
	for j, r := range s.Routers {
		c.name(place("sites", i, "routers", j, "name"), r.Name, "router", routers)
		vias = append(vias, r.Name)
	}
	c.vias(place("sites", i, "routes"), s.Routes, vias[1:])
	for j, r := range s.Routers {
		c.vias(place("sites", i, "routers", j, "routes"), r.Routes, vias)
	}
	subnets := names{}
	for j, sub := range s.Subnets {
		c.name(place("sites", i, "subnets", j, "name"), sub.Name, "subnet", subnets)
		c.link(place("sites", i, "subnets", j, "link"), sub.Link)
		for k, p := range sub.Prefixes {
			c.prefix(place("sites", i, "subnets", j, "prefixes", k), p)
		}
		if sub.Router != "" && sub.Router != edgeRouter && s.Router(sub.Router) == nil {
			c.suggest(place("sites", i, "subnets", j, "router"), fmt.Sprintf("no router %q in the site %q", sub.Router, s.Name), vias...)
		}
	}
	c.nat(i)
	c.ruleWords(place("sites", i, "firewall"), s.Firewall)
}

// edgeRouter is what Route.Via and Subnet.Router call the edge.
const edgeRouter = "edge"

func (c *checker) vias(path string, routes []Route, valid []string) {
	for k, r := range routes {
		if !r.To.IsValid() {
			c.report(fmt.Sprintf("%s[%d].to", path, k), "is missing: a route needs a prefix")
		}
		known := false
		for _, v := range valid {
			known = known || v == r.Via
		}
		if !known {
			c.suggest(fmt.Sprintf("%s[%d].via", path, k), fmt.Sprintf("no router %q to go by", r.Via), valid...)
		}
	}
}

func (c *checker) nat(i int) {
	nat := c.n.Sites[i].NAT
	if nat == nil {
		return
	}
	if c.n.Sites[i].Kind == CommunicationServices {
		c.report(place("sites", i, "nat"), "the provider's network has public addresses; remove the NAT")
	}
	word(c, place("sites", i, "nat.mapping"), nat.Mapping, behaviors(), false)
	word(c, place("sites", i, "nat.filtering"), nat.Filtering, behaviors(), false)
	c.atMost(place("sites", i, "nat.addresses"), len(nat.Addresses), maxEdgeAddr, "addresses")
	c.duration(place("sites", i, "nat.udp-timeout"), nat.UDPTimeout, maxTimeout)
	c.duration(place("sites", i, "nat.tcp-timeout"), nat.TCPTimeout, maxTimeout)
}

func (c *checker) duration(path string, d Duration, most time.Duration) {
	if d < 0 || time.Duration(d) > most {
		c.report(path, "the duration %s is out of range; wanted 0s to %s", d, most)
	}
}

func (c *checker) fraction(path string, f Fraction) {
	if !(f >= 0 && f <= 1) {
		c.report(path, "%g is no fraction; wanted 0 to 1", float64(f))
	}
}

func (c *checker) link(path string, l Link) {
	c.duration(path+".delay", l.Delay, maxDelay)
	c.duration(path+".jitter", l.Jitter, maxDelay)
	c.fraction(path+".loss", l.Loss)
	c.fraction(path+".reorder", l.Reorder)
	if l.Queue < 0 || l.Queue > maxQueue {
		c.report(path+".queue", "%d packets are out of range; wanted 0 to %d", l.Queue, maxQueue)
	}
	c.mtu(path+".mtu", l.MTU)
}

func (c *checker) mtu(path string, mtu int) {
	if mtu != 0 && (mtu < minMTU || mtu > maxMTU) {
		c.report(path, "%d bytes are out of range; wanted %d to %d", mtu, minMTU, maxMTU)
	}
}

// Validate checks a link that comes from elsewhere than a Network, for example a
// change of it. The error names the field.
func (l Link) Validate() error {
	c := &checker{n: new(Network)}
	c.link("link", l)
	if len(c.errs) > 0 {
		return c.errs
	}
	return nil
}

func (c *checker) vpn(i int, seen names) {
	v := &c.n.VPNs[i]
	c.name(place("vpns", i, "name"), v.Name, "VPN", seen)
	if c.n.Site(v.Site) == nil {
		c.suggest(place("vpns", i, "site"), fmt.Sprintf("no site %q", v.Site), c.siteNames()...)
	}
	if v.Pool.IsValid() {
		c.prefix(place("vpns", i, "pool"), v.Pool)
	}
	c.mtu(place("vpns", i, "mtu"), v.MTU)
	c.atMost(place("vpns", i, "tunnelled"), len(v.Tunnelled), maxInRule, "entries")
	c.ruleWords(place("vpns", i, "firewall"), v.Firewall)
}

func (c *checker) siteNames() []string {
	var all []string
	for _, s := range c.n.Sites {
		all = append(all, s.Name)
	}
	return all
}

var validDNSName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$`)

func (c *checker) host(i int) {
	h := &c.n.Hosts[i]
	word(c, place("hosts", i, "role"), h.Role, roles(), true)
	c.atMost(place("hosts", i, "addresses"), len(h.Addresses), 4, "addresses")
	c.atMost(place("hosts", i, "names"), len(h.Names), 16, "names")
	for k, name := range h.Names {
		if len(name) > 253 || !validDNSName.MatchString(name) {
			c.report(place("hosts", i, "names", k), "%q is no DNS name; wanted one such as relay.callpath.test", shorten(name))
		}
	}
	site := c.n.Site(h.Site)
	if site == nil {
		c.suggest(place("hosts", i, "site"), fmt.Sprintf("no site %q", h.Site), c.siteNames()...)
		return
	}
	if len(site.Subnets) > 0 && site.Subnet(h.Subnet) == nil {
		var valid []string
		for _, sub := range site.Subnets {
			valid = append(valid, sub.Name)
		}
		c.suggest(place("hosts", i, "subnet"), fmt.Sprintf("no subnet %q in the site %q", h.Subnet, site.Name), valid...)
	}
	if h.VPN == "" {
		return
	}
	v := c.n.VPN(h.VPN)
	if v == nil {
		var valid []string
		for _, v := range c.n.VPNs {
			valid = append(valid, v.Name)
		}
		c.suggest(place("hosts", i, "vpn"), fmt.Sprintf("no VPN %q", h.VPN), valid...)
	} else if v.Site == h.Site {
		c.report(place("hosts", i, "vpn"), "the VPN %q leads into the site %q, where the host %q already is", v.Name, v.Site, h.Name)
	}
}
