package host_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/topology/sim/host"
)

// newCertificate returns a self-signed certificate for a name.
func newCertificate(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestHTTPSByNameOverTheSimulatedNetwork(t *testing.T) {
	const name = "signaling.callpath.test"
	s := newSegment()
	server := s.add(t, host.Config{Name: "signaling", Interfaces: eth0("203.0.113.1/24", "2001:db8:3::1/64")})
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:3::1")}
	serveNames(t, server, map[string][]netip.Addr{name: addrs})
	client := s.add(t, host.Config{
		Name: "alice-pc", Interfaces: eth0("192.0.2.1/24"),
		DNS: []netip.AddrPort{netip.MustParseAddrPort("203.0.113.1:53")},
	})

	certificate, roots := newCertificate(t, name)
	big := strings.Repeat("sdp", 1<<18)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RemoteAddr+"\n"+big)
	})}
	served := make(chan error, 1)
	l := tls.NewListener(listenTCP(t, server, "tcp", ":443"), &tls.Config{Certificates: []tls.Certificate{certificate}})
	go func() { served <- web.Serve(l) }()
	defer func() { _ = web.Close(); <-served }()

	transport := &http.Transport{DialContext: client.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("https://" + name + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	from, rest, _ := strings.Cut(string(body), "\n")
	if rest != big {
		t.Errorf("body of %d bytes differs", len(rest))
	}
	if ap, err := netip.ParseAddrPort(from); err != nil || ap.Addr() != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("the server saw %q, want 192.0.2.1", from)
	}
}

func TestLookup(t *testing.T) {
	s := newSegment()
	v4, v6 := netip.MustParseAddr("20.202.0.1"), netip.MustParseAddr("2001:db8:4::1")
	var many []netip.Addr
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{20, 202, 1, byte(i)}))
	}
	server := s.add(t, host.Config{Name: "dns", Interfaces: eth0("20.202.0.53/16", "2001:db8:4::53/64")})
	serveNames(t, server, map[string][]netip.Addr{
		"relay.callpath.test": {v4, v6}, "old.callpath.test": {v4}, "many.callpath.test": many,
	})
	names := []netip.AddrPort{netip.MustParseAddrPort("20.202.0.53:53")}
	dual := s.add(t, host.Config{Name: "dual", Interfaces: eth0("192.0.2.1/24", "2001:db8:1::1/64"), DNS: names})
	only4 := s.add(t, host.Config{Name: "only4", Interfaces: eth0("192.0.2.2/24"), DNS: names})
	lonely := s.add(t, host.Config{Name: "lonely", Interfaces: eth0("192.0.2.3/24")})
	second := s.add(t, host.Config{Name: "second", Interfaces: eth0("192.0.2.4/24"),
		DNS: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53"), names[0]}})

	for _, tt := range []struct {
		title         string
		h             *host.Host
		network, name string
		want          []netip.Addr
	}{
		{"IPv6 first where it is reached", dual, "ip", "relay.callpath.test", []netip.Addr{v6, v4}},
		{"IPv4 first where IPv6 is not", only4, "ip", "relay.callpath.test", []netip.Addr{v4, v6}},
		{"only IPv4", dual, "ip4", "Relay.CallPath.test.", []netip.Addr{v4}},
		{"only IPv6", dual, "ip6", "relay.callpath.test", []netip.Addr{v6}},
		{"literal, without a server", lonely, "ip", "192.0.2.77", []netip.Addr{netip.MustParseAddr("192.0.2.77")}},
		{"localhost", lonely, "ip4", "localhost", []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		{"too long for UDP", dual, "ip4", "many.callpath.test", many},
		{"first server is down", second, "ip4", "relay.callpath.test", []netip.Addr{v4}},
	} {
		t.Run(tt.title, func(t *testing.T) {
			got, err := tt.h.LookupNetIP(t.Context(), tt.network, tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		title         string
		h             *host.Host
		network, name string
		notFound      bool
	}{
		{"no such name", dual, "ip", "nobody.callpath.test", true},
		{"no such family", dual, "ip6", "old.callpath.test", true},
		{"not a name", dual, "ip", "..", true},
		{"no server", lonely, "ip", "relay.callpath.test", false},
		{"no such network", dual, "ip5", "relay.callpath.test", false},
	} {
		t.Run(tt.title, func(t *testing.T) {
			got, err := tt.h.LookupNetIP(t.Context(), tt.network, tt.name)
			var de *net.DNSError
			if err == nil || (errors.As(err, &de) && de.IsNotFound) != tt.notFound {
				t.Errorf("got %v, %v; want an error with IsNotFound %v", got, err, tt.notFound)
			}
		})
	}
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s.watch(func(string, string, []byte) bool { cancel(); return false })
		defer s.watch(nil)
		_, err := dual.LookupNetIP(ctx, "ip", "relay.callpath.test")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func equal(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
