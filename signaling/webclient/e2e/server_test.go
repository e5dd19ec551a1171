package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/user"
	"github.com/callpath/callpath/signaling/webclient"
)

// server is all that two pages need: the page, the issuer, the controller and the
// relay, each on loopback, and what they saw.
type server struct {
	url       string
	passwords map[string]string
	totp      map[string]string // bob has a second factor

	mu        sync.Mutex
	relay     []turn.Event
	signaling []signaling.Event
	recorders map[string]*negotiation.Recorder // what the relay sees, by user
}

// newServer starts a server for alice and bob, for as long as the test runs.
func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{
		passwords: map[string]string{"alice": "alice's password", "bob": "bob's password"},
		recorders: map[string]*negotiation.Recorder{},
	}
	for user := range s.passwords {
		s.recorders[user] = negotiation.NewRecorder(negotiation.Config{Leg: user})
	}
	secret, _, err := user.NewTOTP("callpath", "bob")
	if err != nil {
		t.Fatal(err)
	}
	s.totp = map[string]string{"bob": secret}
	ca, err := authority.New(authority.Config{})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	servers := s.startRelay(t, conf)
	s.startSignaling(t, conf, servers)
	return s
}

// startRelay starts a relay on UDP, TCP and TLS, and returns what mints its
// credentials.
func (s *server) startRelay(t *testing.T, conf *tls.Config) func(user, call string) ([]signaling.ICEServer, error) {
	t.Helper()
	loopback := netip.MustParseAddr("127.0.0.1")
	secret := []byte("a secret that lives for one test")
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, secure := listen(t), listen(t)
	relay, err := turn.New(turn.Config{
		Realm: "callpath.test", Secrets: [][]byte{secret},
		PacketConns: []net.PacketConn{udp},
		Listeners: []turn.Listener{
			{Transport: turn.TCP, Listener: tcp},
			{Transport: turn.TLS, Listener: tls.NewListener(secure, conf)},
		},
		Addresses: []netip.Addr{loopback},
		// Both pages have their relayed addresses on loopback.
		Peers:     turn.PeerPolicy{Allow: []netip.Prefix{netip.PrefixFrom(loopback, 32)}},
		OnEvent:   s.onRelay,
		OnRelayed: s.onRelayed,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := relay.Close(); err != nil {
			t.Errorf("relay: Close: %v", err)
		}
	})
	urls := []string{
		fmt.Sprintf("turn:127.0.0.1:%d?transport=udp", port(udp.LocalAddr())),
		fmt.Sprintf("turn:127.0.0.1:%d?transport=tcp", port(tcp.Addr())),
		fmt.Sprintf("turns:localhost:%d?transport=tcp", port(secure.Addr())),
	}
	return func(user, call string) ([]signaling.ICEServer, error) {
		expires := time.Now().Add(10 * time.Minute)
		name, password := turn.Credential(secret, user, call, expires)
		return []signaling.ICEServer{{URLs: urls, Username: name, Credential: password, Expires: expires}}, nil
	}
}

func (s *server) startSignaling(t *testing.T, conf *tls.Config, servers func(user, call string) ([]signaling.ICEServer, error)) {
	t.Helper()
	ln := listen(t)
	issuer := fmt.Sprintf("https://localhost:%d", port(ln.Addr()))
	s.url = issuer + "/"
	id := s.startIssuer(t, issuer)
	controller, err := signaling.NewController(signaling.Config{Verifier: id, TURN: servers, Region: "loopback",
		OnEvent: s.onSignaling, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	page, err := webclient.New(webclient.Config{Issuer: issuer, Client: "web"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, path := range id.Paths() {
		mux.Handle(path, id.Handler())
	}
	mux.Handle("/v1/", controller.Handler())
	mux.Handle("/", page)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- signaling.Serve(ctx, ln, conf, mux) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := controller.Close(); err != nil {
			t.Errorf("controller: Close: %v", err)
		}
	})
}

func (s *server) startIssuer(t *testing.T, issuer string) *identity.Service {
	t.Helper()
	cfg := identity.Config{Issuer: issuer, Clients: []identity.Client{{ID: "web", RedirectURIs: []string{s.url}}},
		Log: slog.New(slog.DiscardHandler)}
	for name, password := range s.passwords {
		hash, err := user.Hash(password)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Users = append(cfg.Users, user.User{ID: name, Kind: user.ACS, Password: hash, TOTP: s.totp[name]})
	}
	id, err := identity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Close(); err != nil {
			t.Errorf("issuer: Close: %v", err)
		}
	})
	return id
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func port(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

func (s *server) onRelay(e turn.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relay = append(s.relay, e)
}

func (s *server) onSignaling(e signaling.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signaling = append(s.signaling, e)
}

// onRelayed shows a user's recorder what passes between the relayed address and the
// peer, as the IP packets that it travels in.
func (s *server) onRelayed(r turn.Relayed) {
	from, to := r.Relay, r.Peer
	if !r.ToPeer {
		from, to = to, from
	}
	s.recorders[r.User].Packet(r.Time, r.ToPeer, datagram(from, to, r.Payload))
}

// datagram wraps a payload in IPv4 and UDP headers, without checksums.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	const ipHeader, udpHeader, protocolUDP = 20, 8, 17
	length := ipHeader + udpHeader + len(payload)
	source, destination := from.Addr().As4(), to.Addr().As4()
	p := make([]byte, 0, length)
	p = append(p, 0x45, 0, byte(length>>8), byte(length), 0, 0, 0, 0, 64, protocolUDP, 0, 0)
	p = append(p, source[:]...)
	p = append(p, destination[:]...)
	length -= ipHeader
	p = append(p, byte(from.Port()>>8), byte(from.Port()), byte(to.Port()>>8), byte(to.Port()), byte(length>>8), byte(length), 0, 0)
	return append(p, payload...)
}

// allocations are those that were made, by user.
func (s *server) allocations() map[string][]allocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := map[string][]allocation{}
	for _, e := range s.relay {
		if e.Kind == turn.AllocationCreated {
			made[e.User] = append(made[e.User], allocation{string(e.Transport), e.Relay.String()})
		}
	}
	return made
}

// record is that of all of a user's legs together.
func (s *server) record(_ *testing.T, user, _, _ string) negotiation.Record {
	return s.recorders[user].Record()
}

// telemetry is what the pages sent at the end, by user.
func (s *server) telemetry() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := map[string][]byte{}
	for _, e := range s.signaling {
		if len(e.Telemetry) > 0 {
			sent[e.User] = e.Telemetry
		}
	}
	return sent
}
