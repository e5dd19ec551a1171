package host

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// attached is an interface that the stack has.
type attached struct {
	Interface
	nic  tcpip.NICID
	link *link
}

// Reconfigure replaces the interfaces, as a machine does that moves to another
// network. An interface that keeps its name is changed in place. What is bound
// to an address that is gone breaks, as on a real host whose connection manager
// drops it: pending and later operations return syscall.ECONNABORTED (TCP) or
// syscall.EADDRNOTAVAIL (UDP, listeners) in a *net.OpError. Sockets that are not
// bound to one address, and those whose address stays, live on.
//
// If the interfaces are not valid nothing is changed. Ending a connection sends
// packets and waits for others that are being sent, so the caller must not hold
// a lock that Config.Send takes.
func (h *Host) Reconfigure(interfaces []Interface) error {
	interfaces = slices.Clone(interfaces)
	if err := checkInterfaces(interfaces); err != nil {
		return fmt.Errorf("host %s: %w", h.cfg.Name, err)
	}
	lost, err := h.replace(interfaces)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.cfg.Name, err)
	}
	for _, s := range lost {
		s.lose()
	}
	return nil
}

// replace changes the interfaces and returns the sockets that lost their
// address by that.
func (h *Host) replace(interfaces []Interface) (lost []*socket, err error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, net.ErrClosed
	}
	if err := h.attach(interfaces); err != nil {
		return nil, err
	}
	for s := range h.sockets {
		if a := s.local.Addr(); !a.IsUnspecified() && !a.IsLoopback() && !h.owns(a) {
			lost = append(lost, s)
		}
	}
	return lost, nil
}

// has reports whether the host may use the address, be it the loopback's.
func (h *Host) has(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return a.IsLoopback() || h.owns(a)
}

// owns reports whether an interface has the address. The caller holds mu.
func (h *Host) owns(a netip.Addr) bool {
	return slices.ContainsFunc(h.interfaces, func(i attached) bool {
		return slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// attach makes the stack's interfaces and routes those that are given. The
// caller holds mu.
func (h *Host) attach(interfaces []Interface) error {
	old := h.interfaces
	h.interfaces = nil
	for _, was := range old {
		if !slices.ContainsFunc(interfaces, func(i Interface) bool { return i.Name == was.Name }) {
			if err := h.stack.RemoveNIC(was.nic); err != nil {
				return fmt.Errorf("interface %s: removing: %s", was.Name, err)
			}
		}
	}
	links := make(map[string]*link, len(interfaces))
	for _, i := range interfaces {
		now := attached{Interface: i}
		if k := slices.IndexFunc(old, func(a attached) bool { return a.Name == i.Name }); k >= 0 {
			now.nic, now.link = old[k].nic, old[k].link
			now.link.SetMTU(uint32(mtuOf(i)))
			for _, gone := range without(old[k].Addresses, i.Addresses) {
				if err := h.stack.RemoveAddress(now.nic, address(gone.Addr())); err != nil {
					return fmt.Errorf("interface %s: removing address %s: %s", i.Name, gone, err)
				}
			}
			if err := h.addAddresses(now, without(i.Addresses, old[k].Addresses)); err != nil {
				return err
			}
		} else {
			h.lastNIC++
			now.nic, now.link = h.lastNIC, newLink(i.Name, mtuOf(i), h.send)
			if err := h.stack.CreateNICWithOptions(now.nic, now.link, stack.NICOptions{Name: i.Name}); err != nil {
				return fmt.Errorf("interface %s: %s", i.Name, err)
			}
			if err := h.addAddresses(now, i.Addresses); err != nil {
				return err
			}
		}
		links[i.Name] = now.link
		h.interfaces = append(h.interfaces, now)
	}
	h.stack.SetRouteTable(routeTable(h.interfaces))
	h.links.Store(&links)
	return nil
}

func (h *Host) send(iface string, packet []byte) {
	if h.cfg.Send != nil {
		h.cfg.Send(iface, packet)
	}
}

func (h *Host) addAddresses(i attached, prefixes []netip.Prefix) error {
	for _, p := range prefixes {
		if err := h.stack.AddProtocolAddress(i.nic, protocolAddress(p), stack.AddressProperties{}); err != nil {
			return fmt.Errorf("interface %s: address %s: %s", i.Name, p, err)
		}
	}
	return nil
}

// routeTable lists the routes, most specific first, interfaces in order.
func routeTable(interfaces []attached) []tcpip.Route {
	type entry struct {
		to  netip.Prefix
		nic tcpip.NICID
	}
	var entries []entry
	for _, p := range loopbackAddresses() {
		entries = append(entries, entry{p, loopbackNIC})
	}
	for _, i := range interfaces {
		for _, p := range slices.Concat(i.Addresses, i.Routes) {
			entries = append(entries, entry{p, i.nic})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(b.to.Bits(), a.to.Bits()) })
	table := make([]tcpip.Route, 0, len(entries))
	for _, e := range entries {
		table = append(table, tcpip.Route{Destination: subnet(e.to), NIC: e.nic})
	}
	return table
}

// reaches reports whether some interface has a route to the address, and an
// address of its family to send from. The caller holds mu.
func (h *Host) reaches(to netip.Addr) bool {
	return slices.ContainsFunc(h.interfaces, func(i attached) bool {
		return slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == to.Is4() }) &&
			slices.ContainsFunc(slices.Concat(i.Addresses, i.Routes), func(p netip.Prefix) bool { return p.Contains(to) })
	})
}

func mtuOf(i Interface) int {
	if i.MTU == 0 {
		return DefaultMTU
	}
	return i.MTU
}

// without returns what a has and b has not.
func without(a, b []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(a), func(p netip.Prefix) bool { return slices.Contains(b, p) })
}

// checkInterfaces refuses what the stack could not take.
func checkInterfaces(interfaces []Interface) error {
	names := make(map[string]bool)
	owners := make(map[netip.Addr]string)
	for n, i := range interfaces {
		switch {
		case i.Name == "":
			return fmt.Errorf("interface %d has no name", n)
		case i.Name == loopbackName:
			return fmt.Errorf("interface name %q is that of the loopback", i.Name)
		case names[i.Name]:
			return fmt.Errorf("two interfaces are named %q", i.Name)
		case i.MTU != 0 && (i.MTU < MinMTU || i.MTU > 65535):
			return fmt.Errorf("interface %s: MTU %d is not between %d and 65535", i.Name, i.MTU, MinMTU)
		}
		names[i.Name] = true
		for _, p := range i.Addresses {
			a := p.Addr()
			if err := checkAddress(p); err != nil {
				return fmt.Errorf("interface %s: address %s: %w", i.Name, p, err)
			}
			if owner, taken := owners[a]; taken {
				return fmt.Errorf("interface %s: address %s is also on %s", i.Name, a, owner)
			}
			owners[a] = i.Name
		}
		for _, p := range i.Routes {
			if !p.IsValid() || p.Addr().Is4In6() {
				return fmt.Errorf("interface %s: route %s is not an IPv4 or IPv6 prefix", i.Name, p)
			}
		}
	}
	return nil
}

func checkAddress(p netip.Prefix) error {
	a := p.Addr()
	switch {
	case !p.IsValid() || a.Is4In6() || a.Zone() != "":
		return errors.New("not an IPv4 or IPv6 address with its subnet's length")
	case a.IsUnspecified() || a.IsLoopback() || a.IsMulticast():
		return errors.New("not a unicast address")
	}
	return nil
}

// lose breaks a socket whose address is gone.
func (s *socket) lose() {
	errno := syscall.EADDRNOTAVAIL
	if s.connection {
		errno = syscall.ECONNABORTED
	}
	if !s.broken.CompareAndSwap(0, uint32(errno)) {
		return
	}
	if s.connection {
		s.ep.Abort()
	}
	s.wake()
}
