package endpoint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/callpath/callpath/scenarios/language"
)

// SRTPProfile is a DTLS-SRTP protection profile by its number (RFC 5764, section
// 4.1.2; RFC 7714, section 14.2).
type SRTPProfile uint16

// The profiles, in the order in which they are offered.
const (
	AEADAES256GCM       SRTPProfile = 0x0008
	AEADAES128GCM       SRTPProfile = 0x0007
	AESCM128HMACSHA1_80 SRTPProfile = 0x0001
)

var profiles = []struct {
	name    string
	profile SRTPProfile
}{
	{"aead-aes-256-gcm", AEADAES256GCM},
	{"aead-aes-128-gcm", AEADAES128GCM},
	{"aes-cm-128-hmac-sha1-80", AESCM128HMACSHA1_80},
}

// Profiles are the profiles that a participant offers, in order; all when its
// scenario names none.
func Profiles(spec language.Participant) ([]SRTPProfile, error) {
	var out []SRTPProfile
	for _, p := range profiles {
		if spec.SRTPProfiles == nil {
			out = append(out, p.profile)
		}
	}
	for _, name := range spec.SRTPProfiles {
		i := slices.IndexFunc(profiles, func(p struct {
			name    string
			profile SRTPProfile
		}) bool {
			return p.name == name
		})
		if i < 0 {
			var valid []string
			for _, p := range profiles {
				valid = append(valid, p.name)
			}
			return nil, fmt.Errorf("no SRTP profile %q; valid: %s", name, strings.Join(valid, ", "))
		}
		out = append(out, profiles[i].profile)
	}
	return out, nil
}

// cipherSuites are those of DTLS 1.2 that authenticate with certificates, by
// their IANA names.
var cipherSuites = map[string]uint16{
	"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA":          0xc00a,
	"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA":            0xc014,
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256":       0xc02b,
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384":       0xc02c,
	"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256":         0xc02f,
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384":         0xc030,
	"TLS_ECDHE_ECDSA_WITH_AES_128_CCM":              0xc0ac,
	"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8":            0xc0ae,
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256":   0xcca8,
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": 0xcca9,
}

// CipherSuites are the numbers of named suites, in order; nil for no names.
func CipherSuites(names []string) ([]uint16, error) {
	var out []uint16
	for _, name := range names {
		id, ok := cipherSuites[name]
		if !ok {
			return nil, fmt.Errorf("no cipher suite %q; valid: %s",
				name, strings.Join(slices.Sorted(maps.Keys(cipherSuites)), ", "))
		}
		out = append(out, id)
	}
	return out, nil
}

// Key makes the private key of a DTLS certificate.
func Key(spec language.Participant) (crypto.Signer, error) {
	switch spec.DTLS.Certificate {
	case "", "ecdsa":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("no certificate %q; valid: ecdsa, rsa", spec.DTLS.Certificate)
}

// KeyLogWriter writes to the recorder and to the key log that the run may have.
func (c Config) KeyLogWriter() io.Writer {
	if c.KeyLog == nil {
		return c.Recorder
	}
	return io.MultiWriter(c.Recorder, c.KeyLog)
}
