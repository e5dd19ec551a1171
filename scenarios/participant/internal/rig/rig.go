// Package rig is a small internet for tests of participants and their endpoints: a
// provider with DNS and a transport relay, and two clients, all simulated hosts on
// one switch that can be told to drop packets.
//
// Start reading at New.
package rig

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
	"github.com/callpath/callpath/topology/sim/dns"
	"github.com/callpath/callpath/topology/sim/host"
)

// Machines are the hosts' addresses. They are not private, so that the relay's safe
// defaults let them through.
var Machines = map[string]netip.Addr{
	"provider": netip.MustParseAddr("20.202.0.10"),
	"relay":    netip.MustParseAddr("20.202.0.20"),
	"alice":    netip.MustParseAddr("20.202.0.30"),
	"bob":      netip.MustParseAddr("20.202.0.40"),
}

// The relay's name and its ports, as services of this kind have them.
const (
	RelayName = "relay.callpath.test"
	firstUDP  = 3478
	lastUDP   = 3481
	plainTCP  = 3478
	secureTCP = 443
)

// Rig is the running internet. It ends with its test.
type Rig struct {
	Switch    *Switch
	Hosts     map[string]*host.Host
	Authority *authority.Authority
	// Ledger shows every payload to View, which searches what is relayed.
	Ledger *media.Ledger
	View   *negotiation.RelayView
	Start  time.Time

	t       testing.TB
	secret  []byte
	ctx     context.Context
	serving sync.WaitGroup

	mu      sync.Mutex
	relayed int
	refused []string
}

// New starts everything.
func New(t testing.TB) *Rig {
	t.Helper()
	view := negotiation.NewRelayView()
	r := &Rig{
		Switch: newSwitch(t), Hosts: map[string]*host.Host{}, Ledger: media.NewLedger(view.Needle), View: view,
		Start: time.Now(), t: t, secret: []byte("secret of the rig"),
	}
	for name, addr := range Machines {
		r.host(name, addr)
	}
	var err error
	if r.Authority, err = authority.New(authority.Config{}); err != nil {
		t.Fatal(err)
	}
	var stop context.CancelFunc
	r.ctx, stop = context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); r.serving.Wait() })
	r.serveDNS()
	r.serveRelay()
	return r
}

// Interfaces are those of a host with one address on the switch.
func Interfaces(addr netip.Addr) []host.Interface {
	return []host.Interface{{
		Name: "eth0", Addresses: []netip.Prefix{netip.PrefixFrom(addr, 24)},
		Routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
	}}
}

func (r *Rig) host(name string, addr netip.Addr) {
	h, err := host.New(host.Config{
		Name: name, Seed: 1, Send: r.Switch.send, Interfaces: Interfaces(addr),
		DNS: []netip.AddrPort{netip.AddrPortFrom(Machines["provider"], 53)},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Hosts[name] = h
	r.Switch.Join(addr, h)
	r.t.Cleanup(func() { r.check("close host "+name, h.Close()) })
}

func (r *Rig) check(what string, err error) {
	if err != nil {
		r.t.Errorf("%s: %v", what, err)
	}
}

func (r *Rig) serveDNS() {
	conn, err := r.Hosts["provider"].ListenPacket(r.ctx, "udp", netip.AddrPortFrom(Machines["provider"], 53).String())
	if err != nil {
		r.t.Fatal(err)
	}
	zone := map[string][]netip.Addr{
		"signaling.callpath.test": {Machines["provider"]},
		RelayName:                 {Machines["relay"]},
	}
	r.Serve("DNS", func(ctx context.Context) error { return dns.Serve(ctx, conn, zone) })
}

// Serve runs a server until the test ends.
func (r *Rig) Serve(name string, run func(context.Context) error) {
	r.serving.Go(func() {
		if err := run(r.ctx); err != nil && r.ctx.Err() == nil {
			r.t.Errorf("%s: %v", name, err)
		}
	})
}

func (r *Rig) serveRelay() {
	relay, address := r.Hosts["relay"], Machines["relay"]
	cfg := turn.Config{
		Realm: "callpath.test", Secrets: [][]byte{r.secret}, Addresses: []netip.Addr{address},
		ListenPacket: relay.ListenPacket, Quota: turn.Quota{PerUser: 32},
		OnRelayed: func(p turn.Relayed) {
			r.View.Payload(p.Payload)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.relayed++
		},
		OnEvent: func(e turn.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if e.Code != 0 {
				r.refused = append(r.refused, fmt.Sprintf("%s %d %s", e.Method, e.Code, e.Reason))
			}
		},
	}
	for port := uint16(firstUDP); port <= lastUDP; port++ {
		conn, err := relay.ListenPacket(r.ctx, "udp", netip.AddrPortFrom(address, port).String())
		if err != nil {
			r.t.Fatal(err)
		}
		cfg.PacketConns = append(cfg.PacketConns, conn)
	}
	plain, err := relay.Listen(r.ctx, "tcp", netip.AddrPortFrom(address, plainTCP).String())
	if err != nil {
		r.t.Fatal(err)
	}
	secure, err := relay.Listen(r.ctx, "tcp", netip.AddrPortFrom(address, secureTCP).String())
	if err != nil {
		r.t.Fatal(err)
	}
	conf, err := r.Authority.TLS(RelayName)
	if err != nil {
		r.t.Fatal(err)
	}
	cfg.Listeners = []turn.Listener{
		{Transport: turn.TCP, Listener: plain},
		{Transport: turn.TLS, Listener: tls.NewListener(secure, conf)},
	}
	server, err := turn.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.check("close relay", server.Close()) })
}

// ICEServers are those that the controller would hand to a user.
func (r *Rig) ICEServers(user, call string) ([]signaling.ICEServer, error) {
	expires := time.Now().Add(time.Hour)
	username, password := turn.Credential(r.secret, user, call, expires)
	server := signaling.ICEServer{Username: username, Credential: password, Expires: expires}
	for port := firstUDP; port <= lastUDP; port++ {
		server.URLs = append(server.URLs, fmt.Sprintf("turn:%s:%d?transport=udp", RelayName, port))
	}
	server.URLs = append(server.URLs,
		fmt.Sprintf("turn:%s:%d?transport=tcp", RelayName, plainTCP),
		fmt.Sprintf("turns:%s:%d?transport=tcp", RelayName, secureTCP))
	return []signaling.ICEServer{{URLs: []string{fmt.Sprintf("stun:%s:%d", RelayName, firstUDP)}}, server}, nil
}

// Server is one URL of the relay with a user's credential.
func (r *Rig) Server(user, url string) []signaling.ICEServer {
	username, password := turn.Credential(r.secret, user, "call", time.Now().Add(time.Hour))
	return []signaling.ICEServer{{URLs: []string{url}, Username: username, Credential: password}}
}

// Relayed is how many payloads the relay has relayed; Refused what it has refused.
func (r *Rig) Relayed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.relayed
}

// Refused are the relay's refusals so far.
func (r *Rig) Refused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.refused...)
}
