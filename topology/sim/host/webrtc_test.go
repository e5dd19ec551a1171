package host_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	turn3 "github.com/pion/turn/v3"
	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/topology/sim/dns"
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/host/transportv3"
)

const (
	realm, user, password = "callpath.test", "alice", "not a real secret"
	relayName             = "relay.callpath.test"
)

// serveNames runs a DNS server on h, at port 53 of all its addresses, over UDP
// and TCP, until the test ends.
func serveNames(t testing.TB, h *host.Host, zone map[string][]netip.Addr) {
	t.Helper()
	pc := listenUDP(t, h, "udp", ":53")
	l := listenTCP(t, h, "tcp", ":53")
	done := make(chan error, 2)
	go func() { done <- dns.Serve(t.Context(), pc, zone) }()
	go func() { done <- dns.ServeListener(t.Context(), l, zone) }()
	t.Cleanup(func() {
		_, _ = pc.Close(), l.Close()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// relayed is a segment on which alice and bob can reach only the relay, whose
// name they look up there.
func relayed(t testing.TB) (alice, bob, relay *host.Host) {
	t.Helper()
	s := newSegment()
	server := netip.MustParseAddr("20.202.0.1")
	names := []netip.AddrPort{netip.AddrPortFrom(server, 53)}
	alice = s.add(t, host.Config{Name: "alice-pc", Interfaces: eth0("192.0.2.1/24"), DNS: names})
	bob = s.add(t, host.Config{Name: "bob-pc", Interfaces: eth0("198.51.100.2/24"), DNS: names})
	relay = s.add(t, host.Config{Name: "relay", Interfaces: eth0("20.202.0.1/16")})
	serveNames(t, relay, map[string][]netip.Addr{relayName: {server}})
	s.watch(func(from, _ string, packet []byte) bool {
		return from == "relay" || destination(packet) == server
	})
	return alice, bob, relay
}

// startRelay runs a TURN server of pion on h: UDP and TCP at 3478, TLS at 443.
func startRelay(t testing.TB, h *host.Host) (roots *x509.CertPool) {
	t.Helper()
	certificate, roots := newCertificate(t, relayName)
	generator := func() turn.RelayAddressGenerator {
		return &turn.RelayAddressGeneratorStatic{
			RelayAddress: net.ParseIP("20.202.0.1"), Address: "20.202.0.1", Net: h.Net(),
		}
	}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:         realm,
		LoggerFactory: quiet(),
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey(a.Username, realm, password), a.Username == user
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            listenUDP(t, h, "udp4", "0.0.0.0:3478"),
			RelayAddressGenerator: generator(),
		}},
		ListenerConfigs: []turn.ListenerConfig{{
			Listener:              listenTCP(t, h, "tcp4", "0.0.0.0:3478"),
			RelayAddressGenerator: generator(),
		}, {
			Listener:              tls.NewListener(listenTCP(t, h, "tcp4", "0.0.0.0:443"), &tls.Config{Certificates: []tls.Certificate{certificate}}),
			RelayAddressGenerator: generator(),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return roots
}

// quiet keeps pion's warnings out of the test's output.
func quiet() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

// tlsDialer connects to TURN servers by TLS with a trust of its own, which
// ice/v4 has no setting for. It dials a TURNS server through a proxy dialer
// without adding TLS itself.
type tlsDialer struct {
	h     *host.Host
	roots *x509.CertPool
}

func (d tlsDialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.h.Net().Dial(network, address)
	if err != nil {
		return nil, err
	}
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, &tls.Config{ServerName: name, RootCAs: d.roots})
	if err := secure.Handshake(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return secure, nil
}

// peer makes a PeerConnection on h; roots, if any, are for TURN over TLS.
func peer(t testing.TB, h *host.Host, cfg webrtc.Configuration, roots *x509.CertPool) *webrtc.PeerConnection {
	t.Helper()
	var s webrtc.SettingEngine
	s.LoggerFactory = quiet()
	s.SetNet(h.Net())
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DisableActiveTCP(true)
	s.SetRelayAcceptanceMinWait(0)
	if roots != nil {
		s.SetICEProxyDialer(tlsDialer{h, roots})
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	return pc
}

// negotiate exchanges descriptions with all candidates.
func negotiate(t testing.TB, offerer, answerer *webrtc.PeerConnection) {
	t.Helper()
	describe := func(pc *webrtc.PeerConnection, create func() (webrtc.SessionDescription, error)) webrtc.SessionDescription {
		gathered := webrtc.GatheringCompletePromise(pc)
		d, err := create()
		if err != nil {
			t.Fatal(err)
		}
		if err := pc.SetLocalDescription(d); err != nil {
			t.Fatal(err)
		}
		<-gathered
		return *pc.LocalDescription()
	}
	offer := describe(offerer, func() (webrtc.SessionDescription, error) { return offerer.CreateOffer(nil) })
	if err := answerer.SetRemoteDescription(offer); err != nil {
		t.Fatal(err)
	}
	answer := describe(answerer, func() (webrtc.SessionDescription, error) { return answerer.CreateAnswer(nil) })
	if err := offerer.SetRemoteDescription(answer); err != nil {
		t.Fatal(err)
	}
}

// echo sends a message over a data channel and waits for it to come back.
func echo(t testing.TB, from, to *webrtc.PeerConnection) {
	t.Helper()
	to.OnDataChannel(func(d *webrtc.DataChannel) {
		d.OnMessage(func(m webrtc.DataChannelMessage) { _ = d.Send(m.Data) })
	})
	d, err := from.CreateDataChannel("echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	back := make(chan string, 1)
	d.OnOpen(func() { _ = d.SendText("hello") })
	d.OnMessage(func(m webrtc.DataChannelMessage) { back <- string(m.Data) })
	negotiate(t, from, to)
	select {
	case got := <-back:
		if got != "hello" {
			t.Errorf("got %q back, want %q", got, "hello")
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no message came back; ICE: %s and %s", from.ICEConnectionState(), to.ICEConnectionState())
	}
}

func selected(t testing.TB, pc *webrtc.PeerConnection) *webrtc.ICECandidatePair {
	t.Helper()
	pair, err := pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		t.Fatalf("no selected pair: %v", err)
	}
	return pair
}

func TestPeerConnectionsMeetDirectly(t *testing.T) {
	_, alice, bob := two(t)
	a, b := peer(t, alice, webrtc.Configuration{}, nil), peer(t, bob, webrtc.Configuration{}, nil)
	echo(t, a, b)
	pair := selected(t, a)
	if pair.Local.Typ != webrtc.ICECandidateTypeHost || pair.Remote.Typ != webrtc.ICECandidateTypeHost {
		t.Errorf("selected %s, want host to host", pair)
	}
	own := map[string]bool{}
	for _, addr := range alice.Addresses() {
		own[addr.String()] = true
	}
	if !own[pair.Local.Address] {
		t.Errorf("local candidate %s is none of %v", pair.Local.Address, alice.Addresses())
	}
}

func TestPeerConnectionsMeetThroughTheRelay(t *testing.T) {
	for _, url := range []string{
		"turn:" + relayName + ":3478?transport=udp",
		"turn:" + relayName + ":3478?transport=tcp",
		"turns:" + relayName + ":443?transport=tcp",
	} {
		t.Run(url, func(t *testing.T) {
			alice, bob, relay := relayed(t)
			roots := startRelay(t, relay)
			if !strings.HasPrefix(url, "turns:") {
				roots = nil
			}
			cfg := webrtc.Configuration{ICEServers: []webrtc.ICEServer{{URLs: []string{url}, Username: user, Credential: password}}}
			a, b := peer(t, alice, cfg, roots), peer(t, bob, cfg, roots)
			echo(t, a, b)
			pair := selected(t, a)
			if pair.Local.Typ != webrtc.ICECandidateTypeRelay && pair.Remote.Typ != webrtc.ICECandidateTypeRelay {
				t.Errorf("selected %s, want a relay candidate on one side", pair)
			}
		})
	}
}

// The client side of TURN over TLS, as a client with its own trust runs it.
func TestTURNOverTLS(t *testing.T) {
	alice, bob, relay := relayed(t)
	roots := startRelay(t, relay)
	raw, err := alice.DialContext(t.Context(), "tcp", relayName+":443")
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{ServerName: relayName, RootCAs: roots})
	defer conn.Close()
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: raw.RemoteAddr().String(), STUNServerAddr: raw.RemoteAddr().String(),
		Conn: turn.NewSTUNConn(conn), Net: alice.Net(), LoggerFactory: quiet(),
		Username: user, Password: password, Realm: realm,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayedConn, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayedConn.Close()
	checkRelays(t, relayedConn, bob)
}

// The older client, on pion/transport/v3.
func TestTURNWithTheOlderClient(t *testing.T) {
	alice, bob, relay := relayed(t)
	startRelay(t, relay)
	client, err := turn3.NewClient(&turn3.ClientConfig{
		TURNServerAddr: relayName + ":3478", STUNServerAddr: relayName + ":3478",
		Conn: listenUDP(t, alice, "udp4", "0.0.0.0:0"), Net: transportv3.New(alice), LoggerFactory: quiet(),
		Username: user, Password: password, Realm: realm,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	mapped, err := client.SendBindingRequest()
	if err != nil {
		t.Fatal(err)
	}
	if got := mapped.(*net.UDPAddr).IP.String(); got != "192.0.2.1" {
		t.Errorf("the server saw %s, want 192.0.2.1", got)
	}
	relayedConn, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayedConn.Close()
	checkRelays(t, relayedConn, bob)
}

// checkRelays sends a datagram out of the relay to a host, and another back.
// They are longer than four bytes because pion's client, over a stream, holds
// shorter channel data back until more arrives.
func checkRelays(t *testing.T, relayed net.PacketConn, h *host.Host) {
	t.Helper()
	far := listenUDP(t, h, "udp4", "198.51.100.2:0")
	if _, err := relayed.WriteTo([]byte("a datagram out"), far.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := far.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "a datagram out" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	if from.String() != relayed.LocalAddr().String() {
		t.Errorf("from %s, want the relayed address %s", from, relayed.LocalAddr())
	}
	if _, err := far.WriteTo([]byte("a datagram back"), from); err != nil {
		t.Fatal(err)
	}
	n, _, err = relayed.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "a datagram back" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
}
