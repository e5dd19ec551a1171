package signin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/identity/signin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfigurationsThatAreRefusedByName(t *testing.T) {
	good := signin.Config{Issuer: "https://x", Client: "cli", User: "alice", Password: "secret"}
	for want, change := range map[string]func(*signin.Config){
		"Config.Issuer":   func(c *signin.Config) { c.Issuer = "http://x" },
		"Config.Client":   func(c *signin.Config) { c.Client = "" },
		"Config.User":     func(c *signin.Config) { c.User = "" },
		"Config.Password": func(c *signin.Config) { c.Password = "" },
	} {
		cfg := good
		change(&cfg)
		if _, err := signin.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := signin.New(good); err != nil {
		t.Error(err)
	}
}

func TestWhatTheIssuerAnswersIsToldInWords(t *testing.T) {
	away := errors.New("no authenticator here")
	for _, tc := range []struct {
		name   string
		status int
		body   string
		code   func(context.Context) (string, error)
		want   string
	}{
		{"a refusal", 403, `{"error":"access_denied","error_description":"no","rule":"Office only"}`, nil, "403 access_denied: no"},
		{"another page", 502, `<html>`, nil, "502 unknown: Bad Gateway"},
		{"no token", 200, `{}`, nil, "no access token"},
		{"no JSON", 200, `<html>`, nil, "no access token"},
		{"a code wanted, and nobody to ask", 401, `{"error":"otp_required"}`, nil, "otp_required"},
		{"a code wanted, and none to be had", 401, `{"error":"otp_required"}`, func(context.Context) (string, error) { return "", away }, away.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			s, err := signin.New(signin.Config{Issuer: server.URL, Client: "cli", User: "alice", Password: "the-password", HTTP: server.Client(), Code: tc.code})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Token(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "the-password") {
				t.Errorf("got %v, wanted %s", err, tc.want)
			}
		})
	}
}

// A source keeps the newest refresh token, and goes back to the password when it
// is refused.
func TestTheNewestRefreshTokenIsUsedOnce(t *testing.T) {
	var asked []string
	refuse := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.URL.Path
		if r.URL.Path == "/oauth2/token" {
			what = r.PostFormValue("grant_type") + " " + r.PostFormValue("refresh_token") + r.PostFormValue("subject_token") + " " + r.PostFormValue("scope")
		}
		asked = append(asked, what)
		if refuse && r.PostFormValue("grant_type") == "refresh_token" {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
			return
		}
		fmt.Fprintf(w, `{"access_token":"a%d","refresh_token":"r%d"}`, len(asked), len(asked))
	}))
	defer server.Close()
	s, err := signin.New(signin.Config{Issuer: server.URL, Client: "cli", User: "alice", Password: "secret", Scopes: []string{"voip"}, HTTP: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		refuse bool
		want   string
	}{
		{false, "[/identity/sign-in urn:ietf:params:oauth:grant-type:token-exchange a1 voip]"},
		{false, "[refresh_token r1  urn:ietf:params:oauth:grant-type:token-exchange a1 voip]"},
		{true, "[refresh_token r1  /identity/sign-in urn:ietf:params:oauth:grant-type:token-exchange a2 voip]"},
	} {
		asked, refuse = nil, tc.refuse
		got, err := s.Token(t.Context())
		if err != nil || got != fmt.Sprintf("a%d", len(asked)) || fmt.Sprint(asked) != tc.want {
			t.Errorf("%s, %v after %v, wanted %s", got, err, asked, tc.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
