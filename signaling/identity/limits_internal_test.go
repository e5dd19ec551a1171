package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling/identity/store"
)

var start = time.Unix(1_800_000_000, 0)

func TestAThrottleCountsByKeyAndForgetsWithItsWindow(t *testing.T) {
	th := throttle{limit: 2, window: time.Minute}
	for i, step := range []struct {
		key  string
		at   time.Duration
		wait time.Duration
	}{
		{"a", 0, 0}, {"a", 10 * time.Second, 0}, {"a", 20 * time.Second, 40 * time.Second},
		{"b", 20 * time.Second, 0}, {"a", time.Minute, 0},
	} {
		if wait := th.take(step.key, start.Add(step.at)); wait != step.wait {
			t.Errorf("step %d: wait %s, wanted %s", i, wait, step.wait)
		}
	}
	th.give("a")
	th.give("nobody")
	for range 2 {
		if wait := th.take("a", start.Add(time.Minute)); wait != 0 {
			t.Errorf("a try that was given back still counts: wait %s", wait)
		}
	}
}

func TestAThrottleIsBounded(t *testing.T) {
	th := throttle{limit: 1, window: time.Minute}
	for i := range 2 * maxThrottled {
		th.take(fmt.Sprint(i), start)
	}
	if n := len(th.byKey); n != maxThrottled {
		t.Errorf("%d keys, wanted %d", n, maxThrottled)
	}
	th.take("late", start.Add(time.Minute))
	if n := len(th.byKey); n != 1 {
		t.Errorf("%d keys when all but one are over", n)
	}
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1/32", "[::ffff:192.0.2.1]:5": "192.0.2.1/32",
		"[2001:db8::1:2:3:4]:5": "2001:db8::/64", "[fe80::1%eth0]:5": "fe80::/64",
	} {
		if got := network(netip.MustParseAddrPort(text)); got != want {
			t.Errorf("%s is of %s, wanted %s", text, got, want)
		}
	}
	if got := network(netip.AddrPort{}); got != "unknown" {
		t.Errorf("no address is of %s", got)
	}
}

func TestWhatIsUnderWayIsBounded(t *testing.T) {
	var f flow
	f.init(2)
	later := start.Add(time.Minute)
	for range maxFlow {
		if _, err := f.addCode(&code{forget: later}, start); err != nil {
			t.Fatal(err)
		}
		if _, err := f.addStep(&step{expires: later}, start); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxFlow {
		if _, err := f.addSession(signIn{user: fmt.Sprint(i), session: fmt.Sprint(i)}, later, start); err != nil {
			t.Fatal(err)
		}
	}
	one := signIn{user: "late", session: "late"}
	for what, add := range map[string]func(time.Time) error{
		"code":    func(now time.Time) error { _, err := f.addCode(&code{forget: later}, now); return err },
		"step":    func(now time.Time) error { _, err := f.addStep(&step{expires: later}, now); return err },
		"session": func(now time.Time) error { _, err := f.addSession(one, later.Add(time.Hour), now); return err },
	} {
		if err := add(start); !errors.Is(err, errFlowFull) || busy(err).RetryAfter == 0 {
			t.Errorf("%s: %v, wanted that there is no room", what, err)
		}
		if err := add(later); err != nil {
			t.Errorf("%s, when the others have ended: %v", what, err)
		}
	}
	if len(f.codes) != 1 || len(f.steps) != 1 || len(f.sessions) != 1 || len(f.ofUser) != 1 {
		t.Errorf("%d codes, %d steps, %d sessions of %d users are left, wanted one of each", len(f.codes), len(f.steps), len(f.sessions), len(f.ofUser))
	}
}

func TestAUsersOldestSignInMakesRoom(t *testing.T) {
	var f flow
	f.init(2)
	var refresh []string
	for i := range 3 {
		text, err := f.addSession(signIn{user: "alice", client: "c", session: fmt.Sprint(i)}, start.Add(time.Hour), start)
		if err != nil {
			t.Fatal(err)
		}
		refresh = append(refresh, text)
	}
	for i, want := range []error{errRefreshUnknown, nil, nil} {
		if _, _, err := f.refresh(refresh[i], "c", start); !errors.Is(err, want) {
			t.Errorf("sign-in %d: %v, wanted %v", i, err, want)
		}
	}
	f.endUser("alice")
	if len(f.sessions) != 0 || len(f.ofUser) != 0 {
		t.Errorf("%d sessions are left", len(f.sessions))
	}
}

func TestRevocationsAreBoundedAndEndWithTheTokens(t *testing.T) {
	now := start
	r, err := openRevocations(&store.Memory{}, func() time.Time { return now }, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxRevocations - 3 {
		r.all.Tokens[fmt.Sprint(i)] = start.Add(time.Hour)
	}
	for what, err := range map[string]error{"token": r.token("t"), "session": r.session("s"), "user": r.user("u")} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := r.token("one more"); err == nil {
		t.Error("there is no end to revocations")
	}
	for what, c := range map[string][3]string{"token": {"t"}, "session": {"", "s"}, "user": {"", "", "u"}} {
		if err := r.check(c[0], c[1], c[2], now); err == nil {
			t.Errorf("the %s is not revoked", what)
		}
	}
	if err := r.check("", "", "u", r.moment("u")); err != nil {
		t.Errorf("a token of the same moment, but after the revocation: %v", err)
	}
	now = now.Add(time.Hour)
	if err := r.token("t2"); err != nil {
		t.Fatal(err)
	}
	if n := len(r.all.Tokens) + len(r.all.Sessions) + len(r.all.Users); n != 1 {
		t.Errorf("%d revocations are left, wanted the new one", n)
	}
}

func TestTwoRevocationsInOneMoment(t *testing.T) {
	r, err := openRevocations(&store.Memory{}, func() time.Time { return start }, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		before := r.moment("u")
		if err := r.check("", "", "u", before); err != nil {
			t.Errorf("a new token is refused: %v", err)
		}
		if err := r.user("u"); err != nil {
			t.Fatal(err)
		}
		if err := r.check("", "", "u", before); err == nil {
			t.Error("a token from before the revocation is good")
		}
	}
}
