package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling/authority"
)

func TestAKeptAuthorityGoesOnSigning(t *testing.T) {
	first, err := authority.New(authority.Config{Name: "kept", Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	key, err := first.Key()
	if err != nil {
		t.Fatal(err)
	}
	again, err := authority.Load(authority.Config{Lifetime: time.Minute}, first.PEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := again.Server("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: first.Pool(), DNSName: "relay.example"}); err != nil {
		t.Errorf("who trusts the first does not trust what the loaded one signs: %v", err)
	}
	if left := time.Until(cert.Leaf.NotAfter); left > time.Minute {
		t.Errorf("the certificate lives for %v, wanted the minute of the configuration", left)
	}
	certPEM, certKey, err := authority.Encode(cert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(certPEM, certKey); err != nil {
		t.Errorf("encoded certificate and key: %v", err)
	}
}

func TestWhatCannotSignIsNotLoaded(t *testing.T) {
	root, err := authority.New(authority.Config{Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	key, err := root.Key()
	if err != nil {
		t.Fatal(err)
	}
	server, err := root.Server("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	serverPEM, serverKey, err := authority.Encode(server)
	if err != nil {
		t.Fatal(err)
	}
	later := authority.Config{Now: func() time.Time { return time.Now().Add(2 * time.Hour) }}
	for _, c := range []struct {
		name, wanted string
		cfg          authority.Config
		cert, key    []byte
	}{
		{name: "not PEM", wanted: "root certificate and key", cert: []byte("x"), key: key},
		{name: "another's key", wanted: "root certificate and key", cert: root.PEM(), key: serverKey},
		{name: "a server's certificate", wanted: "may not sign", cert: serverPEM, key: serverKey},
		{name: "expired", wanted: "expired on", cfg: later, cert: root.PEM(), key: key},
	} {
		if _, err := authority.Load(c.cfg, c.cert, c.key); err == nil || !strings.Contains(err.Error(), c.wanted) {
			t.Errorf("%s: got %v, wanted an error with %q", c.name, err, c.wanted)
		}
	}
}
