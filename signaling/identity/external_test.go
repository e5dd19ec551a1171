package identity_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/user"
)

// twoIssuers are contoso, whose users sign in there by its client "cli", and ours,
// which exchanges contoso's tokens.
func twoIssuers(t *testing.T, change func(*identity.Config)) (contoso, ours *world) {
	t.Helper()
	contoso = newWorld(t, nil)
	ours = newWorld(t, func(c *identity.Config) {
		c.Now = contoso.clock.Now
		c.External = []identity.External{{Name: "contoso", Issuer: contoso.url, Audiences: []string{"cli"}, HTTP: contoso.server.Client()}}
		if change != nil {
			change(c)
		}
	})
	return contoso, ours
}

func TestAnotherIssuersTokenIsExchanged(t *testing.T) {
	contoso, ours := twoIssuers(t, nil)
	in := contoso.signIn("alice", "").mustBe(t, 200)
	for _, token := range []struct{ text, kind string }{{in.Access, typeAccess}, {in.ID, typeID}, {in.ID, typeJWT}} {
		out := ours.exchange(token.text, "client_id", "web", "subject_token_type", token.kind).mustBe(t, 200)
		b, err := ours.id.Verify(context.Background(), out.Access)
		if err != nil || b.User != "alice@contoso" || b.Client != "teams" || b.Tenant != "contoso" || b.Kind != "" || !ours.id.Valid(b) {
			t.Errorf("bearer %+v, %v, wanted contoso's alice", b, err)
		}
	}
	if e := ours.last(); e.Issuer != contoso.url || e.User != "alice@contoso" || e.App != "web" {
		t.Errorf("event %+v", e)
	}
	ours.useToken(in.Access).mustBe(t, 401) // not without the exchange
	token := ours.exchange(in.Access).mustBe(t, 200).Access
	if err := ours.id.RevokeUser("alice@contoso"); err != nil {
		t.Fatal(err)
	}
	ours.useToken(token).mustBe(t, 401)
}

func TestTheRulesHoldForAnotherIssuersUsers(t *testing.T) {
	contoso, ours := twoIssuers(t, func(c *identity.Config) {
		c.Rules = []access.Rule{{Name: "Two factors for all", Then: access.RequireMFA}}
	})
	r := ours.exchange(contoso.signIn("alice", "").Access).mustBe(t, 403)
	if r.Rule != "Two factors for all" {
		t.Errorf("refused by %q", r.Rule)
	}
	ours.exchange(contoso.signIn("bob", contoso.otp()).Access).mustBe(t, 200) // contoso has seen both
}

func TestAbuseOfAnotherIssuersTokens(t *testing.T) {
	for _, tc := range []struct {
		name   string
		token  func(contoso, ours *world) string
		status int
		code   string
		rule   string
	}{
		{"for another client there", func(contoso, _ *world) string {
			return contoso.redeem(contoso.code()).Access
		}, 400, "invalid_request", "audience"},
		{"signed by us in its name", func(contoso, ours *world) string {
			return ours.forge(map[string]any{"iss": contoso.url, "aud": "cli"})
		}, 400, "invalid_request", "key"},
		{"signed by it in our name", func(contoso, ours *world) string {
			return contoso.forge(map[string]any{"iss": ours.url, "aud": "cli"})
		}, 400, "invalid_request", "key"},
		{"alg none", func(contoso, _ *world) string {
			return b64(map[string]any{"alg": "none"}) + "." + b64(contoso.claims(nil)) + "."
		}, 400, "invalid_request", "algorithm"},
		{"HS256 with its public key", func(contoso, _ *world) string {
			key := contoso.signingKey()
			public := key.Public()
			raw, _ := public.MarshalJSON()
			return contoso.sign(jose.HS256, raw, contoso.claims(map[string]any{"aud": "cli"}), map[string]any{"kid": key.KeyID})
		}, 400, "invalid_request", "algorithm"},
		{"expired", func(contoso, _ *world) string {
			return contoso.forge(map[string]any{"aud": "cli", "exp": contoso.clock.Now().Add(-time.Minute).Unix()})
		}, 400, "invalid_request", "expired"},
		{"of nobody", func(contoso, _ *world) string { return contoso.forge(map[string]any{"aud": "cli", "sub": ""}) }, 400, "invalid_request", "incomplete"},
		{"while the issuer is away", func(contoso, _ *world) string {
			token := contoso.forge(map[string]any{"aud": "cli"})
			contoso.server.Close()
			return token
		}, 503, "temporarily_unavailable", "unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			contoso, ours := twoIssuers(t, nil)
			r := ours.exchange(tc.token(contoso, ours))
			if r.status != tc.status || r.Error != tc.code {
				t.Fatalf("got %d %s, wanted %d %s", r.status, r.body, tc.status, tc.code)
			}
			if events, _ := ours.since(0, 0); len(events) != 1 || events[0].Allowed || events[0].Rule != tc.rule {
				t.Errorf("events %+v, wanted one refusal by %s", events, tc.rule)
			}
		})
	}
}

func TestAnotherIssuersKeysAreFollowedWithoutAskingTooOften(t *testing.T) {
	contoso := newWorld(t, nil)
	var asked atomic.Int32
	handler := contoso.server.Config.Handler
	contoso.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/jwks" {
			asked.Add(1)
		}
		handler.ServeHTTP(w, r)
	})
	ours := newWorld(t, func(c *identity.Config) {
		c.Now = contoso.clock.Now
		c.External = []identity.External{{Name: "contoso", Issuer: contoso.url, Audiences: []string{"cli"}, HTTP: contoso.server.Client()}}
	})
	old := contoso.signIn("alice", "").Access
	ours.exchange(old).mustBe(t, 200)
	ours.exchange(old).mustBe(t, 200)
	if n := asked.Load(); n != 1 {
		t.Errorf("the keys were asked for %d times, wanted once", n)
	}
	if err := contoso.id.Keys().Withdraw(contoso.signingKey().KeyID); err != nil {
		t.Fatal(err)
	}
	renewed := contoso.signIn("alice", "").Access
	for range 5 {
		ours.exchange(renewed).mustBe(t, 400) // not again within 30 s
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("unknown keys made us ask %d times, wanted once", n)
	}
	contoso.clock.advance(30 * time.Second)
	ours.exchange(renewed).mustBe(t, 200)
	ours.exchange(old).mustBe(t, 400) // its key is gone from the set
	if n := asked.Load(); n != 2 {
		t.Errorf("the keys were asked for %d times, wanted twice", n)
	}
}

func TestNoIssuerCanNameAnothersUsers(t *testing.T) {
	contoso, ours := twoIssuers(t, func(c *identity.Config) {
		c.External[0].Claim, c.External[0].Kind = "oid", "acs"
	})
	seen := map[string]string{}
	for _, object := range []string{
		"8b08b2a2-4d1c-4b4e-9f6b-0e7a4c1d2f3a", "alice@contoso", "acs.shop.x", "auth0|123", strings.Repeat("x", 80),
		"h.abc", "h.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Ä",
	} {
		token := contoso.forge(map[string]any{"aud": "cli", "oid": object})
		b, err := ours.id.Verify(context.Background(), ours.exchange(token).mustBe(t, 200).Access)
		if err != nil || !strings.HasSuffix(b.User, "@contoso") || !user.ValidID(b.User) || b.Client != "acs" || seen[b.User] != "" {
			t.Errorf("%q is %+v, %v; already there: %q", object, b, err, seen[b.User])
		}
		seen[b.User] = object
	}
	ours.exchange(contoso.forge(map[string]any{"aud": "cli"})).mustBe(t, 400) // no oid
	w := httptest.NewRecorder()
	ours.id.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/openid-configuration", nil))
	if w.Code != 200 {
		t.Error(w.Code)
	}
}
