package negotiation_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	dtls2 "github.com/pion/dtls/v2"
	dtls3 "github.com/pion/dtls/v3"

	"github.com/callpath/callpath/relay/negotiation"
)

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
