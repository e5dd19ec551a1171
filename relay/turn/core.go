package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/callpath/callpath/relay/forward"
)

// This file joins the relay and the forwarding core. The core takes over the
// sockets of UDP clients and of their allocations, and stands in their place: the
// front and the allocation read from it what the core does not forward. What is
// bound and permitted it learns from the engine's events, and from nothing else, so
// that there is one clock and one set of rules.

// newCore starts a core, when there is something for it: sockets of the machine, and
// nobody who wants to see each payload.
func newCore(cfg *Config) *forward.Core {
	if cfg.OnRelayed != nil {
		return nil // the kernel's path is part of the core, so nothing is bound there either
	}
	udp := false
	for _, pc := range cfg.PacketConns {
		_, ok := pc.(*net.UDPConn)
		udp = udp || ok
	}
	if !udp {
		return nil
	}
	core, err := forward.New(forward.Config{Kernel: cfg.Kernel})
	if err != nil {
		cfg.Log.Info("all packets go through the protocol engine", "error", err)
		return nil
	}
	return core
}

// takeOver gives the front's socket to the core, if the core can have it.
func (f *front) takeOver() error {
	if f.server.core == nil || f.transport != UDP {
		return nil
	}
	l, err := f.server.core.Listen(f.PacketConn)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("udp socket %v: %w", f.at, err)
	}
	f.PacketConn, f.listener = l, l
	return nil
}

// takeOver does the same with an allocation's socket, which the allocation has already.
func (a *allocation) takeOver() error {
	f := a.front
	if f.listener == nil {
		return nil
	}
	r, err := f.listener.Relay(forward.Allocation{
		Client: a.client, Conn: a.PacketConn, Spend: f.server.spender(a.account), Deliver: a.deliver, Meters: f.server.quotas.meters(a.account),
	})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return err
	}
	a.PacketConn, a.core = r, r
	return nil
}

// spender is the bandwidth quota for the core; nil where there is none.
func (s *Server) spender(a *account) func(int) bool {
	if a.bandwidth == nil && s.quotas.bandwidth == nil {
		return nil
	}
	return func(payload int) bool {
		ok := s.quotas.spend(a, payload)
		if !ok {
			s.counters.overBandwidth.Add(1)
		}
		return ok
	}
}

// bind tells the core of a channel, unless its beginning is still watched.
func (a *allocation) bind(channel uint16, peer netip.AddrPort) {
	if a.core == nil || a.front.server.cfg.Watch != nil && a.watching.keeps(channel, peer) {
		return
	}
	a.forward(channel, peer)
}

// forward gives a bound channel to the core.
func (a *allocation) forward(channel uint16, peer netip.AddrPort) {
	s := a.front.server
	b := forward.Binding{Channel: channel, Peer: peer, Reachable: s.own.guard(peer, &s.allocations)}
	if err := a.core.Bind(b); err != nil {
		s.cfg.Log.Debug("channel stays with the engine", "relay", a.relay, "peer", peer, "error", err)
	}
}

func (a *allocation) unbind(channel uint16) {
	if a.core != nil {
		a.watching.unbound(channel)
		a.core.Unbind(channel)
	}
}

func (a *allocation) permit(peer netip.Addr, permitted bool) {
	if a.core != nil {
		a.core.Permit(peer, permitted)
	}
}

// forwarded are the core's figures, both ways together.
func (s *Server) forwarded() forward.Count {
	if s.core == nil {
		return forward.Count{}
	}
	t := s.core.Totals()
	return forward.Count{
		Packets:      t.ToPeer.Packets + t.ToClient.Packets,
		Kernel:       t.ToPeer.Kernel + t.ToClient.Kernel,
		Over:         t.ToPeer.Over + t.ToClient.Over,
		Bytes:        t.ToPeer.Bytes + t.ToClient.Bytes,
		Dropped:      t.ToPeer.Dropped + t.ToClient.Dropped + t.Overflow,
		DroppedBytes: t.ToPeer.DroppedBytes + t.ToClient.DroppedBytes,
	}
}
