package server_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/callpath/callpath/cmd/callpath/server"
	"github.com/callpath/callpath/signaling/identity/signin"
	"github.com/callpath/callpath/signaling/identity/user"
)

// password is that of one of the first two users.
func (p *target) password(user string) string {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.state, "users", user+".password"))
	ok(p.t, err)
	return strings.TrimSpace(string(data))
}

// web is a client of HTTPS that trusts the target's authority and follows nobody
// elsewhere.
func (p *target) web() *http.Client {
	p.t.Helper()
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: p.roots()}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (p *target) url() string { return "https://" + p.at["https"].String() }

// source gets access tokens.
func (p *target) source(user, password string) *signin.Source {
	p.t.Helper()
	s, err := signin.New(signin.Config{Issuer: p.url(), Client: server.ClientCLI, User: user, Password: password, HTTP: p.web()})
	ok(p.t, err)
	return s
}

func (p *target) token(user, password string) string {
	p.t.Helper()
	token, err := p.source(user, password).Token(p.t.Context())
	ok(p.t, err)
	return token
}

// ask sends a request to HTTPS and returns the answer.
func (p *target) ask(method, path, body string, header ...string) (status int, text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.url()+path, strings.NewReader(body))
	ok(p.t, err)
	req.URL.Opaque, req.URL.RawQuery = path, "" // as it is, whatever it is
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	re, err := p.web().Do(req)
	ok(p.t, err)
	defer re.Body.Close()
	data, err := io.ReadAll(re.Body)
	ok(p.t, err)
	if leak := re.Header.Get("Server"); leak != "" {
		p.t.Errorf("the answer names the server: %s", leak)
	}
	return re.StatusCode, string(data)
}

const (
	kindJSON = "application/json"
	kindForm = "application/x-www-form-urlencoded"
)

// use asks for TURN credentials with a token.
func (p *target) use(token string) int {
	p.t.Helper()
	status, _ := p.ask("POST", "/v1/ice-servers", "", "Authorization", "Bearer "+token)
	return status
}

// cheap is a hash that costs little.
func cheap(t *testing.T, password string) string {
	t.Helper()
	hash, err := user.Hash(password)
	ok(t, err)
	return hash
}

const houseRules = `identity:
  users:
    - {id: carol, name: Carol, kind: teams, groups: [sales], hash: %q}
    - {id: dan, kind: acs, password: dan.password, scopes: [chat]}
    - {id: eve, kind: acs, hash: %q, disabled: %v}
  applications:
    - {id: shop, secret: shop.secret, scopes: [voip]}
  rules: %s
`

const (
	carolsPassword = "the password of carol"
	dansPassword   = "the password of dan"
	evesPassword   = "the password of eve"
	shopSecret     = "the secret of the shop, which has 32 bytes"
)

// house writes a configuration with users of all sorts, and returns its file and what
// writes it anew.
func house(t *testing.T) (file string, rewrite func(carol string, eveDisabled bool, rules string)) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "callpath.yaml")
	write(t, filepath.Join(dir, "dan.password"), dansPassword+"\n")
	write(t, filepath.Join(dir, "shop.secret"), shopSecret)
	eve := cheap(t, evesPassword)
	rewrite = func(carol string, eveDisabled bool, rules string) {
		write(t, file, fmt.Sprintf(houseRules, carol, eve, eveDisabled, rules))
	}
	return file, rewrite
}

func TestTheFirstUsersSignInAndTheirTokensAreForCalls(t *testing.T) {
	p := startServer(t)
	for _, name := range []string{"alice", "bob"} {
		if status := p.use(p.token(name, p.password(name))); status != http.StatusOK {
			t.Errorf("%s with a token: %d, wanted 200", name, status)
		}
	}
	if status, body := p.ask("GET", "/.well-known/openid-configuration", ""); status != 200 || !strings.Contains(body, `"issuer":"`+p.url()+`"`) {
		t.Errorf("discovery: %d %s", status, body)
	}
	if status, body := p.ask("GET", "/settings.json", ""); status != 200 || !strings.Contains(body, `"client":"web"`) {
		t.Errorf("the page's settings: %d %s", status, body)
	}
	p.await("the audit of the exchange", func() bool {
		return slices.ContainsFunc(p.records, func(r map[string]any) bool {
			return r["msg"] == "audit" && r["part"] == "identity" && r["what"] == "exchange" && r["user"] == "bob" &&
				r["app"] == "cli" && r["scope"] == "voip chat" && r["factors"] == "pwd"
		})
	})
	if n := p.metric(`callpath_identity_decisions_total{action="sign-in",allowed="true",rule="conditional-access"}`); n != "2" {
		t.Errorf("sign-ins counted: %s, wanted 2", n)
	}
}

// Tokens, and the ends of them, outlive a restart.
func TestKeysAndRevocationsAreKept(t *testing.T) {
	const issuer = "--identity-issuer=https://calls.example.org" // as the port is another one
	first := startServer(t, issuer)
	kept, ended := first.token("alice", first.password("alice")), first.token("bob", first.password("bob"))
	ok(t, control(t, first).RevokeUser(t.Context(), "bob"))
	first.end()
	second := startServer(t, "--state="+first.state, issuer)
	if status := second.use(kept); status != 200 {
		t.Errorf("a token of before: %d, wanted 200", status)
	}
	if status := second.use(ended); status != 401 {
		t.Errorf("a token that was revoked: %d, wanted 401", status)
	}
}

// control is the operator's end of a target's socket.
func control(t *testing.T, p *target) server.Control {
	t.Helper()
	cfg, err := server.Load(server.Source{Flags: map[string]string{"state": p.state}})
	ok(t, err)
	return cfg.Control()
}

func TestAnOperatorRotatesAndWithdrawsKeys(t *testing.T) {
	p := startServer(t)
	c, ctx := control(t, p), t.Context()
	token := p.token("alice", p.password("alice"))
	before, err := c.Keys(ctx)
	ok(t, err, c.RotateKeys(ctx), c.RotateKeys(ctx))
	after, err := c.Keys(ctx)
	ok(t, err)
	if len(before) != 1 || len(after) != 2 || after[0] != before[0] {
		t.Errorf("keys %v, then %v; wanted the first to sign on and one to come", before, after)
	}
	if status := p.use(token); status != 200 {
		t.Errorf("a token while keys rotate: %d", status)
	}
	ok(t, c.WithdrawKey(ctx, before[0]))
	if status := p.use(token); status != 401 {
		t.Errorf("a token of a withdrawn key: %d, wanted 401", status)
	}
	if status := p.use(p.token("alice", p.password("alice"))); status != 200 {
		t.Errorf("a token of the next key: %d", status)
	}
	for name, err := range map[string]error{
		"an unknown key":    c.WithdrawKey(ctx, "nothing"),
		"no user's ID":      c.RevokeUser(ctx, "no user"),
		"a path, not an ID": c.RevokeUser(ctx, "../keys"),
	} {
		if err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	empty, err := server.Load(server.Source{Flags: map[string]string{"state": t.TempDir()}})
	ok(t, err)
	if err := empty.Control().RotateKeys(ctx); err == nil || !strings.Contains(err.Error(), "no server runs with the state directory") {
		t.Errorf("without a server: %v", err)
	}
	p.await("the audit of the rotation", func() bool {
		return slices.ContainsFunc(p.records, func(r map[string]any) bool { return r["what"] == "key" && r["reason"] == "withdrawn at once" })
	})
}

// What an operator changes in the file holds without a restart.
func TestUsersAndRulesAreReloaded(t *testing.T) {
	file, rewrite := house(t)
	carol := cheap(t, carolsPassword)
	rewrite(carol, false, "[]")
	p := startServer(t, "--config="+file)
	carols, eves := p.token("carol", carolsPassword), p.token("eve", evesPassword)
	visitor := p.visitor(shopSecret)
	for name, token := range map[string]string{"carol": carols, "eve": eves, "a visitor": visitor} {
		if status := p.use(token); status != 200 {
			t.Errorf("%s: %d, wanted 200", name, status)
		}
	}
	again := func(message string, n int) {
		t.Helper()
		p.reload <- syscall.SIGHUP
		p.await(message, func() bool { return p.reloads(message) == n })
	}

	// Nothing of it holds when one thing is wrong.
	rewrite(cheap(t, "another password"), true, "[{name: all, then: allow}]")
	again(notReloaded, 1)
	if status := p.use(carols); status != 200 {
		t.Errorf("carol after a failed reload: %d, wanted 200", status)
	}

	const rule = "[{name: Nobody from here, networks: [127.0.0.0/8], except-users: [carol], then: block}]"
	rewrite(cheap(t, "another password"), true, rule)
	again(reloaded, 1)
	for name, token := range map[string]string{"another password": carols, "disabled": eves} {
		if status := p.use(token); status != 401 {
			t.Errorf("a token from before, whose user has %s now: %d, wanted 401", name, status)
		}
	}
	p.token("carol", "another password")
	rewrite(cheap(t, "another password"), false, rule)
	again(reloaded, 2)
	if status := p.use(eves); status != 401 {
		t.Errorf("a token from before its user was disabled, who is back: %d, wanted 401", status)
	}
	_, err := p.source("dan", dansPassword).Token(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Nobody from here") {
		t.Errorf("dan: %v, wanted the rule's refusal", err)
	}
	if status := p.use(visitor); status != 200 {
		t.Errorf("the application's user: %d, wanted 200", status)
	}

	// A file that the configuration names.
	write(t, filepath.Join(filepath.Dir(file), "shop.secret"), "another secret of the shop, with 32 bytes")
	again(reloaded, 3)
	if status, _ := p.visit(shopSecret); status != 401 {
		t.Errorf("the application with its old secret: %d, wanted 401", status)
	}

	// What only a restart changes is told.
	data, err := os.ReadFile(file)
	ok(t, err)
	write(t, file, string(data)+"realm: another\n")
	again("the configuration has changes that only a restart puts to use", 1)
}

// visit asks for a user as the application shop does.
func (p *target) visit(secret string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.url()+"/identity/users", strings.NewReader("{}"))
	ok(p.t, err)
	req.Header.Set("Content-Type", kindJSON)
	req.SetBasicAuth("shop", secret)
	re, err := p.web().Do(req)
	ok(p.t, err)
	defer re.Body.Close()
	body, err := io.ReadAll(re.Body)
	ok(p.t, err)
	return re.StatusCode, string(body)
}

func (p *target) visitor(secret string) string {
	p.t.Helper()
	_, body := p.visit(secret)
	var out struct {
		Token string `json:"access_token"`
	}
	ok(p.t, json.Unmarshal([]byte(body), &out))
	return out.Token
}

// exchange asks for an access token with another issuer's.
func (p *target) exchange(token string) (int, string) {
	p.t.Helper()
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"web"},
		"subject_token": {token}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}}
	return p.ask("POST", "/oauth2/token", form.Encode(), "Content-Type", kindForm)
}

// A second server is another organisation's issuer, and the first exchanges its
// tokens.
func TestAnotherIssuersUsersCall(t *testing.T) {
	contoso := startServer(t)
	file := filepath.Join(t.TempDir(), "callpath.yaml")
	write(t, file, fmt.Sprintf("identity:\n  external:\n    - {name: contoso, issuer: %q, audiences: [cli], client: web, ca: %q}\n",
		contoso.url(), filepath.Join(contoso.state, "authority.pem")))
	ours := startServer(t, "--config="+file)
	body, err := json.Marshal(map[string]string{"client_id": "cli", "user": "alice", "password": contoso.password("alice")})
	ok(t, err)
	_, text := contoso.ask("POST", "/identity/sign-in", string(body), "Content-Type", kindJSON)
	var in, out struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
	}
	ok(t, json.Unmarshal([]byte(text), &in))
	status, text := ours.exchange(in.ID)
	if status != 200 {
		t.Fatalf("the exchange: %d %s", status, text)
	}
	ok(t, json.Unmarshal([]byte(text), &out))
	if status := ours.use(out.Access); status != 200 {
		t.Errorf("the access token: %d", status)
	}
	if status := ours.use(in.ID); status != 401 {
		t.Errorf("contoso's own token: %d, wanted 401", status)
	}
	_, settings := ours.ask("GET", "/settings.json", "")
	if !strings.Contains(settings, `"external":[{"name":"contoso","issuer":"`+contoso.url()+`","client":"web"}]`) {
		t.Errorf("the page is not told of contoso: %s", settings)
	}
}

func TestCheckTriesOutWhoMaySignIn(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": carolsPassword, "short": "short", "hashed": cheap(t, carolsPassword), "factor": "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", "secret": shopSecret} {
		write(t, filepath.Join(dir, name), text)
	}
	const contoso = "{name: contoso, issuer: 'https://contoso.example', audiences: [a]}"
	for _, c := range []struct{ identity, wanted string }{
		{"users: [{id: carol, kind: teams, password: good, totp: factor}, {id: dan, kind: acs, password: hashed}]", ""},
		{"users: [{id: carol, kind: teams, password: short}]", "user carol: password: " + dir + "/short has 5 bytes, wanted 8 or more"},
		{"users: [{id: carol, kind: teams, password: none}]", "no such file"},
		{"users: [{id: carol, kind: teams, hash: secret}]", "Password of carol: it is not a hash"},
		{"users: [{id: carol, kind: teams, password: good, totp: good}]", "TOTP of carol is not a secret"},
		{"users: [{id: carol, kind: teams, password: good, totp: none}]", "second factor: "},
		{"users: [{id: carol, kind: teams, password: good, scopes: [video]}]", `Scopes of carol has "video"`},
		{"users: [{id: acs.carol, kind: teams, password: good}]", `begin with "acs." are the applications'`},
		{"applications: [{id: shop, secret: secret}]", ""},
		{"applications: [{id: shop, secret: good}]", "application shop: "},
		{"applications: [{id: Shop, secret: secret}]", `Application.ID is "Shop"`},
		{"external: [" + contoso + "]", ""},
		{"external: [" + contoso + ", " + contoso + "]", "each name once"},
		{"external: [{name: contoso, issuer: 'http://contoso.example', audiences: [a]}]", "https://HOST"},
		{"external: [{name: contoso, issuer: 'https://contoso.example', audiences: [a], ca: good}]", "good has no certificate"},
		{"external: [{name: contoso, issuer: 'https://contoso.example', audiences: [a], algorithms: [none]}]", "none"},
		{"redirect-uris: ['http://evil.example/']", `redirect URI "http://evil.example/"`},
		{"token-lifetime: 24h", ""},
	} {
		file := filepath.Join(dir, "callpath.yaml")
		write(t, file, "identity:\n  "+c.identity+"\n")
		cfg, err := server.Load(server.Source{File: file, Flags: map[string]string{"state": filepath.Join(dir, "state")}})
		ok(t, err)
		err = cfg.Check(slog.New(slog.DiscardHandler))
		if c.wanted == "" && err != nil || c.wanted != "" && (err == nil || !strings.Contains(err.Error(), c.wanted)) {
			t.Errorf("%s: got %v, wanted %q", c.identity, err, c.wanted)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("a check has made the state directory")
	}
}
