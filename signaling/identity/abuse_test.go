package identity_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/user"
)

// Every other way in: the sign-in page, the token endpoint, the first-party
// sign-in, the exchange, the applications. Each is refused with its code and one
// audit record that names what decided.
func TestAbuseOfTheEndpoints(t *testing.T) {
	refreshed := func(w *world, token string, more ...string) *reply {
		return w.form("/oauth2/token", append([]string{"grant_type", "refresh_token", "client_id", "cli", "refresh_token", token}, more...)...)
	}
	authorize := func(changes ...string) func(w *world) *reply {
		return func(w *world) *reply {
			return w.do(w.client(), "GET", "/oauth2/authorize?"+authorization(changes...).Encode(), "", "")
		}
	}
	signIn := func(body string) func(w *world) *reply {
		return func(w *world) *reply { return w.do(w.client(), "POST", "/identity/sign-in", kindJSON, body) }
	}
	exchangeOf := func(token func(w *world) string, more ...string) func(w *world) *reply {
		return func(w *world) *reply { return w.exchange(token(w), more...) }
	}
	app := func(w *world) string { return w.signIn("alice", "").mustBe(w.t, 200).Access }
	redeem := func(changes ...string) func(w *world) *reply {
		return func(w *world) *reply { return w.redeem(w.code(), changes...) }
	}
	signedIn := func(rules ...access.Rule) func(*identity.Config) {
		return func(c *identity.Config) { c.Rules = rules }
	}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

	for _, tc := range []struct {
		name   string
		config func(*identity.Config)
		do     func(w *world) *reply
		status int
		code   string // the OAuth error; of a redirect, too
		rule   string // of the record
		reason string
	}{
		// The sign-in page. What is not sure of the client shows a page (400); the
		// rest leads back to the client (303).
		{"open redirect", nil, authorize("redirect_uri", "https://evil.example/"), 400, "", "redirect-uri", "evil.example"},
		{"redirect to a longer path", nil, authorize("redirect_uri", redirect+"/x"), 400, "", "redirect-uri", ""},
		{"redirect with a query", nil, authorize("redirect_uri", redirect+"?x"), 400, "", "redirect-uri", ""},
		{"redirect with a user", nil, authorize("redirect_uri", "https://web.example@evil.example/signed-in"), 400, "", "redirect-uri", ""},
		{"redirect with capitals", nil, authorize("redirect_uri", strings.Replace(redirect, "web", "WEB", 1)), 400, "", "redirect-uri", ""},
		{"redirect to another's", nil, authorize("redirect_uri", "https://other.example/"), 400, "", "redirect-uri", ""},
		{"no redirect", nil, authorize("redirect_uri", "-"), 400, "", "redirect-uri", ""},
		{"unknown client", nil, authorize("client_id", "evil"), 400, "", "client", "evil"},
		{"a state without end", nil, authorize("state", strings.Repeat("x", 513)), 400, "", "request", ""},
		{"a parameter twice", nil, func(w *world) *reply {
			return w.do(w.client(), "GET", "/oauth2/authorize?"+authorization().Encode()+"&redirect_uri=https://evil.example", "", "")
		}, 400, "", "request", "2 times"},
		{"bad encoding", nil, func(w *world) *reply { return w.do(w.client(), "GET", "/oauth2/authorize?%zz", "", "") }, 400, "", "request", ""},
		{"implicit flow", nil, authorize("response_type", "token"), 303, "unsupported_response_type", "request", ""},
		{"fragment", nil, authorize("response_mode", "fragment"), 303, "invalid_request", "request", ""},
		{"no PKCE", nil, authorize("code_challenge", "-", "code_challenge_method", "-"), 303, "invalid_request", "pkce", ""},
		{"plain PKCE", nil, authorize("code_challenge_method", "plain"), 303, "invalid_request", "pkce", "plain"},
		{"a challenge that is none", nil, authorize("code_challenge", "short"), 303, "invalid_request", "pkce", ""},
		{"no openid", nil, authorize("scope", "profile"), 303, "invalid_scope", "scope", ""},
		{"a request object", nil, authorize("request", "x"), 303, "request_not_supported", "request", ""},
		{"a request by URL", nil, authorize("request_uri", "https://evil.example"), 303, "request_uri_not_supported", "request", ""},
		{"a nonce without end", nil, authorize("nonce", strings.Repeat("x", 513)), 303, "invalid_request", "request", ""},
		{"without a page", nil, authorize("prompt", "none"), 303, "login_required", "sign-in", ""},

		{"form of another browser", nil, func(w *world) *reply {
			return w.fill(w.client(), w.open(w.client()), "user", "alice", "password", password)
		}, 403, "", "anti-forgery", ""},
		{"form without its secret", nil, func(w *world) *reply {
			c := w.client()
			w.open(c)
			return w.fill(c, authorization(), "user", "alice", "password", password)
		}, 403, "", "anti-forgery", ""},
		{"form with another redirect", nil, func(w *world) *reply {
			c := w.client()
			return w.fill(c, w.open(c), "user", "alice", "password", password, "redirect_uri", "https://evil.example/")
		}, 400, "", "redirect-uri", ""},
		{"form as JSON", nil, func(w *world) *reply {
			return w.do(w.client(), "POST", "/oauth2/authorize", kindJSON, "{}")
		}, 415, "", "request", ""},
		{"wrong password on the page", nil, func(w *world) *reply {
			c := w.client()
			return w.fill(c, w.open(c), "user", "alice", "password", "guess")
		}, 403, "", "password", "unknown user or wrong password"},
		{"a step that is none", nil, func(w *world) *reply {
			c := w.client()
			return w.fill(c, w.open(c), "step", "guess", "code", w.otp())
		}, 403, "", "one-time-code", "too long"},
		{"a step that is too old", nil, func(w *world) *reply {
			c := w.client()
			form := w.fill(c, w.open(c), "user", "bob", "password", password).page()
			w.clock.advance(5 * time.Minute)
			return w.fill(c, form, "code", w.otp())
		}, 403, "", "one-time-code", "too long"},
		{"another client's step", nil, func(w *world) *reply {
			c := w.client()
			step := w.fill(c, w.open(c), "user", "bob", "password", password).page().Get("step")
			return w.fill(c, w.open(c, "client_id", "other", "redirect_uri", "https://other.example/"), "step", step, "code", w.otp())
		}, 403, "", "one-time-code", "too long"},
		{"replayed one-time code on the page", nil, func(w *world) *reply {
			code := w.otp()
			w.signIn("bob", code).mustBe(w.t, 200)
			c := w.client()
			return w.fill(c, w.fill(c, w.open(c), "user", "bob", "password", password).page(), "code", code)
		}, 403, "", "one-time-code", "has been used"},
		{"removed between the steps", nil, func(w *world) *reply {
			c := w.client()
			form := w.fill(c, w.open(c), "user", "bob", "password", password).page()
			if err := w.id.SetUsers([]user.User{{ID: "bob", Kind: "acs", Password: cheap(password), TOTP: otpSecret, Disabled: true}}); err != nil {
				w.t.Fatal(err)
			}
			return w.fill(c, form, "code", w.otp())
		}, 403, "", "one-time-code", "no second factor"},
		{"blocked on the page", signedIn(access.Rule{Name: "Nobody from here", Networks: loopback, Then: access.Block}), func(w *world) *reply {
			c := w.client()
			return w.fill(c, w.open(c), "user", "alice", "password", password)
		}, 303, "access_denied", "Nobody from here", "refuses this sign-in"},

		// The code for tokens.
		{"unknown grant", nil, redeem("grant_type", "password"), 400, "unsupported_grant_type", "request", ""},
		{"client credentials", nil, redeem("grant_type", "client_credentials"), 400, "unsupported_grant_type", "request", ""},
		{"unknown client at the token endpoint", nil, redeem("client_id", "evil"), 401, "invalid_client", "client", ""},
		{"wrong verifier", nil, redeem("code_verifier", strings.Repeat("x", 43)), 400, "invalid_grant", "pkce", ""},
		{"the challenge as verifier", nil, redeem("code_verifier", challengeOf(verifier)), 400, "invalid_grant", "pkce", ""},
		{"no verifier", nil, redeem("code_verifier", "-"), 400, "invalid_grant", "pkce", ""},
		{"a short verifier", func(c *identity.Config) {}, func(w *world) *reply {
			return w.redeem(w.code("code_challenge", challengeOf("short")), "code_verifier", "short")
		}, 400, "invalid_grant", "pkce", ""},
		{"another client's code", nil, redeem("client_id", "other"), 400, "invalid_grant", "client", ""},
		{"code with another redirect", nil, redeem("redirect_uri", "http://127.0.0.1:8080/cb?x=1"), 400, "invalid_grant", "redirect-uri", ""},
		{"guessed code", nil, redeem("code", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 400, "invalid_grant", "code", "unknown"},
		{"code after a minute", nil, func(w *world) *reply {
			code := w.code()
			w.clock.advance(time.Minute)
			return w.redeem(code)
		}, 400, "invalid_grant", "code", "too old"},
		{"code used twice", nil, func(w *world) *reply {
			code := w.code()
			first := w.redeem(code).mustBe(w.t, 200)
			again := w.redeem(code)
			n, _ := w.count()
			if r := w.form("/oauth2/token", "grant_type", "refresh_token", "client_id", "web", "refresh_token", first.Refresh); r.status != 400 {
				w.t.Errorf("the first sign-in can still be refreshed: %s", r.body)
			}
			if r := w.do(w.client(), "GET", "/oauth2/userinfo", "", "", "Authorization", "Bearer "+first.Access); r.status != 401 {
				w.t.Errorf("the first token is still good: %s", r.body)
			}
			w.forget(n)
			return again
		}, 400, "invalid_grant", "code-reuse", "has been ended"},
		{"code of a user who has been revoked", nil, func(w *world) *reply {
			code := w.code()
			if err := w.id.RevokeUser("alice"); err != nil {
				w.t.Fatal(err)
			}
			return w.redeem(code)
		}, 400, "invalid_grant", "code", ""},
		{"code of a user who has been removed", nil, func(w *world) *reply {
			code := w.code()
			if err := w.id.SetUsers(nil); err != nil {
				w.t.Fatal(err)
			}
			return w.redeem(code)
		}, 400, "invalid_grant", "user", "removed"},
		{"a parameter twice in a form", nil, func(w *world) *reply {
			return w.do(w.client(), "POST", "/oauth2/token", kindForm, "grant_type=refresh_token&client_id=cli&client_id=web")
		}, 400, "invalid_request", "request", "2 times"},
		{"a form as JSON", nil, func(w *world) *reply { return w.do(w.client(), "POST", "/oauth2/token", kindJSON, "{}") }, 415, "media_type", "request", ""},
		{"a form without a type", nil, func(w *world) *reply { return w.do(w.client(), "POST", "/oauth2/token", "", "x") }, 415, "media_type", "request", ""},
		{"an oversized form", nil, func(w *world) *reply {
			return w.do(w.client(), "POST", "/oauth2/token", kindForm, strings.Repeat("x", 17<<10))
		}, 413, "too_large", "request", "16384"},
		{"a form that is not UTF-8", nil, func(w *world) *reply { return w.do(w.client(), "POST", "/oauth2/token", kindForm, "\xff") }, 400, "invalid_request", "request", "UTF-8"},

		// Refresh.
		{"refresh token used twice", nil, func(w *world) *reply {
			first := w.signIn("alice", "").Refresh
			newer := refreshed(w, first).mustBe(w.t, 200)
			again := refreshed(w, first)
			n, _ := w.count()
			refreshed(w, newer.Refresh).mustBe(w.t, 400)
			w.exchange(newer.Access).mustBe(w.t, 400)
			w.forget(n)
			return again
		}, 400, "invalid_grant", "refresh-reuse", "used before"},
		{"another client's refresh token", nil, func(w *world) *reply { return refreshed(w, w.signIn("alice", "").Refresh, "client_id", "web") }, 400, "invalid_grant", "refresh-token", "another client"},
		{"forged refresh token", nil, func(w *world) *reply {
			token := w.signIn("alice", "").Refresh
			return refreshed(w, strings.Replace(token, ".0.", ".1.", 1))
		}, 400, "invalid_grant", "refresh-token", "unknown"},
		{"no refresh token", nil, func(w *world) *reply { return refreshed(w, "") }, 400, "invalid_grant", "refresh-token", "unknown"},
		{"refresh after 12 hours", nil, func(w *world) *reply {
			token := w.signIn("alice", "").Refresh
			w.clock.advance(12 * time.Hour)
			return refreshed(w, token)
		}, 400, "invalid_grant", "refresh-token", "ended"},
		{"refresh of a disabled user", nil, func(w *world) *reply {
			token := w.signIn("alice", "").Refresh
			if err := w.id.SetUsers(nil); err != nil {
				w.t.Fatal(err)
			}
			return refreshed(w, token)
		}, 400, "invalid_grant", "user", ""},

		// The first-party sign-in.
		{"a client that may not take passwords", nil, signIn(`{"client_id":"web","user":"alice","password":"` + password + `"}`), 403, "unauthorized_client", "first-party", ""},
		{"an unknown client's sign-in", nil, signIn(`{"client_id":"evil","user":"alice","password":"` + password + `"}`), 401, "invalid_client", "client", ""},
		{"wrong password", nil, signIn(`{"client_id":"cli","user":"alice","password":"guess"}`), 401, "invalid_grant", "password", ""},
		{"unknown user", nil, signIn(`{"client_id":"cli","user":"nobody","password":"guess"}`), 401, "invalid_grant", "password", ""},
		{"a password without end", nil, signIn(`{"client_id":"cli","user":"alice","password":"` + strings.Repeat("x", 2000) + `"}`), 401, "invalid_grant", "password", ""},
		{"disabled user", nil, func(w *world) *reply { return w.signIn("dave", "") }, 401, "invalid_grant", "password", ""},
		{"no one-time code", nil, func(w *world) *reply { return w.signIn("bob", "") }, 401, "otp_required", "one-time-code", ""},
		{"wrong one-time code", nil, func(w *world) *reply { return w.signIn("bob", "000000") }, 401, "invalid_grant", "one-time-code", "wrong"},
		{"replayed one-time code", nil, func(w *world) *reply {
			code := w.otp()
			w.signIn("bob", code).mustBe(w.t, 200)
			return w.signIn("bob", code)
		}, 401, "invalid_grant", "one-time-code", "has been used"},
		{"an older one-time code after a newer", nil, func(w *world) *reply {
			old := w.otp()
			w.clock.advance(30 * time.Second)
			w.signIn("bob", w.otp()).mustBe(w.t, 200)
			return w.signIn("bob", old)
		}, 401, "invalid_grant", "one-time-code", "has been used"},
		{"a one-time code of two minutes ago", nil, func(w *world) *reply {
			old := w.otp()
			w.clock.advance(2 * time.Minute)
			return w.signIn("bob", old)
		}, 401, "invalid_grant", "one-time-code", "wrong"},
		{"unknown member", nil, signIn(`{"client_id":"cli","admin":true}`), 400, "invalid_request", "request", ""},
		{"two values", nil, signIn(`{} {}`), 400, "invalid_request", "request", "goes on"},
		{"no JSON", nil, signIn(`user=alice`), 400, "invalid_request", "request", ""},
		{"oversized JSON", nil, signIn(`{"user":"` + strings.Repeat("x", 17<<10) + `"}`), 413, "too_large", "request", ""},
		{"guessing passwords", nil, func(w *world) *reply {
			for range 10 {
				w.json("/identity/sign-in", map[string]string{"client_id": "cli", "user": "alice", "password": "guess"}).mustBe(w.t, 401)
			}
			n, _ := w.count()
			defer w.forgetBefore(n)
			return w.signIn("alice", "")
		}, 429, "too_many_requests", "throttle", ""},
		{"guessing one-time codes", nil, func(w *world) *reply {
			for range 5 {
				w.signIn("bob", "000000").mustBe(w.t, 401)
			}
			n, _ := w.count()
			defer w.forgetBefore(n)
			return w.signIn("bob", w.otp())
		}, 429, "too_many_requests", "throttle", ""},
		{"many users from one network", func(c *identity.Config) { c.Limits.SignIns = 2 }, func(w *world) *reply {
			w.signIn("alice", "").mustBe(w.t, 200)
			w.signIn("carol", "").mustBe(w.t, 200)
			return w.signIn("alice", "")
		}, 429, "too_many_requests", "throttle", ""},

		// Conditional access.
		{"from a blocked network", signedIn(access.Rule{Name: "Not from here", Networks: loopback, Then: access.Block}),
			func(w *world) *reply { return w.signIn("alice", "") }, 403, "access_denied", "Not from here", ""},
		{"from outside the office", signedIn(access.Rule{Name: "Office only", Users: []string{"alice"}, ExceptNetworks: []netip.Prefix{officeOnly}, Then: access.Block}),
			func(w *world) *reply { return w.signIn("alice", "") }, 403, "access_denied", "Office only", ""},
		{"a group without a second factor", signedIn(access.Rule{Name: "Sales needs two", Groups: []string{"sales"}, Then: access.RequireMFA}),
			func(w *world) *reply { return w.signIn("alice", "") }, 403, "access_denied", "Sales needs two", "second factor"},
		{"a kind that is blocked, before a code is asked for", signedIn(access.Rule{Name: "No ACS", Kinds: []string{"acs"}, Then: access.Block}),
			func(w *world) *reply { return w.signIn("bob", "") }, 403, "access_denied", "No ACS", ""},

		// The exchange.
		{"no subject", nil, exchangeOf(func(*world) string { return "" }), 400, "invalid_request", "request", ""},
		{"a subject of no type", nil, exchangeOf(app, "subject_token_type", "urn:x"), 400, "invalid_request", "request", ""},
		{"acting for another", nil, exchangeOf(app, "actor_token", "x"), 400, "invalid_request", "request", ""},
		{"asking for a refresh token", nil, exchangeOf(app, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), 400, "invalid_request", "request", ""},
		{"another target", nil, exchangeOf(app, "audience", "mail"), 400, "invalid_target", "audience", ""},
		{"another resource", nil, exchangeOf(app, "resource", "https://mail.example"), 400, "invalid_target", "audience", ""},
		{"more than there is", nil, exchangeOf(app, "scope", "voip admin"), 400, "invalid_scope", "scope", ""},
		{"more than the user may", nil, exchangeOf(func(w *world) string { return w.signIn("carol", "").Access }, "scope", "voip"), 400, "invalid_scope", "scope", ""},
		{"an access token once more", nil, exchangeOf(func(w *world) string { return w.accessToken() }), 400, "invalid_request", "audience", ""},
		{"an ID token for an access token", nil, exchangeOf(func(w *world) string { return w.signIn("alice", "").ID }), 400, "invalid_request", "type", ""},
		{"an access token for an ID token", nil, exchangeOf(app, "subject_token_type", typeID), 400, "invalid_request", "type", ""},
		{"another client's token", nil, exchangeOf(app, "client_id", "web"), 400, "invalid_request", "audience", ""},
		{"an expired token", nil, func(w *world) *reply {
			token := app(w)
			w.clock.advance(16 * time.Minute)
			return w.exchange(token)
		}, 400, "invalid_request", "expired", ""},
		{"a token of a sign-in that has ended", nil, func(w *world) *reply {
			in := w.signIn("alice", "")
			w.form("/oauth2/revoke", "client_id", "cli", "token", in.Refresh).mustBe(w.t, 200)
			return w.exchange(in.Access)
		}, 400, "invalid_request", "revoked", ""},
		{"a token of a revoked user", nil, func(w *world) *reply {
			token := app(w)
			if err := w.id.RevokeUser("alice"); err != nil {
				w.t.Fatal(err)
			}
			return w.exchange(token)
		}, 400, "invalid_request", "revoked", ""},
		{"a token of a removed user", nil, func(w *world) *reply {
			token := app(w)
			if err := w.id.SetUsers(nil); err != nil {
				w.t.Fatal(err)
			}
			return w.exchange(token)
		}, 400, "invalid_request", "revoked", "removed"},
		{"a token of nobody's", nil, exchangeOf(func(w *world) string {
			return w.sign(jose.ES256, jose.JSONWebKey{Key: ecKey(w.t), KeyID: "x"}, w.claims(map[string]any{"iss": "https://evil.example", "aud": "cli"}), accessHeader)
		}), 400, "invalid_request", "issuer", "evil.example"},
		{"garbage", nil, exchangeOf(func(*world) string { return "a.b.c" }), 400, "invalid_request", "malformed", ""},
		{"alg none in the exchange", nil, exchangeOf(func(w *world) string {
			return b64(map[string]any{"alg": "none"}) + "." + b64(w.claims(nil)) + "."
		}), 400, "invalid_request", "algorithm", ""},
		{"an oversized token", nil, exchangeOf(func(*world) string { return "a." + strings.Repeat("x", 9000) + ".c" }), 400, "invalid_request", "too-large", ""},
		{"an exchange from a blocked network", signedIn(access.Rule{Name: "Sales needs two", Groups: []string{"sales"}, Then: access.RequireMFA}), exchangeOf(func(w *world) string {
			now := w.clock.Now()
			return w.sign(jose.ES256, w.signingKey(), map[string]any{"iss": w.url, "sub": "alice", "aud": "cli", "client_id": "cli", "exp": now.Add(time.Minute).Unix(), "callpath_moment": now.UnixMilli(), "amr": []string{"pwd"}}, accessHeader)
		}), 403, "access_denied", "Sales needs two", ""},

		// User info and revocation.
		{"user info without a token", nil, func(w *world) *reply { return w.do(w.client(), "GET", "/oauth2/userinfo", "", "") }, 401, "invalid_token", "token", ""},
		{"user info with an access token", nil, func(w *world) *reply {
			return w.do(w.client(), "GET", "/oauth2/userinfo", "", "", "Authorization", "Bearer "+w.accessToken())
		}, 401, "invalid_token", "audience", ""},
		{"user info of a removed user", nil, func(w *world) *reply {
			token := app(w)
			if err := w.id.SetUsers(nil); err != nil {
				w.t.Fatal(err)
			}
			return w.do(w.client(), "GET", "/oauth2/userinfo", "", "", "Authorization", "Bearer "+token)
		}, 401, "invalid_token", "revoked", ""},
		{"revoking another client's token", nil, func(w *world) *reply {
			return w.form("/oauth2/revoke", "client_id", "web", "token", w.accessToken())
		}, 400, "unauthorized_client", "client", ""},
		{"revoking another client's sign-in", nil, func(w *world) *reply {
			return w.form("/oauth2/revoke", "client_id", "web", "token", w.signIn("alice", "").Refresh)
		}, 400, "unauthorized_client", "client", ""},
		{"revoking as nobody", nil, func(w *world) *reply { return w.form("/oauth2/revoke", "token", "x") }, 401, "invalid_client", "client", ""},
		{"revoking nothing", nil, func(w *world) *reply { return w.form("/oauth2/revoke", "client_id", "cli") }, 400, "invalid_request", "request", ""},
		{"revoking by JSON", nil, func(w *world) *reply { return w.json("/oauth2/revoke", "x") }, 415, "media_type", "request", ""},

		// Applications.
		{"no secret", nil, func(w *world) *reply { return w.json("/identity/users", map[string]any{}) }, 401, "invalid_client", "application-secret", ""},
		{"wrong secret", nil, func(w *world) *reply {
			return w.json("/identity/users", map[string]any{}, "Authorization", basic("shop", "guess"))
		}, 401, "invalid_client", "application-secret", ""},
		{"unknown application", nil, func(w *world) *reply {
			return w.json("/identity/users", map[string]any{}, "Authorization", basic("evil", ""))
		}, 401, "invalid_client", "application-secret", ""},
		{"guessing secrets", nil, func(w *world) *reply {
			for range 10 {
				w.json("/identity/users", map[string]any{}, "Authorization", basic("shop", "guess")).mustBe(w.t, 401)
			}
			n, _ := w.count()
			defer w.forgetBefore(n)
			return w.application("/identity/users", map[string]any{})
		}, 429, "too_many_requests", "throttle", ""},
		{"another application's user", nil, func(w *world) *reply { return w.application("/identity/users/acs.quiet.x/token", map[string]any{}) }, 404, "not_found", "application", ""},
		{"a Teams user for an application", nil, func(w *world) *reply { return w.application("/identity/users/alice/token", map[string]any{}) }, 404, "not_found", "application", ""},
		{"an external user for an application", nil, func(w *world) *reply {
			return w.application("/identity/users/alice@contoso/revoke", map[string]any{})
		}, 404, "not_found", "application", ""},
		{"a token for too long", nil, func(w *world) *reply { return w.application("/identity/users", map[string]any{"expires_in": 86401}) }, 400, "invalid_request", "lifetime", ""},
		{"a token for no time", nil, func(w *world) *reply { return w.application("/identity/users", map[string]any{"expires_in": -1}) }, 400, "invalid_request", "lifetime", ""},
		{"a scope that the application has not", nil, func(w *world) *reply {
			return w.json("/identity/users", map[string]any{"scopes": []string{"voip"}}, "Authorization", basic("quiet", appSecret+"quiet"))
		}, 400, "invalid_scope", "scope", ""},
		{"a name of two lines", nil, func(w *world) *reply { return w.application("/identity/users", map[string]any{"name": "a\nb"}) }, 400, "invalid_request", "request", ""},
		{"an application's form", nil, func(w *world) *reply {
			return w.do(w.client(), "POST", "/identity/users", kindForm, "x=y", "Authorization", basic("shop", appSecret))
		}, 415, "media_type", "request", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.config)
			r := tc.do(w)
			code := r.Error
			if r.status == http.StatusSeeOther {
				q := w.ledBack(r)
				code = q.Get("error")
				if q.Has("code") {
					t.Error("the refusal brings a code")
				}
			}
			if r.status != tc.status || code != tc.code || r.Access != "" {
				t.Fatalf("got %d %q (%s), wanted %d %q", r.status, code, r.body, tc.status, tc.code)
			}
			var refusals []identity.Event
			events, _ := w.since(0, 0)
			for _, e := range events {
				if !e.Allowed {
					refusals = append(refusals, e)
				}
			}
			if len(refusals) != 1 || refusals[0].Rule != tc.rule || !strings.Contains(refusals[0].Reason, tc.reason) || refusals[0].Remote == "" {
				t.Errorf("refusals %+v, wanted one by %q because of %q", refusals, tc.rule, tc.reason)
			}
			switch {
			case tc.code == "access_denied" && r.status == http.StatusForbidden && (r.Rule != tc.rule || !strings.Contains(r.Detail, tc.rule)):
				t.Errorf("the refusal %s does not name its rule", r.body)
			case r.status == http.StatusTooManyRequests && (r.Retry <= 0 || r.header.Get("Retry-After") == ""):
				t.Errorf("the refusal %s does not say how long to wait", r.body)
			case r.status == http.StatusUnauthorized && r.header.Get("WWW-Authenticate") == "":
				t.Error("401 without a challenge")
			}
		})
	}
}

// forget drops the events after the first n: what the test itself looked at.
func (w *world) forget(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = w.events[:n]
}

// forgetBefore drops the first n.
func (w *world) forgetBefore(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = w.events[n:]
}
