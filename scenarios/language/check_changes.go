package language

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/document"
)

// changeKinds are the keys of a change, in the order of the model.
var changeKinds = []string{"link", "block", "unblock", "nat", "move", "stop", "start", "hang"}

// serviceKinds are the changes of services, which run only once the steps begin.
var serviceKinds = []string{"stop", "start", "hang"}

// checkChange validates a change against the network as it will be at that point,
// and applies what later changes can refer to. n is nil when there is no network
// to look at.
func (c *checker) checkChange(path string, change *Change, n *topology.Network, before bool) {
	valid := changeKinds
	if before {
		valid = slices.DeleteFunc(slices.Clone(changeKinds), func(kind string) bool { return slices.Contains(serviceKinds, kind) })
	}
	switch keys := c.d.Keys(path); {
	case len(keys) == 0:
		c.report(path, "the change changes nothing; wanted a mapping with one key", valid...)
		return
	case len(keys) > 1:
		c.report(path, fmt.Sprintf("the change has the keys %s; wanted one", strings.Join(keys, ", ")))
		return
	}
	if change.NAT != nil && !before {
		c.report(path+".nat", "a NAT cannot be replaced while the call goes on; write it under before")
		return
	}
	for key, service := range map[string]*Service{"stop": change.Stop, "start": change.Start, "hang": change.Hang} {
		if service != nil {
			c.checkServing(path+"."+key, service, n, before)
		}
	}
	switch {
	case n == nil:
	case change.Link != nil:
		c.checkLink(path+".link", change.Link, n)
	case change.Block != nil:
		c.checkBlock(path+".block", change.Block, n)
	case change.Unblock != nil:
		c.checkUnblock(path+".unblock", change.Unblock, n)
	case change.NAT != nil:
		c.checkNAT(path+".nat", change.NAT, n)
	case change.Move != nil:
		c.checkMove(path+".move", change.Move, n)
	}
}

// checkServing wants a host on which a service of the provider's runs.
func (c *checker) checkServing(path string, s *Service, n *topology.Network, before bool) {
	if before {
		c.report(path, "nothing has been started yet; write it as a step")
		return
	}
	if !c.s.Conference() {
		c.report(path, "services end in conferences only, whose clients find their way back")
		return
	}
	if n == nil {
		return
	}
	if h := n.Host(s.Host); h == nil || !serves(h.Role) {
		c.report(path, fmt.Sprintf("no service runs on a host %q", s.Host),
			hostsWith(n, topology.TransportRelay, topology.MediaProcessor, topology.SignalingController)...)
	}
}

// site finds a site by name and reports when there is none.
func (c *checker) site(path, name string, n *topology.Network) *topology.Site {
	s := n.Site(name)
	switch {
	case s != nil:
	case name == "" && !c.has(path):
		c.report(path, "is missing", sites(n)...)
	default:
		c.report(path, fmt.Sprintf("the network has no site %q", name), sites(n)...)
	}
	return s
}

func (c *checker) checkLink(path string, change *LinkChange, n *topology.Network) {
	if !c.has(path + ".to") {
		c.report(path+".to", "is missing: what the link becomes, for example {delay: 40ms}")
	}
	c.adopt(change.To.Validate(), "link", path+".to")
	site, subnet, ok := strings.Cut(change.Of, "/")
	s := c.site(path+".of", site, n)
	if s == nil || !ok {
		return
	}
	if names := subnets(s); !slices.Contains(names, subnet) {
		c.report(path+".of", fmt.Sprintf("the site %s has no subnet %q", site, subnet), names...)
	}
}

// adopt takes the findings of package topology at or below from, as findings at
// path.
func (c *checker) adopt(err error, from, path string) {
	found, _ := errors.AsType[document.Errors](err)
	for _, e := range found {
		if within(e.Path, from) {
			c.reportOnce(path+strings.TrimPrefix(e.Path, from), e.Problem, e.Valid...)
		}
	}
}

// firewallOf is the path of a site's firewall in the network's own terms.
func firewallOf(n *topology.Network, site string) string {
	return fmt.Sprintf("sites[%d].firewall", slices.Index(sites(n), site))
}

func (c *checker) checkNAT(path string, change *NATChange, n *topology.Network) {
	if !c.has(path + ".to") {
		c.report(path+".to", "is missing", "full-cone", "restricted-cone", "port-restricted-cone", "symmetric")
		return
	}
	s := c.site(path+".site", change.Site, n)
	if s == nil {
		return
	}
	// The network says itself whether the translator would fit.
	trial := c.s.Network.Clone()
	to := change.To
	trial.Site(change.Site).NAT = &to
	c.adopt(trial.Complete(), fmt.Sprintf("sites[%d].nat", slices.Index(sites(n), change.Site)), path+".to")
}

func (c *checker) checkBlock(path string, block *BlockChange, n *topology.Network) {
	s := c.site(path+".site", block.Site, n)
	if s == nil {
		return
	}
	added := block.Rules()
	trial := c.s.Network.Clone()
	trial.Site(block.Site).Firewall = &topology.Firewall{Rules: added}
	err := trial.Complete()
	for i := range added {
		c.adopt(err, fmt.Sprintf("%s.rules[%d]", firewallOf(n, block.Site), i), path)
	}
	if slices.Contains(rules(s), block.Name) {
		c.report(path+".name", fmt.Sprintf("the firewall of %s has a rule %q already; wanted another name", s.Name, block.Name))
	}
	if s.Firewall == nil {
		s.Firewall = &topology.Firewall{}
	}
	s.Firewall.Rules = append(added, s.Firewall.Rules...)
}

func (c *checker) checkUnblock(path string, unblock *UnblockChange, n *topology.Network) {
	c.text(path+".name", unblock.Name, true)
	s := c.site(path+".site", unblock.Site, n)
	if s == nil || unblock.Name == "" {
		return
	}
	if !slices.Contains(rules(s), unblock.Name) {
		c.report(path+".name", fmt.Sprintf("the firewall of %s has no rule %q", s.Name, unblock.Name), rules(s)...)
		return
	}
	s.Firewall.Rules = slices.DeleteFunc(s.Firewall.Rules, func(r topology.Rule) bool { return r.Name == unblock.Name })
}

// rules are the names of a site's firewall rules.
func rules(s *topology.Site) []string {
	var names []string
	if s.Firewall != nil {
		for _, r := range s.Firewall.Rules {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
	}
	return names
}

// checkMove also fills in the subnet that a move leaves out.
func (c *checker) checkMove(path string, move *MoveChange, n *topology.Network) {
	h := n.Host(move.Host)
	switch {
	case move.Host == "" && !c.has(path+".host"):
		c.report(path+".host", "is missing", clientHosts(n)...)
	case h == nil:
		c.report(path+".host", fmt.Sprintf("the network has no host %q", move.Host), clientHosts(n)...)
	case !isClient(*h):
		c.report(path+".host", fmt.Sprintf("the host %s is a %s; only clients move", h.Name, h.Role), clientHosts(n)...)
	}
	s := c.site(path+".site", move.Site, n)
	if s == nil || h == nil || len(s.Subnets) == 0 {
		return
	}
	if move.Subnet == "" {
		move.Subnet = s.Subnets[0].Name
	} else if names := subnets(s); !slices.Contains(names, move.Subnet) {
		c.report(path+".subnet", fmt.Sprintf("the site %s has no subnet %q", s.Name, move.Subnet), names...)
		return
	}
	if v := n.VPN(h.VPN); v != nil && v.Site == s.Name {
		var others []string
		for _, name := range sites(n) {
			if name != s.Name {
				others = append(others, name)
			}
		}
		c.report(path+".site", fmt.Sprintf("%s is a client of the VPN %s, which leads into %s; it keeps its tunnel when it moves, and cannot be at both ends", h.Name, v.Name, s.Name), others...)
		return
	}
	if h.Site == s.Name && h.Subnet == move.Subnet {
		c.report(path+".site", fmt.Sprintf("%s is in %s/%s already", h.Name, s.Name, move.Subnet))
	}
	h.Site, h.Subnet = s.Name, move.Subnet
}
