package host

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/callpath/callpath/topology/sim/dns"
)

// resolve reads an address of the form host:port. An empty host gives the zero
// Addr; a name gives all its addresses of the network's families.
func (h *Host) resolve(ctx context.Context, n network, address string) ([]netip.AddrPort, error) {
	name, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := parsePort(ctx, n.proto, service)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return []netip.AddrPort{netip.AddrPortFrom(netip.Addr{}, port)}, nil
	}
	addrs, err := h.lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for _, a := range addrs {
		// "[::]" is also how one writes all IPv4 addresses.
		if n.takes(a) || a == netip.IPv6Unspecified() {
			all = append(all, netip.AddrPortFrom(a, port))
		}
	}
	if len(all) == 0 {
		return nil, &net.AddrError{Err: "no suitable address found", Addr: name}
	}
	return all, nil
}

func parsePort(ctx context.Context, proto, service string) (uint16, error) {
	if service == "" {
		return 0, nil
	}
	if port, err := strconv.ParseUint(service, 10, 16); err == nil {
		return uint16(port), nil
	}
	// The names of services are those of the machine that runs the simulation.
	port, err := net.DefaultResolver.LookupPort(ctx, proto, service)
	return uint16(port), err
}

// LookupNetIP returns the addresses of a name, which may be a literal address
// or "localhost". network is "ip", "ip4" or "ip6". The host's name servers are
// asked over the simulated network, one after the other until one answers. The
// error is a *net.DNSError, whose IsNotFound says that the name does not exist
// or has no address of the family.
//
// Addresses to which the host has a route come first, and then IPv6 before IPv4
// (RFC 6724, section 6, rules 1 and 6).
func (h *Host) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	if network != "ip" && network != "ip4" && network != "ip6" {
		return nil, net.UnknownNetworkError(network)
	}
	all, err := h.lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	fit := slices.DeleteFunc(all, func(a netip.Addr) bool {
		return network == "ip4" && !a.Is4() || network == "ip6" && a.Is4()
	})
	if len(fit) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return fit, nil
}

// lookup returns at least one address, of any family, or an error.
func (h *Host) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}, nil
	}
	if strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") {
		return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	if len(h.cfg.DNS) == 0 {
		return nil, &net.DNSError{Err: "host has no name server", Name: name}
	}
	var failed error
	for _, server := range h.cfg.DNS {
		all, err := dns.Lookup(ctx, h.DialContext, server, name)
		if err == nil {
			h.prefer(all)
			return all, nil
		}
		failed = err
		var de *net.DNSError
		if errors.As(err, &de) && de.IsNotFound || ctx.Err() != nil {
			break // an authoritative answer, or no time to ask another
		}
	}
	return nil, failed
}

// prefer sorts addresses in the order in which they should be tried.
func (h *Host) prefer(all []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rank := func(a netip.Addr) int {
		r := 0
		if !h.reaches(a) {
			r += 2
		}
		if a.Is4() {
			r++
		}
		return r
	}
	slices.SortStableFunc(all, func(a, b netip.Addr) int { return rank(a) - rank(b) })
}
