package processor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/relay/processor/description"
)

// program finds a program, or skips. In CI it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not installed, and CI must have it", name)
	default:
		t.Skipf("%s is not installed, so there is no foreign client of this kind", name)
	}
	return path
}

// newCertificate makes a client's certificate.
func newCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	c, err := selfsign.SelfSign(key)
	ok(t, err)
	return c
}

// pemFile writes a certificate and its key.
func pemFile(t testing.TB, c tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	ok(t, err)
	file := filepath.Join(t.TempDir(), "peer.pem")
	b := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	ok(t, os.WriteFile(file, b, 0o600))
	return file
}

// trunkOffer is what a peer without ICE offers.
func trunkOffer(c tls.Certificate) string {
	return strings.ReplaceAll(fmt.Sprintf(`v=0
o=sbc 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 9 UDP/TLS/RTP/SAVP 0
a=rtpmap:0 PCMU/8000
a=rtcp-mux
a=setup:active
a=fingerprint:%s
`, description.FingerprintOf("sha-256", c.Certificate[0])), "\n", "\r\n")
}

// log keeps what a slog handler writes.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

// opensslClient runs s_client, which ends with the test. It returns what it prints.
func opensslClient(t *testing.T, options ...string) *logged {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program(t, "openssl"), append([]string{"s_client"}, options...)...)
	out := &logged{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe() // its end would end the client
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.text.String())
		}
	})
	return out
}

// OpenSSL shares no code with the processor. It negotiates each profile, and the log says
// which; the processor's preferred one is another each time.
func TestOpenSSLNegotiatesEachProfile(t *testing.T) {
	for _, tt := range []struct{ openssl, log string }{
		{"SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80"},
		{"SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM"},
		{"SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM"},
	} {
		t.Run(tt.log, func(t *testing.T) {
			log := &logged{}
			s := serve(t, func(c *processor.Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
			certificate := newCertificate(t)
			answer, err := s.Join(t.Context(), processor.Join{Conference: "trunk", Participant: "sbc", Offer: trunkOffer(certificate), Latching: true})
			ok(t, err)
			if strings.Contains(answer, "ice-") || strings.Contains(answer, "candidate") {
				t.Errorf("ICE in the answer to a peer without:\n%s", answer)
			}
			file := pemFile(t, certificate)
			out := opensslClient(t, "-connect", s.at.String(), "-dtls1_2", "-cert", file, "-key", file, "-use_srtp", tt.openssl)
			e := s.event(t, processor.EventNegotiated, "sbc")
			if n := e.Negotiated; n.Version != "DTLS 1.2" || n.SRTPProfile != tt.log || !strings.HasPrefix(n.CipherSuite, "TLS_ECDHE_ECDSA_WITH_") {
				t.Errorf("%+v", n)
			}
			until(t, "openssl names the profile", func() bool { return out.has("SRTP Extension negotiated, profile=" + tt.openssl) })
			until(t, "the log names what was negotiated", func() bool {
				return log.has("msg=dtls-negotiated", "participant=sbc", `version="DTLS 1.2"`, "cipher_suite="+e.Negotiated.CipherSuite, "srtp_profile="+tt.log, "verified=true")
			})
		})
	}
}

// The order of the configuration decides, not the client's.
func TestProfilesHaveTheConfiguredOrder(t *testing.T) {
	s := serve(t, func(c *processor.Config) {
		c.Profiles = []srtp.Profile{srtp.AEADAES128GCM, srtp.AEADAES256GCM}
	})
	certificate := newCertificate(t)
	_, err := s.Join(t.Context(), processor.Join{Conference: "trunk", Participant: "sbc", Offer: trunkOffer(certificate), Latching: true})
	ok(t, err)
	file := pemFile(t, certificate)
	opensslClient(t, "-connect", s.at.String(), "-dtls1_2", "-cert", file, "-key", file,
		"-use_srtp", "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM")
	if got := s.event(t, processor.EventNegotiated, "sbc").Negotiated.SRTPProfile; got != "AEAD_AES_128_GCM" {
		t.Errorf("got %s", got)
	}
}

// What a foreign client must not get away with.
func TestHandshakesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options []string
		other   bool // another certificate than the offer's
	}{
		{name: "another certificate than the offer's", options: []string{"-dtls1_2", "-use_srtp", "SRTP_AEAD_AES_256_GCM"}, other: true},
		{name: "DTLS 1.0", options: []string{"-dtls1", "-cipher", "ALL:@SECLEVEL=0", "-use_srtp", "SRTP_AEAD_AES_256_GCM"}},
		{name: "no profile in common", options: []string{"-dtls1_2", "-use_srtp", "SRTP_AES128_CM_SHA1_32"}},
		{name: "no use_srtp", options: []string{"-dtls1_2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, nil)
			certificate := newCertificate(t)
			_, err := s.Join(t.Context(), processor.Join{Conference: "trunk", Participant: "sbc", Offer: trunkOffer(certificate), Latching: true})
			ok(t, err)
			if tt.other {
				certificate = newCertificate(t)
			}
			file := pemFile(t, certificate)
			opensslClient(t, append([]string{"-connect", s.at.String(), "-cert", file, "-key", file}, tt.options...)...)
			until(t, "the handshake is refused", func() bool { return s.Stats().Drops[processor.DropStranger] > 0 })
			if s.Stats().Connected != 0 {
				t.Error("it is connected")
			}
		})
	}
}
