package turn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	realm = "relay.callpath.test"
	// patience is how long a test waits for what must come.
	patience = 10 * time.Second
)

var (
	secret   = []byte("first secret of the relay")
	loopback = netip.MustParseAddr("127.0.0.1")
)

// rig is a relay on loopback sockets, with what it told.
type rig struct {
	t      testing.TB
	server *turn.Server
	udp    netip.AddrPort
	tcp    netip.AddrPort
	tls    netip.AddrPort
	roots  *x509.CertPool

	mu      sync.Mutex
	changed *sync.Cond
	events  []turn.Event
	relayed []turn.Relayed
}

// newRig starts a relay that permits loopback peers; change may change that. The
// packets of bound channels over UDP are the forwarding core's.
func newRig(t testing.TB, change func(*turn.Config)) *rig { return start(t, false, change) }

// newObservedRig starts a relay that tells of each payload, so that all packets are
// the engine's.
func newObservedRig(t *testing.T) *rig { return start(t, true, nil) }

func start(t testing.TB, observed bool, change func(*turn.Config)) *rig {
	t.Helper()
	r := &rig{t: t}
	r.changed = sync.NewCond(&r.mu)
	certificate, roots := certificate(t)
	r.roots = roots

	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	ok(t, err)
	secure, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	ok(t, err)
	r.udp, r.tcp, r.tls = addrPortOf(udp.LocalAddr()), addrPortOf(tcp.Addr()), addrPortOf(secure.Addr())

	cfg := turn.Config{
		Realm:       realm,
		Secrets:     [][]byte{secret},
		PacketConns: []net.PacketConn{udp},
		Listeners:   []turn.Listener{{Transport: turn.TCP, Listener: tcp}, {Transport: turn.TLS, Listener: secure}},
		Addresses:   []netip.Addr{loopback},
		Peers:       turn.PeerPolicy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		OnEvent: func(e turn.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
			r.changed.Broadcast()
		},
	}
	if observed {
		cfg.OnRelayed = func(p turn.Relayed) {
			p.Payload = append([]byte(nil), p.Payload...)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.relayed = append(r.relayed, p)
		}
	}
	if change != nil {
		change(&cfg)
	}
	r.server, err = turn.New(cfg)
	ok(t, err)
	t.Cleanup(func() { ok(t, r.server.Close()) })
	return r
}

// credential mints one that is valid for an hour.
func (r *rig) credential(user, call string) (username, password string) {
	return turn.Credential(secret, user, call, time.Now().Add(time.Hour))
}

// await waits for the n-th event of the kind, counted from 1.
func (r *rig) await(kind turn.EventKind, n int) turn.Event {
	r.t.Helper()
	stop := time.AfterFunc(patience, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
	defer stop.Stop()
	deadline := time.Now().Add(patience)
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		seen := 0
		for _, e := range r.events {
			if e.Kind == kind {
				if seen++; seen == n {
					return e
				}
			}
		}
		if !time.Now().Before(deadline) {
			r.t.Fatalf("wanted %d events %q, got %v", n, kind, r.events)
		}
		r.changed.Wait()
	}
}

// count returns how many events of the kind there were.
func (r *rig) count(kind turn.EventKind) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// dial connects to the relay over transport and returns the client's socket, which
// keeps message boundaries for UDP only.
func (r *rig) dial(transport turn.Transport) net.Conn {
	r.t.Helper()
	var conn net.Conn
	var err error
	switch transport {
	case turn.UDP:
		conn, err = net.Dial("udp4", r.udp.String())
	case turn.TCP:
		conn, err = net.Dial("tcp4", r.tcp.String())
	case turn.TLS:
		conn, err = tls.Dial("tcp4", r.tls.String(), &tls.Config{RootCAs: r.roots, ServerName: realm})
	}
	ok(r.t, err)
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

// echo is a peer that sends back whatever it gets.
func echo(t testing.TB) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	echoOn(t, pc)
	return addrPortOf(pc.LocalAddr())
}

func echoOn(t testing.TB, pc net.PacketConn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if _, err := pc.WriteTo(buf[:n], from); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
}

func addrPortOf(a net.Addr) netip.AddrPort {
	at := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// anywhere opens relay sockets on loopback whatever the address, so that a relay
// can have addresses that this machine has not.
func anywhere(ctx context.Context, _, _ string) (net.PacketConn, error) {
	return (&net.ListenConfig{}).ListenPacket(ctx, "udp4", "127.0.0.1:0")
}

func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: realm},
		DNSNames:     []string{realm},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	ok(t, err)
	parsed, err := x509.ParseCertificate(der)
	ok(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
