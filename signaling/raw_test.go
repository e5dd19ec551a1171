package signaling_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling"
)

// raw is an HTTP client that is not ours, for one user or none.
type raw struct {
	w     *world
	http  *http.Client
	token string
}

func (w *world) raw(user string) *raw {
	w.t.Helper()
	transport := &http.Transport{DialContext: w.dial, TLSClientConfig: &tls.Config{RootCAs: w.authority.Pool()}}
	w.t.Cleanup(transport.CloseIdleConnections)
	r := &raw{w: w, http: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if user != "" {
		re := r.post("/v1/sign-in", fmt.Sprintf(`{"user":%q,"secret":%q}`, user, secret+user))
		var in struct{ Token string }
		re.decode(&in)
		if in.Token == "" {
			w.t.Fatalf("sign-in of %s: %d %s", user, re.status, re.body)
		}
		r.token = in.Token
		w.tokens = append(w.tokens, in.Token)
	}
	return r
}

// reply is a response.
type reply struct {
	t       testing.TB
	status  int
	header  http.Header
	body    string
	problem signaling.Problem
}

func (r *reply) decode(v any) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		r.t.Fatalf("%d %q: %v", r.status, r.body, err)
	}
}

func (r *raw) get(path string) *reply        { return r.do("GET", path, "", nil) }
func (r *raw) post(path, body string) *reply { return r.do("POST", path, body, nil) }

func (r *raw) do(method, path, body string, header http.Header) *reply {
	r.w.t.Helper()
	req, err := http.NewRequestWithContext(ctx(r.w.t), method, "https://"+host+path, strings.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	re := &reply{t: r.w.t, status: resp.StatusCode, header: resp.Header, body: string(text)}
	if resp.StatusCode >= 400 {
		if kind := resp.Header.Get("Content-Type"); kind != "application/problem+json" {
			r.w.t.Errorf("%s %s: %d with Content-Type %q, wanted a problem (RFC 9457)", method, path, resp.StatusCode, kind)
		}
		re.decode(&re.problem)
		if re.problem.Status != resp.StatusCode || re.problem.Detail == "" || re.problem.Title != http.StatusText(resp.StatusCode) {
			r.w.t.Errorf("%s %s: %d with problem %+v", method, path, resp.StatusCode, re.problem)
		}
	}
	for key, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "max-age=31536000",
	} {
		if got := resp.Header.Get(key); got != want {
			r.w.t.Errorf("%s %s: %s is %q, wanted %q", method, path, key, got, want)
		}
	}
	return re
}

func (re *reply) mustBe(t testing.TB, status int, code string) {
	t.Helper()
	if re.status != status || re.problem.Code != code {
		t.Errorf("got %d %s (%s), wanted %d %s", re.status, re.problem.Code, re.body, status, code)
	}
}

func text(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}

// body is a request body with an optional callee.
func body(callee string, d signaling.Description, candidates ...signaling.Candidate) string {
	m := map[string]any{"description": d, "candidates": candidates}
	if callee != "" {
		m["callee"] = callee
	}
	return text(m)
}

// ringing makes a call from alice to bob and returns its path.
func (w *world) ringing(alice, bob *signaling.Client) (id string) {
	w.t.Helper()
	id, err := alice.Invite(ctx(w.t), "bob", offer())
	if err != nil {
		w.t.Fatal(err)
	}
	next(w.t, bob, signaling.NotifyInvite)
	next(w.t, alice, signaling.NotifyRinging)
	return id
}
