package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/dns"
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/stunprobe"
)

// dnsPort is DNS's port (RFC 1035, section 4.2).
const dnsPort = 53

// start starts the hosts, their servers and the tunnels.
func (i *Internet) start() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	servers := i.nameServers()
	for n := range i.network.Hosts {
		h := &i.network.Hosts[n]
		ifaces, err := i.interfaces(h)
		if err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
		p := i.ports[h.Name]
		running, err := host.New(host.Config{
			Name:       h.Name,
			Interfaces: ifaces,
			DNS:        servers,
			Seed:       i.seed("host " + h.Name),
			Send:       p.send,
			Log:        i.log.With("host", h.Name),
		})
		if err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
		p.host.Store(running)
	}
	if err := i.serveNames(); err != nil {
		return err
	}
	for _, h := range i.network.HostsWith(topology.STUNProbe) {
		if err := i.serveProbe(h); err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
	}
	for _, h := range i.network.Hosts {
		if t := i.ports[h.Name].tunnel; t != nil {
			t.keepAlive()
		}
	}
	return nil
}

// nameServers are the addresses that each host asks for names: the first server's.
func (i *Internet) nameServers() []netip.AddrPort {
	servers := i.network.HostsWith(topology.DNSServer)
	if len(servers) == 0 {
		return nil
	}
	var out []netip.AddrPort
	for _, a := range servers[0].Addresses {
		out = append(out, netip.AddrPortFrom(a, dnsPort))
	}
	return out
}

// serveNames starts the DNS servers, in place of those that run, with every host's
// names. Internet.mu is held.
func (i *Internet) serveNames() error {
	if i.names.end != nil {
		i.names.end()
		i.names.servers.Wait()
	}
	ctx, cancel := context.WithCancel(i.services)
	i.names.end = cancel
	zone := make(map[string][]netip.Addr)
	for _, h := range i.network.Hosts {
		for _, name := range h.Names {
			zone[name] = append(zone[name], h.Addresses...)
		}
	}
	for _, h := range i.network.HostsWith(topology.DNSServer) {
		running := i.Host(h.Name)
		for _, a := range h.Addresses {
			address := netip.AddrPortFrom(a, dnsPort).String()
			pc, err := running.ListenPacket(ctx, "udp", address)
			if err != nil {
				return fmt.Errorf("host %s: DNS: %w", h.Name, err)
			}
			l, err := running.Listen(ctx, "tcp", address)
			if err != nil {
				return errors.Join(fmt.Errorf("host %s: DNS: %w", h.Name, err), pc.Close())
			}
			i.serve(ctx, &i.names.servers, h.Name, func() error {
				defer pc.Close()
				return dns.Serve(ctx, pc, zone)
			})
			i.serve(ctx, &i.names.servers, h.Name, func() error { return dns.ServeListener(ctx, l, zone) })
		}
	}
	return nil
}

// serve runs a server until its context ends.
func (i *Internet) serve(ctx context.Context, group *sync.WaitGroup, host string, run func() error) {
	group.Go(func() {
		if err := run(); err != nil && ctx.Err() == nil {
			i.log.Error("server ended", "host", host, "error", err)
		}
	})
}

// serveProbe starts the STUN server of RFC 5780 on a host's first two addresses of
// one family.
func (i *Internet) serveProbe(h *topology.Host) error {
	pair, err := probePair(h.Addresses)
	if err != nil {
		return err
	}
	running := i.Host(h.Name)
	server, err := stunprobe.Listen(i.services, running.ListenPacket, pair)
	if err != nil {
		return err
	}
	i.serve(i.services, &i.probes, h.Name, func() error { return server.Run(i.services) })
	return nil
}

func probePair(addresses []netip.Addr) ([2]netip.Addr, error) {
	for n, a := range addresses {
		rest := addresses[n+1:]
		if m := slices.IndexFunc(rest, func(b netip.Addr) bool { return a.Is4() == b.Is4() }); m >= 0 {
			return [2]netip.Addr{a, rest[m]}, nil
		}
	}
	return [2]netip.Addr{}, fmt.Errorf("a STUN probe needs two addresses of one family, and has %v", addresses)
}
