package runner

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/topology"
)

// relayService is a transport relay on its host.
type relayService struct {
	server *turn.Server
	gate   *gate
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
