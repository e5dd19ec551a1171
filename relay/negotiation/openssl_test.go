package negotiation_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// opensslCase is a handshake between openssl's own client and server.
type opensslCase struct {
	name    string
	key     func(t *testing.T) crypto.Signer
	options []string // of both
	server  []string // of s_server alone
	profile string   // in openssl's words
	want    negotiation.DTLS
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// OpenSSL is a peer that shares no code with the stacks of the other tests: its
// handshakes are read, and the keys that it exports are those that are derived.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed, so there is no independent DTLS peer")
	}
	for _, tt := range []opensslCase{
		{
			name: "ECDSA, AES-CM", key: ecdsaKey, options: []string{"-dtls1_2"}, profile: "SRTP_AES128_CM_SHA1_80",
			want: negotiation.DTLS{Version: "DTLS 1.2", CipherSuite: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Group: "x25519",
				SRTPProfile: "SRTP_AES128_CM_HMAC_SHA1_80", SignatureScheme: "ecdsa_secp256r1_sha256"}, // in DTLS 1.2 of any curve
		},
		{
			name: "RSA, small MTU", key: rsaKey, profile: "SRTP_AEAD_AES_256_GCM",
			options: []string{"-dtls1_2", "-mtu", "300", "-cipher", "ECDHE-RSA-AES128-SHA", "-groups", "P-256"},
			want: negotiation.DTLS{Version: "DTLS 1.2", CipherSuite: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", Group: "secp256r1",
				SRTPProfile: "SRTP_AEAD_AES_256_GCM", SignatureScheme: "rsa_pss_rsae_sha256"},
		},
		{
			name: "without elliptic curves", key: rsaKey, profile: "SRTP_AEAD_AES_128_GCM",
			options: []string{"-dtls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"},
			want: negotiation.DTLS{Version: "DTLS 1.2", CipherSuite: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
				SRTPProfile: "SRTP_AEAD_AES_128_GCM", SignatureScheme: "rsa_pss_rsae_sha256"},
		},
		{
			name: "DTLS 1.0", key: rsaKey, profile: "SRTP_AES128_CM_SHA1_80",
			options: []string{"-dtls1", "-cipher", "ECDHE-RSA-AES256-SHA:@SECLEVEL=0"},
			want: negotiation.DTLS{Version: "DTLS 1.0", CipherSuite: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", Group: "x25519",
				SRTPProfile: "SRTP_AES128_CM_HMAC_SHA1_80"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, openssl) })
	}
}

func (c opensslCase) run(t *testing.T, openssl string) {
	certificate := selfSigned(t, c.key(t), 0)
	file := writePEM(t, certificate)
	keyLog := filepath.Join(t.TempDir(), "keys")
	r := negotiation.NewRecorder(negotiation.Config{Leg: "client", Keys: true})
	r.Description(false, "offer", sdp("passive", "", fingerprintOf(certificate, "sha-256")))
	r.Description(true, "answer", sdp("active", "", fingerprintOf(certificate, "sha-256")))

	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	port := freePort(t)
	common := append([]string{"-cert", file, "-key", file, "-use_srtp", c.profile}, c.options...)
	server := startOpenSSL(t, ctx, openssl, append([]string{"s_server", "-accept", port.String(), "-Verify", "1"}, append(common, c.server...)...))
	server.waitFor(t, "ACCEPT")
	proxy := recordingProxy(t, r, port)
	client := startOpenSSL(t, ctx, openssl, append([]string{"s_client", "-connect", proxy.String(), "-keylogfile", keyLog,
		"-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "88"}, common...))
	exported := client.waitFor(t, "Keying material: ")

	// openssl's server answers the client's Finished before the client prints.
	d := only(t, r)
	equal(t, "complete", d.Complete, true)
	equal(t, "role", d.Role, "client")
	equal(t, "version", d.Version, c.want.Version)
	equal(t, "suite", d.CipherSuite, c.want.CipherSuite)
	equal(t, "group", d.Group, c.want.Group)
	equal(t, "scheme", d.SignatureScheme, c.want.SignatureScheme)
	equal(t, "profile", d.SRTPProfile, c.want.SRTPProfile)
	equal(t, "extended master secret", d.ExtendedMasterSecret, true)
	equal(t, "matched", d.Peer != nil && d.Peer.Matched && d.Own != nil && d.Own.Matched, true)
	equal(t, "retransmissions", d.Retransmissions, 0)

	lines, err := os.ReadFile(keyLog)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Write(lines); err != nil {
		t.Fatal(err)
	}
	if c.want.Version != "DTLS 1.2" {
		contains(t, "problems", r.Record().Problems, "keys of DTLS 1.0 are not derived")
		return
	}
	// What is encrypted with the keys that openssl exports verifies with those
	// that are derived here.
	c.sendSRTP(t, r, proxy, exported)
	got := streamOf(t, r, 0x0551, "sent")
	equal(t, "verified", got.Verified, 1)
	equal(t, "failures", got.AuthFailures, 0)
}

func (c opensslCase) sendSRTP(t *testing.T, r *negotiation.Recorder, remote netip.AddrPort, exported string) {
	t.Helper()
	material, err := hex.DecodeString(strings.TrimSpace(exported))
	if err != nil {
		t.Fatal(err)
	}
	profile := map[string]srtp.ProtectionProfile{
		"SRTP_AES128_CM_SHA1_80": srtp.ProtectionProfileAes128CmHmacSha1_80,
		"SRTP_AEAD_AES_128_GCM":  srtp.ProtectionProfileAeadAes128Gcm,
		"SRTP_AEAD_AES_256_GCM":  srtp.ProtectionProfileAeadAes256Gcm,
	}[c.profile]
	keyLength, _ := profile.KeyLen()
	saltLength, _ := profile.SaltLen()
	// RFC 5764, section 4.2: both keys, then both salts, the client's first.
	context, err := srtp.CreateContext(material[:keyLength], material[2*keyLength:2*keyLength+saltLength], profile)
	if err != nil {
		t.Fatal(err)
	}
	packet, err := (&sender{context: context}).context.EncryptRTP(nil, rtpPacket(0x0551, 1, 40), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Packet(epoch, true, iptest.UDP(alice, remote, packet))
}

func writePEM(t *testing.T, c tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "peer.pem")
	b := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// process is a running openssl whose output is read line by line.
type process struct {
	lines chan string
}

// startOpenSSL starts openssl; it ends with the test.
func startOpenSSL(t *testing.T, ctx context.Context, openssl string, args []string) *process {
	t.Helper()
	cmd := exec.CommandContext(ctx, openssl, args...)
	stdin, err := cmd.StdinPipe() // openssl ends with its input
	if err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{lines: make(chan string, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case p.lines <- s.Text():
			default:
			}
		}
	})
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = in.Close()
		wg.Wait()
	})
	return p
}

// waitFor returns what stands after a word that begins a line of output.
func (p *process) waitFor(t *testing.T, word string) string {
	t.Helper()
	var seen []string
	for line := range p.lines {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), word); ok {
			return rest
		}
		seen = append(seen, line)
	}
	t.Fatalf("openssl ended without %q:\n%s", word, strings.Join(seen, "\n"))
	return ""
}

// recordingProxy stands between openssl's client and server, and shows each
// datagram to a recorder as if it were at the client's interface.
func recordingProxy(t *testing.T, r *negotiation.Recorder, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		t.Fatal(err)
	}
	own := front.LocalAddr().(*net.UDPAddr).AddrPort()
	var mu sync.Mutex
	var client netip.AddrPort
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := front.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			mu.Lock()
			client = from
			mu.Unlock()
			r.Packet(time.Now(), true, iptest.UDP(from, own, b[:n]))
			_, _ = back.Write(b[:n])
		}
	})
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, err := back.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			mu.Lock()
			to := client
			mu.Unlock()
			r.Packet(time.Now(), false, iptest.UDP(own, to, b[:n]))
			_, _ = front.WriteToUDPAddrPort(b[:n], to)
		}
	})
	t.Cleanup(func() { _ = front.Close(); _ = back.Close(); wg.Wait() })
	return own
}
