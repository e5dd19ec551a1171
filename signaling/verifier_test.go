package signaling_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// notary is a Verifier whose tokens are "issuer.USER".
type notary struct {
	mu      sync.Mutex
	scopes  []string
	client  string
	tenant  string
	kind    policy.Kind
	revoked map[string]bool
	expires time.Time
}

var errForged = errors.New("the token is refused (signature): it does not verify")

func (n *notary) Verify(_ context.Context, token string) (signaling.Bearer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	user, ok := strings.CutPrefix(token, "issuer.")
	if !ok || n.revoked[user] {
		return signaling.Bearer{}, errForged
	}
	return signaling.Bearer{ID: token, User: user, Name: strings.ToTitle(user), Client: n.client, Tenant: n.tenant, Kind: n.kind, Scopes: n.scopes, Expires: n.expires}, nil
}

func (n *notary) Valid(b signaling.Bearer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.revoked[b.User]
}

func (n *notary) revoke(user string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.revoked[user] = true
}

// verified is a configuration whose users come with their tokens.
func verified(n *notary) func(*signaling.Config) {
	n.scopes, n.client, n.revoked = []string{"chat", signaling.ScopeVoIP}, "teams", map[string]bool{}
	n.expires = time.Now().Add(time.Hour)
	return func(cfg *signaling.Config) { cfg.Users, cfg.Verifier = nil, n }
}

// bearing joins a client that has its tokens from elsewhere.
func (w *world) bearing(user string) *signaling.Client {
	w.t.Helper()
	cfg := w.config("")
	cfg.Secret = ""
	cfg.Token = func(context.Context) (string, error) { return "issuer." + user, nil }
	c := w.client(cfg)
	if err := c.Connect(ctx(w.t)); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestUsersComeWithTheirTokensAndCallEachOther(t *testing.T) {
	w := newWorld(t, verified(&notary{}))
	alice, bob := w.bearing("alice"), w.bearing("bob")
	id := w.ringing(alice, bob)
	if err := bob.Answer(ctx(t), id, answer()); err != nil {
		t.Fatal(err)
	}
	next(t, alice, signaling.NotifyAnswer)
	servers, err := bob.ICEServers(ctx(t), id)
	if err != nil || len(servers) != 1 || servers[0].Username != "bob:"+id {
		t.Errorf("ICE servers %+v and %v, wanted a credential of bob's for the call", servers, err)
	}
	e := w.await("an event of a teams client", func(e signaling.Event) bool { return e.User == "bob" && e.Kind == signaling.EventRequest })
	if e.Client != "teams" {
		t.Errorf("the client of bob is %q, wanted the token's: teams", e.Client)
	}
}

func TestWhatTheVerifierRefusesIsRefusedOnce(t *testing.T) {
	for _, tc := range []struct {
		name, token string
		change      func(*notary)
		status      int
		code        string
		challenge   string
		reason      string
	}{
		{"no token", "", nil, 401, signaling.CodeUnauthorized, `Bearer realm="callpath"`, "there is no bearer token"},
		{"forged", "forged", nil, 401, signaling.CodeUnauthorized, `error="invalid_token"`, errForged.Error()},
		{"chat only", "issuer.alice", func(n *notary) { n.scopes = []string{"chat"} }, 403, signaling.CodeScope,
			`error="insufficient_scope", scope="voip"`, "the token lacks the scope voip"},
		{"nobody that can be called", "issuer.a:b", nil, 401, signaling.CodeUnauthorized, "invalid_token", "names no user"},
		{"another client", "issuer.alice", func(n *notary) { n.client = "zoom" }, 401, signaling.CodeUnauthorized, "invalid_token", "neither an acs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := &notary{}
			w := newWorld(t, verified(n))
			if tc.change != nil {
				tc.change(n)
			}
			r := w.raw("")
			r.token = tc.token
			re := r.post("/v1/ice-servers", "")
			re.mustBe(t, tc.status, tc.code)
			if got := re.header.Get("WWW-Authenticate"); !strings.Contains(got, tc.challenge) {
				t.Errorf("WWW-Authenticate is %q, wanted %s", got, tc.challenge)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.events) != 1 || w.events[0].Kind != signaling.EventAudit || w.events[0].Allowed || !strings.Contains(w.events[0].Reason, tc.reason) {
				t.Errorf("events %+v, wanted one refusal: %s", w.events, tc.reason)
			}
		})
	}
}

func TestThereIsNoSignInBesideAVerifier(t *testing.T) {
	w := newWorld(t, verified(&notary{}))
	w.raw("").post("/v1/sign-in", `{"user":"alice","secret":"whatever"}`).mustBe(t, 404, signaling.CodeNotFound)
	for want, change := range map[string]func(*signaling.Config){
		"both set": func(c *signaling.Config) { c.Users = []signaling.User{{ID: "alice", Client: "acs", Secret: secret}} },
		"Verifier": func(c *signaling.Config) { c.Verifier = nil },
		"Users is": func(c *signaling.Config) { c.Limits.Users = -1 },
	} {
		cfg := signaling.Config{TURN: turn, Verifier: &notary{}}
		change(&cfg)
		if _, err := signaling.NewController(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestAnOpenWebSocketEndsWithARevokedOrExpiredToken(t *testing.T) {
	for name, end := range map[string]func(*notary){
		"revoked": func(n *notary) { n.revoke("alice") },
		"expired": func(*notary) { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &notary{}
				w := memoryWorld(t, verified(n))
				r := w.raw("")
				r.token = "issuer.alice"
				s := r.socket(0)
				end(n)
				time.Sleep(16 * time.Second)
				s.mustClose(4401)
			})
		})
	}
}

func TestUsersWhoHaveLeftMakeRoom(t *testing.T) {
	clock := &clock{now: time.Now()}
	n := &notary{}
	w := newWorld(t, func(cfg *signaling.Config) {
		verified(n)(cfg)
		cfg.Now, cfg.Limits.Users = clock.Now, 3
	})
	w.bearing("alice") // connected, so she stays
	as := func(user string) *reply {
		r := w.raw("")
		r.token = "issuer." + user
		return r.post("/v1/ice-servers", "")
	}
	for i := range 2 {
		as(fmt.Sprint("guest", i)).mustBe(t, 200, "")
	}
	as("late").mustBe(t, 503, signaling.CodeUnavailable)
	clock.advance(6 * time.Minute)
	as("guest0").mustBe(t, 200, "") // seen again
	as("late").mustBe(t, 200, "")
	as("later").mustBe(t, 503, signaling.CodeUnavailable)
}

func TestAClientThatGetsNoTokenSaysWhy(t *testing.T) {
	w := newWorld(t, verified(&notary{}))
	away := errors.New("the issuer is away")
	cfg := w.config("")
	cfg.Secret = ""
	for _, tc := range []struct {
		token string
		err   error
		want  string
	}{{"", away, away.Error()}, {"", nil, "it is empty"}} {
		cfg.Token = func(context.Context) (string, error) { return tc.token, tc.err }
		if err := w.client(cfg).SignIn(ctx(t)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, wanted %s", err, tc.want)
		}
	}
	cfg.Secret = "too"
	if _, err := signaling.NewClient(cfg); err == nil || !strings.Contains(err.Error(), "both set") {
		t.Errorf("Token and Secret: got %v", err)
	}
}
