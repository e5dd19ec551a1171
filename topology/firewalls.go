package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/callpath/callpath/topology/document"
)

// ruleWords checks the words of a firewall's rules; path is the firewall's.
func (c *checker) ruleWords(path string, f *Firewall) {
	if f == nil {
		return
	}
	word(c, path+".inbound", f.Inbound, actions(), true)
	word(c, path+".outbound", f.Outbound, actions(), true)
	for k, r := range f.Rules {
		at := fmt.Sprintf("%s.rules[%d]", path, k)
		// Several rules may share a name, for example one in each direction.
		c.name(at+".name", r.Name, "rule", names{})
		word(c, at+".direction", r.Direction, directions(), false)
		word(c, at+".protocol", r.Protocol, protocols(), true)
		word(c, at+".action", r.Action, actions(), false)
		if len(r.Ports) > 0 && r.Protocol != UDP && r.Protocol != TCP {
			c.suggest(at+".protocol", "ports need a protocol that has them", string(UDP), string(TCP))
		}
		for _, p := range r.Ports {
			if p.First == 0 || p.First > p.Last {
				c.report(at+".ports", "%s is no port range", p)
			}
		}
		c.atMost(at+".ports", len(r.Ports), maxInRule, "ranges")
		c.atMost(at+".from", len(r.From), maxInRule, "sources")
		c.atMost(at+".to", len(r.To), maxInRule, "destinations")
	}
}

// firewalls checks where rules point, and that no rule is shut off by another.
func (c *checker) firewalls() {
	for i := range c.n.Sites {
		c.firewall(place("sites", i, "firewall"), c.n.Sites[i].Firewall, &c.n.Sites[i])
	}
	for i := range c.n.VPNs {
		c.firewall(place("vpns", i, "firewall"), c.n.VPNs[i].Firewall, nil)
	}
}

// fit is a rule with its names resolved; nil prefixes are anywhere.
type fit struct {
	Rule
	from, to []netip.Prefix
}

// firewall checks one; site is where it stands on the perimeter, nil for a VPN's.
func (c *checker) firewall(path string, f *Firewall, site *Site) {
	if f == nil {
		return
	}
	var earlier []fit
	for k, r := range f.Rules {
		at := fmt.Sprintf("%s.rules[%d]", path, k)
		rule := fit{Rule: r}
		known := true
		sides := []struct {
			key   string
			names []string
			into  *[]netip.Prefix
			far   bool // the side that is outside the site
		}{{"from", r.From, &rule.from, r.Direction == Inbound}, {"to", r.To, &rule.to, r.Direction == Outbound}}
		for _, side := range sides {
			for m, name := range side.names {
				where := fmt.Sprintf("%s.%s[%d]", at, side.key, m)
				prefixes, ok := c.resolve(where, name)
				known = known && ok
				*side.into = append(*side.into, prefixes...)
				if ok && side.far && site != nil {
					c.hidden(where, name, site)
				}
			}
		}
		c.atMost(at+".from", len(rule.from), maxInRule, "prefixes")
		c.atMost(at+".to", len(rule.to), maxInRule, "prefixes")
		if !known || len(rule.from) > maxInRule || len(rule.to) > maxInRule {
			continue
		}
		for _, e := range earlier {
			if (e.Action == Allow) != (r.Action == Allow) && e.covers(rule) {
				c.report(at, "the rule %q (%s) can never decide: %q (%s) stands before it and fits every packet that it fits", r.Name, r.Action, e.Name, e.Action)
				break
			}
		}
		earlier = append(earlier, rule)
	}
}

// hidden reports a rule that names what is behind another site's NAT: from here
// only the NAT's own address can be seen, so that the rule would never fit.
func (c *checker) hidden(path, name string, here *Site) {
	siteName, _, _ := strings.Cut(name, "/")
	site := c.n.Site(siteName)
	if h := c.n.Host(name); h != nil {
		if v := c.n.VPN(h.VPN); v != nil && v.Site == here.Name {
			return
		}
		site = c.n.Site(h.Site)
	}
	if site == nil || site.Name == here.Name || site.NAT == nil {
		return
	}
	c.suggest(path, fmt.Sprintf("%q is behind a NAT, so that %s never sees its addresses; name the NAT's", name, here.Name), texts(site.NAT.Addresses)...)
}

func texts(addresses []netip.Addr) []string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = a.String()
	}
	return out
}

// resolve finds the prefixes of a name and reports one that points nowhere.
func (c *checker) resolve(path, name string) ([]netip.Prefix, bool) {
	prefixes, err := c.n.Prefixes(name)
	if err == nil {
		return prefixes, true
	}
	if e, ok := errors.AsType[*document.Error](err); ok {
		c.suggest(path, e.Problem, e.Valid...)
	}
	return nil, false
}

// covers says whether every packet that other fits is one that r fits too.
func (r fit) covers(other fit) bool {
	return r.Direction == other.Direction &&
		(r.Protocol == AnyProtocol || r.Protocol == other.Protocol) &&
		coversPorts(r.Ports, other.Ports) &&
		coversPrefixes(len(r.From) == 0, r.from, len(other.From) == 0, other.from) &&
		coversPrefixes(len(r.To) == 0, r.to, len(other.To) == 0, other.to)
}

func coversPorts(wide, narrow []PortRange) bool {
	if len(wide) == 0 {
		return true
	}
	// Each narrow range must lie in one wide one; ranges that only cover it
	// together are left to the author.
	return len(narrow) > 0 && !slices.ContainsFunc(narrow, func(n PortRange) bool {
		return !slices.ContainsFunc(wide, func(w PortRange) bool { return w.First <= n.First && n.Last <= w.Last })
	})
}

func coversPrefixes(wideAnywhere bool, wide []netip.Prefix, narrowAnywhere bool, narrow []netip.Prefix) bool {
	if wideAnywhere {
		return true
	}
	return !narrowAnywhere && !slices.ContainsFunc(narrow, func(n netip.Prefix) bool {
		return !slices.ContainsFunc(wide, func(w netip.Prefix) bool { return w.Bits() <= n.Bits() && w.Contains(n.Addr()) })
	})
}
