// Package authority is a small certificate authority: an ECDSA P-256 root (RFC
// 5280) that issues TLS server certificates for DNS names and addresses. It lives
// for one run, or for as long as a server keeps it (store.go). It writes nothing to
// disk by itself, and signs nothing but server certificates. It is not a PKI for
// people: it has no revocation.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"strings"
	"time"
)

// Config configures an Authority. The zero Config is usable.
type Config struct {
	// Name is the root's common name; "callpath run" when empty.
	Name string
	// Lifetime is that of the root and of each certificate; 24 hours when zero.
	Lifetime time.Duration
	// Now is time.Now when nil; Rand is crypto/rand's when nil.
	Now  func() time.Time
	Rand io.Reader
}

// Authority is a root certificate with its key. It is safe for concurrent use.
type Authority struct {
	lifetime time.Duration
	now      func() time.Time
	rand     io.Reader
	key      *ecdsa.PrivateKey
	root     *x509.Certificate
}

// backdate lets clients whose clocks are behind accept a fresh certificate.
const backdate = 5 * time.Minute

// New makes a root.
func New(cfg Config) (*Authority, error) {
	if cfg.Name == "" {
		cfg.Name = "callpath run"
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = 24 * time.Hour
	}
	if cfg.Lifetime < 0 {
		return nil, fmt.Errorf("authority: Config.Lifetime is %s, wanted more than 0", cfg.Lifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	a := &Authority{lifetime: cfg.Lifetime, now: cfg.Now, rand: cfg.Rand}
	template, key, err := a.template(cfg.Name)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(a.rand, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("authority: root certificate: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("authority: root certificate: %w", err)
	}
	a.key, a.root = key, root
	return a, nil
}

// Pool holds the root only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// PEM is the root's certificate, for clients that are not ours.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

// Server issues a certificate for DNS names and IP addresses, the first being
// the subject's common name.
func (a *Authority) Server(names ...string) (tls.Certificate, error) {
	if len(names) == 0 {
		return tls.Certificate{}, errors.New("authority: a server certificate needs a DNS name or an address")
	}
	template, key, err := a.template(names[0])
	if err != nil {
		return tls.Certificate{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if addr, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
			continue
		}
		if !dnsName(name) {
			return tls.Certificate{}, fmt.Errorf("authority: %q is neither a DNS name nor an IP address", name)
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(a.rand, template, a.root, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("authority: certificate for %s: %w", names[0], err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("authority: certificate for %s: %w", names[0], err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// TLS is a server's configuration with a new certificate for names: TLS 1.2 or
// later, HTTP/1.1 by ALPN.
func (a *Authority) TLS(names ...string) (*tls.Config, error) {
	cert, err := a.Server(names...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
	}, nil
}

func (a *Authority) template(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.rand)
	if err != nil {
		return nil, nil, fmt.Errorf("authority: key for %s: %w", name, err)
	}
	// RFC 5280, section 4.1.2.2: positive, at most 20 octets.
	serial := make([]byte, 19)
	if _, err := io.ReadFull(a.rand, serial); err != nil {
		return nil, nil, fmt.Errorf("authority: serial number for %s: %w", name, err)
	}
	serial[0] |= 1
	now := a.now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(a.lifetime),
	}, key, nil
}

// dnsName holds to RFC 1123, section 2.1, with a wildcard as the first label
// (RFC 6125).
func dnsName(name string) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	for i, label := range strings.Split(name, ".") {
		if i == 0 && label == "*" {
			continue
		}
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && !(c >= '0' && c <= '9') && !(c|0x20 >= 'a' && c|0x20 <= 'z') {
				return false
			}
		}
	}
	return true
}
