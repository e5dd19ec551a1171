package turn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/relay/forward"
)

// Server is a running relay. Its methods are safe for concurrent use.
type Server struct {
	cfg       Config
	quotas    *quotas
	ports     *ports
	own       own
	engineLog *engineLog
	// core forwards the packets of bound channels; nil when the engine does.
	core      *forward.Core
	nonces    *nonces
	strangers *strangers
	doors     *doors
	// tellings bounds the events that strangers can cause.
	tellings *meter
	shared   atomic.Pointer[[][]byte]

	// ctx ends when the server closes; it bounds handshakes and the opening of
	// relay sockets.
	ctx  context.Context
	stop context.CancelFunc
	// running counts goroutines: those that accept and shake hands, the reader of
	// each front and the reader of each allocation.
	running sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	fronts      map[*front]struct{}
	connections int

	allocations registry
	counters    counters
}

// counters are the figures of Stats that only rise, and two gauges.
type counters struct {
	permissions, channels      atomic.Int64
	packets, bytesIn, bytesOut atomic.Uint64
	dropped                    atomic.Uint64
	unauthenticated, refused   atomic.Uint64
	overBandwidth, malformed   atomic.Uint64
	limited, turnedAway        atomic.Uint64
	staleNonces                atomic.Uint64
}

// registry knows the live allocations by relayed transport address.
type registry struct {
	mu      sync.RWMutex
	byRelay map[netip.AddrPort]*allocation
}

func (r *registry) get(relay netip.AddrPort) *allocation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byRelay[relay]
}

func (r *registry) add(a *allocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byRelay[a.relay] = a
}

func (r *registry) remove(a *allocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byRelay, a.relay)
}

func (r *registry) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byRelay)
}

const (
	// handshakeTimeout bounds a TLS or DTLS handshake.
	handshakeTimeout = 10 * time.Second
	// acceptPause is the wait after an error of Accept that may pass, such as too
	// many open files.
	acceptPause = 50 * time.Millisecond
	// tellingsPerSecond keeps floods out of the log.
	tellingsPerSecond = 20
)

// New starts a relay. Its error names the field of cfg that is wrong.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("transport relay: %w", err)
	}
	s := &Server{
		cfg:         cfg,
		quotas:      newQuotas(cfg.Quota, cfg.Kernel),
		ports:       newPorts(&cfg),
		own:         newOwn(cfg),
		engineLog:   &engineLog{log: cfg.Log},
		nonces:      newNonces(cfg.Lifetimes.Nonce, cfg.Now),
		strangers:   newStrangers(cfg.Limits),
		doors:       newDoors(cfg.Limits),
		tellings:    newMeter(tellingsPerSecond, tellingsPerSecond),
		fronts:      make(map[*front]struct{}),
		allocations: registry{byRelay: make(map[netip.AddrPort]*allocation)},
	}
	s.shared.Store(&cfg.Secrets)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.core = newCore(&cfg)
	for _, pc := range cfg.PacketConns {
		if err := s.serve(UDP, pc, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("transport relay: %w", err), s.Close())
		}
	}
	for _, l := range cfg.Listeners {
		s.running.Go(func() { s.accept(l) })
	}
	return s, nil
}

// Stats are the figures of this moment.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	connections := s.connections
	s.mu.Unlock()
	forwarded := s.forwarded()
	return Stats{
		Allocations:     s.allocations.count(),
		Permissions:     int(s.counters.permissions.Load()),
		Channels:        int(s.counters.channels.Load()),
		Connections:     connections,
		Packets:         s.counters.packets.Load() + forwarded.Packets,
		BytesIn:         s.counters.bytesIn.Load() + forwarded.Bytes + forwarded.DroppedBytes,
		BytesOut:        s.counters.bytesOut.Load() + forwarded.Bytes,
		Dropped:         s.counters.dropped.Load() + forwarded.Dropped,
		Unauthenticated: s.counters.unauthenticated.Load(),
		Refused:         s.counters.refused.Load(),
		KernelPackets:   forwarded.Kernel,
		OverBandwidth:   s.counters.overBandwidth.Load() + forwarded.Over,
		Malformed:       s.counters.malformed.Load(),
		Limited:         s.counters.limited.Load(),
		TurnedAway:      s.counters.turnedAway.Load(),
		StaleNonces:     s.counters.staleNonces.Load(),
	}
}

// Close closes listeners, connections and allocations and waits for every
// goroutine that reads from them. It may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	fronts := make([]*front, 0, len(s.fronts))
	for f := range s.fronts {
		fronts = append(fronts, f)
	}
	s.mu.Unlock()

	var errs []error
	if first {
		s.stop()
		for _, l := range s.cfg.Listeners {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, fmt.Errorf("closing %s listener: %w", l.Transport, err))
			}
		}
		// A front that New did not come to has nobody else to close its socket.
		for _, pc := range s.cfg.PacketConns {
			if err := pc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, fmt.Errorf("closing udp socket: %w", err))
			}
		}
		for _, f := range fronts {
			f.PacketConn.Close()
		}
	}
	s.running.Wait()
	s.engineLog.end()
	if s.core != nil {
		errs = append(errs, s.core.Close())
	}
	if s.cfg.Kernel != nil {
		errs = append(errs, s.cfg.Kernel.Close())
	}
	return errors.Join(errs...)
}

// accept takes connections until the listener closes.
func (s *Server) accept(l Listener) {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			if rule, reason := s.doors.knock(); rule != "" {
				s.turnAway(l.Transport, conn, netip.AddrPort{}, rule, reason)
				continue
			}
			s.running.Go(func() { s.connect(l.Transport, conn) })
		case s.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			s.cfg.Log.Warn("accept failed", "transport", string(l.Transport), "error", err)
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(acceptPause):
			}
		}
	}
}

// connect makes the handshake, where there is one, and hands the connection to a
// front. The handshake has a goroutine of its own so that nobody else waits.
func (s *Server) connect(t Transport, conn net.Conn) {
	client := addrPort(conn.RemoteAddr())
	from := sourceOf(client)
	if rule, reason := s.doors.greet(from); rule != "" {
		s.doors.shaken()
		s.doors.leave(nil)
		s.turnAway(t, conn, client, rule, reason)
		return
	}
	g := newGuest(conn, s.doors, from)
	err := s.handshake(conn)
	s.doors.shaken()
	if err != nil {
		s.cfg.Log.Debug("handshake failed", "transport", string(t), "client", client, "error", err)
		g.Close()
		return
	}
	var pc net.PacketConn = newStream(g)
	if t == DTLS {
		pc = datagrams{g}
	}
	if err := s.serve(t, pc, g); err != nil {
		s.cfg.Log.Warn("connection not served", "transport", string(t), "error", err)
		g.Close()
	}
}

func (s *Server) handshake(conn net.Conn) error {
	h, ok := conn.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	defer cancel()
	return h.HandshakeContext(ctx)
}

// serve gives a socket or connection its front and engine. The engine's reader
// runs until the socket closes.
func (s *Server) serve(t Transport, pc net.PacketConn, g *guest) error {
	f, err := newFront(s, t, pc)
	if err != nil {
		return err
	}
	f.guest = g
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if err := f.start(); err != nil {
		return err
	}
	s.fronts[f] = struct{}{}
	if t != UDP {
		s.connections++
	}
	return nil
}

// ended forgets a front whose reader has ended.
func (s *Server) ended(f *front) {
	s.mu.Lock()
	delete(s.fronts, f)
	if f.transport != UDP {
		s.connections--
	}
	s.mu.Unlock()
	s.running.Done()
}

// report tells of an event. Callers hold none of this package's locks.
func (s *Server) report(e Event) {
	e.Time = s.cfg.Now()
	switch {
	case e.Kind == RequestsLimited || e.Kind == ConnectionRefused: // counted already
	case e.Kind == AuthenticationFailed:
		s.counters.unauthenticated.Add(1)
	case e.Kind.Refusal():
		s.counters.refused.Add(1)
	}
	e.log(s.cfg.EventLog)
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
}
