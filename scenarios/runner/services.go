package runner

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/store"
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

// meetingsAtOnce lets a participant be in every meeting of a scenario.
const meetingsAtOnce = 64

// maxRefusals bounds what a run keeps of the relay's refusals.
const maxRefusals = 100

// services are the provider's servers of one run.
type services struct {
	cfg       serviceConfig
	authority *authority.Authority
	view      *negotiation.RelayView
	traffic   *traffic
	store     *store.Memory // what the controller must find again
	chat      *chat.Service
	region    string // the controller's

	ctx     context.Context
	stop    context.CancelFunc
	serving sync.WaitGroup

	// Of each role those that run, by host. One goroutine at a time starts and ends
	// them, the one that plays; running guards the maps for who reads them.
	running     sync.Mutex
	relays      map[string]*relayService
	processors  map[string]*processorService
	controllers map[string]*controllerService
	policies    signaling.Policies
	// fleets are the media processors of each region; they outlive controllers.
	fleets map[string]signaling.MediaProcessor

	mu       sync.Mutex
	refusals []string
	bytesIn  uint64
	bytesOut uint64
	packets  uint64
	created  int
	past     []result.Processor // what processors that have ended had counted
}

// serviceConfig is what the services of a run are made from.
type serviceConfig struct {
	scenario *language.Scenario
	internet *sim.Internet
	traffic  *traffic
	view     *negotiation.RelayView
	secret   []byte
	users    []signaling.User
	policies signaling.Policies
	onEvent  func(signaling.Event)
	log      *slog.Logger
}

// relayService is a transport relay on its host.
type relayService struct {
	server *turn.Server
	gate   *gate
}

// controllerService is a signaling controller on its host.
type controllerService struct {
	controller *signaling.Controller
	gate       *gate
	stop       context.CancelFunc
	serving    sync.WaitGroup
}

func startServices(ctx context.Context, cfg serviceConfig) (_ *services, err error) {
	s := &services{
		cfg: cfg, view: cfg.view, traffic: cfg.traffic, store: &store.Memory{}, policies: cfg.policies,
		relays: map[string]*relayService{}, processors: map[string]*processorService{}, controllers: map[string]*controllerService{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.authority, err = authority.New(authority.Config{}); err != nil {
		return nil, err
	}
	if s.chat, err = newChat(ctx, cfg.scenario, s.store); err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	n := cfg.internet.Network()
	if len(n.HostsWith(topology.SignalingController)) == 0 {
		return nil, fmt.Errorf("network %s has no host with role %s", n.Name, topology.SignalingController)
	}
	for _, role := range []topology.Role{topology.TransportRelay, topology.MediaProcessor} {
		for _, h := range n.HostsWith(role) {
			if err := s.start(h); err != nil {
				return nil, err
			}
		}
	}
	s.fleets = s.fleetsOf(n)
	// One controller serves all.
	return s, s.start(n.HostsWith(topology.SignalingController)[0])
}

// start starts what runs on a host by its role.
func (s *services) start(at *topology.Host) error {
	start, ok := map[topology.Role]func(*topology.Host) error{
		topology.TransportRelay: s.startRelay, topology.MediaProcessor: s.startProcessor, topology.SignalingController: s.startController,
	}[at.Role]
	if !ok {
		return fmt.Errorf("host %s: nothing runs on a %s that could be started", at.Name, at.Role)
	}
	if err := start(at); err != nil {
		return fmt.Errorf("%s on %s: %w", at.Role, at.Name, err)
	}
	return nil
}

// end ends what runs on a host, at once: its sockets are closed, and nothing is said
// to anybody.
func (s *services) end(host string) error {
	s.running.Lock()
	relay, processor, controller := s.relays[host], s.processors[host], s.controllers[host]
	delete(s.relays, host)
	delete(s.processors, host)
	delete(s.controllers, host)
	s.running.Unlock()
	switch {
	case relay != nil:
		relay.gate.open()
		return relay.server.Close()
	case processor != nil:
		s.remember(processor)
		processor.gate.open()
		return processor.end()
	case controller != nil:
		controller.gate.open()
		return controller.end()
	}
	return fmt.Errorf("nothing runs on %s", host)
}

// restart ends what runs on a host, if it does, and starts it anew.
func (s *services) restart(at *topology.Host) error {
	s.running.Lock()
	runs := s.relays[at.Name] != nil || s.processors[at.Name] != nil || s.controllers[at.Name] != nil
	s.running.Unlock()
	if runs {
		if err := s.end(at.Name); err != nil {
			return err
		}
	}
	return s.start(at)
}

// hang has what runs on a host take and give no packet any more.
func (s *services) hang(host string) error {
	s.running.Lock()
	defer s.running.Unlock()
	switch {
	case s.relays[host] != nil:
		s.relays[host].gate.shut()
	case s.processors[host] != nil:
		s.processors[host].gate.shut()
	case s.controllers[host] != nil:
		s.controllers[host].gate.shut()
	default:
		return fmt.Errorf("nothing runs on %s", host)
	}
	return nil
}

func (s *services) startRelay(at *topology.Host) error {
	cfg := s.cfg
	machine := cfg.internet.Host(at.Name)
	service := &relayService{gate: newGate()}
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
			conn, err := machine.ListenPacket(s.ctx, "udp", netip.AddrPortFrom(addr, port).String())
			if err != nil {
				return err
			}
			config.PacketConns = append(config.PacketConns, service.gate.packets(conn))
		}
		plain, err := machine.Listen(s.ctx, "tcp", netip.AddrPortFrom(addr, relayTCP).String())
		if err != nil {
			return err
		}
		overTLS, err := machine.Listen(s.ctx, "tcp", netip.AddrPortFrom(addr, relayTLS).String())
		if err != nil {
			return err
		}
		config.Listeners = append(config.Listeners,
			turn.Listener{Transport: turn.TCP, Listener: service.gate.listener(plain)},
			turn.Listener{Transport: turn.TLS, Listener: tls.NewListener(service.gate.listener(overTLS), secure)})
	}
	if service.server, err = turn.New(config); err != nil {
		return err
	}
	s.running.Lock()
	defer s.running.Unlock()
	s.relays[at.Name] = service
	return nil
}

func (s *services) startController(at *topology.Host) error {
	cfg, n := s.cfg, s.cfg.internet.Network()
	s.region = regionOf(n, at.Site)
	service := &controllerService{gate: newGate()}
	var err error
	service.controller, err = signaling.NewController(signaling.Config{
		Users:      cfg.users,
		TURN:       s.iceServers,
		Region:     s.region,
		RegionOf:   func(client netip.Addr) string { return clientRegion(n, client) },
		Processors: s.fleets,
		Policies:   s.policies,
		Store:      s.store,
		Chat:       s.chat,
		Limits:     signaling.Limits{LobbyTimeout: time.Duration(cfg.scenario.LobbyTimeout), MeetingsAtOnce: meetingsAtOnce},
		Log:        cfg.log,
		OnEvent:    cfg.onEvent,
	})
	if err != nil {
		return err
	}
	s.running.Lock()
	s.controllers[at.Name] = service
	s.running.Unlock()
	certificate, err := s.authority.Server(hostNames(at)...)
	if err != nil {
		return err
	}
	machine := cfg.internet.Host(at.Name)
	var ctx context.Context
	ctx, service.stop = context.WithCancel(s.ctx)
	for _, addr := range at.Addresses {
		ln, err := machine.Listen(ctx, "tcp", netip.AddrPortFrom(addr, signalingTLS).String())
		if err != nil {
			return err
		}
		service.serving.Go(func() {
			conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
			if err := signaling.Serve(ctx, service.gate.listener(ln), conf, service.controller.Handler()); err != nil {
				cfg.log.Error("signaling.serve_failed", slog.String("error", err.Error()))
			}
		})
	}
	return nil
}

func (c *controllerService) end() error {
	if c.stop != nil {
		c.stop()
	}
	c.serving.Wait()
	return c.controller.Close()
}

// controller is the one that runs; nil when none does.
func (s *services) controller() *signaling.Controller {
	s.running.Lock()
	defer s.running.Unlock()
	for _, c := range s.controllers {
		return c.controller
	}
	return nil
}

// iceServers hands out the ways to each relay that runs, in the order in which a
// client prefers them: UDP before TCP before TLS. It is signaling.Config.TURN.
func (s *services) iceServers(user, call string) ([]signaling.ICEServer, error) {
	expires := time.Now().Add(credentialLifetime)
	for _, p := range s.cfg.scenario.Participants {
		if p.Name == user && p.Credential == "expired" {
			expires = time.Now().Add(-credentialLifetime)
		}
	}
	var servers []signaling.ICEServer
	for _, relay := range s.cfg.internet.Network().HostsWith(topology.TransportRelay) {
		s.running.Lock()
		runs := s.relays[relay.Name] != nil
		s.running.Unlock()
		if !runs {
			continue
		}
		name := hostNames(relay)[0]
		username, password := turn.Credential(s.cfg.secret, user, call, expires)
		server := signaling.ICEServer{Username: username, Credential: password, Expires: expires}
		for port := relayFirstUDP; port <= relayLastUDP; port++ {
			server.URLs = append(server.URLs, fmt.Sprintf("turn:%s:%d?transport=udp", name, port))
		}
		server.URLs = append(server.URLs,
			fmt.Sprintf("turn:%s:%d?transport=tcp", name, relayTCP),
			fmt.Sprintf("turns:%s:%d?transport=tcp", name, relayTLS))
		servers = append(servers, signaling.ICEServer{URLs: []string{fmt.Sprintf("stun:%s:%d", name, relayFirstUDP)}}, server)
	}
	return servers, nil
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
	var errs []error
	s.running.Lock()
	hosts := slices.Concat(slices.Collect(maps.Keys(s.controllers)), slices.Collect(maps.Keys(s.processors)), slices.Collect(maps.Keys(s.relays)))
	s.running.Unlock()
	for _, host := range hosts {
		errs = append(errs, s.end(host))
	}
	if s.stop != nil {
		s.stop()
	}
	s.serving.Wait()
	return errors.Join(errs...)
}
