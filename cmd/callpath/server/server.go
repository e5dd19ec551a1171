package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"

	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/store"
)

// Server is a server whose sockets are open. Run must be called once; it closes
// everything.
type Server struct {
	cfg     *Config
	log     *slog.Logger
	keys    *keys
	current atomic.Pointer[material]
	sockets *sockets
	metrics *metrics
	audit   audit

	// relay and controller are nil where the configuration has no port for them.
	relay      *turn.Server
	controller *signaling.Controller
	// host has the media of meetings; nil without a port for it. The store
	// is always there, chat when the controller is.
	host  *host
	store *store.File
	chat  *chat.Service
	// identity is there when the controller is, and control with it, unless its
	// socket cannot be had.
	identity *identity.Service
	control  net.Listener
	site     http.Handler // all of HTTPS
	admin    net.Listener
	// tellings bounds the records that strangers can cause.
	tellings *rate.Limiter

	// negotiation is nil without a negotiation log.
	negotiation *negotiationLog

	phase atomic.Value // phase
	// reloading is held while material is loaded and given out.
	reloading sync.Mutex
}

// phase is what the server is doing, as /readyz tells.
type phase string

const (
	starting phase = "starting"
	ready    phase = "ready"
	draining phase = "draining"
)

// maxHTTP bounds connections to signaling, over all ports.
const maxHTTP = 4096

// New makes what is missing in the state directory and opens all sockets.
func New(ctx context.Context, cfg *Config, log *slog.Logger) (_ *Server, err error) {
	s := &Server{cfg: cfg, log: log, audit: audit{log: log}, tellings: rate.NewLimiter(httpTellings, httpTellingsAtOnce)}
	s.phase.Store(starting)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	addresses, err := cfg.addresses()
	if err != nil {
		return nil, err
	}
	s.keys = newKeys(cfg, addresses, log)
	m, err := s.keys.load(cfg)
	if err != nil {
		return nil, err
	}
	s.current.Store(m)
	if s.sockets, err = cfg.open(ctx, func() *tls.Certificate { return s.current.Load().certificate }); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s)
	if s.negotiation, err = cfg.newNegotiationLog(log); err != nil {
		return nil, err
	}
	// A relay alone keeps nothing in the store, but its lock is that of the state directory.
	if err := s.openStore(); err != nil {
		return nil, err
	}
	if len(s.sockets.signaling) > 0 {
		if err := s.openChat(ctx); err != nil {
			return nil, err
		}
		if s.host, err = s.openProcessor(ctx); err != nil {
			return nil, fmt.Errorf("processor.udp: %w", err)
		}
		if s.identity, err = s.newIdentity(m); err != nil {
			return nil, err
		}
		if s.controller, err = s.newController(m); err != nil {
			return nil, err
		}
		if s.site, err = s.newSite(); err != nil {
			return nil, err
		}
		s.control = s.openControl(ctx)
		s.audit.origin = s.controller.CandidateOrigin
	}
	if len(s.sockets.packets)+len(s.sockets.streams) > 0 {
		if s.relay, err = s.newRelay(m); err != nil {
			return nil, err
		}
	}
	if cfg.Admin.Listen != "" {
		if s.admin, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Admin.Listen); err != nil {
			return nil, fmt.Errorf("admin.listen: %w", err)
		}
		if at := addrPort(s.admin.Addr()); !at.Addr().IsLoopback() {
			log.Warn("the admin endpoint can be reached from other machines, and has no sign-in", "address", at)
		}
	}
	return s, nil
}

func newKeys(cfg *Config, addresses []netip.Addr, log *slog.Logger) *keys {
	k := &keys{cfg: cfg, state: state(cfg.State), log: log, now: time.Now, warned: map[string]bool{}}
	for _, name := range append([]string{cfg.Public}, cfg.Certificate.Names...) {
		if name != "" && !slices.Contains(k.names, name) {
			k.names = append(k.names, name)
		}
	}
	for _, a := range addresses {
		if name := a.WithZone("").String(); !slices.Contains(k.names, name) {
			k.names = append(k.names, name)
		}
	}
	return k
}

// turnConfig is the relay's configuration, without sockets and secrets. services are
// what clients reach beside their peers.
func (c *Config) turnConfig(listening []netip.Addr, services []netip.AddrPort) (turn.Config, error) {
	machine, err := machineAddresses()
	if err != nil {
		return turn.Config{}, err
	}
	r := &c.Relay
	return turn.Config{
		Realm:        c.Realm,
		Addresses:    c.relayAddresses(listening),
		OwnAddresses: slices.Concat(r.Own, listening, machine),
		ListenPacket: relaySocket,
		MinPort:      r.MinPort,
		MaxPort:      r.MaxPort,
		Peers:        turn.PeerPolicy{Allow: prefixes(r.Peers.Allow), Deny: prefixes(r.Peers.Deny), Services: services},
		Quota: turn.Quota{
			PerUser: int(r.Quota.AllocationsPerUser), Total: int(r.Quota.Allocations),
			Permissions: int(r.Quota.Permissions), Channels: int(r.Quota.Channels),
			UserBandwidth: int64(r.Quota.BandwidthPerUser) / 8, TotalBandwidth: int64(r.Quota.Bandwidth) / 8,
		},
		Limits: turn.Limits{
			Requests: int(r.Limits.Requests), RequestsAtOnce: int(r.Limits.RequestsAtOnce),
			Connections: int(r.Limits.Connections), ConnectionsPerSource: int(r.Limits.ConnectionsPerSource),
			Handshakes: int(r.Limits.Handshakes), Idle: time.Duration(r.Limits.Idle),
		},
		KeepExpired: !r.StrictExpiry,
	}, nil
}

func (s *Server) newRelay(m *material) (*turn.Server, error) {
	cfg, err := s.cfg.turnConfig(s.sockets.addresses, s.host.services())
	if err != nil {
		return nil, err
	}
	cfg.Secrets = m.secrets
	cfg.PacketConns, cfg.Listeners = s.sockets.packets, s.sockets.streams
	cfg.OnEvent = func(e turn.Event) {
		s.metrics.relayed(e)
		s.audit.relay(e)
	}
	cfg.Log = s.log.With("part", "relay")
	cfg.EventLog = slog.New(slog.DiscardHandler) // the audit has them
	s.negotiation.watch(&cfg)
	cfg.Kernel = s.cfg.openKernel(cfg.Log)
	relay, err := turn.New(cfg)
	if err != nil && cfg.Kernel != nil {
		err = errors.Join(err, cfg.Kernel.Close())
	}
	return relay, err
}

func (s *Server) newController(m *material) (*signaling.Controller, error) {
	c, err := signaling.NewController(signaling.Config{
		Verifier: s.identity,
		TURN:     s.iceServers,
		Log:      s.log.With("part", "signaling"),
		EventLog: slog.New(slog.DiscardHandler),
		OnEvent: func(e signaling.Event) {
			s.metrics.signaled(e)
			s.audit.signaling(e)
		},
		Origins:    s.cfg.Signaling.Origins,
		Processors: s.host.processors(),
		Policies:   m.policies,
		Store:      s.store,
		Chat:       s.chat,
		Limits:     signaling.Limits{CallsPerUser: int(s.cfg.Signaling.CallsPerUser)},
	})
	if err != nil {
		return nil, err
	}
	// The store may have older ones, when the last server ended between a change of the
	// file and its reload.
	if err := c.SetPolicies(m.policies); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Signals are what an operator says while the server runs. The zero value is silence.
type Signals struct {
	// Reload reads certificates and secrets again. They are read, too, when their
	// files change.
	Reload <-chan os.Signal
	// Hurry, once closed, ends the draining.
	Hurry <-chan struct{}
}

// Run serves until ctx ends or something that cannot be without fails, drains, and
// closes everything.
func (s *Server) Run(ctx context.Context, signals Signals) (Report, error) {
	// What serves goes on while it drains.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	failed := make(chan error, 1)
	start := func(f func(context.Context) error) {
		running.Go(func() {
			if err := f(serving); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	secure := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return s.current.Load().certificate, nil
	}}
	for _, ln := range s.sockets.signaling {
		start(func(ctx context.Context) error {
			return signaling.Serve(ctx, netutil.LimitListener(ln, maxHTTP), secure, s.site)
		})
	}
	if s.admin != nil {
		start(func(ctx context.Context) error { return serveLocal(ctx, "admin endpoint", s.admin, s.adminHandler()) })
	}
	if s.control != nil {
		start(func(ctx context.Context) error {
			return serveLocal(ctx, "control socket", s.control, s.controlHandler())
		})
	}
	if s.host != nil {
		start(s.host.run)
	}
	start(func(ctx context.Context) error { s.watch(ctx, signals.Reload); return nil })
	s.phase.Store(ready)
	s.log.Info("serving")

	var report Report
	var err error
	select {
	case <-ctx.Done():
		report = s.drain(context.WithoutCancel(ctx), signals.Hurry)
	case err = <-failed:
	}
	stop()
	running.Wait()
	return report, errors.Join(err, s.close())
}

// close closes what New has opened.
func (s *Server) close() error {
	var errs []error
	if s.controller != nil {
		errs = append(errs, s.controller.Close())
	}
	if s.identity != nil {
		errs = append(errs, s.identity.Close())
	}
	if s.control != nil {
		_ = s.control.Close()
	}
	if s.relay != nil {
		errs = append(errs, s.relay.Close())
	}
	s.host.close()
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	errs = append(errs, s.negotiation.close())
	if s.sockets != nil {
		s.sockets.close()
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
	return errors.Join(errs...)
}

// Check reads the files that the configuration names, and the machine's addresses. It
// opens no socket and makes nothing.
func (c *Config) Check(log *slog.Logger) error {
	addresses, err := c.addresses()
	if err != nil {
		return err
	}
	return newKeys(c, addresses, log).check()
}
