package older_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/scenarios/participant/older"
	"github.com/callpath/callpath/signaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNoCommonProfile ends in words.
func TestNoCommonProfile(t *testing.T) {
	t.Parallel()
	ctx, alice, bob := sides(t, language.Participant{SRTPProfiles: []string{"aead-aes-256-gcm"}},
		language.Participant{SRTPProfiles: []string{"aes-cm-128-hmac-sha1-80"}})
	if err := rig.Connect(alice, bob); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*rig.Side{alice, bob} {
		await(ctx, t, "it fails", s, func(s rig.Seen) bool { return s.State == endpoint.Failed && strings.Contains(s.Reason, "DTLS") })
	}
}

// TestTURN connects through the relay with each TURN client.
func TestTURN(t *testing.T) {
	t.Parallel()
	for _, client := range []string{"v5", "v3"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			ctx, alice, bob := sides(t, language.Participant{ICE: "relay", TURNClient: client}, language.Participant{})
			if err := rig.Connect(alice, bob); err != nil {
				t.Fatal(err)
			}
			await(ctx, t, "alice is connected", alice, func(s rig.Seen) bool {
				return s.State == endpoint.Connected && s.Local.Type == "relay" && s.Local.RelayProtocol == "udp"
			})
			servers := alice.Config.Servers
			if err := alice.Endpoint.Servers(servers); err != nil {
				t.Error(err)
			}
			carry(ctx, t, alice, bob, media.Opus, media.VP8)
		})
	}
}

// sides are two endpoints on a rig, not connected yet.
func sides(t *testing.T, one, other language.Participant) (ctx context.Context, alice, bob *rig.Side) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r := rig.New(t)
	open := func(name string, spec language.Participant) *rig.Side {
		s := r.Side(name, spec)
		e, err := older.New(ctx, s.Config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Errorf("close %s: %v", name, err)
			}
		})
		s.Endpoint = e
		return s
	}
	return ctx, open("alice", one), open("bob", other)
}

func await(ctx context.Context, t *testing.T, what string, s *rig.Side, met func(rig.Seen) bool) {
	t.Helper()
	if err := s.Await(ctx, met); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// carry sends until packets of each codec have arrived that were sent since; what
// finds no path is lost.
func carry(ctx context.Context, t *testing.T, from, to *rig.Side, codecs ...media.Codec) {
	t.Helper()
	before := to.Received()
	for {
		_ = from.Send(2)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		err := to.Await(short, func(s rig.Seen) bool {
			for _, c := range codecs {
				if s.Packets[c] <= before[c] {
					return false
				}
			}
			return true
		})
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%v from %s: %v", codecs, from.Config.Spec.Name, err)
		}
	}
}

func connected(s rig.Seen) bool { return s.State == endpoint.Connected }

// TestMedia sends both kinds in both directions, restarts ICE and sends again.
func TestMedia(t *testing.T) {
	t.Parallel()
	ctx, alice, bob := sides(t, language.Participant{}, language.Participant{Media: []string{"pcmu", "h264"}, DTLS: language.DTLS{Setup: "passive"}})
	if err := rig.Connect(alice, bob); err != nil {
		t.Fatal(err)
	}
	exchange := func() {
		t.Helper()
		for _, s := range []*rig.Side{alice, bob} {
			await(ctx, t, "connected", s, connected)
		}
		carry(ctx, t, alice, bob, media.Opus, media.VP8)
		carry(ctx, t, bob, alice, media.PCMU, media.H264)
	}
	exchange()
	if _, err := alice.Endpoint.Offer(false); err != nil {
		t.Fatal(err)
	}
	if err := alice.Endpoint.Rollback(); err != nil {
		t.Fatal(err)
	}
	// The packets of each codec that came before count too.
	if err := rig.Restart(bob, alice); err != nil {
		t.Fatal(err)
	}
	exchange()
	if err := alice.Endpoint.Control(&rtcp.PictureLossIndication{MediaSSRC: bob.Endpoint.Senders()[1].SSRC()}); err != nil {
		t.Error(err)
	}
	await(ctx, t, "bob is asked for a picture", bob, func(s rig.Seen) bool { return s.Controls["*rtcp.PictureLossIndication"] > 0 })
	await(ctx, t, "alice gets reports", alice, func(s rig.Seen) bool { return s.Controls["*rtcp.ReceiverReport"] > 0 })
	if stats := alice.Endpoint.Stats(); stats.RTT <= 0 {
		t.Errorf("the checks' round trip is %+v", stats)
	}
	for i, s := range alice.Endpoint.Senders() {
		if want := []media.Codec{media.Opus, media.VP8}[i]; s.Format().Codec != want || s.PayloadType() != s.Format().PayloadType {
			t.Errorf("sender %d is %s with payload type %d", i, s.Format().Codec, s.PayloadType())
		}
	}
}

// TestNotNegotiated: what the other side does not take is not sent.
func TestNotNegotiated(t *testing.T) {
	t.Parallel()
	_, alice, bob := sides(t, language.Participant{Media: []string{"opus"}}, language.Participant{Media: []string{"opus"}})
	for _, s := range alice.Endpoint.Senders() {
		if s.Negotiated() {
			t.Errorf("%s is negotiated before anything was exchanged", s.Format().Codec)
		}
	}
	offer, err := alice.Endpoint.Offer(false)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(offer, "m=video") || !strings.Contains(offer, "a=recvonly") {
		t.Errorf("the offer does not receive video: %s", offer)
	}
	answer, err := bob.Endpoint.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Endpoint.Accept(strings.Replace(answer, "a=sendrecv", "a=sendonly", 1)); err != nil {
		t.Fatal(err)
	}
	if alice.Endpoint.Senders()[0].Negotiated() {
		t.Error("audio is negotiated, though the other side only sends it")
	}
}

// TestFingerprint refuses a certificate that was not promised, and says so.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	ctx, alice, bob := sides(t, language.Participant{}, language.Participant{})
	offer, err := alice.Endpoint.Offer(false)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(offer, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
	wrong := "00"
	if offer[at:at+2] == wrong {
		wrong = "01"
	}
	answer, err := bob.Endpoint.Answer(offer[:at] + wrong + offer[at+2:])
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Endpoint.Accept(answer); err != nil {
		t.Fatal(err)
	}
	alice.Release(bob)
	await(ctx, t, "bob fails", bob, func(s rig.Seen) bool { return s.State == endpoint.Failed && strings.Contains(s.Reason, "DTLS") })
}

// TestRefusals: errors name what is wrong.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	for name, spec := range map[string]language.Participant{
		"media":       {Media: []string{"g722"}},
		"certificate": {DTLS: language.DTLS{Certificate: "dsa"}},
		"policy":      {ICE: "host"},
	} {
		if e, err := older.New(t.Context(), r.Side("alice", spec).Config); err == nil {
			t.Errorf("%s: taken", name)
			_ = e.Close()
		}
	}
	s := r.Side("alice", language.Participant{DTLS: language.DTLS{CipherSuites: []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}}})
	e, err := older.New(t.Context(), s.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := e.Answer("no SDP"); err == nil {
		t.Error("an offer that is no SDP is taken")
	}
	if err := e.Accept("no SDP"); err == nil {
		t.Error("an answer that is no SDP is taken")
	}
	if err := e.Add(signaling.Candidate{Candidate: "candidate:1"}); err == nil {
		t.Error("a candidate that is none is taken")
	}
	if err := e.Servers([]signaling.ICEServer{{URLs: []string{"http://relay"}}}); err == nil {
		t.Error("a server that is none is taken")
	}
	if _, err := e.Offer(false); err != nil {
		t.Error(err)
	}
	if stats := e.Stats(); stats != (endpoint.Stats{}) {
		t.Errorf("without a pair the statistics are %+v", stats)
	}
}
