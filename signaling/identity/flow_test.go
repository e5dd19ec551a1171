package identity_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/user"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// go-oidc and oauth2 are a client that we did not write.
func TestAnIndependentClientSignsInWithCodeAndPKCE(t *testing.T) {
	w := newWorld(t, nil)
	ctx := oidc.ClientContext(context.Background(), w.client())
	provider, err := oidc.NewProvider(ctx, w.url)
	if err != nil {
		t.Fatal(err)
	}
	conf := oauth2.Config{ClientID: "web", Endpoint: provider.Endpoint(), RedirectURL: redirect, Scopes: []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess}}
	conf.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	where := conf.AuthCodeURL("the-state", oidc.Nonce("the-nonce"), oauth2.S256ChallengeOption(verifier))

	browser := w.client()
	page := w.do(browser, "GET", strings.TrimPrefix(where, w.url), "", "").mustBe(t, 200)
	q := w.ledBack(w.fill(browser, page.page(), "user", "alice", "password", password))
	got, err := conf.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := got.Extra("id_token").(string)
	id, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: "web", Now: w.clock.Now}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Name     string   `json:"name"`
		Username string   `json:"preferred_username"`
		AMR      []string `json:"amr"`
		AuthTime int64    `json:"auth_time"`
	}
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if id.Subject != "alice" || id.Nonce != "the-nonce" || claims.Name != "Alice" || claims.Username != "alice" ||
		!reflect.DeepEqual(claims.AMR, []string{"pwd"}) || claims.AuthTime != w.clock.Now().Unix() {
		t.Errorf("ID token %+v with %+v", id, claims)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(got))
	if err != nil || info.Subject != "alice" {
		t.Errorf("user info %+v, %v", info, err)
	}
	w.secrets = append(w.secrets, got.AccessToken, got.RefreshToken, raw)

	got.Expiry = time.Now().Add(-time.Minute)
	again, err := conf.TokenSource(ctx, got).Token()
	if err != nil || again.RefreshToken == got.RefreshToken || again.AccessToken == got.AccessToken {
		t.Errorf("refresh gave %v, wanted new tokens of both sorts", err)
	}
}

func TestTheSecondFactorIsAskedForAndShown(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client()
	step := w.fill(c, w.open(c), "user", "bob", "password", password).mustBe(t, 200)
	if !strings.Contains(step.body, `autocomplete="one-time-code"`) || strings.Contains(step.body, `type="password"`) {
		t.Errorf("the page does not ask for a code alone:\n%s", step.body)
	}
	code := w.ledBack(w.fill(c, step.page(), "code", w.otp()[:3]+" "+w.otp()[3:])).Get("code")
	w.redeem(code).mustBe(t, 200)
	if e := w.last(); !reflect.DeepEqual(e.Factors, []string{"pwd", "otp", "mfa"}) || e.User != "bob" || e.App != "web" {
		t.Errorf("event %+v, wanted bob by pwd, otp, mfa", e)
	}
}

func TestAWrongPasswordAndAWrongCodeShowTheFormAgain(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client()
	again := w.fill(c, w.open(c), "user", "bob", "password", "guess").mustBe(t, 403)
	if !strings.Contains(again.body, "unknown user or wrong password") || !strings.Contains(again.body, `value="bob"`) {
		t.Errorf("page:\n%s", again.body)
	}
	step := w.fill(c, again.page(), "user", "bob", "password", password).mustBe(t, 200)
	wrong := w.fill(c, step.page(), "code", "000000").mustBe(t, 403)
	w.ledBack(w.fill(c, wrong.page(), "code", w.otp()))
}

func TestTheSignInPageLetsNothingElseIn(t *testing.T) {
	w := newWorld(t, nil)
	r := w.do(w.client(), "GET", "/oauth2/authorize?"+authorization("state", `"><script>alert(1)</script>`, "login_hint", `"><b>`).Encode(), "", "").mustBe(t, 200)
	if strings.Contains(r.body, "<script") || strings.Contains(r.body, "<b>") {
		t.Error("the page holds what the request brought, as it is")
	}
	policy := r.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self' https://web.example", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	cookie := r.header.Get("Set-Cookie")
	for _, want := range []string{"__Host-", "Secure", "HttpOnly", "SameSite=Lax", "Path=/;"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %q", cookie, want)
		}
	}
}

func TestATeamsUsersTokenIsExchangedForAnAccessToken(t *testing.T) {
	w := newWorld(t, nil)
	in := w.signIn("alice", "").mustBe(t, 200)
	w.useToken(in.Access).mustBe(t, 401) // it is the application's
	for _, kind := range []struct{ token, kind string }{{in.Access, typeAccess}, {in.ID, typeID}} {
		out := w.exchange(kind.token, "subject_token_type", kind.kind, "audience", "callpath").mustBe(t, 200)
		if out.Issued != typeAccess || out.Type != "Bearer" || out.Scope != "voip chat" || out.Expires != 3600 || out.Refresh != "" {
			t.Errorf("answer %s", out.body)
		}
		w.useToken(out.Access).mustBe(t, 200)
	}
	b, err := w.id.Verify(context.Background(), w.exchange(in.Access, "scope", "voip").Access)
	if err != nil || b.User != "alice" || b.Client != "teams" || b.Kind != policy.Member || b.Name != "Alice" || !reflect.DeepEqual(b.Scopes, []string{"voip"}) || !reflect.DeepEqual(b.Factors, []string{"pwd"}) {
		t.Errorf("bearer %+v, %v", b, err)
	}
	e := w.last()
	if e.Action != identity.ActionExchange || !e.Allowed || e.User != "alice" || e.Scope != "voip" || e.Token != b.ID || e.Session != b.Session {
		t.Errorf("event %+v", e)
	}
	carol := w.exchange(w.signIn("carol", "").Access).mustBe(t, 200)
	if carol.Scope != "chat" {
		t.Errorf("carol got %q, wanted her one scope", carol.Scope)
	}
	if r := w.useToken(carol.Access).mustBe(t, 403); r.Code != "insufficient-scope" {
		t.Errorf("without voip: %s", r.body)
	}
}

func TestAnApplicationGetsTokensForUsersOfItsOwn(t *testing.T) {
	w := newWorld(t, nil)
	made := w.application("/identity/users", map[string]any{"name": "Visitor", "scopes": []string{"voip"}, "expires_in": 600}).mustBe(t, 201)
	if !strings.HasPrefix(made.User, "acs.shop.") || !user.ValidID(made.User) || made.Expires != 600 || made.Scope != "voip" {
		t.Errorf("made %s", made.body)
	}
	b, err := w.id.Verify(context.Background(), made.Access)
	if err != nil || b.User != made.User || b.Client != "acs" || b.Kind != "" || b.Tenant != "" || b.Name != "Visitor" || !w.id.Valid(b) {
		t.Errorf("bearer %+v, %v", b, err)
	}
	w.useToken(made.Access).mustBe(t, 200)
	more := w.application("/identity/users/"+made.User+"/token", map[string]any{}).mustBe(t, 200)
	w.useToken(more.Access).mustBe(t, 200)
	w.application("/identity/users/"+made.User+"/revoke", map[string]any{}).mustBe(t, 204)
	for _, token := range []string{made.Access, more.Access} {
		w.useToken(token).mustBe(t, 401)
	}
	if w.id.Valid(b) {
		t.Error("a revoked token is still valid")
	}
	w.useToken(w.application("/identity/users/"+made.User+"/token", map[string]any{}).Access).mustBe(t, 200)
}

func TestRevocationsEndWhatTheyShould(t *testing.T) {
	w := newWorld(t, nil)
	in, other := w.signIn("alice", "").mustBe(t, 200), w.signIn("alice", "").mustBe(t, 200)
	first, second, kept := w.exchange(in.Access).Access, w.exchange(in.Access).Access, w.exchange(other.Access).Access
	revoke := func(token string) *reply { return w.form("/oauth2/revoke", "client_id", "cli", "token", token) }

	revoke(first).mustBe(t, 200)
	w.useToken(first).mustBe(t, 401)
	w.useToken(second).mustBe(t, 200)
	revoke(in.Refresh).mustBe(t, 200) // the sign-in, and all that came of it
	w.useToken(second).mustBe(t, 401)
	w.exchange(in.Access).mustBe(t, 400)
	w.form("/oauth2/token", "grant_type", "refresh_token", "client_id", "cli", "refresh_token", in.Refresh).mustBe(t, 400)
	w.useToken(kept).mustBe(t, 200)
	revoke("what is no token").mustBe(t, 200)

	if err := w.id.RevokeUser("alice"); err != nil {
		t.Fatal(err)
	}
	w.useToken(kept).mustBe(t, 401)
	w.form("/oauth2/token", "grant_type", "refresh_token", "client_id", "cli", "refresh_token", other.Refresh).mustBe(t, 400)
	w.useToken(w.accessToken()).mustBe(t, 200) // in the same second, but after
}

func TestRevocationsKeysAndUsedCodesOutliveARestart(t *testing.T) {
	w := newWorld(t, nil)
	token, revoked := w.accessToken(), w.accessToken()
	w.form("/oauth2/revoke", "client_id", "cli", "token", revoked).mustBe(t, 200)
	otp := w.otp()
	w.signIn("bob", otp).mustBe(t, 200)

	again := newWorld(t, func(cfg *identity.Config) { cfg.Issuer, cfg.Store, cfg.Now = w.url, w.store, w.clock.Now })
	if _, err := again.id.Verify(context.Background(), token); err != nil {
		t.Errorf("a token from before the restart: %v", err)
	}
	if _, err := again.id.Verify(context.Background(), revoked); err == nil {
		t.Error("a revoked token is good again after the restart")
	}
	again.signIn("bob", otp).mustBe(t, 401)
	if e := again.last(); !strings.Contains(e.Reason, "has been used") {
		t.Errorf("event %+v", e)
	}
}

func TestTokensLiveThroughTheRotationOfKeys(t *testing.T) {
	w := newWorld(t, nil)
	keySet := func() string { return w.do(w.client(), "GET", "/oauth2/jwks", "", "").mustBe(t, 200).body }
	kids := func() int { return strings.Count(keySet(), `"kid"`) }
	kidOf := func(token string) string { return decodeHeader(t, token)["kid"].(string) }
	before := w.accessToken()
	if strings.Contains(keySet(), `"d"`) {
		t.Fatal("the key set holds a private key")
	}
	if kids() != 1 {
		t.Errorf("%d keys, wanted 1", kids())
	}
	if err := w.id.Keys().Rotate(); err != nil {
		t.Fatal(err)
	}
	published := w.accessToken()
	if kids() != 2 || kidOf(published) != kidOf(before) {
		t.Errorf("%d keys; the new one is to be published before it signs", kids())
	}
	w.clock.advance(24*time.Hour - time.Minute)
	last := w.application("/identity/users", map[string]any{"expires_in": 86400}).mustBe(t, 201).Access
	w.clock.advance(2 * time.Minute)
	after := w.accessToken()
	if kidOf(after) == kidOf(last) || kidOf(last) != kidOf(before) {
		t.Error("the new key does not sign after it has been published for a day")
	}
	w.useToken(last).mustBe(t, 200)
	w.clock.advance(23*time.Hour + 50*time.Minute)
	w.useToken(last).mustBe(t, 200) // until it expires
	w.clock.advance(2 * time.Hour)
	if kids() != 1 {
		t.Errorf("%d keys, wanted the old one withdrawn", kids())
	}
	current := w.accessToken()
	if err := w.id.Keys().Withdraw(kidOf(current)); err != nil {
		t.Fatal(err)
	}
	w.useToken(current).mustBe(t, 401)
	w.useToken(w.accessToken()).mustBe(t, 200)
}

func TestPagesOfClientsMayAskAndOthersNot(t *testing.T) {
	w := newWorld(t, nil)
	preflight := func(origin, path string) *reply {
		return w.do(w.client(), "OPTIONS", path, "", "", "Origin", origin, "Access-Control-Request-Method", "POST")
	}
	if r := preflight("https://web.example", "/oauth2/token").mustBe(t, 204); r.header.Get("Access-Control-Allow-Origin") != "https://web.example" ||
		r.header.Get("Access-Control-Allow-Credentials") != "" || r.header.Get("Access-Control-Allow-Methods") != "POST" {
		t.Errorf("header %v", r.header)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://web.example.evil.example", "http://web.example"} {
		if r := preflight(origin, "/oauth2/token"); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may ask", origin)
		}
	}
	if r := preflight("https://web.example", "/identity/users"); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a page may ask as an application")
	}
	r := w.do(w.client(), "GET", "/.well-known/openid-configuration", "", "", "Origin", "https://web.example").mustBe(t, 200)
	if r.header.Get("Access-Control-Allow-Origin") != "https://web.example" || r.header.Get("Vary") != "Origin" {
		t.Errorf("header %v", r.header)
	}
}

func TestOtherMethodsAndPathsAreAnsweredInJSON(t *testing.T) {
	w := newWorld(t, nil)
	if r := w.do(w.client(), "PUT", "/oauth2/token", "", "").mustBe(t, 405); r.header.Get("Allow") != "POST" || r.Error != "method_not_allowed" {
		t.Errorf("%v %s", r.header, r.body)
	}
	for _, path := range []string{"/oauth2/nothing", "/identity/", "/oauth2/../oauth2/token", "/identity/users//token"} {
		req := &http.Request{Method: "GET", URL: &url.URL{Path: path}, Host: "x", Header: http.Header{}, Body: http.NoBody, RemoteAddr: "192.0.2.1:1"}
		rec := newRecorder()
		w.id.Handler().ServeHTTP(rec, req)
		if rec.Code != 404 || !strings.Contains(rec.Body.String(), "not_found") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	w.do(w.client(), "HEAD", "/oauth2/jwks", "", "").mustBe(t, 200)
}

// An issuer may have a path; its endpoints then are below it.
func TestAnIssuerWithAPath(t *testing.T) {
	w := newWorld(t, func(cfg *identity.Config) { cfg.Issuer += "/calls" })
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), w.client()), w.url+"/calls")
	if err != nil || provider.Endpoint().TokenURL != w.url+"/calls/oauth2/token" {
		t.Errorf("%v, %v", provider.Endpoint(), err)
	}
}

// A rule by network is asked again where the client is by then.
func TestTheRulesAreAskedAgainAtEachRefreshAndExchange(t *testing.T) {
	w := newWorld(t, func(c *identity.Config) {
		c.Rules = []access.Rule{{Name: "Office only", ExceptNetworks: []netip.Prefix{officeOnly}, Then: access.Block}}
	})
	from := func(addr, path, kind, body string) *reply {
		req := httptest.NewRequest("POST", w.url+path, strings.NewReader(body))
		req.RemoteAddr = addr
		req.Header.Set("Content-Type", kind)
		rec := httptest.NewRecorder()
		w.id.Handler().ServeHTTP(rec, req)
		r := &reply{status: rec.Code, body: rec.Body.String()}
		if err := json.Unmarshal(rec.Body.Bytes(), r); err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{r.Access, r.Refresh} {
			if token != "" {
				w.secrets = append(w.secrets, token)
			}
		}
		return r
	}
	const office, cafe = "198.51.100.7:1", "203.0.113.9:1"
	body := `{"client_id":"cli","user":"alice","password":"` + password + `"}`
	from(cafe, "/identity/sign-in", kindJSON, body).mustBe(t, 403)
	in := from(office, "/identity/sign-in", kindJSON, body).mustBe(t, 200)
	exchange := values("grant_type", grantExchange, "client_id", "cli", "subject_token", in.Access, "subject_token_type", typeAccess).Encode()
	refresh := values("grant_type", "refresh_token", "client_id", "cli", "refresh_token", in.Refresh).Encode()
	from(office, "/oauth2/token", kindForm, exchange).mustBe(t, 200)
	for _, body := range []string{exchange, refresh} {
		if r := from(cafe, "/oauth2/token", kindForm, body).mustBe(t, 403); r.Rule != "Office only" || r.Error != "access_denied" {
			t.Errorf("refused by %s", r.body)
		}
	}
	from(office, "/oauth2/token", kindForm, refresh).mustBe(t, 400) // the sign-in has ended
}
