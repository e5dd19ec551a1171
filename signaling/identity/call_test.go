package identity_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/signin"
)

// source is a user's source of access tokens.
func (w *world) source(user string) *signin.Source {
	w.t.Helper()
	s, err := signin.New(signin.Config{Issuer: w.url, Client: "cli", User: user, Password: password, HTTP: w.server.Client(),
		Code: func(context.Context) (string, error) { return w.otp(), nil }})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) caller(token func(context.Context) (string, error)) *signaling.Client {
	w.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(w.server.Certificate())
	at, _ := url.Parse(w.url)
	c, err := signaling.NewClient(signaling.ClientConfig{BaseURL: "https://" + at.Host, RootCAs: pool, Token: token})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			w.t.Error(err)
		}
	})
	if err := c.Connect(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// A Teams user with two factors calls an ACS user of an application's; each gets
// credentials of the relay for that call only with a token.
func TestATeamsUserCallsAnACSUser(t *testing.T) {
	w := newWorld(t, func(c *identity.Config) {
		c.Users[1].Kind = "teams"
		c.Rules = []access.Rule{{Name: "Two factors for Teams", Kinds: []string{"teams"}, Then: access.RequireMFA}}
	})
	visitor := w.application("/identity/users", map[string]any{}).mustBe(t, 201)
	bob := w.caller(w.source("bob").Token)
	guest := w.caller(func(context.Context) (string, error) { return visitor.Access, nil })
	call, err := bob.Invite(t.Context(), visitor.User, signaling.Description{Type: signaling.Offer, SDP: sdp("actpass")})
	if err != nil {
		t.Fatal(err)
	}
	if n := <-guest.Notifications(); n.Type != signaling.NotifyInvite || n.From != "bob" {
		t.Fatalf("notification %+v", n)
	}
	if err := guest.Answer(t.Context(), call, signaling.Description{Type: signaling.Answer, SDP: sdp("active")}); err != nil {
		t.Fatal(err)
	}
	servers, err := guest.ICEServers(t.Context(), call)
	if err != nil || len(servers) != 1 || servers[0].Username != visitor.User+":"+call {
		t.Errorf("servers %+v, %v", servers, err)
	}
	stranger := w.application("/identity/users", map[string]any{}).mustBe(t, 201)
	if r := w.do(w.client(), "GET", "/v1/ice-servers?call="+call, "", "", "Authorization", "Bearer "+stranger.Access).mustBe(t, 404); strings.Contains(r.body, turnSecret) {
		t.Error("a stranger to the call got a credential")
	}
	_, err = w.source("alice").Token(t.Context())
	var refused *signin.Error
	if !errors.As(err, &refused) || refused.Rule != "Two factors for Teams" || refused.Status != 403 {
		t.Errorf("alice has one factor: %v", err)
	}
}

func TestASourceRefreshesAndSignsInAgain(t *testing.T) {
	w := newWorld(t, nil)
	s := w.source("alice")
	actions := func() (all []identity.Action) {
		events, _ := w.since(0, 0)
		for _, e := range events {
			all = append(all, e.Action)
		}
		w.forget(0)
		return all
	}
	get := func(want string) {
		t.Helper()
		token, err := s.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.useToken(token).mustBe(t, 200)
		if got := fmt.Sprint(actions()); got != want {
			t.Errorf("actions %s, wanted %s", got, want)
		}
	}
	get("[sign-in exchange]")
	get("[refresh exchange]")
	w.clock.advance(13 * time.Hour)
	get("[refresh sign-in exchange]")
	w.server.Config.Handler = nil // what answers now is not the issuer
	if _, err := s.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "404 unknown") {
		t.Errorf("got %v", err)
	}
	w.server.Close()
	if _, err := w.source("alice").Token(t.Context()); err == nil {
		t.Error("a token without an issuer")
	}
}

func sdp(setup string) string {
	return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n" +
		"a=setup:" + setup + "\r\na=ice-ufrag:AAAA\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":") + "\r\n"
}
