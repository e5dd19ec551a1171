package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/callpath/callpath/relay/forward"
	"github.com/pion/stun/v4"
	engine "github.com/pion/turn/v5"
)

// relaySockets is the engine's RelayAddressGenerator.
type relaySockets struct{ front *front }

// Validate is part of the interface; New has checked everything.
func (relaySockets) Validate() error { return nil }

// AllocatePacketConn opens the socket of a new allocation. Without a user it is the
// engine in search of an even port.
func (g relaySockets) AllocatePacketConn(c engine.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	f := g.front
	s := f.server
	if c.UserID == "" {
		pc, at, err := s.ports.openEven(s.ctx, c.Network)
		if err != nil {
			return nil, nil, g.refuse(err)
		}
		return evenPort{pc, s.ports, at}, net.UDPAddrFromAddrPort(at), nil
	}
	pc, at, err := s.ports.open(s.ctx, c.Network, c.RequestedPort)
	if err != nil {
		return nil, nil, g.refuse(err)
	}
	if f.request.whole && !canSendWhole(pc) {
		return nil, nil, g.refuseWhole(pc, at)
	}
	account := s.quotas.account(f.request.who.user)
	a := &allocation{
		PacketConn: pc,
		front:      f,
		who:        f.request.who,
		account:    account,
		client:     f.request.client,
		relay:      at,
	}
	if err := a.takeOver(); err != nil {
		s.ports.release(at)
		return nil, nil, g.refuse(err)
	}
	f.request.holds = false // the allocation holds the unit of the quota now
	s.running.Add(2)        // its reader and its Close
	s.allocations.add(a)
	f.mu.Lock()
	f.clients[a.client] = a
	f.mu.Unlock()
	if f.guest != nil {
		f.guest.busy()
	}
	return a, net.UDPAddrFromAddrPort(at), nil
}

func (g relaySockets) refuse(err error) error {
	e := g.front.event(AllocationRefused)
	code := stun.CodeInsufficientCapacity
	e.Rule, e.Reason = RulePorts, err.Error()
	if family := familyError(""); errors.As(err, &family) {
		e.Rule, code = RuleAddressFamily, stun.CodeAddrFamilyNotSupported
	}
	g.front.refuse(e, code)
	return err
}

var errTCPAllocation = errors.New("tcp allocations (RFC 6062) are not supported")

// AllocateListener refuses TCP between relay and peer.
func (g relaySockets) AllocateListener(engine.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	e := g.front.event(AllocationRefused)
	e.Rule, e.Reason = RuleTransport, errTCPAllocation.Error()
	g.front.refuse(e, stun.CodeUnsupportedTransProto)
	return nil, nil, errTCPAllocation
}

// AllocateConn is never called, as there are no TCP allocations.
func (relaySockets) AllocateConn(engine.AllocateConnConfig) (net.Conn, error) {
	return nil, errTCPAllocation
}

// evenPort is a socket that the engine opens to learn an even port.
type evenPort struct {
	net.PacketConn
	ports *ports
	at    netip.AddrPort
}

func (e evenPort) Close() error {
	defer e.ports.release(e.at)
	return e.PacketConn.Close()
}

// allocation is the relay socket of one allocation, as the engine sees it. It
// counts, reports and filters what passes.
type allocation struct {
	net.PacketConn
	// core is the PacketConn when the core forwards for it, else nil.
	core          *forward.Relay
	front         *front
	who           identity
	account       *account
	client, relay netip.AddrPort
	watching      watching

	// inFlight is the size of the payload that the engine's goroutine of this
	// allocation has read and not yet sent; it belongs to that goroutine.
	inFlight int
	ended    sync.Once
	// gone is set when the allocation has ended, for those that may not wait for
	// mu.
	gone atomic.Bool

	mu     sync.RWMutex
	closed bool
	// permissions and channels are the live ones.
	permissions []netip.Addr
	channels    []binding
	// denied are destinations that were refused and reported.
	denied []netip.AddrPort
}

// maxDenied bounds the destinations of one allocation that are reported.
const maxDenied = 16

// ReadFrom gives the engine the next datagram from a peer that has a permission, unless
// the core delivers what peers send (deliver.go): then it ends the engine's goroutine of
// this allocation, which would only wait, with a buffer and a stack of 6 kB.
func (a *allocation) ReadFrom(p []byte) (int, net.Addr, error) {
	s := a.front.server
	if a.core != nil {
		a.ended.Do(s.running.Done)
		runtime.Goexit()
	}
	for failures := 0; ; failures++ {
		n, from, err := a.PacketConn.ReadFrom(p)
		if err != nil {
			// For the engine any error is the end of the allocation; an ICMP
			// error that some peer's host sent must not be.
			if !a.isClosed() && !errors.Is(err, net.ErrClosed) && failures < maxReadErrors {
				continue
			}
			a.ended.Do(s.running.Done)
			if a.isClosed() {
				// The engine has deleted the allocation. Told of the error, it would
				// delete it again by its client, who may have a new one by now.
				runtime.Goexit()
			}
			return 0, nil, err
		}
		failures = 0
		peer := addrPort(from)
		// A datagram that fills the buffer may have been longer.
		if n == len(p) {
			s.counters.dropped.Add(1)
			continue
		}
		if _, ok := a.admit(peer, p[:n]); !ok {
			continue
		}
		a.inFlight = n
		return n, net.UDPAddrFromAddrPort(peer), nil
	}
}

// admit says whether a peer's datagram goes to the client, and through which channel;
// 0 is none. It counts and tells.
func (a *allocation) admit(peer netip.AddrPort, payload []byte) (channel uint16, ok bool) {
	s := a.front.server
	channel, ok = a.accepts(peer)
	if !ok {
		s.counters.dropped.Add(1)
		return 0, false
	}
	if !s.quotas.spend(a.account, len(payload)) {
		s.counters.overBandwidth.Add(1)
		return 0, false
	}
	s.counters.bytesIn.Add(uint64(len(payload)))
	a.relayed(peer, false, payload)
	return channel, true
}

// count counts a payload of size bytes that send sends. It counts first, so that
// whoever has received a payload finds it counted.
func (a *allocation) count(size int, send func() (int, error)) (int, error) {
	c := &a.front.server.counters
	c.packets.Add(1)
	c.bytesOut.Add(uint64(size))
	n, err := send()
	if err != nil {
		c.packets.Add(^uint64(0))
		c.bytesOut.Add(-uint64(size))
		c.dropped.Add(1)
	}
	return n, err
}

// WriteTo sends a payload to a peer. The engine has checked the permission, which
// is for an address; here the port is checked where it matters.
func (a *allocation) WriteTo(p []byte, to net.Addr) (int, error) {
	s := a.front.server
	peer := addrPort(to)
	if !s.own.reaches(peer, &s.allocations) {
		s.counters.dropped.Add(1)
		a.deny(peer)
		return len(p), nil
	}
	if !s.quotas.spend(a.account, len(p)) {
		s.counters.overBandwidth.Add(1)
		return len(p), nil
	}
	s.counters.bytesIn.Add(uint64(len(p)))
	a.relayed(peer, true, p)
	return a.count(len(p), func() (int, error) { return a.send(p, to) })
}

// relayed tells of a payload.
func (a *allocation) relayed(peer netip.AddrPort, toPeer bool, payload []byte) {
	cfg := &a.front.server.cfg
	if cfg.OnRelayed == nil && cfg.Watch == nil {
		return
	}
	r := Relayed{
		Time: cfg.Now(), User: a.who.user, Call: a.who.call, Transport: a.front.transport,
		Client: a.client, Relay: a.relay, Peer: peer, ToPeer: toPeer, Payload: payload,
	}
	if cfg.OnRelayed != nil {
		cfg.OnRelayed(r)
	}
	if cfg.Watch != nil {
		a.watch(r)
	}
}

// deny reports a datagram that is not sent, once for each destination.
func (a *allocation) deny(peer netip.AddrPort) {
	a.mu.Lock()
	tell := len(a.denied) < maxDenied && !slices.Contains(a.denied, peer)
	if tell {
		a.denied = append(a.denied, peer)
	}
	a.mu.Unlock()
	if !tell {
		return
	}
	e := a.event(DataDenied)
	e.Peer, e.Rule, e.Reason = peer, "own-address", "neither a live relayed transport address nor a service"
	a.front.server.report(e)
}

// Close ends the allocation. The engine calls it when the client ended it, when it
// expired and when its connection closed. It returns no error, because the engine
// would leave the allocations after this one open.
func (a *allocation) Close() error {
	s := a.front.server
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	a.gone.Store(true)
	permissions, channels := len(a.permissions), len(a.channels)
	a.mu.Unlock()

	if err := a.PacketConn.Close(); err != nil {
		s.cfg.Log.Debug("relay socket not closed", "relay", a.relay, "error", err)
	}
	s.counters.permissions.Add(-int64(permissions))
	s.counters.channels.Add(-int64(channels))
	s.allocations.remove(a)
	a.front.mu.Lock()
	if a.front.clients[a.client] == a {
		delete(a.front.clients, a.client)
	}
	a.front.mu.Unlock()
	if a.front.guest != nil {
		a.front.guest.idle()
	}
	s.ports.release(a.relay)
	s.quotas.release(a.who.user)
	s.report(a.event(AllocationDeleted))
	s.running.Done()
	return nil
}

func (a *allocation) event(kind EventKind) Event {
	return Event{Kind: kind, Transport: a.front.transport, User: a.who.user, Call: a.who.call,
		Client: a.client, Server: a.front.at, Relay: a.relay}
}

func (a *allocation) isClosed() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.closed
}

// accepts is true when the peer has a permission, and returns its channel, if there is
// one. A channel alone, which may outlive the permission, lets nothing come from the
// peer (RFC 8656, sections 11.3 and 12.7). The engine does not ask for the permission
// then, and need not: what it gets has passed here.
func (a *allocation) accepts(peer netip.AddrPort) (channel uint16, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if !slices.Contains(a.permissions, peer.Addr()) {
		return 0, false
	}
	if i := a.channelOf(peer); i >= 0 {
		channel = a.channels[i].channel
	}
	return channel, true
}

// channelOf is where a peer's channel is, or -1. Its caller holds mu.
func (a *allocation) channelOf(peer netip.AddrPort) int {
	return slices.IndexFunc(a.channels, func(b binding) bool { return b.peer == peer })
}

// room says whether a permission for peer, and the channel that bind asks for, fit
// in the quota. What exists already is a refresh and always fits.
func (a *allocation) room(peer netip.Addr, bind *binding, limit Quota) (rule, reason string) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if !slices.Contains(a.permissions, peer) && len(a.permissions) >= limit.Permissions {
		return RulePermissionQuota, fmt.Sprintf("allocation has %d permissions, the most", len(a.permissions))
	}
	if bind == nil {
		return "", ""
	}
	if a.channelOf(bind.peer) < 0 && len(a.channels) >= limit.Channels {
		return RuleChannelQuota, fmt.Sprintf("allocation has %d channels, the most", len(a.channels))
	}
	return "", ""
}

func (a *allocation) addPermission(peer netip.Addr) (added bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return add(&a.permissions, peer, a.closed, &a.front.server.counters.permissions)
}

func (a *allocation) removePermission(peer netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	remove(&a.permissions, peer, a.closed, &a.front.server.counters.permissions)
}

func (a *allocation) addChannel(b binding) (added bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return add(&a.channels, b, a.closed, &a.front.server.counters.channels)
}

func (a *allocation) removeChannel(b binding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	remove(&a.channels, b, a.closed, &a.front.server.counters.channels)
}
