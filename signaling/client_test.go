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

	"github.com/coder/websocket"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/callstate"
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

func TestTheOlderClientOfAUserIsToldThatItWasReplaced(t *testing.T) {
	w := newWorld(t, nil)
	older := w.join("alice")
	w.join("alice")
	select {
	case n, open := <-older.Notifications():
		if open {
			t.Errorf("got %+v", n)
		}
	case <-time.After(patience):
		t.Fatal("the notifications did not end")
	}
	if err := older.Err(); !errors.Is(err, signaling.ErrReplaced) {
		t.Errorf("Err is %v", err)
	}
	if err := older.Connect(ctx(t)); !errors.Is(err, signaling.ErrReplaced) {
		t.Errorf("Connect again: %v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	w := newWorld(t, nil)
	for name, connect := range map[string]bool{"connected": true, "never connected": false} {
		c := w.client(w.config("alice"))
		if connect {
			for range 2 { // the second does nothing
				if err := c.Connect(ctx(t)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("%s: Close: %v", name, err)
			}
		}
		if _, open := <-c.Notifications(); open {
			t.Errorf("%s: the notifications are open", name)
		}
		if err := c.Err(); err != nil {
			t.Errorf("%s: Err is %v after Close", name, err)
		}
		for method, err := range map[string]error{"Connect": c.Connect(ctx(t)), "Hangup": c.Hangup(ctx(t), "x", "")} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %s after Close: %v", name, method, err)
			}
		}
	}
}

// What was taken is acknowledged even when the client is closed at once, so that
// the next client of the user does not get it again.
func TestCloseSendsTheLastAcknowledgement(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.join("bob")
	if _, err := alice.Invite(ctx(t), "bob", offer()); err != nil {
		t.Fatal(err)
	}
	next(t, bob, signaling.NotifyInvite)
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	next(t, alice, signaling.NotifyRinging)
	e := w.await("disconnected", func(e signaling.Event) bool { return e.Kind == signaling.EventDisconnected })
	if !strings.Contains(e.Reason, "StatusNormalClosure") {
		t.Errorf("bob's WebSocket ended with %q, wanted a normal closure", e.Reason)
	}
}

func TestASlowConsumerGetsEverythingInOrder(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.join("bob")
	id, err := alice.Invite(ctx(t), "bob", offer())
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	for i := range n {
		if err := alice.Candidate(ctx(t), id, candidate(i)); err != nil {
			t.Fatal(err)
		}
	}
	bob.NetworkChanged() // whatever it has received comes again
	next(t, bob, signaling.NotifyInvite)
	for i := range n {
		if i == n/2 {
			bob.NetworkChanged()
		}
		if got := next(t, bob, signaling.NotifyCandidates); got.Candidates[0].Candidate != candidate(i).Candidate || got.Seq != uint64(i+2) {
			t.Fatalf("got %+v, wanted candidate %d", got, i)
		}
	}
}

// The controller starts again without what it knew: the client signs in again,
// and is told that it has missed something.
func TestAClientSurvivesARestartOfTheController(t *testing.T) {
	first, second := newWorld(t, nil), newWorld(t, nil)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(first.authority.PEM())
	pool.AppendCertsFromPEM(second.authority.PEM())
	var mu sync.Mutex
	dial := first.connect
	cfg := first.config("bob")
	cfg.RootCAs = pool
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		return dial(ctx)
	}
	bob := first.client(cfg)
	if err := bob.Connect(ctx(t)); err != nil {
		t.Fatal(err)
	}
	first.ringing(first.join("alice"), bob)
	mu.Lock()
	dial = second.connect
	mu.Unlock()
	bob.NetworkChanged()
	if n := next(t, bob, signaling.NotifyGap); n.Seq != 2 {
		t.Errorf("got %+v, wanted number 2", n)
	}
	second.ringing(second.join("alice"), bob)
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

func TestAWebSocketThatSendsGarbageIsMadeAnew(t *testing.T) {
	var mu sync.Mutex
	var after []string
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		after = append(after, r.URL.Query().Get("after"))
		n := len(after)
		mu.Unlock()
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		script := []string{`{"seq":1,"type":"gap"}`, "ack", `{"seq":1,"type":"gap"}`, "garbage", "end"}
		if n > 1 {
			script = []string{`{"seq":2,"type":"ended"}`, "ack", "end"}
		}
		for _, line := range script {
			if line == "ack" || line == "end" {
				_, _, _ = ws.Read(r.Context())
			} else if err := ws.Write(r.Context(), websocket.MessageText, []byte(line)); err != nil {
				return
			}
		}
	})
	if err := c.Connect(ctx(t)); err != nil {
		t.Fatal(err)
	}
	next(t, c, signaling.NotifyGap)
	next(t, c, signaling.NotifyEnded)
	mu.Lock()
	defer mu.Unlock()
	if len(after) < 2 || after[0] != "0" || after[1] != "1" {
		t.Errorf("connected after %v, wanted 0 and then 1", after)
	}
}

// Whatever is interrupted, each notification comes once and in order, and each
// request acts once.
func TestCallsSurviveAChangeOfNetworkAtEachStep(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.join("bob")
	clients := []*signaling.Client{alice, bob}
	for round := range 8 {
		step := 0
		change := func() {
			if step++; step%8 != round { // each step breaks in one of the rounds
				return
			}
			for _, c := range clients {
				c.NetworkChanged()
			}
		}
		change()
		id, err := alice.Invite(ctx(t), "bob", offer())
		if err != nil {
			t.Fatal(err)
		}
		change()
		if n := next(t, bob, signaling.NotifyInvite); n.Call != id {
			t.Fatalf("got %+v, wanted call %s", n, id)
		}
		change()
		next(t, alice, signaling.NotifyRinging)
		change()
		if err := bob.Answer(ctx(t), id, answer(), candidate(1)); err != nil {
			t.Fatal(err)
		}
		change()
		next(t, alice, signaling.NotifyAnswer)
		change()
		if err := alice.Candidate(ctx(t), id, candidate(2), signaling.Candidate{}); err != nil {
			t.Fatal(err)
		}
		change()
		next(t, bob, signaling.NotifyCandidates)
		if err := bob.Hangup(ctx(t), id, ""); err != nil {
			t.Fatal(err)
		}
		change()
		next(t, alice, signaling.NotifyEnded)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	acted := map[callstate.Event]int{}
	for _, e := range w.events {
		if e.Kind == signaling.EventRequest {
			acted[e.Request]++
		}
	}
	for _, e := range []callstate.Event{callstate.Invite, callstate.Answer, callstate.Candidate, callstate.Hangup} {
		if acted[e] != 8 {
			t.Errorf("%s acted %d times, wanted 8", e, acted[e])
		}
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

func TestAWebSocketThatNeverLastsIsNotMadeAnewAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, conf := serverTLS(t)
		ln := newMemory()
		var mu sync.Mutex
		made := 0
		stop := serve(ln, conf, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				fmt.Fprint(w, `{"token":"t"}`)
				return
			}
			mu.Lock()
			made++
			mu.Unlock()
			if ws, err := websocket.Accept(w, r, nil); err == nil {
				_ = ws.Close(websocket.StatusPolicyViolation, "")
			}
		}))
		c, err := signaling.NewClient(signaling.ClientConfig{BaseURL: "https://" + host, RootCAs: a.Pool(), User: "alice", Secret: "x",
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.dial(ctx) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(ctx(t)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		mu.Lock()
		if made < 20 || made > 100 {
			t.Errorf("connected %d times in a minute, wanted some tens", made)
		}
		mu.Unlock()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseInterruptsConnect(t *testing.T) {
	w := newWorld(t, nil)
	dialing := make(chan struct{}, 100)
	cfg := w.config("alice")
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialing <- struct{}{}
		<-ctx.Done() // a network that swallows everything
		return nil, ctx.Err()
	}
	c := w.client(cfg)
	connected := make(chan error)
	go func() { connected <- c.Connect(context.Background()) }()
	<-dialing
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-connected; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Connect: %v", err)
	}
	if _, open := <-c.Notifications(); open {
		t.Error("the notifications are open")
	}
}
