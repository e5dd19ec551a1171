package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// network is what the first argument of Dial and Listen says.
type network struct {
	proto  string // "tcp" or "udp"
	v4, v6 bool
}

var networks = map[string]network{
	"tcp":  {"tcp", true, true},
	"tcp4": {"tcp", true, false},
	"tcp6": {"tcp", false, true},
	"udp":  {"udp", true, true},
	"udp4": {"udp", true, false},
	"udp6": {"udp", false, true},
}

// parseNetwork accepts the networks of the given protocol, or of both if it is
// empty.
func parseNetwork(name, proto string) (network, error) {
	n, ok := networks[name]
	if !ok || proto != "" && n.proto != proto {
		return network{}, net.UnknownNetworkError(name)
	}
	return n, nil
}

func (n network) takes(a netip.Addr) bool {
	if a.Is4() {
		return n.v4
	}
	return n.v6
}

// listening returns what a socket is bound to that was asked for local, whose
// address may be the zero Addr. As with package net, "[::]" and no address at
// all mean both families unless the network names one; "0.0.0.0" means IPv4.
func (n network) listening(local netip.AddrPort) (binding, error) {
	b := binding{addr: local, family: header.IPv6ProtocolNumber, only6: !n.v4}
	a := local.Addr()
	switch {
	case a.IsMulticast():
		return binding{}, fmt.Errorf("multicast: %w", syscall.EADDRNOTAVAIL)
	case a.IsValid() && !n.takes(a) && !(a == netip.IPv6Unspecified() && n.v4):
		return binding{}, &net.AddrError{Err: "no suitable address found", Addr: a.String()}
	case a.Is4(), !n.v6:
		b.family = header.IPv4ProtocolNumber
	}
	return b, nil
}

// DialContext connects to an address like "relay.callpath.test:3478" over
// "tcp", "tcp4", "tcp6", "udp", "udp4" or "udp6". A name is looked up by the
// host's DNS, and its addresses are tried in order until one answers. TCP gives
// a *TCPConn and UDP a *UDPConn. The error is a *net.OpError.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.dial(ctx, network, netip.AddrPort{}, address)
}

// dial connects from local, which may be the zero AddrPort.
func (h *Host) dial(ctx context.Context, name string, local netip.AddrPort, address string) (net.Conn, error) {
	n, err := parseNetwork(name, "")
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: name, Err: err}
	}
	all, err := h.resolve(ctx, n, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: name, Err: err}
	}
	var first error
	for i, to := range all {
		c, err := h.dialOne(ctx, n, local, to, len(all)-i)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = opError("dial", name, local, to, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialOne connects to one of several addresses that remain to be tried, with
// its share of the time. The error is bare.
func (h *Host) dialOne(ctx context.Context, n network, local, to netip.AddrPort, remaining int) (net.Conn, error) {
	const least = 2 * time.Second // a share shorter than that is of no use
	if end, ok := ctx.Deadline(); ok && remaining > 1 {
		share := max(time.Until(end)/time.Duration(remaining), least)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	to = dialable(to)
	if local.IsValid() && !local.Addr().IsUnspecified() && local.Addr().Is4() != to.Addr().Is4() {
		return nil, syscall.EAFNOSUPPORT
	}
	if n.proto == "udp" {
		c, err := h.openUDP(binding{addr: local, family: familyOf(to.Addr())}, to)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	c, err := h.openTCP(ctx, local, to)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dialable replaces the unspecified address, which means the host itself.
func dialable(to netip.AddrPort) netip.AddrPort {
	switch a := to.Addr(); {
	case a == netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
	case !a.IsValid(), a.IsUnspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
	}
	return to
}

// Listen listens for TCP connections on an address like "192.0.2.1:443", ":443"
// or "[::]:0"; port 0 takes an ephemeral one. The listener is a *TCPListener.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	n, local, err := h.local(ctx, network, "tcp", address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	l, err := h.listenTCP(n, local)
	if err != nil {
		return nil, opError("listen", network, netip.AddrPort{}, local, err)
	}
	return l, nil
}

// ListenPacket opens a UDP socket, a *UDPConn, on an address like that of
// Listen.
func (h *Host) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	n, local, err := h.local(ctx, network, "udp", address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	c, err := h.listenUDP(n, local)
	if err != nil {
		return nil, opError("listen", network, netip.AddrPort{}, local, err)
	}
	return c, nil
}

// local reads the arguments of Listen and ListenPacket.
func (h *Host) local(ctx context.Context, name, proto, address string) (network, netip.AddrPort, error) {
	n, err := parseNetwork(name, proto)
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	if address == "" {
		return n, netip.AddrPort{}, nil
	}
	all, err := h.resolve(ctx, n, address)
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	return n, all[0], nil
}

func (h *Host) listenTCP(n network, local netip.AddrPort) (*TCPListener, error) {
	b, err := n.listening(local)
	if err != nil {
		return nil, err
	}
	return h.openListener(b)
}

func (h *Host) listenUDP(n network, local netip.AddrPort) (*UDPConn, error) {
	b, err := n.listening(local)
	if err != nil {
		return nil, err
	}
	return h.openUDP(b, netip.AddrPort{})
}
