package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/store"
	"github.com/callpath/callpath/signaling/identity/user"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func decodeHeader(t testing.TB, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
	var header map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header
}

// broken is a store whose documents cannot be had or saved.
type broken struct {
	load, save map[string]error
	data       map[string]string
	store.Memory
}

func (b *broken) Load(name string) ([]byte, error) {
	if err := b.load[name]; err != nil {
		return nil, err
	}
	if text, ok := b.data[name]; ok {
		return []byte(text), nil
	}
	return b.Memory.Load(name)
}

func (b *broken) Save(name string, data []byte) error {
	if err := b.save[name]; err != nil {
		return err
	}
	return b.Memory.Save(name, data)
}

func TestConfigurationsThatAreRefusedByName(t *testing.T) {
	full := errors.New("the disk is full")
	for want, change := range map[string]func(*identity.Config){
		`Issuer is "http:`:         func(c *identity.Config) { c.Issuer = "http://x" },
		`Issuer is "https://x/"`:   func(c *identity.Config) { c.Issuer = "https://x/" },
		`Issuer is "https://x?y"`:  func(c *identity.Config) { c.Issuer = "https://x?y" },
		"Lifetimes.Access is":      func(c *identity.Config) { c.Lifetimes.Access = 48 * 3600e9 },
		"Lifetimes.Code":           func(c *identity.Config) { c.Lifetimes.Code = -1 },
		"Limits.Passwords":         func(c *identity.Config) { c.Limits.Passwords = -1 },
		"Limits.Body":              func(c *identity.Config) { c.Limits.Body = -1 },
		`Client.ID is "A"`:         func(c *identity.Config) { c.Clients = []identity.Client{{ID: "A"}} },
		"which is Config.Resource": func(c *identity.Config) { c.Clients = []identity.Client{{ID: "callpath"}} },
		`two clients "a"`:          func(c *identity.Config) { c.Clients = []identity.Client{{ID: "a"}, {ID: "a"}} },
		`redirect URI "http://x/"`: func(c *identity.Config) {
			c.Clients = []identity.Client{{ID: "a", RedirectURIs: []string{"http://x/"}}}
		},
		`redirect URI "https://x#y"`: func(c *identity.Config) {
			c.Clients = []identity.Client{{ID: "a", RedirectURIs: []string{"https://x#y"}}}
		},
		`redirect URI "javascript:`: func(c *identity.Config) {
			c.Clients = []identity.Client{{ID: "a", RedirectURIs: []string{"javascript:alert(1)"}}}
		},
		`Application.ID is "a.b"`: func(c *identity.Config) { c.Applications = []identity.Application{{ID: "a.b"}} },
		"Application.Secret of a": func(c *identity.Config) { c.Applications = []identity.Application{{ID: "a", Secret: "short"}} },
		"Application a: scopes": func(c *identity.Config) {
			c.Applications = []identity.Application{{ID: "a", Secret: appSecret, Scopes: []string{"x"}}}
		},
		`two applications "a"`: func(c *identity.Config) {
			c.Applications = []identity.Application{{ID: "a", Secret: appSecret}, {ID: "a", Secret: appSecret}}
		},
		"External.Name":              func(c *identity.Config) { c.External = []identity.External{{Name: "A"}} },
		"External.Issuer of x":       func(c *identity.Config) { c.External = []identity.External{{Name: "x", Issuer: c.Issuer}} },
		"External.Kind of x":         func(c *identity.Config) { c.External = []identity.External{{Name: "x", Kind: "zoom"}} },
		"External.Claim of x":        func(c *identity.Config) { c.External = []identity.External{{Name: "x", Claim: "email"}} },
		"External x: scopes":         func(c *identity.Config) { c.External = []identity.External{{Name: "x", Scopes: []string{"y"}}} },
		"External x: token: RemoteC": func(c *identity.Config) { c.External = []identity.External{{Name: "x", Issuer: "http://y"}} },
		"Config.Audiences":           func(c *identity.Config) { c.External = []identity.External{{Name: "x", Issuer: "https://y"}} },
		`Config.Algorithms has "HS`: func(c *identity.Config) {
			c.External = []identity.External{{Name: "x", Issuer: "https://y", Audiences: []string{"z"}, Algorithms: []string{"HS256"}}}
		},
		"rule 1 has no name":           func(c *identity.Config) { c.Rules = []access.Rule{{Then: access.Block}} },
		`"acs." are the applications'`: func(c *identity.Config) { c.Users = []user.User{{ID: "acs.x", Kind: "acs", Password: cheap(password)}} },
		`"@x" are those of https://y`: func(c *identity.Config) {
			c.External = []identity.External{{Name: "x", Issuer: "https://y", Audiences: []string{"z"}}}
			c.Users = []user.User{{ID: "a@x", Kind: "acs", Password: cheap(password)}}
		},
		"user: Kind of a":             func(c *identity.Config) { c.Users = []user.User{{ID: "a"}} },
		"Config.Publish":              func(c *identity.Config) { c.Lifetimes.Key = 3600e9 },
		"revocations: the disk":       func(c *identity.Config) { c.Store = &broken{load: map[string]error{"revocations": full}} },
		"keys: the disk":              func(c *identity.Config) { c.Store = &broken{load: map[string]error{"keys": full}} },
		"used codes: the disk":        func(c *identity.Config) { c.Store = &broken{load: map[string]error{"used-codes": full}} },
		"keys: not saved":             func(c *identity.Config) { c.Store = &broken{save: map[string]error{"keys": full}} },
		"revocations: unexpected end": func(c *identity.Config) { c.Store = &broken{data: map[string]string{"revocations": "["}} },
	} {
		cfg := identity.Config{Issuer: "https://calls.example", Log: slog.New(slog.DiscardHandler)}
		change(&cfg)
		if _, err := identity.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		} else if strings.Contains(err.Error(), appSecret) {
			t.Errorf("%s: the error tells the secret", want)
		}
	}
	id, err := identity.New(identity.Config{Issuer: "https://calls.example", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("without users and clients: %v", err)
	}
	if err := id.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeSavedIsNotGivenOut(t *testing.T) {
	bad := &broken{save: map[string]error{}}
	w := newWorld(t, func(cfg *identity.Config) { cfg.Store = bad })
	token := w.accessToken()
	refresh := w.signIn("alice", "").Refresh
	full := errors.New("the disk is full")
	bad.save["revocations"], bad.save["used-codes"] = full, full
	for name, r := range map[string]*reply{
		"a revocation":       w.form("/oauth2/revoke", "client_id", "cli", "token", token),
		"the end of sign-in": w.form("/oauth2/revoke", "client_id", "cli", "token", refresh),
		"an application's":   w.application("/identity/users/acs.shop.x/revoke", map[string]any{}),
		"a one-time code":    w.signIn("bob", w.otp()),
	} {
		if r.status != 500 || r.Error != "server_error" || strings.Contains(r.body, "disk") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if err := w.id.RevokeUser("alice"); !errors.Is(err, full) {
		t.Errorf("RevokeUser: %v", err)
	}
	if !strings.Contains(w.log.String(), "the disk is full") {
		t.Error("the log does not say why")
	}
	bad.save["keys"] = full
	w.clock.advance(40 * 24 * 3600e9)
	w.do(w.client(), "GET", "/oauth2/jwks", "", "").mustBe(t, 500)
	w.signIn("alice", "").mustBe(t, 500)
	w.application("/identity/users", map[string]any{}).mustBe(t, 500)
}

var officeOnly = netip.MustParsePrefix("198.51.100.0/24")
