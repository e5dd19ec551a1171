package authority

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Load takes a root that New made and Key and PEM have written out: for a server
// whose clients are to trust it again after a restart. Config.Name is ignored.
func Load(cfg Config, certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("authority: root certificate and key: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("authority: the root's key is a %T, wanted an ECDSA key", pair.PrivateKey)
	}
	root, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("authority: root certificate: %w", err)
	}
	if !root.IsCA || root.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("authority: the root certificate may not sign certificates")
	}
	a := &Authority{lifetime: cfg.Lifetime, now: cfg.Now, rand: cfg.Rand, key: key, root: root}
	if a.lifetime == 0 {
		a.lifetime = 24 * time.Hour
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.rand == nil {
		a.rand = rand.Reader
	}
	if now := a.now(); !now.Before(root.NotAfter) {
		return nil, fmt.Errorf("authority: the root certificate expired on %s", root.NotAfter.Format(time.DateOnly))
	}
	return a, nil
}

// Key is the root's private key in PKCS #8. Whoever writes it to a file gives that
// mode 0600.
func (a *Authority) Key() ([]byte, error) { return keyPEM(a.key) }

// Encode is a certificate that Server has issued, and its key.
func Encode(cert tls.Certificate) (certPEM, key []byte, err error) {
	for _, der := range cert.Certificate {
		certPEM = append(certPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err = keyPEM(cert.PrivateKey)
	return certPEM, key, err
}

func keyPEM(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("authority: private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Signed says whether a certificate is one of the root's, for the DNS name or
// address, and valid now.
func (a *Authority) Signed(cert *x509.Certificate, name string) bool {
	_, err := cert.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: name, CurrentTime: a.now()})
	return err == nil
}
