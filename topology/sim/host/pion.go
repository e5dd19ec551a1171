package host

import (
	"context"
	"net"
	"net/netip"
	"slices"

	"github.com/pion/transport/v5"
)

// Net returns the host's sockets in the shape that pion's libraries take:
// webrtc/v4 by SettingEngine.SetNet, ice/v4 and turn/v5 in their configurations.
//
// Two parts of ice/v4 go around it and use the real machine's network: active
// ICE-TCP candidates, which SettingEngine.DisableActiveTCP turns off, and
// multicast DNS, for which listening is refused here; set
// ice.MulticastDNSModeDisabled.
func (h *Host) Net() transport.Net { return pionNet{h} }

// pionNet implements transport.Net.
type pionNet struct{ h *Host }

var (
	_ transport.Net         = pionNet{}
	_ transport.UDPConn     = (*UDPConn)(nil)
	_ transport.TCPConn     = (*TCPConn)(nil)
	_ transport.TCPListener = pionListener{}
)

func (n pionNet) ListenPacket(network, address string) (net.PacketConn, error) {
	return n.h.ListenPacket(context.Background(), network, address)
}

func (n pionNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	kind, err := parseNetwork(network, "udp")
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	at := udpAddrPort(local)
	c, err := n.h.listenUDP(kind, at)
	if err != nil {
		return nil, opError("listen", network, netip.AddrPort{}, at, err)
	}
	return c, nil
}

func (n pionNet) ListenTCP(network string, local *net.TCPAddr) (transport.TCPListener, error) {
	kind, err := parseNetwork(network, "tcp")
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	at := tcpAddrPort(local)
	l, err := n.h.listenTCP(kind, at)
	if err != nil {
		return nil, opError("listen", network, netip.AddrPort{}, at, err)
	}
	return pionListener{l}, nil
}

func (n pionNet) Dial(network, address string) (net.Conn, error) {
	return n.h.DialContext(context.Background(), network, address)
}

func (n pionNet) DialUDP(network string, local, remote *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.dial(network, "udp", udpAddrPort(local), udpAddrPort(remote))
	if err != nil {
		return nil, err
	}
	return c.(*UDPConn), nil
}

func (n pionNet) DialTCP(network string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	c, err := n.dial(network, "tcp", tcpAddrPort(local), tcpAddrPort(remote))
	if err != nil {
		return nil, err
	}
	return c.(*TCPConn), nil
}

func (n pionNet) dial(network, proto string, local, remote netip.AddrPort) (net.Conn, error) {
	kind, err := parseNetwork(network, proto)
	if err == nil && remote.Addr().IsValid() && !kind.takes(remote.Addr()) {
		err = &net.AddrError{Err: "no suitable address found", Addr: remote.Addr().String()}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	c, err := n.h.dialOne(context.Background(), kind, local, remote, 1)
	if err != nil {
		return nil, opError("dial", network, local, remote, err)
	}
	return c, nil
}

func (n pionNet) ResolveIPAddr(network, address string) (*net.IPAddr, error) {
	if network != "ip" && network != "ip4" && network != "ip6" {
		return nil, net.UnknownNetworkError(network)
	}
	all, err := n.h.LookupNetIP(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return &net.IPAddr{IP: firstIPv4(all, netip.Addr.Is4).AsSlice()}, nil
}

func (n pionNet) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	ap, err := n.resolve(network, "udp", address)
	if err != nil {
		return nil, err
	}
	return &net.UDPAddr{IP: ap.Addr().AsSlice(), Port: int(ap.Port())}, nil
}

func (n pionNet) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	ap, err := n.resolve(network, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &net.TCPAddr{IP: ap.Addr().AsSlice(), Port: int(ap.Port())}, nil
}

func (n pionNet) resolve(network, proto, address string) (netip.AddrPort, error) {
	kind, err := parseNetwork(network, proto)
	if err != nil {
		return netip.AddrPort{}, err
	}
	all, err := n.h.resolve(context.Background(), kind, address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return firstIPv4(all, func(ap netip.AddrPort) bool { return ap.Addr().Is4() }), nil
}

// firstIPv4 chooses as net.ResolveUDPAddr does, when one address must do.
func firstIPv4[T any](all []T, is4 func(T) bool) T {
	return all[max(slices.IndexFunc(all, is4), 0)]
}

// Interfaces returns the loopback first, and then the host's interfaces in
// their order. An index is never used for another interface.
func (n pionNet) Interfaces() ([]*transport.Interface, error) {
	lo := transport.NewInterface(net.Interface{
		Index: int(loopbackNIC), MTU: loopbackMTU, Name: loopbackName,
		Flags: net.FlagUp | net.FlagRunning | net.FlagLoopback,
	})
	for _, p := range loopbackAddresses() {
		lo.AddAddress(ipNet(p))
	}
	all := []*transport.Interface{lo}
	n.h.mu.Lock()
	defer n.h.mu.Unlock()
	for _, i := range n.h.interfaces {
		ti := transport.NewInterface(net.Interface{
			Index: int(i.nic), MTU: mtuOf(i.Interface), Name: i.Name,
			Flags: net.FlagUp | net.FlagRunning | net.FlagPointToPoint,
		})
		for _, p := range i.Addresses {
			ti.AddAddress(ipNet(p))
		}
		all = append(all, ti)
	}
	return all, nil
}

func (n pionNet) InterfaceByIndex(index int) (*transport.Interface, error) {
	return n.find(func(i *transport.Interface) bool { return i.Index == index })
}

func (n pionNet) InterfaceByName(name string) (*transport.Interface, error) {
	return n.find(func(i *transport.Interface) bool { return i.Name == name })
}

func (n pionNet) find(fits func(*transport.Interface) bool) (*transport.Interface, error) {
	all, err := n.Interfaces()
	if err != nil {
		return nil, err
	}
	if k := slices.IndexFunc(all, fits); k >= 0 {
		return all[k], nil
	}
	return nil, transport.ErrInterfaceNotFound
}

// CreateDialer takes Timeout, Deadline and LocalAddr from d and ignores the
// rest.
func (n pionNet) CreateDialer(d *net.Dialer) transport.Dialer { return pionDialer{n.h, d} }

// CreateListenConfig ignores what c says, which is about kernel sockets.
func (n pionNet) CreateListenConfig(*net.ListenConfig) transport.ListenConfig { return n.h }

type pionDialer struct {
	h *Host
	d *net.Dialer
}

func (p pionDialer) Dial(network, address string) (net.Conn, error) {
	return p.DialContext(context.Background(), network, address)
}

func (p pionDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if p.d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.d.Timeout)
		defer cancel()
	}
	if !p.d.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, p.d.Deadline)
		defer cancel()
	}
	var local netip.AddrPort
	switch a := p.d.LocalAddr.(type) {
	case *net.UDPAddr:
		local = udpAddrPort(a)
	case *net.TCPAddr:
		local = tcpAddrPort(a)
	}
	return p.h.dial(ctx, network, local, address)
}

// pionListener has AcceptTCP return pion's interface.
type pionListener struct{ *TCPListener }

func (l pionListener) AcceptTCP() (transport.TCPConn, error) {
	c, err := l.TCPListener.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// udpAddrPort returns the zero AddrPort for nil, and one with the zero Addr for
// an address without an IP.
func udpAddrPort(a *net.UDPAddr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	return unmapped(a.AddrPort())
}

func tcpAddrPort(a *net.TCPAddr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	return unmapped(a.AddrPort())
}
