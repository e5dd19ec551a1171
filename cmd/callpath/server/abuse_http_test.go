package server_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callpath/callpath/signaling"
)

// forger makes tokens with the issuer's own keys, which is more than an attacker has.
type forger struct {
	t      *testing.T
	key    jose.JSONWebKey
	issuer string
}

func newForger(p *target) forger {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.state, "identity", "keys.json"))
	ok(p.t, err)
	var ring struct {
		Keys []struct{ Key jose.JSONWebKey }
	}
	ok(p.t, json.Unmarshal(data, &ring))
	return forger{p.t, ring.Keys[0].Key, p.url()}
}

// claims are those of a good access token of carol's, with changes.
func (f forger) claims(changes ...any) map[string]any {
	now := time.Now()
	c := map[string]any{"iss": f.issuer, "sub": "carol", "aud": "callpath", "jti": "forged", "scope": "voip", "callpath_client": "teams",
		"client_id": "cli", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "callpath_moment": now.UnixMilli()}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i].(string)] = changes[i+1]
	}
	return c
}

func (f forger) sign(alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	f.t.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", f.key.KeyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	ok(f.t, err)
	body, err := json.Marshal(claims)
	ok(f.t, err)
	jws, err := signer.Sign(body)
	ok(f.t, err)
	text, err := jws.CompactSerialize()
	ok(f.t, err)
	return text
}

// token is signed by the issuer's key.
func (f forger) token(changes ...any) string {
	return f.sign(jose.ES256, f.key.Key, f.claims(changes...))
}

// none is a token without a signature.
func (f forger) none() string {
	part := func(v any) string {
		b, err := json.Marshal(v)
		ok(f.t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]string{"alg": "none", "typ": "at+jwt", "kid": f.key.KeyID}) + "." + part(f.claims()) + "."
}

func TestSignalingAndTheIssuerAreNotAbused(t *testing.T) {
	file, rewrite := house(t)
	rewrite(cheap(t, carolsPassword), false, "[{name: Not from here, users: [eve], networks: [127.0.0.1], then: block}]")
	p := startServer(t, "--config="+file, "--signaling-origins=app.example.org")
	f := newForger(p)
	if status := p.use(f.token()); status != 200 {
		t.Fatalf("the token from which the others differ: %d, wanted 200", status)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	public := f.key.Public()
	publicJSON, err := public.MarshalJSON()
	ok(t, err)
	body, err := json.Marshal(map[string]string{"client_id": "cli", "user": "carol", "password": carolsPassword})
	ok(t, err)
	_, text := p.ask("POST", "/identity/sign-in", string(body), "Content-Type", kindJSON)
	var in struct {
		ID          string `json:"id_token"`
		Application string `json:"access_token"`
	}
	ok(t, json.Unmarshal([]byte(text), &in))
	revoked := p.token("dan", dansPassword)
	ok(t, control(t, p).RevokeUser(t.Context(), "dan"))
	good := f.token()

	ask := func(method, path, body string, header ...string) func() int {
		return func() int { status, _ := p.ask(method, path, body, header...); return status }
	}
	bearer := func(token string) func() int {
		return ask("POST", "/v1/ice-servers", "", "Authorization", "Bearer "+token)
	}
	form := func(path string, pairs ...string) func() int {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		return ask("POST", path, values.Encode(), "Content-Type", kindForm)
	}
	authorize := func(pairs ...string) func() int {
		values := url.Values{"client_id": {"web"}, "redirect_uri": {p.url() + "/"}, "response_type": {"code"}, "scope": {"openid"},
			"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"}}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		return ask("GET", "/oauth2/authorize?"+values.Encode(), "")
	}
	signIn := func(client, user, password string) func() int {
		return ask("POST", "/identity/sign-in", `{"client_id":"`+client+`","user":"`+user+`","password":"`+password+`"}`, "Content-Type", kindJSON)
	}
	const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	exchanges := func(kind, token string) func() int {
		return form("/oauth2/token", "grant_type", exchange, "client_id", "cli", "subject_token", token,
			"subject_token_type", "urn:ietf:params:oauth:token-type:"+kind)
	}
	upgrade := []string{"Authorization", "Bearer " + good, "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}

	p.try([]attempt{
		// Tokens at the controller.
		{"no token", ask("POST", "/v1/ice-servers", ""), 401, "token"},
		{"no token for notifications", ask("GET", "/v1/notifications", ""), 401, "token"},
		{"forged token", bearer("forged"), 401, "token"},
		{"basic authentication", ask("POST", "/v1/ice-servers", "", "Authorization", "Basic YWxpY2U6YWxpY2U="), 401, "token"},
		{"a token without algorithm", bearer(f.none()), 401, "token"},
		{"algorithm confusion: HS256 with the public key", bearer(f.sign(jose.HS256, publicJSON, f.claims())), 401, "token"},
		{"another's key under the issuer's kid", bearer(f.sign(jose.ES256, stranger, f.claims())), 401, "token"},
		{"a claim changed after the signature", bearer(swap(t, good, f.token("sub", "eve"))), 401, "token"},
		{"token for another audience", bearer(f.token("aud", "another service")), 401, "token"},
		{"token for the application", bearer(in.Application), 401, "token"},
		{"ID token", bearer(in.ID), 401, "token"},
		{"token of another issuer", bearer(f.token("iss", "https://evil.example")), 401, "token"},
		{"expired token", bearer(f.token("exp", time.Now().Add(-5*time.Minute).Unix(), "iat", time.Now().Add(-time.Hour).Unix(), "nbf", time.Now().Add(-time.Hour).Unix())), 401, "token"},
		{"token of the future", bearer(f.token("nbf", time.Now().Add(time.Hour).Unix())), 401, "token"},
		{"token of a user who does not exist", bearer(f.token("sub", "mallory")), 401, "token"},
		{"token of an application that does not exist", bearer(f.token("sub", "acs.bank.abc")), 401, "token"},
		{"token without the scope of calls", bearer(f.token("scope", "chat")), 403, "token"},
		{"revoked token", bearer(revoked), 401, "token"},
		{"token in the query", ask("GET", "/v1/notifications?access_token="+good, ""), 401, "token"},
		{"another origin's page", ask("GET", "/v1/notifications", "", append(upgrade, "Origin", "https://evil.example")...), 403, "origin"},
		{"no page's origin", ask("GET", "/v1/notifications", "", append(upgrade, "Origin", "null")...), 403, "origin"},
		// The issuer.
		{"wrong password", signIn("cli", "carol", "wrong password"), 401, "password"},
		{"unknown user", signIn("cli", "root", "wrong password"), 401, "password"},
		{"a rule of conditional access", signIn("cli", "eve", evesPassword), 403, "Not from here"},
		{"a page that takes passwords itself", signIn("web", "carol", carolsPassword), 403, "first-party"},
		{"unknown client", signIn("evil", "carol", carolsPassword), 401, "client"},
		{"open redirector", authorize("redirect_uri", "https://evil.example/"), 400, "redirect-uri"},
		{"redirect to a path of ours", authorize("redirect_uri", p.url()+"/evil"), 400, "redirect-uri"},
		{"no PKCE", authorize("code_challenge", ""), 303, "pkce"},
		{"PKCE in clear", authorize("code_challenge_method", "plain"), 303, "pkce"},
		{"implicit flow", authorize("response_type", "token"), 303, "request"},
		{"a sign-in form of another page", form("/oauth2/authorize", "client_id", "web", "redirect_uri", p.url()+"/", "response_type", "code",
			"scope", "openid", "code_challenge", strings.Repeat("A", 43), "code_challenge_method", "S256", "user", "carol", "password", carolsPassword), 403, "anti-forgery"},
		{"guessed code", form("/oauth2/token", "grant_type", "authorization_code", "client_id", "web", "code", "guess",
			"redirect_uri", p.url()+"/", "code_verifier", strings.Repeat("A", 43)), 400, "code"},
		{"password grant", form("/oauth2/token", "grant_type", "password", "client_id", "cli", "username", "carol", "password", carolsPassword), 400, "request"},
		{"exchange of an access token for another", exchanges("access_token", good), 400, "audience"},
		{"exchange of a token without algorithm", exchanges("access_token", f.none()), 400, "algorithm"},
		{"exchange of another issuer's token", exchanges("jwt", f.token("iss", "https://evil.example")), 400, "issuer"},
		{"guessed refresh token", form("/oauth2/token", "grant_type", "refresh_token", "client_id", "cli", "refresh_token", "a.0.b"), 400, "refresh-token"},
		{"an application's users for nobody", ask("POST", "/identity/users", "{}", "Content-Type", kindJSON), 401, "application-secret"},
		{"an application with a guessed secret", func() int { status, _ := p.visit("guess"); return status }, 401, "application-secret"},
		// HTTP. A body that is longer still ends in a connection that is reset, before
		// the answer may have been read.
		{"oversized body", ask("POST", "/v1/calls", strings.Repeat("x", 300<<10), "Content-Type", kindJSON, "Authorization", "Bearer "+good), 413, "body-size"},
		{"oversized sign-in", ask("POST", "/identity/sign-in", strings.Repeat("x", 20<<10), "Content-Type", kindJSON), 413, "request"},
		{"not JSON", ask("POST", "/v1/calls", "to=bob", "Content-Type", kindForm, "Authorization", "Bearer "+good), 415, "media-type"},
		{"not a form", ask("POST", "/oauth2/token", "{}", "Content-Type", kindJSON), 415, "request"},
		{"wrong method", ask("DELETE", "/v1/calls", ""), 405, "method"},
		{"wrong method at the issuer", ask("DELETE", "/oauth2/token", ""), 405, "method"},
		{"the sign-in by secret, which is no more", ask("POST", "/v1/sign-in", `{"user":"carol","secret":"a secret"}`, "Content-Type", kindJSON), 404, "path"},
		{"path traversal", ask("GET", "/v1/..%2f..%2fetc/passwd", ""), 404, "path"},
		{"another kind of slash", ask("GET", `/v1/..%5c..%5cetc/passwd`, ""), 404, "path"},
		{"the issuer's keys by their file", ask("GET", "/identity/keys.json", ""), 404, "path"},
		{"unknown path", ask("GET", "/.env", ""), 404, "path"},
	})
	anothersCall(t, p, f)
	t.Run("oversized header", func(t *testing.T) {
		if code := ask("GET", "/v1/calls", "", "X-Large", strings.Repeat("x", 1<<20))(); code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered with %d, wanted 431", code)
		}
	})
	t.Run("too many wrong passwords", func(t *testing.T) {
		wrong := signIn("cli", "dan", "wrong password")
		var codes []int
		for range 12 {
			codes = append(codes, wrong())
		}
		if !slices.Contains(codes, 401) || codes[11] != 429 {
			t.Errorf("answered with %v, wanted 401 and in the end 429", codes)
		}
	})
	t.Run("slow header", func(t *testing.T) {
		t.Parallel()
		slowHeader(t, p)
	})
}

// swap puts the claims of one token under the signature of another.
func swap(t *testing.T, signature, claims string) string {
	t.Helper()
	a, b := strings.Split(signature, "."), strings.Split(claims, ".")
	return a[0] + "." + b[1] + "." + a[2]
}

// anothersCall tries to get TURN credentials for a call of others.
func anothersCall(t *testing.T, p *target, f forger) {
	caller, err := signaling.NewClient(signaling.ClientConfig{BaseURL: p.url(), RootCAs: p.roots(),
		Token: func(context.Context) (string, error) { return f.token(), nil }})
	ok(t, err)
	defer func() { ok(t, caller.Close()) }()
	callee, err := signaling.NewClient(signaling.ClientConfig{BaseURL: p.url(), RootCAs: p.roots(),
		Token: func(context.Context) (string, error) {
			return f.token("sub", "dan", "callpath_client", "acs", "callpath_moment", time.Now().Add(time.Second).UnixMilli()), nil
		}})
	ok(t, err)
	defer func() { ok(t, callee.Close()) }()
	ok(t, caller.Connect(t.Context()), callee.Connect(t.Context()))
	call, err := caller.Invite(t.Context(), "dan", signaling.Description{Type: signaling.Offer, SDP: offer})
	ok(t, err)
	p.try([]attempt{{"TURN credentials for it", func() int {
		status, _ := p.ask("GET", "/v1/ice-servers?call="+call, "", "Authorization", "Bearer "+f.token("sub", "eve", "callpath_client", "acs"))
		return status
	}, 404, "participant"}, {"its end", func() int {
		status, _ := p.ask("POST", "/v1/calls/"+call+"/hangup", "{}", "Content-Type", kindJSON, "Authorization", "Bearer "+f.token("sub", "eve", "callpath_client", "acs"))
		return status
	}, 404, "participant"}})
}

// slowHeader sends a header that does not end.
func slowHeader(t *testing.T, p *target) {
	conn, err := tls.Dial("tcp4", p.at["https"].String(), &tls.Config{RootCAs: p.roots(), ServerName: "localhost"})
	ok(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /identity/sign-in HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	ok(t, err)
	ok(t, conn.SetReadDeadline(time.Now().Add(2*patience)))
	if re, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		re.Body.Close()
		if re.StatusCode != http.StatusRequestTimeout {
			t.Errorf("answered with %s", re.Status)
		}
	} else if !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection is still open: %v", err)
	}
}
