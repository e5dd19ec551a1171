package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pires/go-proxyproto"

	"github.com/callpath/callpath/relay/association"
	"github.com/callpath/callpath/relay/turn"
)

// listener is one kind of listener with its ports.
type listener struct {
	key, network string
	ports        []uint16
	// transport is empty for signaling.
	transport turn.Transport
}

// listeners are all kinds.
func (c *Config) listeners() []listener {
	return []listener{
		{"relay.udp", "udp", c.Relay.UDP, turn.UDP},
		{"relay.tcp", "tcp", c.Relay.TCP, turn.TCP},
		{"relay.tls", "tcp", c.Relay.TLS, turn.TLS},
		{"relay.dtls", "udp", c.Relay.DTLS, turn.DTLS},
		{"signaling.https", "tcp", c.Signaling.HTTPS, ""},
	}
}

// sockets are what the server listens on.
type sockets struct {
	packets   []net.PacketConn
	streams   []turn.Listener
	signaling []net.Listener
	// addresses are those of listen, each by itself.
	addresses []netip.Addr
}

func (s *sockets) close() {
	for _, pc := range s.packets {
		_ = pc.Close()
	}
	for _, l := range s.streams {
		_ = l.Close()
	}
	for _, l := range s.signaling {
		_ = l.Close()
	}
}

// Buffers of UDP sockets, in bytes. The kernel's default holds fewer than a hundred
// datagrams, and loses the rest whenever the program is not scheduled for some
// milliseconds. The kernel may grant less (net.core.rmem_max).
const (
	listenBuffer = 4 << 20
	relayBuffer  = 1 << 20
)

// proxyHeaderTimeout is how long a trusted proxy may take for its header.
const proxyHeaderTimeout = 5 * time.Second

// open opens all sockets, or none. get returns the certificate of the moment.
func (c *Config) open(ctx context.Context, get func() *tls.Certificate) (_ *sockets, err error) {
	s := &sockets{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.addresses, err = c.addresses(); err != nil {
		return nil, err
	}
	secure := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return get(), nil },
	}
	for _, l := range c.listeners() {
		for _, addr := range s.addresses {
			for _, port := range l.ports {
				if err := s.listen(ctx, l, netip.AddrPortFrom(addr, port), secure, c.Proxies); err != nil {
					return nil, fmt.Errorf("%s: %w", l.key, err)
				}
			}
		}
	}
	return s, nil
}

func (s *sockets) listen(ctx context.Context, l listener, at netip.AddrPort, secure *tls.Config, proxies []Prefix) error {
	network := l.network + familyOf(at.Addr())
	lc := net.ListenConfig{}
	switch l.transport {
	case turn.UDP:
		lc.Control = receiveBuffer(listenBuffer)
		pc, err := lc.ListenPacket(ctx, network, at.String())
		if err != nil {
			return err
		}
		s.packets = append(s.packets, pc)
		return nil
	case turn.DTLS:
		lc.Control = receiveBuffer(listenBuffer)
		pc, err := lc.ListenPacket(ctx, network, at.String())
		if err != nil {
			return err
		}
		associations := association.Listen(pc.(*net.UDPConn))
		ln, err := dtls.NewListenerWithOptions(associations,
			dtls.WithGetCertificate(func(*dtls.ClientHelloInfo) (*tls.Certificate, error) { return secure.GetCertificate(nil) }))
		if err != nil {
			return errors.Join(err, associations.Close())
		}
		s.streams = append(s.streams, turn.Listener{Transport: turn.DTLS, Listener: ln})
		return nil
	}
	ln, err := lc.Listen(ctx, network, at.String())
	if err != nil {
		return err
	}
	ln = behindProxies(ln, prefixes(proxies))
	switch l.transport {
	case turn.TCP:
		s.streams = append(s.streams, turn.Listener{Transport: turn.TCP, Listener: ln})
	case turn.TLS:
		s.streams = append(s.streams, turn.Listener{Transport: turn.TLS, Listener: tls.NewListener(ln, secure)})
	default:
		s.signaling = append(s.signaling, ln)
	}
	return nil
}

// behindProxies takes the client's address from the header of PROXY protocol v2
// where the connection is a trusted proxy's, which must then send it. From anybody
// else a header is no header, so that nobody can claim an address.
func behindProxies(ln net.Listener, trusted []netip.Prefix) net.Listener {
	if len(trusted) == 0 {
		return ln
	}
	return &proxyproto.Listener{
		Listener:          ln,
		ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			at, err := netip.ParseAddrPort(o.Upstream.String())
			if err == nil && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(at.Addr().Unmap()) }) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
		ValidateHeader: func(h *proxyproto.Header) error {
			if h.Version != 2 {
				return fmt.Errorf("PROXY protocol version %d, wanted 2", h.Version)
			}
			return nil
		},
	}
}

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// receiveBuffer asks for a larger buffer, before the first datagram comes.
func receiveBuffer(size int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// Without it the socket works, and loses more under load.
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, size)
		})
	}
}

// relaySocket opens the socket of an allocation.
func relaySocket(ctx context.Context, network, address string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: receiveBuffer(relayBuffer)}
	return lc.ListenPacket(ctx, network, address)
}

// addresses are those of listen, with the wildcards replaced by what the machine
// has: a UDP socket for all addresses may answer from another than it was asked on.
func (c *Config) addresses() ([]netip.Addr, error) {
	machine, err := machineAddresses()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range c.Listen {
		if !a.IsUnspecified() {
			if c.optional && !usable(a) {
				continue
			}
			out = append(out, a)
			continue
		}
		n := len(out)
		for _, m := range machine {
			if m.Is4() == a.Is4() && !m.IsLinkLocalUnicast() {
				out = append(out, m)
			}
		}
		if len(out) == n {
			return nil, fmt.Errorf("listen: the machine has no address for %v", a)
		}
	}
	var unique []netip.Addr
	for _, a := range out {
		if !slices.Contains(unique, a) {
			unique = append(unique, a)
		}
	}
	if len(unique) == 0 {
		return nil, errors.New("listen: none of the default addresses is there; valid: --listen ADDRESS")
	}
	return unique, nil
}

// usable says whether the machine has the address, which a container may not have
// for IPv6.
func usable(a netip.Addr) bool {
	pc, err := net.ListenUDP("udp"+familyOf(a), net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return false
	}
	_ = pc.Close()
	return true
}

func machineAddresses() ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	var out []netip.Addr
	for _, i := range interfaces {
		if n, ok := i.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				out = append(out, a.Unmap())
			}
		}
	}
	return out, nil
}

// relayAddresses are those of relayed transport addresses.
func (c *Config) relayAddresses(listening []netip.Addr) []netip.Addr {
	if len(c.Relay.Addresses) > 0 {
		return c.Relay.Addresses
	}
	outside := slices.DeleteFunc(slices.Clone(listening), netip.Addr.IsLoopback)
	if len(outside) > 0 {
		return outside
	}
	return listening
}
