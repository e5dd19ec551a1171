package runner

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/topology"
)

// controllerService is a signaling controller on its host.
type controllerService struct {
	controller *signaling.Controller
	gate       *gate
	stop       context.CancelFunc
	serving    sync.WaitGroup
}

func (s *services) startController(at *topology.Host) error {
	cfg, n := s.cfg, s.cfg.internet.Network()
	service := &controllerService{gate: newGate()}
	var err error
	service.controller, err = signaling.NewController(signaling.Config{
		Users:      cfg.users,
		TURN:       s.iceServers,
		Region:     regionOf(n, at.Site),
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

// signalingURL names the controller as a client looks it up.
func signalingURL(n *topology.Network) string {
	name := hostNames(n.HostsWith(topology.SignalingController)[0])[0]
	if strings.Contains(name, ":") {
		name = net.JoinHostPort(name, fmt.Sprint(signalingTLS))
	}
	return "https://" + name
}
