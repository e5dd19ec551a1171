package signaling_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/callstate"
)

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
	if n := next(t, bob, signaling.NotifyGap); n.Seq != 1 {
		t.Errorf("got %+v, wanted number 1", n)
	}
	alice := second.join("alice")
	id := second.ringing(alice, bob)
	// What is taken in the new mailbox counts in it, as in any.
	bob.NetworkChanged()
	if err := alice.Hangup(ctx(t), id, ""); err != nil {
		t.Fatal(err)
	}
	next(t, bob, signaling.NotifyEnded)
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
