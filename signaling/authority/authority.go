// Package authority is a certificate authority that lives in memory for one run:
// an ECDSA P-256 root (RFC 5280) that issues TLS server certificates for DNS
// names and addresses. Nothing of it is written to disk, and it signs nothing
// but server certificates. It is not a PKI for people: it has no revocation.
package authority

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
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
	cfg Config
}

// New makes a root.
func New(cfg Config) (*Authority, error) { return nil, errors.New("authority: not built yet") }

// Pool holds the root only.
func (a *Authority) Pool() *x509.CertPool { return nil }

// PEM is the root's certificate, for clients that are not ours.
func (a *Authority) PEM() []byte { return nil }

// Server issues a certificate for DNS names and IP addresses, the first being
// the subject's common name.
func (a *Authority) Server(names ...string) (tls.Certificate, error) {
	return tls.Certificate{}, nil
}

// TLS is a server's configuration with a new certificate for names: TLS 1.2 or
// later, HTTP/1.1 by ALPN.
func (a *Authority) TLS(names ...string) (*tls.Config, error) { return nil, nil }
