package authority_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAServerCertificateIsVerifiedByThePoolForItsNamesOnly(t *testing.T) {
	a, err := authority.New(authority.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Server("signaling.example", "192.0.2.1", "2001:db8::1", "*.relay.example")
	if err != nil {
		t.Fatal(err)
	}
	other, err := authority.New(authority.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		pool  *x509.CertPool
		host  string
		valid bool
	}{
		{"its DNS name", a.Pool(), "signaling.example", true},
		{"its IPv4 address", a.Pool(), "192.0.2.1", true},
		{"its IPv6 address", a.Pool(), "2001:db8::1", true},
		{"its wildcard", a.Pool(), "a.relay.example", true},
		{"another name", a.Pool(), "other.example", false},
		{"another authority", other.Pool(), "signaling.example", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: tc.pool, DNSName: tc.host})
			if (err == nil) != tc.valid {
				t.Errorf("got %v, wanted valid=%v", err, tc.valid)
			}
		})
	}
	key, ok := cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		t.Errorf("key is %T, wanted ECDSA P-256", cert.PrivateKey)
	}
	if cert.Leaf.IsCA {
		t.Error("a server certificate may sign others")
	}
	block, _ := pem.Decode(a.PEM())
	if block == nil || block.Type != "CERTIFICATE" {
		t.Fatalf("PEM is %q", a.PEM())
	}
}

func TestCertificatesExpireWithTheRun(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	a, err := authority.New(authority.Config{Lifetime: time.Hour, Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Server("signaling.example")
	if err != nil {
		t.Fatal(err)
	}
	for after, valid := range map[time.Duration]bool{-time.Hour: false, -time.Minute: true, 59 * time.Minute: true, 61 * time.Minute: false} {
		_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: "signaling.example", CurrentTime: start.Add(after)})
		if (err == nil) != valid {
			t.Errorf("%s after the start: got %v, wanted valid=%v", after, err, valid)
		}
	}
}

func TestTLSBelow12IsRefused(t *testing.T) {
	a, err := authority.New(authority.Config{})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := a.TLS("signaling.example")
	if err != nil {
		t.Fatal(err)
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, s := net.Pipe()
		done := make(chan error, 1)
		server := tls.Server(s, conf)
		go func() { done <- server.Handshake(); s.Close() }()
		client := tls.Client(c, &tls.Config{RootCAs: a.Pool(), ServerName: "signaling.example", MinVersion: version, MaxVersion: version})
		err := client.Handshake()
		c.Close()
		if serverErr := <-done; (err == nil) != ok || (serverErr == nil) != ok {
			t.Errorf("%s: client %v, server %v, wanted ok=%v", tls.VersionName(version), err, serverErr, ok)
		}
	}
}

func TestBadNamesAndConfigurationAreRefusedByName(t *testing.T) {
	a, err := authority.New(authority.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{nil, {""}, {"a b"}, {"-a.example"}, {"a..example"}, {"a.*.example"}, {strings.Repeat("a", 64) + ".example"}, {strings.Repeat("a.", 130)}} {
		if _, err := a.TLS(names...); err == nil {
			t.Errorf("%q: no error", names)
		}
	}
	if _, err := authority.New(authority.Config{Lifetime: -1}); err == nil || !strings.Contains(err.Error(), "Config.Lifetime") {
		t.Errorf("negative lifetime: got %v", err)
	}
	if _, err := authority.New(authority.Config{Rand: iotest.ErrReader(net.ErrClosed)}); err == nil {
		t.Error("no error when there is no randomness")
	}
}
