package negotiation_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	dtls3 "github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
)

// fingerprintOf writes a=fingerprint's value, with sha-256 or sha-512.
func fingerprintOf(c tls.Certificate, hash string) string {
	var sum []byte
	switch hash {
	case "sha-256":
		s := sha256.Sum256(c.Certificate[0])
		sum = s[:]
	case "sha-512":
		s := sha512.Sum512(c.Certificate[0])
		sum = s[:]
	}
	return hash + " " + strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func sdp(setup, ufrag string, fingerprints ...string) string {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0 111\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:111 opus/48000/2\r\n")
	if ufrag != "" {
		fmt.Fprintf(&b, "a=ice-ufrag:%s\r\na=ice-pwd:0123456789012345678901\r\n", ufrag)
	}
	if setup != "" {
		fmt.Fprintf(&b, "a=setup:%s\r\n", setup)
	}
	for _, f := range fingerprints {
		fmt.Fprintf(&b, "a=fingerprint:%s\r\n", f)
	}
	return b.String()
}

// selfSigned makes a certificate; padding makes it long.
func selfSigned(t *testing.T, key crypto.Signer, padding int) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "callpath test"},
		NotBefore:    epoch.AddDate(-1, 0, 0),
		NotAfter:     epoch.AddDate(50, 0, 0),
	}
	for i := range padding {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("name-%04d.callpath.test", i))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func ecdsaCertificate(t *testing.T, padding int) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return selfSigned(t, key, padding)
}

func rsaCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return selfSigned(t, key, 0)
}

// peers are the certificates and options of a handshake; alice is the client.
type peers struct {
	certificates [2]tls.Certificate
	// options are of each side; a later one overrides an earlier one.
	options [2][]dtls3.Option
	// keyLog takes the client's key log; the recorders take both when nil.
	keyLog io.Writer
}

func newPeers(alice, bob tls.Certificate, profiles ...dtls3.SRTPProtectionProfile) peers {
	if len(profiles) == 0 {
		profiles = []dtls3.SRTPProtectionProfile{dtls3.SRTP_AEAD_AES_128_GCM}
	}
	options := func(c tls.Certificate) []dtls3.Option {
		return []dtls3.Option{
			dtls3.WithCertificates(c),
			dtls3.WithInsecureSkipVerify(true),
			dtls3.WithExtendedMasterSecret(dtls3.RequireExtendedMasterSecret),
			dtls3.WithSRTPProtectionProfiles(profiles...),
			dtls3.WithFlightInterval(100 * time.Millisecond),
		}
	}
	return peers{certificates: [2]tls.Certificate{alice, bob}, options: [2][]dtls3.Option{options(alice), options(bob)}}
}

// with adds an option on both sides.
func (p *peers) with(o dtls3.Option) {
	for i := range p.options {
		p.options[i] = append(p.options[i], o)
	}
}

// client begins a connection as the client; it is closed at the test's end.
func (p peers) client(t *testing.T, conn net.Conn, more ...dtls3.Option) (*dtls3.Conn, error) {
	var options []dtls3.ClientOption
	for _, o := range append(p.options[0], more...) {
		options = append(options, o)
	}
	c, err := dtls3.ClientWithOptions(dtlsnet.PacketConnFromConn(conn), conn.RemoteAddr(), options...)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// server is client for the other side.
func (p peers) server(t *testing.T, conn net.Conn, more ...dtls3.Option) (*dtls3.Conn, error) {
	options := []dtls3.ServerOption{dtls3.WithClientAuth(dtls3.RequireAnyClientCert)}
	for _, o := range append(p.options[1], more...) {
		options = append(options, o)
	}
	c, err := dtls3.ServerWithOptions(dtlsnet.PacketConnFromConn(conn), conn.RemoteAddr(), options...)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// describe shows the recorders an offer by bob and an answer by alice, who is
// active.
func (p peers) describe(w *wire) {
	offer := sdp("actpass", "bobu", fingerprintOf(p.certificates[1], "sha-256"))
	answer := sdp("active", "alic", fingerprintOf(p.certificates[0], "sha-256"))
	w.recorders[1].Description(true, "offer", offer)
	w.recorders[0].Description(false, "offer", offer)
	w.recorders[0].Description(true, "answer", answer)
	w.recorders[1].Description(false, "answer", answer)
}

// handshake runs DTLS over the wire.
func (p peers) handshake(t *testing.T, w *wire) (client, server *dtls3.Conn, errClient, errServer error) {
	t.Helper()
	a, b := w.ends(t)
	logs := [2]io.Writer{w.recorders[0], w.recorders[1]}
	if p.keyLog != nil {
		logs = [2]io.Writer{p.keyLog, io.Discard}
	}
	client, errClient = p.client(t, a, dtls3.WithKeyLogWriter(logs[0]))
	server, errServer = p.server(t, b, dtls3.WithKeyLogWriter(logs[1]))
	if errClient != nil || errServer != nil {
		t.Fatalf("begin: client %v, server %v", errClient, errServer)
	}
	ctx := soon(t)
	errClient, errServer = both(
		func() error { return client.HandshakeContext(ctx) },
		func() error { return server.HandshakeContext(ctx) },
	)
	return client, server, errClient, errServer
}

func mustHandshake(t *testing.T, w *wire, p peers) (client, server *dtls3.Conn) {
	t.Helper()
	client, server, errClient, errServer := p.handshake(t, w)
	if errClient != nil || errServer != nil {
		t.Fatalf("handshake: client %v, server %v", errClient, errServer)
	}
	return client, server
}
