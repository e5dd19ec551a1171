//go:build !linux

package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/forward/kernel"
)

// Where the system is not Linux there is no core: New says so, and what follows
// only lets callers compile. Relays then use their protocol engine for all packets.

type (
	sockaddr struct{}
	end      struct{}
)

// Config says how a core works.
type Config struct {
	// Workers is how many goroutines forward.
	Workers int
	// Kernel forwards what it can before it comes to the core.
	Kernel *kernel.Path
}

// Core forwards the packets of bound channels.
type Core struct{}

// Totals are the figures of all flows since the start.
type Totals struct {
	ToPeer, ToClient Count
	// Overflow counts datagrams for the engine that it was too slow to take.
	Overflow uint64
}

// New returns errors.ErrUnsupported.
func New(Config) (*Core, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Core) Close() error { return nil }

// Totals returns zeros.
func (*Core) Totals() Totals { return Totals{} }

// Flows returns none.
func (*Core) Flows() []FlowStats { return nil }

// Listen returns errors.ErrUnsupported.
func (*Core) Listen(net.PacketConn) (*Listener, error) { return nil, errors.ErrUnsupported }

// ListenUDP opens a UDP socket.
func ListenUDP(ctx context.Context, network, address string) (net.PacketConn, error) {
	return (&net.ListenConfig{}).ListenPacket(ctx, network, address)
}

// Listener is a socket that clients send to.
type Listener struct{ net.PacketConn }

// Relay returns errors.ErrUnsupported.
func (*Listener) Relay(Allocation) (*Relay, error) { return nil, errors.ErrUnsupported }

// Relay is the relay socket of one allocation.
type Relay struct{ net.PacketConn }

// Bind returns errors.ErrUnsupported.
func (*Relay) Bind(Binding) error { return errors.ErrUnsupported }

// Unbind does nothing.
func (*Relay) Unbind(uint16) {}

// Permit does nothing.
func (*Relay) Permit(netip.Addr, bool) {}

// Flows returns none.
func (*Relay) Flows() []FlowStats { return nil }

// WriteWhole returns errors.ErrUnsupported.
func (*Relay) WriteWhole([]byte, netip.AddrPort) error { return errors.ErrUnsupported }

// WriteWhole returns errors.ErrUnsupported.
func WriteWhole(*net.UDPConn, []byte, netip.AddrPort) error { return errors.ErrUnsupported }

// Port is a socket for who makes its own datagrams.
type Port struct{}

// NewPort returns errors.ErrUnsupported, and leaves the socket as it is.
func NewPort(*net.UDPConn) (*Port, error) { return nil, errors.ErrUnsupported }

// Local returns no address.
func (*Port) Local() netip.AddrPort { return netip.AddrPort{} }

// Wake does nothing.
func (*Port) Wake() {}

// Receive returns nothing.
func (*Port) Receive(time.Duration) []fanout.Datagram { return nil }

// Send sends nothing.
func (*Port) Send([]fanout.Datagram) int { return 0 }

// WriteTo returns errors.ErrUnsupported.
func (*Port) WriteTo([]byte, netip.AddrPort) error { return errors.ErrUnsupported }

// Close does nothing.
func (*Port) Close() error { return nil }
