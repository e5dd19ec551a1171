// Package host is a machine of the simulated internet.
package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"github.com/pion/transport/v5"
)

// Interface is one network interface of a host.
type Interface struct {
	// Name is as on a real host, for example eth0 or vpn0.
	Name string
	// MTU is in bytes of IP packet; zero is 1500.
	MTU int
	// Addresses are the interface's, each with its subnet's length.
	Addresses []netip.Prefix
	// Routes says which destinations leave here; the most specific of all
	// interfaces wins, and the earlier interface among equals. 0.0.0.0/0 and
	// ::/0 are the default routes.
	Routes []netip.Prefix
}

// Config says what a host is.
type Config struct {
	Name       string
	Interfaces []Interface
	DNS        []netip.AddrPort
	Seed       uint64
	Send       func(iface string, packet []byte)
	Log        *slog.Logger
}

// Host is a machine.
type Host struct{ cfg Config }

// New starts a host.
func New(cfg Config) (*Host, error) { return &Host{cfg: cfg}, nil }

// Name returns the host's name.
func (h *Host) Name() string { return h.cfg.Name }

// Deliver hands the host a packet.
func (h *Host) Deliver(iface string, packet []byte) {}

// Reconfigure replaces the interfaces.
func (h *Host) Reconfigure(ifaces []Interface) error { return errors.ErrUnsupported }

// Addresses returns the host's addresses.
func (h *Host) Addresses() []netip.Addr { return nil }

// DialContext connects.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}

// Listen listens.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

// ListenPacket listens.
func (h *Host) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

// LookupNetIP looks a name up.
func (h *Host) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	return nil, errors.ErrUnsupported
}

// Net returns the host's sockets as pion's.
func (h *Host) Net() transport.Net { return nil }

// Close stops the host.
func (h *Host) Close() error { return nil }
