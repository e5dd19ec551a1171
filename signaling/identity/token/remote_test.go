package token_test

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callpath/callpath/signaling/identity/token"
)

// party is another issuer, as far as its documents go.
type party struct {
	*httptest.Server
	mu     sync.Mutex
	asked  int // for the key set
	status int
	keys   any
	// discovery changes the discovery document.
	discovery func(map[string]any)
}

func newParty(t *testing.T, keys any) *party {
	t.Helper()
	p := &party{keys: keys}
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *party) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"}
		if p.discovery != nil {
			p.discovery(doc)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	case "/elsewhere":
		http.Redirect(w, r, "/keys", http.StatusFound)
	case "/keys":
		p.asked++
		if p.status != 0 {
			w.WriteHeader(p.status)
			return
		}
		if text, ok := p.keys.(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(p.keys)
	}
}

func (p *party) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *party) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// turning is a clock that tests turn.
type turning struct {
	mu  sync.Mutex
	now time.Time
}

func (c *turning) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *turning) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func remote(t *testing.T, p *party, c *turning) *token.Remote {
	t.Helper()
	r, err := token.NewRemote(token.RemoteConfig{Issuer: p.URL, HTTP: p.Client(), Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func public(t *testing.T, kid string, change func(*jose.JSONWebKey)) jose.JSONWebKey {
	t.Helper()
	k := jose.JSONWebKey{Key: &ecKey(t, elliptic.P256()).PublicKey, KeyID: kid}
	if change != nil {
		change(&k)
	}
	return k
}

func setOf(keys ...any) map[string]any { return map[string]any{"keys": keys} }

func TestKeysAreTakenOnlyForWhatTheyAre(t *testing.T) {
	p := newParty(t, setOf(
		public(t, "any", nil),
		public(t, "sig", func(k *jose.JSONWebKey) { k.Use, k.Algorithm = "sig", "ES256" }),
		public(t, "enc", func(k *jose.JSONWebKey) { k.Use = "enc" }),
		public(t, "other", func(k *jose.JSONWebKey) { k.Algorithm = "ES512" }),
		jose.JSONWebKey{Key: []byte("a shared secret of some length"), KeyID: "secret"},
		jose.JSONWebKey{Key: ecKey(t, elliptic.P256()), KeyID: "private"},
		map[string]any{"kty": "quantum", "kid": "unknown"},
		"no key at all",
	))
	r := remote(t, p, &turning{now: now})
	for kid, want := range map[string]bool{"any": true, "sig": true, "enc": false, "other": false, "secret": false, "private": false, "unknown": false, "": false} {
		if k, err := r.Key(t.Context(), kid, jose.ES256); (k != nil) != want || (err == nil) != want || reason(err) != "" {
			t.Errorf("%q: %v, %v", kid, k, err)
		}
	}
	if n := p.count(); n != 1 {
		t.Errorf("asked %d times, wanted once", n)
	}
}

func TestKeysGrowOldAndStaleAndAreGivenUp(t *testing.T) {
	p := newParty(t, setOf(public(t, "k", nil)))
	c := &turning{now: now}
	r := remote(t, p, c)
	get := func(kid string) string {
		_, err := r.Key(t.Context(), kid, jose.ES256)
		switch {
		case err == nil:
			return "key"
		case reason(err) == token.Unavailable:
			return "unavailable"
		}
		return "none"
	}
	for i, step := range []struct {
		advance time.Duration
		away    bool
		kid     string
		want    string
		asked   int
	}{
		{0, false, "k", "key", 1},
		{29 * time.Second, false, "x", "none", 1}, // not again so soon
		{time.Second, false, "x", "none", 2},
		{15 * time.Minute, false, "k", "key", 3}, // old
		{15 * time.Minute, true, "k", "key", 4},  // old, and the issuer is away: still good
		{time.Second, true, "k", "key", 4},
		{time.Second, true, "x", "none", 4},
		{44 * time.Minute, true, "k", "key", 5},
		{time.Minute, true, "k", "unavailable", 6}, // an hour old
		{time.Second, false, "k", "unavailable", 6},
		{time.Minute, false, "k", "key", 7},
	} {
		c.advance(step.advance)
		p.set(func() {
			p.status = 0
			if step.away {
				p.status = http.StatusServiceUnavailable
			}
		})
		if got := get(step.kid); got != step.want || p.count() != step.asked {
			t.Errorf("step %d: %s after asking %d times, wanted %s after %d", i, got, p.count(), step.want, step.asked)
		}
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*party){
		"another issuer's discovery": func(p *party) { p.discovery = func(d map[string]any) { d["issuer"] = "https://evil.example" } },
		"discovery of another type":  func(p *party) { p.discovery = func(d map[string]any) { d["jwks_uri"] = 7 } },
		"keys over http": func(p *party) {
			p.discovery = func(d map[string]any) { d["jwks_uri"] = strings.Replace(p.URL, "https", "http", 1) + "/keys" }
		},
		"keys of a file":        func(p *party) { p.discovery = func(d map[string]any) { d["jwks_uri"] = "file:///etc/passwd" } },
		"keys at no URL":        func(p *party) { p.discovery = func(d map[string]any) { d["jwks_uri"] = "\x00" } },
		"keys elsewhere":        func(p *party) { p.discovery = func(d map[string]any) { d["jwks_uri"] = p.URL + "/elsewhere" } },
		"no discovery":          func(p *party) { p.discovery = func(d map[string]any) { clear(d) } },
		"discovery without end": func(p *party) { p.discovery = func(d map[string]any) { d["x"] = strings.Repeat("x", 300<<10) } },
		"no JSON":               func(p *party) { p.keys = "<html>" },
		"keys without end":      func(p *party) { p.keys = `{"keys":[` + strings.Repeat(" ", 300<<10) + `]}` },
		"many keys":             func(p *party) { p.keys = `{"keys":[1` + strings.Repeat(",1", 64) + `]}` },
		"an error":              func(p *party) { p.status = 500 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t, setOf(public(t, "k", nil)))
			change(p)
			if _, err := remote(t, p, &turning{now: now}).Key(t.Context(), "k", jose.ES256); reason(err) != token.Unavailable {
				t.Errorf("got %v, wanted no keys", err)
			}
		})
	}
}

func TestManyWhoWaitForKeysAskOnce(t *testing.T) {
	p := newParty(t, setOf(public(t, "k", nil)))
	r := remote(t, p, &turning{now: now})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = gone // whose end is not the end of the others' fetch
			}
			if _, err := r.Key(ctx, "k", jose.ES256); err != nil && i != 0 {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	group.Wait()
	if n := p.count(); n != 1 {
		t.Errorf("asked %d times, wanted once", n)
	}
}

func TestRemoteConfigurationsThatAreRefusedByName(t *testing.T) {
	for want, cfg := range map[string]token.RemoteConfig{
		`Issuer is "http:`:        {Issuer: "http://x"},
		`Issuer is "https://u@x"`: {Issuer: "https://u@x"},
		`Issuer is ""`:            {},
		"MaxAge":                  {Issuer: issuer, MaxAge: -1},
		"MaxStale":                {Issuer: issuer, MaxStale: -1},
		"MinInterval":             {Issuer: issuer, MinInterval: -1},
	} {
		if _, err := token.NewRemote(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	r, err := token.NewRemote(token.RemoteConfig{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// An error of a refusal stays short whatever the token brings.
func ExampleError() {
	fmt.Println(token.Refuse(token.Expired, "it expired at %s", now.UTC().Format(time.RFC3339)))
	// Output: the token is refused (expired): it expired at 2027-01-15T08:00:00Z
}
