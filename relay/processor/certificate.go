package processor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

var randReader = rand.Reader

// newCertificate makes the certificate whose fingerprint goes into answers. Nobody
// verifies it but by that.
func newCertificate() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key for DTLS: %w", err)
	}
	cert, err := selfsign.SelfSign(key)
	if err != nil {
		return nil, fmt.Errorf("certificate for DTLS: %w", err)
	}
	return &cert, nil
}
