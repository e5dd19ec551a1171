package turn

import (
	"net"
	"net/netip"
	"slices"
)

// own is what the relay knows of its own addresses, and the peer policy with it.
//
// Two clients of one relay are each other's peers through their relayed transport
// addresses, so the addresses that those are on must be permitted as peers, while
// everything else on the relay's machine must not be reachable. A permission is for
// an address without a port; the port is judged when it is known, at a channel
// binding and at each datagram: on an address of relayed transport addresses only
// live ones are reached, and what the relay listens on never is. Services beside the
// relay are reached at their ports only, in the same way.
type own struct {
	policy PeerPolicy
	// addresses are all of the relay's; relayed those of relayed addresses.
	addresses []netip.Addr
	relayed   map[netip.Addr]bool
	// listeners are what the relay listens on; everywhere the ports of sockets
	// that listen on all addresses.
	listeners  map[netip.AddrPort]bool
	everywhere map[uint16]bool
	// allowed are the relayed addresses that the policy allows by name, with all
	// of their ports.
	allowed map[netip.Addr]bool
	// services are those of the policy; narrow has their addresses of which nothing
	// but the services is reached.
	services map[netip.AddrPort]bool
	narrow   map[netip.Addr]bool
}

func newOwn(cfg Config) own {
	o := own{
		policy:     cfg.Peers,
		relayed:    make(map[netip.Addr]bool),
		listeners:  make(map[netip.AddrPort]bool),
		everywhere: make(map[uint16]bool),
		allowed:    make(map[netip.Addr]bool),
		services:   make(map[netip.AddrPort]bool),
		narrow:     make(map[netip.Addr]bool),
	}
	for _, a := range cfg.Addresses {
		o.relayed[a] = true
		if _, ok := find(cfg.Peers.Allow, a); ok {
			o.allowed[a] = true
		}
		o.addresses = append(o.addresses, a)
	}
	for _, a := range cfg.OwnAddresses {
		o.addresses = append(o.addresses, a.Unmap())
	}
	var listening []net.Addr
	for _, pc := range cfg.PacketConns {
		listening = append(listening, pc.LocalAddr())
	}
	for _, l := range cfg.Listeners {
		listening = append(listening, l.Addr())
	}
	for _, l := range listening {
		at := addrPort(l)
		if at.Addr().IsUnspecified() {
			o.everywhere[at.Port()] = true
			continue
		}
		o.listeners[at] = true
		o.addresses = append(o.addresses, at.Addr())
	}
	if cfg.machine {
		o.addresses = append(o.addresses, machineAddresses()...)
	}
	slices.SortFunc(o.addresses, netip.Addr.Compare)
	o.addresses = slices.Compact(o.addresses)
	for _, at := range cfg.Peers.Services {
		at = unmap(at)
		o.services[at] = true
		_, otherwise := cfg.Peers.Check(o.addresses, at.Addr())
		o.narrow[at.Addr()] = !otherwise && !o.relayed[at.Addr()]
	}
	return o
}

// machineAddresses are those of the machine's interfaces; none where it will not
// tell.
func machineAddresses() []netip.Addr {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addresses []netip.Addr
	for _, i := range interfaces {
		if n, ok := i.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				addresses = append(addresses, a.Unmap())
			}
		}
	}
	return addresses
}

// permits says whether a client may have a permission for peer.
func (o *own) permits(peer netip.Addr) (rule string, allowed bool) {
	if o.relayed[peer] || o.narrow[peer] {
		if prefix, ok := find(o.policy.Deny, peer); ok {
			return "deny " + prefix.String(), false
		}
		return "", true
	}
	return o.policy.Check(o.addresses, peer)
}

// reaches says whether a datagram may go to peer, whose address has a permission.
func (o *own) reaches(peer netip.AddrPort, live *registry) bool {
	addr := peer.Addr()
	switch {
	case o.listeners[peer]:
		return false
	case o.services[peer]:
		return true
	case o.narrow[addr]:
		return false
	case o.everywhere[peer.Port()] && slices.Contains(o.addresses, addr):
		return false
	case o.relayed[addr] && !o.allowed[addr]:
		return live.get(peer) != nil
	}
	return true
}

// guard returns what says whether a channel's datagrams still may go to peer, which
// could be reached when it was bound; nil when that cannot change. When it says no,
// reaches has the last word.
func (o *own) guard(peer netip.AddrPort, live *registry) func() bool {
	if addr := peer.Addr(); !o.relayed[addr] || o.allowed[addr] || o.services[peer] {
		return nil
	}
	target := live.get(peer)
	return func() bool { return target != nil && !target.gone.Load() }
}

// addrPort is the address of a library's net.Addr, IPv4 always as IPv4; the zero
// value where it is none.
func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	if u, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return unmap(u.AddrPort())
	}
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return unmap(at)
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
