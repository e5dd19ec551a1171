package identity_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/store"
	"github.com/callpath/callpath/signaling/identity/user"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password   = "correct horse battery"
	appSecret  = "0123456789abcdef0123456789abcdef-shop"
	otpSecret  = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	redirect   = "https://web.example/signed-in"
	verifier   = "a-verifier-of-more-than-forty-three-characters-0123456789"
	turnSecret = "relay-password"

	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	typeID        = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
)

// cheap is a hash that costs nothing, so that tests do not wait for it.
func cheap(password string) string {
	salt := []byte("salt-of-the-tests")
	b64 := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=8,t=1,p=1$" + b64(salt) + "$" + b64(argon2.IDKey([]byte(password), salt, 1, 8, 1, 32))
}

// world is an issuer and a controller on one HTTPS server, with a clock that the
// test turns.
type world struct {
	t          testing.TB
	url        string
	server     *httptest.Server
	id         *identity.Service
	controller *signaling.Controller
	store      *store.Memory
	clock      *clock
	log        *logs

	mu       sync.Mutex
	events   []identity.Event
	signaled []signaling.Event
	secrets  []string // that no log and no event may hold
}

func newWorld(t testing.TB, change func(*identity.Config)) *world {
	t.Helper()
	w := &world{t: t, store: &store.Memory{}, log: &logs{}, clock: &clock{now: time.Now().Truncate(time.Second)}}
	w.server = httptest.NewUnstartedServer(nil)
	w.url = "https://" + w.server.Listener.Addr().String()
	cfg := identity.Config{
		Issuer: w.url,
		Users: []user.User{
			{ID: "alice", Name: "Alice", Kind: "teams", Groups: []string{"sales"}, Password: cheap(password)},
			{ID: "bob", Name: "Bob", Kind: "acs", Password: cheap(password), TOTP: otpSecret},
			{ID: "carol", Kind: "teams", Password: cheap(password), Scopes: []string{"chat"}},
			{ID: "dave", Kind: "teams", Password: cheap(password), Disabled: true},
		},
		Clients: []identity.Client{
			{ID: "web", RedirectURIs: []string{redirect, "http://127.0.0.1:8080/cb?x=1"}},
			{ID: "other", RedirectURIs: []string{"https://other.example/"}},
			{ID: "cli", FirstParty: true},
		},
		Applications: []identity.Application{{ID: "shop", Secret: appSecret}, {ID: "quiet", Secret: appSecret + "quiet", Scopes: []string{"chat"}}},
		Store:        w.store,
		OnEvent:      w.record,
		Now:          w.clock.Now,
		Log:          slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.id, err = identity.New(cfg); err != nil {
		t.Fatal(err)
	}
	w.controller, err = signaling.NewController(signaling.Config{
		Verifier: w.id, Now: w.clock.Now, Log: cfg.Log,
		TURN: func(user, call string) ([]signaling.ICEServer, error) {
			return []signaling.ICEServer{{URLs: []string{"turn:relay.callpath.test"}, Username: user + ":" + call, Credential: turnSecret}}, nil
		},
		OnEvent: func(e signaling.Event) { w.mu.Lock(); w.signaled = append(w.signaled, e); w.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, path := range w.id.Paths() {
		mux.Handle(path, w.id.Handler())
	}
	mux.Handle("/v1/", w.controller.Handler())
	w.server.Config.Handler = mux
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	w.server.StartTLS()
	w.secrets = []string{password, appSecret, otpSecret, verifier, turnSecret}
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	w.server.Close()
	if err := w.controller.Close(); err != nil {
		w.t.Error(err)
	}
	if err := w.id.Close(); err != nil {
		w.t.Error(err)
	}
	fmt.Fprintf(w.log, "%+v %+v", w.events, w.signaled)
	for _, secret := range w.secrets {
		if strings.Contains(w.log.String(), secret) {
			w.t.Errorf("a log or an event holds the secret %q", secret)
		}
	}
}

func (w *world) record(e identity.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Action != identity.ActionKey {
		w.events = append(w.events, e)
	}
}

// since returns the events after the first n, of both sorts.
func (w *world) since(n, m int) ([]identity.Event, []signaling.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events[n:]), slices.Clone(w.signaled[m:])
}

func (w *world) count() (int, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events), len(w.signaled)
}

// last is the newest event.
func (w *world) last() identity.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == 0 {
		w.t.Fatal("there is no event")
	}
	return w.events[len(w.events)-1]
}

// client is a browser or a program, with cookies, that follows no redirect.
func (w *world) client() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &http.Client{Transport: w.server.Client().Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   string
	// of JSON
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Issued  string `json:"issued_token_type"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Scope   string `json:"scope"`
	User    string `json:"user"`
	Error   string `json:"error"`
	Detail  string `json:"error_description"`
	Rule    string `json:"rule"`
	Retry   int    `json:"retry_after"`
	Code    string `json:"code"` // of the controller's problems
}

func (w *world) do(c *http.Client, method, path, kind, body string, header ...string) *reply {
	w.t.Helper()
	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &reply{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") && method != "HEAD" {
		if err := json.Unmarshal(text, r); err != nil {
			w.t.Fatalf("%s %s: %d %s: %v", method, path, r.status, text, err)
		}
	}
	for _, token := range []string{r.Access, r.ID, r.Refresh} {
		if token != "" {
			w.secrets = append(w.secrets, token)
		}
	}
	return r
}

func (r *reply) mustBe(t testing.TB, status int) *reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("got %d %s, wanted %d", r.status, r.body, status)
	}
	return r
}

const (
	kindForm = "application/x-www-form-urlencoded"
	kindJSON = "application/json"
)

func (w *world) form(path string, pairs ...string) *reply {
	w.t.Helper()
	return w.do(w.client(), "POST", path, kindForm, values(pairs...).Encode())
}

func values(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func (w *world) json(path string, v any, header ...string) *reply {
	w.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(w.client(), "POST", path, kindJSON, string(body), header...)
}

// application posts as the shop.
func (w *world) application(path string, v any) *reply {
	w.t.Helper()
	return w.json(path, v, "Authorization", basic("shop", appSecret))
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// signIn signs in by the first-party client.
func (w *world) signIn(user, code string) *reply {
	w.t.Helper()
	return w.json("/identity/sign-in", map[string]string{"client_id": "cli", "user": user, "password": password, "code": code})
}

// exchange exchanges an application token of the first-party client's.
func (w *world) exchange(token string, more ...string) *reply {
	w.t.Helper()
	return w.form("/oauth2/token", append([]string{"grant_type", grantExchange, "client_id", "cli",
		"subject_token", token, "subject_token_type", typeAccess}, more...)...)
}

// accessToken is an ACS access token of alice's.
func (w *world) accessToken() string {
	w.t.Helper()
	return w.exchange(w.signIn("alice", "").mustBe(w.t, 200).Access).mustBe(w.t, 200).Access
}

// useToken asks the controller for ICE servers.
func (w *world) useToken(token string) *reply {
	w.t.Helper()
	return w.do(w.client(), "POST", "/v1/ice-servers", "", "", "Authorization", "Bearer "+token)
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorization is a good request for the sign-in page, with changes; a value of
// "-" leaves the parameter out.
func authorization(changes ...string) url.Values {
	form := values("client_id", "web", "redirect_uri", redirect, "response_type", "code", "scope", "openid profile offline_access",
		"state", "the-state", "nonce", "the-nonce", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256")
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return form
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// page reads the form of a sign-in page.
func (r *reply) page() url.Values {
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(r.body, -1) {
		form.Set(m[1], unescape(m[2]))
	}
	return form
}

func unescape(s string) string {
	return strings.NewReplacer("&#43;", "+", "&amp;", "&", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(s)
}

// fill fills the page of a browser in.
func (w *world) fill(c *http.Client, form url.Values, pairs ...string) *reply {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return w.do(c, "POST", "/oauth2/authorize", kindForm, form.Encode())
}

// open opens the sign-in page.
func (w *world) open(c *http.Client, changes ...string) url.Values {
	w.t.Helper()
	return w.do(c, "GET", "/oauth2/authorize?"+authorization(changes...).Encode(), "", "").mustBe(w.t, 200).page()
}

// code signs alice in and returns the authorization code.
func (w *world) code(changes ...string) string {
	w.t.Helper()
	c := w.client()
	return w.ledBack(w.fill(c, w.open(c, changes...), "user", "alice", "password", password)).Get("code")
}

// ledBack is the query with which the browser was sent back.
func (w *world) ledBack(r *reply) url.Values {
	w.t.Helper()
	at, err := url.Parse(r.mustBe(w.t, http.StatusSeeOther).header.Get("Location"))
	if err != nil || at.Host != "web.example" {
		w.t.Fatalf("led back to %q, %v", r.header.Get("Location"), err)
	}
	q := at.Query()
	if q.Get("state") != "the-state" || q.Get("iss") != w.url {
		w.t.Errorf("state %q and iss %q, wanted the client's and the issuer's", q.Get("state"), q.Get("iss"))
	}
	if code := q.Get("code"); code != "" {
		w.secrets = append(w.secrets, code)
	}
	return q
}

// redeem exchanges a code, with changes.
func (w *world) redeem(code string, changes ...string) *reply {
	w.t.Helper()
	form := values("grant_type", "authorization_code", "client_id", "web", "code", code, "redirect_uri", redirect, "code_verifier", verifier)
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return w.do(w.client(), "POST", "/oauth2/token", kindForm, form.Encode())
}

func (w *world) otp() string {
	w.t.Helper()
	code, err := user.Code(otpSecret, w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// signingKey is the issuer's own private key, out of its store.
func (w *world) signingKey() jose.JSONWebKey {
	w.t.Helper()
	data, err := w.store.Load("keys")
	var saved struct {
		Keys []struct {
			Key jose.JSONWebKey `json:"key"`
		} `json:"keys"`
	}
	if err == nil {
		err = json.Unmarshal(data, &saved)
	}
	if err != nil || len(saved.Keys) == 0 {
		w.t.Fatal("no keys in the store", err)
	}
	return saved.Keys[0].Key
}

// sign signs claims with any key, algorithm and header.
func (w *world) sign(alg jose.SignatureAlgorithm, key any, claims map[string]any, header map[string]any) string {
	w.t.Helper()
	opts := &jose.SignerOptions{}
	for name, value := range header {
		opts.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// claims are those of a good ACS access token, with changes; nil leaves one out.
func (w *world) claims(changes map[string]any) map[string]any {
	now := w.clock.Now()
	c := map[string]any{"iss": w.url, "sub": "alice", "aud": "callpath", "exp": now.Add(time.Hour).Unix(), "nbf": now.Unix(), "iat": now.Unix(),
		"jti": "the-token", "sid": "the-session", "client_id": "cli", "scope": "chat voip", "callpath_client": "teams", "callpath_moment": now.UnixMilli()}
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

var accessHeader = map[string]any{"typ": "at+jwt"}

// forge signs with the issuer's own key.
func (w *world) forge(changes map[string]any) string {
	return w.sign(jose.ES256, w.signingKey(), w.claims(changes), accessHeader)
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logs is what was logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
