package signaling_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callpath/callpath/signaling"
)

// breaker breaks connections when a response comes in.
type breaker struct {
	dial func(context.Context) (net.Conn, error)
	mu   sync.Mutex
	left int // how many are still to be broken
}

func (b *breaker) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := b.dial(ctx)
	return &breakable{Conn: conn, breaker: b}, err
}

func (b *breaker) arm(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = n
}

type breakable struct {
	net.Conn
	breaker *breaker
	open    bool // the handshake is over: the client has written after it has read
	read    bool
}

func (c *breakable) Write(p []byte) (int, error) {
	c.breaker.mu.Lock()
	c.open = c.open || c.read && len(p) > 0 && p[0] == 23 // TLS application data
	c.breaker.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *breakable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.breaker.mu.Lock()
	defer c.breaker.mu.Unlock()
	c.read = true
	if err == nil && c.open && c.breaker.left > 0 {
		c.breaker.left--
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// The response is lost on the way, so that the client cannot know whether the
// request has acted; it sends it again, and it acts once.
func TestARequestWhoseResponseIsLostActsOnce(t *testing.T) {
	w := newWorld(t, nil)
	bob := w.join("bob")
	b := &breaker{dial: w.connect}
	cfg := w.config("alice")
	cfg.Dial = b.Dial
	alice := w.client(cfg)
	if err := alice.SignIn(ctx(t)); err != nil {
		t.Fatal(err)
	}
	b.arm(2)
	call, err := alice.Invite(ctx(t), "bob", offer())
	if err != nil {
		t.Fatal(err)
	}
	if n := next(t, bob, signaling.NotifyInvite); n.Call != call {
		t.Errorf("bob has call %s, alice %s", n.Call, call)
	}
	b.arm(1)
	if err := alice.Candidate(ctx(t), call, candidate(1)); err != nil {
		t.Fatal(err)
	}
	if err := alice.Hangup(ctx(t), call, ""); err != nil {
		t.Fatal(err)
	}
	next(t, bob, signaling.NotifyCandidates)
	next(t, bob, signaling.NotifyEnded)
	w.mu.Lock()
	defer w.mu.Unlock()
	acted := map[string]int{}
	for _, e := range w.events {
		if e.Kind == signaling.EventRequest {
			acted[string(e.Request)]++
		}
	}
	if acted["invite"] != 1 || acted["candidates"] != 1 || acted["hangup"] != 1 {
		t.Errorf("acted %v, wanted each once", acted)
	}
}

func TestAReservedCallIDIsKeptUntilAnInviteSucceeds(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.join("alice")
	servers, err := alice.ICEServers(ctx(t), "")
	if err != nil {
		t.Fatal(err)
	}
	var refused *signaling.Problem
	if _, err := alice.Invite(ctx(t), "bob", offer()); !errors.As(err, &refused) || refused.Code != signaling.CodeCalleeOffline {
		t.Fatalf("got %v", err)
	}
	bob := w.join("bob")
	again, err := alice.ICEServers(ctx(t), "")
	if err != nil || again[0].Username != servers[0].Username {
		t.Errorf("got %+v, %v; wanted the same reservation", again, err)
	}
	id := w.ringing(alice, bob)
	if servers[0].Username != "alice:"+id {
		t.Errorf("got call %s, credentials for %s", id, servers[0].Username)
	}
	if err := alice.Hangup(ctx(t), id, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.ICEServers(ctx(t), id); !errors.As(err, &refused) || refused.Code != signaling.CodeOutOfOrder || refused.State != "ended" {
		t.Errorf("credentials for an ended call: %v", err)
	}
	if next, err := alice.ICEServers(ctx(t), ""); err != nil || next[0].Username == servers[0].Username {
		t.Errorf("got %+v, %v; wanted another reservation", next, err)
	}
}

func TestARequestGivesUpAfterAWhileOrWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		dials := 0
		cfg := w.config("alice")
		cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, fmt.Errorf("no route: %w", net.ErrClosed)
		}
		alice := w.client(cfg)
		if err := alice.SignIn(context.Background()); err == nil || !strings.Contains(err.Error(), "no route") {
			t.Errorf("got %v, wanted the last error", err)
		}
		if dials < 10 || dials > 100 {
			t.Errorf("%d attempts, wanted some tens: they are to be spaced out", dials)
		}
		for name, do := range map[string]func(context.Context) error{"SignIn": alice.SignIn, "Connect": alice.Connect} {
			late, cancel := context.WithTimeout(context.Background(), time.Second)
			err := do(late)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no route") {
				t.Errorf("%s: got %v, wanted the context's error and the last one", name, err)
			}
		}
	})
}

func TestAControllerThatCannotBeVerifiedIsRefusedAtOnce(t *testing.T) {
	w, other := newWorld(t, nil), newWorld(t, nil)
	for name, change := range map[string]func(*signaling.ClientConfig){
		"another authority": func(cfg *signaling.ClientConfig) { cfg.RootCAs = other.authority.Pool() },
		"the machine's":     func(cfg *signaling.ClientConfig) { cfg.RootCAs = nil },
		"another name":      func(cfg *signaling.ClientConfig) { cfg.BaseURL = "https://other.callpath.test" },
	} {
		cfg := w.config("alice")
		change(&cfg)
		c := w.client(cfg)
		var wrong *tls.CertificateVerificationError
		if err := c.SignIn(ctx(t)); !errors.As(err, &wrong) {
			t.Errorf("%s: SignIn got %v", name, err)
		}
		if err := c.Connect(ctx(t)); !errors.As(err, &wrong) {
			t.Errorf("%s: Connect got %v", name, err)
		}
	}
}

func TestAWrongSecretIsAProblem(t *testing.T) {
	w := newWorld(t, nil)
	cfg := w.config("alice")
	cfg.Secret = "wrong"
	c := w.client(cfg)
	_, inviteErr := c.Invite(ctx(t), "bob", offer())
	for name, err := range map[string]error{"SignIn": c.SignIn(ctx(t)), "Connect": c.Connect(ctx(t)), "Invite": inviteErr} {
		var refused *signaling.Problem
		if !errors.As(err, &refused) || refused.Code != signaling.CodeUnauthorized {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// stub is a controller that answers what a test says.
func stub(t *testing.T, h http.HandlerFunc) *signaling.Client {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/base/v1/sign-in" {
			fmt.Fprint(w, `{"token":"t"}`)
			return
		}
		h(w, r)
	}))
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	c, err := signaling.NewClient(signaling.ClientConfig{BaseURL: server.URL + "/base/", RootCAs: pool, User: "alice", Secret: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestResponsesThatAreNotTheControllers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"a gateway's page", 502, "<html>Bad Gateway</html>", "502 : <html>Bad Gateway</html>"},
		{"somewhere else", 302, "", "302 : "},
		{"no JSON", 200, "fine", "the response is not the JSON that is wanted"},
		{"a problem", 409, `{"code":"glare","detail":"wait","retry_after_ms":5}`, "409 glare: wait"},
		{"a token that is never good", 401, `{"code":"unauthorized","detail":"no"}`, "401 unauthorized: no"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := stub(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://evil.example/")
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			if _, err := c.Call(ctx(t), "x"); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Call: got %v, wanted %q", err, tc.want)
			}
			if tc.status == 502 || tc.status == 200 {
				return // another attempt might do
			}
			if err := c.Connect(ctx(t)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Connect: got %v, wanted %q", err, tc.want)
			}
		})
	}
}

func TestARejectedCall(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.join("bob")
	for _, reason := range []string{"busy, call later", ""} {
		id := w.ringing(alice, bob)
		if err := bob.Reject(ctx(t), id, reason); err != nil {
			t.Fatal(err)
		}
		if reason == "" {
			reason = "rejected"
		}
		if n := next(t, alice, signaling.NotifyEnded); n.Reason != reason || n.From != "bob" {
			t.Errorf("got %+v, wanted %q", n, reason)
		}
		if call, err := bob.Call(ctx(t), id); err != nil || call.EndedBy != "bob" || call.Reason != reason {
			t.Errorf("got %+v, %v", call, err)
		}
	}
	if err := alice.Telemetry(ctx(t), "x", func() {}); err == nil {
		t.Error("what is no JSON was sent")
	}
}
