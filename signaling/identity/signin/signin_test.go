package signin_test

import (
	"context"
	"errors"
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
