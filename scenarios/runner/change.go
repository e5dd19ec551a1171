package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

// changeBefore applies the changes that come before anything starts. Firewalls come
// last: a network that is completed must not have a rule which another one covers,
// as a block at the head of the list may do.
func changeBefore(n *topology.Network, changes []language.Change) error {
	firewall := func(c language.Change) bool { return c.Block != nil || c.Unblock != nil }
	for _, last := range []bool{false, true} {
		for _, c := range changes {
			if firewall(c) != last {
				continue
			}
			if err := changeNetwork(n, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// changeNetwork applies a change to a network that does not run yet.
func changeNetwork(n *topology.Network, c language.Change) error {
	switch {
	case c.Link != nil:
		site, subnet, _ := strings.Cut(c.Link.Of, "/")
		s := n.Site(site)
		if s == nil {
			return fmt.Errorf("no site %q", site)
		}
		if subnet == "" {
			s.Uplink = c.Link.To
			return nil
		}
		for i := range s.Subnets {
			if s.Subnets[i].Name == subnet {
				s.Subnets[i].Link = c.Link.To
				return nil
			}
		}
		return fmt.Errorf("site %s has no subnet %q", site, subnet)
	case c.Block != nil, c.Unblock != nil:
		site, f, err := changedFirewall(n, c)
		if err != nil {
			return err
		}
		n.Site(site).Firewall = f
		return nil
	case c.NAT != nil:
		s := n.Site(c.NAT.Site)
		if s == nil {
			return fmt.Errorf("no site %q", c.NAT.Site)
		}
		nat := c.NAT.To
		if len(nat.Addresses) == 0 && s.NAT != nil {
			nat.Addresses = s.NAT.Addresses
		}
		s.NAT = &nat
		return n.Complete()
	case c.Move != nil:
		h := n.Host(c.Move.Host)
		if h == nil {
			return fmt.Errorf("no host %q", c.Move.Host)
		}
		h.Site, h.Subnet, h.Addresses = c.Move.Site, c.Move.Subnet, nil
		return n.Complete()
	}
	return nil
}

// changedFirewall is the firewall of the site that c is about, as it is after c.
func changedFirewall(n *topology.Network, c language.Change) (string, *topology.Firewall, error) {
	var site string
	if c.Block != nil {
		site = c.Block.Site
	} else {
		site = c.Unblock.Site
	}
	s := n.Site(site)
	if s == nil {
		return "", nil, fmt.Errorf("no site %q", site)
	}
	var f topology.Firewall
	if s.Firewall != nil {
		f = *s.Firewall
		f.Rules = slices.Clone(f.Rules)
	}
	if c.Unblock != nil {
		before := len(f.Rules)
		f.Rules = slices.DeleteFunc(f.Rules, func(r topology.Rule) bool { return r.Name == c.Unblock.Name })
		if len(f.Rules) == before {
			return "", nil, fmt.Errorf("site %s has no firewall rule %q", site, c.Unblock.Name)
		}
		return site, &f, nil
	}
	f.Rules = append(c.Block.Rules(), f.Rules...)
	return site, &f, nil
}

// change applies a change to the running network.
func (r *run) change(ctx context.Context, c language.Change) error {
	r.stepped(result.Step{Name: "change", At: result.Duration(time.Since(r.started)), From: "network", Carried: describe(c)})
	switch {
	case c.Link != nil:
		if site, subnet, ok := strings.Cut(c.Link.Of, "/"); ok {
			return r.internet.SetSubnetLink(site, subnet, c.Link.To)
		}
		return r.internet.SetUplink(c.Link.Of, c.Link.To)
	case c.Block != nil, c.Unblock != nil:
		site, f, err := changedFirewall(r.internet.Network(), c)
		if err != nil {
			return err
		}
		return r.internet.SetFirewall(site, f)
	case c.Move != nil:
		if err := r.internet.Move(c.Move.Host, c.Move.Site, c.Move.Subnet); err != nil {
			return err
		}
		for _, p := range r.scenario.Participants {
			if p.Host == c.Move.Host {
				return r.participants[p.Name].NetworkChanged(ctx)
			}
		}
		return nil
	case c.Stop != nil:
		return r.services.end(c.Stop.Host)
	case c.Hang != nil:
		return r.services.hang(c.Hang.Host)
	case c.Start != nil:
		return r.services.restart(r.internet.Network().Host(c.Start.Host))
	}
	return fmt.Errorf("%s: cannot be changed while the network runs", describe(c))
}

// describe says in a few words what changes.
func describe(c language.Change) string {
	switch {
	case c.Link != nil:
		l := c.Link.To
		if l.Cut {
			return "cut the link of " + c.Link.Of
		}
		return fmt.Sprintf("link of %s: delay %s, jitter %s, loss %.1f%%",
			c.Link.Of, time.Duration(l.Delay), time.Duration(l.Jitter), 100*float64(l.Loss))
	case c.Block != nil:
		return fmt.Sprintf("%s: block %s (%s)", c.Block.Site, c.Block.Protocol, c.Block.Name)
	case c.Unblock != nil:
		return fmt.Sprintf("%s: unblock %s", c.Unblock.Site, c.Unblock.Name)
	case c.NAT != nil:
		return fmt.Sprintf("%s: another NAT, mapping %s, filtering %s", c.NAT.Site, c.NAT.To.Mapping, c.NAT.To.Filtering)
	case c.Move != nil:
		return fmt.Sprintf("move %s to %s", c.Move.Host, c.Move.Site)
	case c.Stop != nil:
		return c.Stop.Host + " dies"
	case c.Hang != nil:
		return c.Hang.Host + " hangs"
	case c.Start != nil:
		return c.Start.Host + " starts"
	}
	return ""
}
