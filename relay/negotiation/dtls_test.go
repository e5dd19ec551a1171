package negotiation_test

import (
	"context"
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

	dtls2 "github.com/pion/dtls/v2"
	dtls3 "github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"

	"github.com/callpath/callpath/relay/negotiation"
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

// flights writes who sent which messages.
func flights(d negotiation.DTLS) []string {
	var all []string
	for _, f := range d.Flights {
		all = append(all, f.From+": "+strings.Join(f.Messages, " "))
	}
	return all
}

func only(t *testing.T, r *negotiation.Recorder) negotiation.DTLS {
	t.Helper()
	rec := r.Record()
	if len(rec.DTLS) != 1 {
		t.Fatalf("%d handshakes, want 1: %+v", len(rec.DTLS), rec.DTLS)
	}
	return rec.DTLS[0]
}

func TestDTLSHandshakeIsRecordedOnBothSides(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	p.describe(w)
	mustHandshake(t, w, p)
	for i, role := range []string{"client", "server"} {
		d := only(t, w.recorders[i])
		equal(t, "role", d.Role, role)
		equal(t, "local", d.Local, w.addresses[i])
		equal(t, "remote", d.Remote, w.addresses[1-i])
		equal(t, "version", d.Version, "DTLS 1.2")
		equalLists(t, "versions offered", d.VersionsOffered, []string{"DTLS 1.2"})
		equal(t, "suite", d.CipherSuite, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
		contains(t, "suites offered", d.CipherSuitesOffered, d.CipherSuite)
		contains(t, "groups offered", d.GroupsOffered, "x25519")
		contains(t, "signatures offered", d.SignaturesOffered, "ecdsa_secp256r1_sha256")
		equal(t, "scheme", d.SignatureScheme, "ecdsa_secp256r1_sha256")
		equal(t, "profile", d.SRTPProfile, "SRTP_AEAD_AES_128_GCM")
		equal(t, "extended master secret", d.ExtendedMasterSecret, true)
		equal(t, "complete", d.Complete, true)
		equal(t, "retransmissions", d.Retransmissions, 0)
		// RFC 6347, figure 1, with a client's certificate.
		equalLists(t, "flights", flights(d), []string{
			"client: ClientHello",
			"server: HelloVerifyRequest",
			"client: ClientHello",
			"server: ServerHello Certificate ServerKeyExchange CertificateRequest ServerHelloDone",
			"client: Certificate ClientKeyExchange CertificateVerify ChangeCipherSpec Finished",
			"server: ChangeCipherSpec Finished",
		})
		for j, c := range []*negotiation.Certificate{d.Own, d.Peer} {
			want := fingerprintOf(p.certificates[(i+j)%2], "sha-256")
			if c == nil {
				t.Fatalf("certificate %d is missing", j)
			}
			equal(t, "fingerprint", c.Fingerprint, want)
			equal(t, "promised", c.Promised, want)
			equal(t, "matched", c.Matched, true)
			equal(t, "key", c.Key, "ECDSA P-256")
			equal(t, "signature", c.Signature, "ECDSA-SHA256")
			equal(t, "subject", c.Subject, "CN=callpath test")
			equal(t, "not after", c.NotAfter.Equal(epoch.AddDate(50, 0, 0)), true)
		}
		equal(t, "verdict", w.recorders[i].Record().Verdict, "DTLS done but no SRTP")
		equalLists(t, "problems", w.recorders[i].Record().Problems, nil)
	}
	equal(t, "setup", only(t, w.recorders[0]).Setup, [2]string{"active", "actpass"})
	equal(t, "group", only(t, w.recorders[0]).Group != "", true)
}

func TestDTLSRSACertificate(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	p := newPeers(rsaCertificate(t), rsaCertificate(t))
	p.describe(w)
	mustHandshake(t, w, p)
	d := only(t, w.recorders[0])
	equal(t, "suite", d.CipherSuite, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
	equal(t, "key", d.Peer.Key, "RSA 2048")
	equal(t, "signature", d.Peer.Signature, "SHA256-RSA")
	equal(t, "matched", d.Peer.Matched && d.Own.Matched, true)
	if !strings.HasPrefix(d.SignatureScheme, "rsa_") {
		t.Errorf("scheme %s, want one of RSA", d.SignatureScheme)
	}
}

// RFC 8122, section 5: the hash is the SDP's choice, and one of several
// fingerprints is enough.
func TestFingerprintByTheHashOfTheSDP(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	other := fingerprintOf(ecdsaCertificate(t, 0), "sha-256")
	right := fingerprintOf(p.certificates[1], "sha-512")
	w.recorders[0].Description(false, "offer", sdp("actpass", "", other, strings.ToLower(right)))
	mustHandshake(t, w, p)
	c := only(t, w.recorders[0]).Peer
	equal(t, "matched", c.Matched, true)
	equal(t, "fingerprint", c.Fingerprint, right)
	equal(t, "promised", c.Promised, right)
}

func TestFingerprintMismatch(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	wrong := fingerprintOf(ecdsaCertificate(t, 0), "sha-256")
	mustHandshake(t, w, p)
	// The description may also come after the certificate.
	w.recorders[0].Description(false, "offer", sdp("actpass", "", wrong))
	rec := w.recorders[0].Record()
	equal(t, "matched", rec.DTLS[0].Peer.Matched, false)
	equal(t, "promised", rec.DTLS[0].Peer.Promised, wrong)
	equal(t, "verdict", rec.Verdict, "DTLS failed: fingerprint mismatch")
	contains(t, "problems", rec.Problems, "is not in the SDP, which promised "+wrong)
}

func TestNoFingerprintInTheSDP(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	w.recorders[0].Description(false, "offer", sdp("actpass", ""))
	mustHandshake(t, w, newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0)))
	rec := w.recorders[0].Record()
	equal(t, "matched", rec.DTLS[0].Peer.Matched, false)
	contains(t, "problems", rec.Problems, "the remote SDP promised no fingerprint")
}

func TestRoleAgainstTheSetupAttribute(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	w.recorders[0].Description(true, "answer", sdp("passive", ""))
	mustHandshake(t, w, newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0)))
	contains(t, "problems", w.recorders[0].Record().Problems, "DTLS client although its SDP said setup:passive")
}

func TestNoCommonSRTPProfile(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0), dtls3.SRTP_AEAD_AES_256_GCM)
	p.options[1] = append(p.options[1], dtls3.WithSRTPProtectionProfiles(dtls3.SRTP_AES128_CM_HMAC_SHA1_80))
	_, _, errClient, errServer := p.handshake(t, w)
	if errClient == nil || errServer == nil {
		t.Fatalf("the handshake went well: client %v, server %v", errClient, errServer)
	}
	for _, r := range w.recorders {
		rec := r.Record()
		contains(t, "alerts", rec.DTLS[0].Alerts, "server: fatal insufficient_security")
		equal(t, "verdict", rec.Verdict, "DTLS failed: alert from the server: fatal insufficient_security")
		contains(t, "problems", rec.Problems, "SRTP profiles SRTP_AEAD_AES_256_GCM")
	}
}

func TestDTLSWithoutAnswer(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	w.lose = func(int, int, []byte) bool { return true }
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	a, _ := w.ends(t)
	c, err := p.client(t, a)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(soon(t), 250*time.Millisecond)
	defer cancel()
	if err := c.HandshakeContext(ctx); err == nil {
		t.Fatal("handshake without a peer")
	}
	rec := w.recorders[0].Record()
	equal(t, "verdict", rec.Verdict, "DTLS stopped after ClientHello: no answer")
	equal(t, "retransmitted", rec.DTLS[0].Retransmissions > 0, true)
	equal(t, "complete", rec.DTLS[0].Complete, false)
	w.recorders[0].Failure("dtls", "handshake: context deadline exceeded")
	equal(t, "verdict", w.recorders[0].Record().Verdict, "DTLS failed: handshake: context deadline exceeded")
}

// RFC 6347, section 4.2.4: when the last flight is lost, the side that waits for it
// repeats its own, which makes the other repeat.
func TestDTLSRetransmissionOfALostFlight(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	lost := false
	w.lose = func(from, _ int, d []byte) bool {
		const changeCipherSpec = 20
		if from == 1 && d[0] == changeCipherSpec && !lost {
			lost = true
			return true
		}
		return false
	}
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	mustHandshake(t, w, p)
	if !lost {
		t.Fatal("no flight was lost")
	}
	for i := range w.recorders {
		d := only(t, w.recorders[i])
		equal(t, "complete", d.Complete, true)
		equal(t, "retransmitted", d.Retransmissions > 0, true)
		equal(t, "flights", len(d.Flights), 6)
	}
}

func TestDTLSFragmentedCertificate(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 200))
	p.with(dtls3.WithMTU(256))
	p.describe(w)
	mustHandshake(t, w, p)
	d := only(t, w.recorders[0])
	equal(t, "matched", d.Peer.Matched, true)
	equal(t, "retransmissions", d.Retransmissions, 0)
	if n := len(p.certificates[1].Certificate[0]); n < 4000 {
		t.Fatalf("certificate of %d bytes is too short to be a test", n)
	}
}

// A stack of the older line, with the suites that it may be limited to.
func TestDTLSOlderStack(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	a, b := w.ends(t)
	certificates := [2]tls.Certificate{ecdsaCertificate(t, 0), ecdsaCertificate(t, 0)}
	config := func(i int) *dtls2.Config {
		return &dtls2.Config{
			Certificates:           []tls.Certificate{certificates[i]},
			InsecureSkipVerify:     true,
			ClientAuth:             dtls2.RequireAnyClientCert,
			CipherSuites:           []dtls2.CipherSuiteID{dtls2.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA},
			SRTPProtectionProfiles: []dtls2.SRTPProtectionProfile{dtls2.SRTP_AES128_CM_HMAC_SHA1_80},
			FlightInterval:         100 * time.Millisecond,
		}
	}
	ctx := soon(t)
	open := func(conn net.Conn, i int, f func(context.Context, net.Conn, *dtls2.Config) (*dtls2.Conn, error)) error {
		c, err := f(ctx, conn, config(i))
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return err
	}
	errA, errB := both(
		func() error { return open(a, 0, dtls2.ClientWithContext) },
		func() error { return open(b, 1, dtls2.ServerWithContext) },
	)
	if errA != nil || errB != nil {
		t.Fatalf("handshake: client %v, server %v", errA, errB)
	}
	for i := range w.recorders {
		d := only(t, w.recorders[i])
		equal(t, "suite", d.CipherSuite, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA")
		equal(t, "profile", d.SRTPProfile, "SRTP_AES128_CM_HMAC_SHA1_80")
		equal(t, "complete", d.Complete, true)
		equal(t, "fingerprint", d.Peer.Fingerprint, fingerprintOf(certificates[1-i], "sha-256"))
	}
}

func TestDTLSBothSidesActive(t *testing.T) {
	w := newWire(t, negotiation.Config{})
	a, b := w.ends(t)
	p := newPeers(ecdsaCertificate(t, 0), ecdsaCertificate(t, 0))
	ctx, cancel := context.WithTimeout(soon(t), 250*time.Millisecond)
	defer cancel()
	open := func(conn net.Conn) error {
		c, err := p.client(t, conn)
		if err != nil {
			return err
		}
		return c.HandshakeContext(ctx)
	}
	both(func() error { return open(a) }, func() error { return open(b) })
	rec := w.recorders[0].Record()
	equal(t, "handshakes", len(rec.DTLS), 2)
	contains(t, "problems", rec.Problems, "both sides sent a ClientHello")
}
