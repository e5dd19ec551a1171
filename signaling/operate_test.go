package signaling_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling"
)

func TestANewSecretEndsTheSignInsWithTheOldOne(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.raw("alice"), w.raw("bob")
	for _, c := range []struct{ user, secret, wanted string }{
		{"nobody", "long enough", `no user "nobody"`},
		{"alice", "short", "5 bytes"},
	} {
		if err := w.controller.SetSecret(c.user, c.secret); err == nil || !strings.Contains(err.Error(), c.wanted) {
			t.Errorf("secret of %s: got %v, wanted an error with %q", c.user, err, c.wanted)
		}
	}
	// The same secret is no change.
	if err := w.controller.SetSecret("alice", secret+"alice"); err != nil {
		t.Fatal(err)
	}
	alice.post("/v1/ice-servers", "").mustBe(t, 200, "")
	if err := w.controller.SetSecret("alice", "another secret"); err != nil {
		t.Fatal(err)
	}
	alice.post("/v1/ice-servers", "").mustBe(t, 401, signaling.CodeUnauthorized)
	bob.post("/v1/ice-servers", "").mustBe(t, 200, "")
	alice.post("/v1/sign-in", `{"user":"alice","secret":"`+secret+`alice"}`).mustBe(t, 401, signaling.CodeUnauthorized)
	alice.post("/v1/sign-in", `{"user":"alice","secret":"another secret"}`).mustBe(t, 200, "")
}

func TestADrainingControllerTakesNoNewCalls(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob, carol := w.join("alice"), w.join("bob"), w.join("carol")
	call, err := alice.Invite(ctx(t), "bob", offer())
	if err != nil {
		t.Fatal(err)
	}
	next(t, bob, signaling.NotifyInvite)
	if s := w.controller.Stats(); s != (signaling.Stats{Calls: 1, WebSockets: 3}) {
		t.Errorf("figures: %+v; wanted 1 call, 3 WebSockets", s)
	}
	w.controller.Drain()
	if _, err := carol.Invite(ctx(t), "alice", offer()); err == nil || !strings.Contains(err.Error(), signaling.CodeUnavailable) {
		t.Errorf("a new call: got %v, wanted %s", err, signaling.CodeUnavailable)
	}
	if err := bob.Answer(ctx(t), call, answer()); err != nil {
		t.Errorf("the answer to a call that lives: %v", err)
	}
}

func TestTheControllerKnowsWhoseCandidateAnAddressIs(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.join("bob")
	call, err := alice.Invite(ctx(t), "bob", offer(), candidate(1),
		signaling.Candidate{Candidate: "candidate:9 1 udp 1 10.1.2.3 4000 typ srflx raddr 0.0.0.0 rport 0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ call, addr, wanted string }{
		{call, "10.1.2.3", "srflx candidate of alice"},
		{call, "::ffff:10.1.2.3", "srflx candidate of alice"},
		{call, "10.1.2.4", ""},
		{"unknown", "10.1.2.3", ""},
	} {
		if got := w.controller.CandidateOrigin(c.call, netip.MustParseAddr(c.addr)); got != c.wanted {
			t.Errorf("origin of %s in %s: %q, wanted %q", c.addr, c.call, got, c.wanted)
		}
	}
	next(t, bob, signaling.NotifyInvite)
}
