package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/link"
)

// ErrClosed is returned for changes to a network that has been closed.
var ErrClosed = errors.New("network is closed")

// change runs a change, one after the other, on a running network.
func (i *Internet) change(edit func() error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return ErrClosed
	}
	return edit()
}

// SetUplink changes both directions of the link between a site's edge and the
// internet. Packets under way come out as they would have.
func (i *Internet) SetUplink(site string, l topology.Link) error {
	return i.change(func() error {
		data := i.network.Site(site)
		if data == nil {
			return fmt.Errorf("uplink: no site %q", site)
		}
		if err := link.Check(l); err != nil {
			return fmt.Errorf("uplink of site %s: %w", site, err)
		}
		data.Uplink = l
		e := i.edges[site]
		e.up.link.Set(l)
		e.down.link.Set(l)
		return nil
	})
}

// SetSubnetLink changes the link of each host of a subnet, in both directions. The
// hosts' interfaces take over its MTU.
func (i *Internet) SetSubnetLink(site, name string, l topology.Link) error {
	return i.change(func() error {
		data, err := i.subnetData(site, name)
		if err != nil {
			return fmt.Errorf("subnet link: %w", err)
		}
		if err := link.Check(l); err != nil {
			return fmt.Errorf("link of subnet %s/%s: %w", site, name, err)
		}
		resize := mtuOf(data.Link) != mtuOf(l)
		data.Link = l
		for n := range i.network.Hosts {
			h := &i.network.Hosts[n]
			if h.Site != site || h.Subnet != name {
				continue
			}
			p := i.ports[h.Name]
			at := p.plug.Load()
			at.up.link.Set(l)
			at.down.link.Set(l)
			if resize {
				if err := i.reconfigure(h); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (i *Internet) subnetData(site, name string) (*topology.Subnet, error) {
	data := i.network.Site(site)
	if data == nil {
		return nil, fmt.Errorf("no site %q", site)
	}
	for n := range data.Subnets {
		if data.Subnets[n].Name == name {
			return &data.Subnets[n], nil
		}
	}
	return nil, fmt.Errorf("no subnet %q in site %q", name, site)
}

// SetFirewall replaces a site's perimeter firewall; nil lets everything pass.
// What was let through before is judged again by the new rules, so that a rule
// that blocks UDP takes effect in mid-call.
func (i *Internet) SetFirewall(site string, f *topology.Firewall) error {
	return i.change(func() error {
		data := i.network.Site(site)
		if data == nil {
			return fmt.Errorf("firewall: no site %q", site)
		}
		if err := i.edges[site].firewall.Set(f); err != nil {
			return fmt.Errorf("site %s: %w", site, err)
		}
		data.Firewall = f
		i.network = i.network.Clone() // the caller keeps f
		return nil
	})
}

// Move takes a host to another subnet, where it gets new addresses. Its sockets
// that are bound to the lost addresses break, as on a real host; a VPN tunnel
// follows it.
func (i *Internet) Move(hostName, site, subnet string) error {
	return i.change(func() error {
		p := i.ports[hostName]
		if p == nil {
			return fmt.Errorf("move: no host %q", hostName)
		}
		if _, err := i.subnetData(site, subnet); err != nil {
			return fmt.Errorf("move host %s: %w", hostName, err)
		}
		was := i.network
		i.network = was.Clone()
		if err := i.move(p, site, subnet); err != nil {
			i.network = was
			return fmt.Errorf("move host %s to %s/%s: %w", hostName, site, subnet, err)
		}
		return nil
	})
}

func (i *Internet) move(p *port, site, subnet string) error {
	h := i.network.Host(p.name)
	h.Site, h.Subnet, h.Addresses = site, subnet, nil
	if err := i.network.Complete(); err != nil { // which gives it addresses there
		return err
	}
	h = i.network.Host(p.name)
	at, err := i.attach(p, h)
	if err != nil {
		return err
	}
	p.unplug()
	p.plugIn(at)
	if err := i.reconfigure(h); err != nil {
		return err
	}
	if p.tunnel != nil {
		p.tunnel.enter(nil) // so that the concentrator learns the new way
	}
	if err := i.resolveAgain(p.name); err != nil {
		return err
	}
	if len(h.Names) > 0 {
		return i.serveNames()
	}
	return nil
}

// resolveAgain renews what names hosts: the firewalls' rules, and the routes into
// tunnels that name the host which has moved.
func (i *Internet) resolveAgain(moved string) error {
	for _, site := range i.network.Sites {
		if err := i.edges[site.Name].firewall.Set(site.Firewall); err != nil {
			return fmt.Errorf("site %s: %w", site.Name, err)
		}
	}
	for _, v := range i.network.VPNs {
		if err := i.concentrators[v.Name].firewall.Set(v.Firewall); err != nil {
			return fmt.Errorf("VPN %s: %w", v.Name, err)
		}
	}
	for n := range i.network.Hosts {
		h := &i.network.Hosts[n]
		if h.VPN == "" || !slices.Contains(i.network.VPN(h.VPN).Tunnelled, moved) {
			continue
		}
		if err := i.reconfigure(h); err != nil {
			return err
		}
	}
	return nil
}

// reconfigure gives a host's stack the interfaces that the network has for it.
func (i *Internet) reconfigure(h *topology.Host) error {
	ifaces, err := i.interfaces(h)
	if err != nil {
		return err
	}
	return i.Host(h.Name).Reconfigure(ifaces)
}
