package runner

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

// The ports of Azure Communication Services ("Call networking internals"): UDP
// 3478 to 3481 and TLS 443. Plain TURN over TCP has STUN's own port (RFC 8656,
// section 5), because 443 carries TLS.
const (
	relayFirstUDP = 3478
	relayLastUDP  = 3481
	relayTCP      = 3478
	relayTLS      = 443
	signalingTLS  = 443
)

// credentialLifetime is longer than any run.
const credentialLifetime = 10 * time.Minute

// allocationsPerUser is the relay's quota: each of six ways to the relay may hold
// an allocation for the old and the new network while a host moves.
const allocationsPerUser = 16

// maxRefusals bounds what a run keeps of the relay's refusals.
const maxRefusals = 100

// services are the provider's servers of one run.
type services struct {
	authority  *authority.Authority
	relay      *turn.Server
	controller *signaling.Controller
	view       *negotiation.RelayView
	traffic    *traffic

	stop    context.CancelFunc
	serving sync.WaitGroup

	mu       sync.Mutex
	refusals []string
	bytesIn  uint64
	bytesOut uint64
	packets  uint64
	created  int
}

// serviceConfig is what the services of a run are made from.
type serviceConfig struct {
	scenario *language.Scenario
	internet *sim.Internet
	traffic  *traffic
	view     *negotiation.RelayView
	secret   []byte
	users    []signaling.User
	onEvent  func(signaling.Event)
	log      *slog.Logger
}

func startServices(ctx context.Context, cfg serviceConfig) (_ *services, err error) {
	s := &services{view: cfg.view, traffic: cfg.traffic}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.authority, err = authority.New(authority.Config{}); err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	relays := cfg.internet.Network().HostsWith(topology.TransportRelay)
	if len(relays) > 0 {
		if err := s.startRelay(ctx, cfg, relays[0]); err != nil {
			return nil, fmt.Errorf("transport relay on %s: %w", relays[0].Name, err)
		}
	}
	controllers := cfg.internet.Network().HostsWith(topology.SignalingController)
	if len(controllers) == 0 {
		return nil, fmt.Errorf("network %s has no host with role %s", cfg.internet.Network().Name, topology.SignalingController)
	}
	var iceHost *topology.Host
	if len(relays) > 0 {
		iceHost = relays[0]
	}
	if err := s.startController(ctx, cfg, controllers[0], iceHost); err != nil {
		return nil, fmt.Errorf("signaling controller on %s: %w", controllers[0].Name, err)
	}
	return s, nil
}

func (s *services) startRelay(ctx context.Context, cfg serviceConfig, at *topology.Host) error {
	machine := cfg.internet.Host(at.Name)
	config := turn.Config{
		Realm:        "callpath.test",
		Secrets:      [][]byte{cfg.secret},
		Addresses:    at.Addresses,
		ListenPacket: machine.ListenPacket,
		Quota:        turn.Quota{PerUser: allocationsPerUser},
		OnEvent:      s.relayEvent,
		OnRelayed:    s.relayed,
		Log:          cfg.log,
	}
	if n := cfg.scenario.Relay.AllocationsPerUser; n > 0 {
		config.Quota.PerUser = n
	}
	var err error
	if config.Peers, err = peerPolicy(cfg.internet.Network(), cfg.scenario.Relay); err != nil {
		return err
	}
	certificate, err := s.authority.Server(hostNames(at)...)
	if err != nil {
		return err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	for _, addr := range at.Addresses {
		for port := uint16(relayFirstUDP); port <= relayLastUDP; port++ {
			conn, err := machine.ListenPacket(ctx, "udp", netip.AddrPortFrom(addr, port).String())
			if err != nil {
				return err
			}
			config.PacketConns = append(config.PacketConns, conn)
		}
		plain, err := machine.Listen(ctx, "tcp", netip.AddrPortFrom(addr, relayTCP).String())
		if err != nil {
			return err
		}
		overTLS, err := machine.Listen(ctx, "tcp", netip.AddrPortFrom(addr, relayTLS).String())
		if err != nil {
			return err
		}
		config.Listeners = append(config.Listeners,
			turn.Listener{Transport: turn.TCP, Listener: plain},
			turn.Listener{Transport: turn.TLS, Listener: tls.NewListener(overTLS, secure)})
	}
	s.relay, err = turn.New(config)
	return err
}

func (s *services) startController(ctx context.Context, cfg serviceConfig, at, relay *topology.Host) error {
	var err error
	s.controller, err = signaling.NewController(signaling.Config{
		Users:   cfg.users,
		TURN:    iceServers(cfg.scenario, cfg.secret, relay),
		Region:  at.Site,
		Log:     cfg.log,
		OnEvent: cfg.onEvent,
	})
	if err != nil {
		return err
	}
	certificate, err := s.authority.Server(hostNames(at)...)
	if err != nil {
		return err
	}
	machine := cfg.internet.Host(at.Name)
	for _, addr := range at.Addresses {
		ln, err := machine.Listen(ctx, "tcp", netip.AddrPortFrom(addr, signalingTLS).String())
		if err != nil {
			return err
		}
		s.serving.Go(func() {
			conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
			if err := signaling.Serve(ctx, ln, conf, s.controller.Handler()); err != nil {
				cfg.log.Error("signaling.serve_failed", slog.String("error", err.Error()))
			}
		})
	}
	return nil
}

// iceServers hands out the relay's ways in the order in which a client prefers
// them: UDP before TCP before TLS.
func iceServers(sc *language.Scenario, secret []byte, relay *topology.Host) func(user, call string) ([]signaling.ICEServer, error) {
	expired := map[string]bool{}
	for _, p := range sc.Participants {
		expired[p.Name] = p.Credential == "expired"
	}
	return func(user, call string) ([]signaling.ICEServer, error) {
		if relay == nil {
			return nil, nil
		}
		name := hostNames(relay)[0]
		expires := time.Now().Add(credentialLifetime)
		if expired[user] {
			expires = time.Now().Add(-credentialLifetime)
		}
		username, password := turn.Credential(secret, user, call, expires)
		server := signaling.ICEServer{Username: username, Credential: password, Expires: expires}
		for port := relayFirstUDP; port <= relayLastUDP; port++ {
			server.URLs = append(server.URLs, fmt.Sprintf("turn:%s:%d?transport=udp", name, port))
		}
		server.URLs = append(server.URLs,
			fmt.Sprintf("turn:%s:%d?transport=tcp", name, relayTCP),
			fmt.Sprintf("turns:%s:%d?transport=tcp", name, relayTLS))
		return []signaling.ICEServer{
			{URLs: []string{fmt.Sprintf("stun:%s:%d", name, relayFirstUDP)}},
			server,
		}, nil
	}
}

// peerPolicy opens what the topology itself says is reachable: nothing, beside
// the scenario's own prefixes. Names of sites and hosts are allowed too.
func peerPolicy(n *topology.Network, r language.Relay) (turn.PeerPolicy, error) {
	var policy turn.PeerPolicy
	for _, list := range []struct {
		names []string
		to    *[]netip.Prefix
	}{{r.Allow, &policy.Allow}, {r.Deny, &policy.Deny}} {
		for _, name := range list.names {
			prefixes, err := n.Prefixes(name)
			if err != nil {
				return policy, err
			}
			*list.to = append(*list.to, prefixes...)
		}
	}
	return policy, nil
}

// hostNames are a host's DNS names, or its addresses when it has none.
func hostNames(h *topology.Host) []string {
	names := append([]string{}, h.Names...)
	for _, a := range h.Addresses {
		names = append(names, a.String())
	}
	return names
}

// signalingURL names the controller as a client looks it up.
func signalingURL(n *topology.Network) string {
	name := hostNames(n.HostsWith(topology.SignalingController)[0])[0]
	if strings.Contains(name, ":") {
		name = net.JoinHostPort(name, fmt.Sprint(signalingTLS))
	}
	return "https://" + name
}

func (s *services) relayed(p turn.Relayed) {
	s.view.Payload(p.Payload)
	s.traffic.relayed(p.Client, p.ToPeer, p.Payload, p.Time)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets++
	if p.ToPeer {
		s.bytesIn += uint64(len(p.Payload))
	} else {
		s.bytesOut += uint64(len(p.Payload))
	}
}

// relayEvent keeps the allocations' number and the refusals in the relay's words.
func (s *services) relayEvent(e turn.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Kind == turn.AllocationCreated:
		s.created++
	case e.Kind.Refusal() && len(s.refusals) < maxRefusals:
		if text := e.String(); !slices.Contains(s.refusals, text) {
			s.refusals = append(s.refusals, text)
		}
	}
}

// gather fills in the relay's own view.
func (s *services) gather(out *result.Relay) {
	out.Payloads, out.Searched, out.Plaintext = s.view.Counts()
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Allocations, out.Packets = s.created, s.packets
	out.BytesIn, out.BytesOut = s.bytesIn, s.bytesOut
	out.Refusals = slices.Clone(s.refusals)
}

func (s *services) close() error {
	if s.stop != nil {
		s.stop()
	}
	s.serving.Wait()
	var errs []error
	if s.controller != nil {
		errs = append(errs, s.controller.Close())
	}
	if s.relay != nil {
		errs = append(errs, s.relay.Close())
	}
	return errors.Join(errs...)
}
