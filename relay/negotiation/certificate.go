package negotiation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // hashes of fingerprints
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// certificate is an end-entity certificate of a handshake, with what it takes to
// compare it with fingerprints that are told later.
type certificate struct {
	Certificate
	der []byte
	// checked and matched are of the promise that was told to the journal.
	checked, matched bool
}

// maxCertificate bounds a certificate that is kept.
const maxCertificate = 16 << 10

// hashFunctions are those of RFC 8122, section 5, that are not forbidden.
var hashFunctions = map[string]crypto.Hash{
	"sha-1": crypto.SHA1, "sha-224": crypto.SHA224, "sha-256": crypto.SHA256,
	"sha-384": crypto.SHA384, "sha-512": crypto.SHA512,
}

const defaultHash = "sha-256"

// newCertificate reads a certificate. With an error the certificate is still of
// use: its fingerprint does not depend on what is in it.
func newCertificate(der []byte) (*certificate, error) {
	if len(der) > maxCertificate {
		return &certificate{}, fmt.Errorf("certificate of %d bytes, at most %d are read", len(der), maxCertificate)
	}
	c := &certificate{der: slices.Clone(der)}
	c.Fingerprint = c.sum(defaultHash).String()
	parsed, err := x509.ParseCertificate(c.der)
	if err != nil {
		return c, fmt.Errorf("parse certificate: %w", err)
	}
	c.Subject = cut(parsed.Subject.String())
	c.Key = keyName(parsed.PublicKey)
	c.Signature = parsed.SignatureAlgorithm.String()
	c.NotAfter = parsed.NotAfter
	return c, nil
}

func keyName(key any) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}

// sum is the fingerprint by a hash; empty for one that is unknown.
func (c *certificate) sum(hash string) fingerprint {
	f := hashFunctions[hash]
	if f == 0 || c.der == nil {
		return fingerprint{}
	}
	h := f.New()
	h.Write(c.der)
	return fingerprint{hash: hash, sum: colons(h.Sum(nil))}
}

// compare compares with each fingerprint promised; one that matches is enough
// (RFC 8122, section 5.1).
func (c *certificate) compare(promised []fingerprint) {
	c.Promised, c.Matched = "", false
	for _, p := range promised {
		seen := c.sum(p.hash)
		if seen.sum == "" {
			continue
		}
		c.Matched = seen == p
		if c.Promised == "" || c.Matched {
			c.Promised, c.Fingerprint = p.String(), seen.String()
		}
		if c.Matched {
			return
		}
	}
	if c.Promised == "" && len(promised) > 0 {
		c.Promised = promised[0].String() // by a hash that is not accepted
	}
}

// promised compares the certificates seen with the fingerprints in force. A
// certificate that matched stays matched: it was promised when it was shown.
func (d *associations) promised(t time.Time, s *sides) {
	for _, a := range d.all {
		for _, local := range []bool{true, false} {
			c := a.certificates[a.side(local)]
			side := s.side[index(local)]
			if c == nil || c.Matched || !side.known || a.Complete && c.checked {
				continue
			}
			c.compare(side.fingerprints)
			if c.checked && c.matched == c.Matched {
				continue
			}
			c.checked, c.matched = true, c.Matched
			name := EventFingerprintMismatched
			if c.Matched {
				name = EventFingerprintMatched
			}
			d.journal.event(t, name, slog.String(KeySide, sideName(local)), slog.String(KeyFingerprint, c.Fingerprint))
		}
	}
}
