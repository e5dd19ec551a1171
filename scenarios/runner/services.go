package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
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

	ctx  context.Context
	stop context.CancelFunc

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

// hostNames are a host's DNS names, or its addresses when it has none.
func hostNames(h *topology.Host) []string {
	names := append([]string{}, h.Names...)
	for _, a := range h.Addresses {
		names = append(names, a.String())
	}
	return names
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
	return errors.Join(errs...)
}
