package host

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// DefaultMTU is that of an Interface whose MTU is zero, in bytes of IP packet.
const DefaultMTU = 1500

// MinMTU is the least that IPv6 allows (RFC 8200, section 5).
const MinMTU = 1280

// Interface is one network interface of a host.
type Interface struct {
	// Name is as on a real host, for example eth0 or vpn0.
	Name string
	// MTU is in bytes of IP packet, MinMTU to 65535; zero is DefaultMTU.
	MTU int
	// Addresses are the interface's own, each with its subnet's length. The
	// subnet is reached through the interface, without being in Routes.
	Addresses []netip.Prefix
	// Routes lists the destinations that are reached through the interface.
	// Over all interfaces the most specific wins, and among equals that of the
	// earlier interface. 0.0.0.0/0 and ::/0 are the default routes.
	Routes []netip.Prefix
}

// Config says what a host is.
type Config struct {
	// Name is for messages, and makes hosts with the same Seed differ.
	Name       string
	Interfaces []Interface
	// DNS are the host's name servers, in the order in which they are asked.
	DNS []netip.AddrPort
	// Seed makes the host's own choices repeatable: ephemeral ports, TCP's
	// initial sequence numbers, IP identifications.
	Seed uint64
	// Send takes each packet that leaves an interface, and owns it from then
	// on. It is called from whatever goroutine caused the packet, for TCP with
	// the connection's lock held: it must not block for long, and it must not,
	// in the same goroutine, lead to a packet for this host, as delivering one
	// does that another host answers on the spot by an ICMP error or a reset.
	// Nil drops all.
	Send func(iface string, packet []byte)
	// Log gets what is not an error of a caller; nil discards it.
	Log *slog.Logger
}

// Host is a machine. Its methods may be called from several goroutines.
type Host struct {
	cfg   Config
	log   *slog.Logger
	stack *stack.Stack

	// opening is held for reading while a socket is made, up to its place in
	// sockets, so that Close and Reconfigure miss none. It comes before mu.
	opening sync.RWMutex

	// links are the interfaces by name, for Deliver; replaced, never changed.
	links atomic.Pointer[map[string]*link]

	mu sync.Mutex
	// The following are guarded by mu.
	interfaces []attached
	lastNIC    tcpip.NICID
	sockets    map[*socket]struct{}
	closed     bool
}

// New starts a host. An error names the interface and the value that is wrong.
func New(cfg Config) (*Host, error) {
	cfg.Interfaces = slices.Clone(cfg.Interfaces)
	cfg.DNS = slices.Clone(cfg.DNS)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkInterfaces(cfg.Interfaces); err != nil {
		return nil, fmt.Errorf("host %s: %w", cfg.Name, err)
	}
	s, err := newStack(cfg)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", cfg.Name, err)
	}
	h := &Host{
		cfg:     cfg,
		log:     cfg.Log.With("host", cfg.Name),
		stack:   s,
		lastNIC: loopbackNIC,
		sockets: make(map[*socket]struct{}),
	}
	h.mu.Lock()
	err = h.attach(cfg.Interfaces)
	h.mu.Unlock()
	if err != nil {
		s.Destroy()
		return nil, fmt.Errorf("host %s: %w", cfg.Name, err)
	}
	return h, nil
}

// Name returns the host's name.
func (h *Host) Name() string { return h.cfg.Name }

// Deliver hands the host a packet that arrived at an interface, and with it the
// ownership of its bytes. A packet for an interface that the host does not have
// (any more), or that is not IP, is dropped.
func (h *Host) Deliver(iface string, packet []byte) {
	if l := (*h.links.Load())[iface]; l != nil {
		l.receive(packet)
	}
}

// Addresses returns the addresses of the interfaces in their order, without
// those of the loopback.
func (h *Host) Addresses() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []netip.Addr
	for _, i := range h.interfaces {
		for _, p := range i.Addresses {
			all = append(all, p.Addr())
		}
	}
	return all
}

// Close breaks all sockets, whose pending operations return net.ErrClosed, and
// stops the stack. It returns when nothing of it runs any more. Calling it again
// does nothing.
//
// As with Reconfigure, the caller must not hold a lock that Send takes.
func (h *Host) Close() error {
	h.opening.Lock()
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		h.opening.Unlock()
		return nil
	}
	h.closed = true
	open := slices.Collect(maps.Keys(h.sockets))
	h.mu.Unlock()
	h.opening.Unlock()

	for _, s := range open {
		s.shut()
	}
	h.links.Store(&map[string]*link{})
	h.stack.Destroy()
	return nil
}
