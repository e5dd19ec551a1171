package signaling_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/callstate"
)

// In these tests time is synctest's: a sleep moves the clock when everybody
// waits, and lasts no time.

func TestAnInviteThatNobodyAnswersTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		alice, bob := w.join("alice"), w.join("bob")
		id := w.ringing(alice, bob)
		time.Sleep(time.Minute - time.Second)
		if call, err := alice.Call(ctx(t), id); err != nil || call.State != callstate.Ringing {
			t.Errorf("a second before: got %+v, %v", call, err)
		}
		time.Sleep(2 * time.Second)
		for _, c := range []*signaling.Client{alice, bob} {
			if n := next(t, c, signaling.NotifyEnded); n.From != "" || !strings.Contains(n.Reason, "1m0s") {
				t.Errorf("got %+v", n)
			}
		}
		call, err := alice.Call(ctx(t), id)
		if err != nil || call.State != callstate.Ended || call.EndedBy != "" {
			t.Errorf("got %+v, %v", call, err)
		}
		if e := w.await("timeout", func(e signaling.Event) bool { return e.Request == callstate.Timeout }); e.Kind != signaling.EventTransition {
			t.Errorf("got %+v", e)
		}
	})
}

func TestAnAnsweredCallDoesNotTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		alice, bob := w.join("alice"), w.join("bob")
		id := w.ringing(alice, bob)
		if err := bob.Answer(ctx(t), id, answer()); err != nil {
			t.Fatal(err)
		}
		next(t, alice, signaling.NotifyAnswer)
		time.Sleep(30 * time.Minute)
		if call, err := alice.Call(ctx(t), id); err != nil || call.State != callstate.Connected {
			t.Errorf("got %+v, %v", call, err)
		}
	})
}

func TestAUserWhoseConnectionIsLostMayComeBackInTime(t *testing.T) {
	for _, tc := range []struct {
		name string
		away time.Duration
		lost bool
	}{
		{"within the grace", 29 * time.Second, false},
		{"after it", 31 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := memoryWorld(t, nil)
				alice, bob := w.join("alice"), w.raw("bob")
				s := bob.socket(0)
				id, err := alice.Invite(ctx(t), "bob", offer())
				if err != nil {
					t.Fatal(err)
				}
				s.ack(s.next(signaling.NotifyInvite).Seq)
				next(t, alice, signaling.NotifyRinging)
				s.close()
				time.Sleep(tc.away)
				s = bob.socket(1)
				synctest.Wait()
				call, err := alice.Call(ctx(t), id)
				if err != nil || (call.State == callstate.Ended) != tc.lost {
					t.Errorf("got %+v, %v; wanted lost %v", call, err, tc.lost)
				}
				if !tc.lost {
					return
				}
				if n := next(t, alice, signaling.NotifyEnded); !strings.Contains(n.Reason, "bob") {
					t.Errorf("alice is told %+v", n)
				}
				if n := s.next(signaling.NotifyEnded); n.Call != id || n.Seq != 2 {
					t.Errorf("bob is told %+v", n)
				}
			})
		})
	}
}

func TestACallerWhoNeverConnectsIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		bob := w.join("bob")
		alice := w.raw("alice")
		alice.post("/v1/calls", body("bob", offer())).mustBe(t, 201, "")
		next(t, bob, signaling.NotifyInvite)
		time.Sleep(31 * time.Second)
		if n := next(t, bob, signaling.NotifyEnded); !strings.Contains(n.Reason, "alice") {
			t.Errorf("got %+v", n)
		}
	})
}

func TestAnEndedCallIsKeptForTelemetryAndThenForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		alice, bob := w.join("alice"), w.join("bob")
		id := w.ringing(alice, bob)
		if err := alice.Hangup(ctx(t), id, ""); err != nil {
			t.Fatal(err)
		}
		if n := next(t, bob, signaling.NotifyEnded); n.Reason != "hung up" {
			t.Errorf("got %+v", n)
		}
		time.Sleep(4 * time.Minute)
		if err := bob.Telemetry(ctx(t), id, "late"); err != nil {
			t.Errorf("after 4 minutes: %v", err)
		}
		time.Sleep(2 * time.Minute)
		var refused *signaling.Problem
		if err := bob.Telemetry(ctx(t), id, "too late"); !errors.As(err, &refused) || refused.Code != signaling.CodeNotFound {
			t.Errorf("after 6 minutes: %v", err)
		}
	})
}

// The client signs in again by itself, for requests and for notifications.
func TestAClientOutlivesItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		alice, bob := w.join("alice"), w.join("bob")
		time.Sleep(time.Hour + time.Minute) // the next ping ends the WebSockets
		count := 0
		w.mu.Lock()
		for _, e := range w.events {
			if e.Kind == signaling.EventConnected {
				count++
			}
		}
		w.mu.Unlock()
		if count != 4 {
			t.Errorf("%d connections, wanted 4: one more for each", count)
		}
		w.ringing(alice, bob)
	})
}

func TestAnOpenWebSocketEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, func(cfg *signaling.Config) { cfg.Limits.TokenLifetime = 20 * time.Second })
		s := w.raw("alice").socket(0)
		time.Sleep(31 * time.Second) // the second ping
		s.mustClose(4401)
	})
}

// A host loses its network in mid-call, and neither side is told.
func TestBothSidesFindOutThatTheNetworkIsGone(t *testing.T) {
	for _, tell := range []bool{true, false} {
		t.Run(map[bool]string{true: "NetworkChanged", false: "by pings"}[tell], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := memoryWorld(t, nil)
				alice := w.join("alice")
				cut := &cables{dial: w.connect}
				cfg := w.config("bob")
				cfg.Dial = cut.Dial
				bob := w.client(cfg)
				if err := bob.Connect(ctx(t)); err != nil {
					t.Fatal(err)
				}
				id := w.ringing(alice, bob)
				if err := bob.Answer(ctx(t), id, answer()); err != nil {
					t.Fatal(err)
				}
				next(t, alice, signaling.NotifyAnswer)
				cut.cut()
				if tell {
					bob.NetworkChanged()
				} else {
					time.Sleep(25 * time.Second)
				}
				if err := alice.Candidate(ctx(t), id, candidate(1)); err != nil {
					t.Fatal(err)
				}
				if n := next(t, bob, signaling.NotifyCandidates); n.Candidates[0].Candidate != candidate(1).Candidate {
					t.Errorf("got %+v", n)
				}
				if err := bob.Hangup(ctx(t), id, "done"); err != nil {
					t.Errorf("request after the change: %v", err)
				}
				next(t, alice, signaling.NotifyEnded)
			})
		})
	}
}

func TestTheControllerDropsAClientThatDoesNotAnswerPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		r := w.raw("alice")
		ws, _, err := websocket.Dial(ctx(t), "https://"+host+"/v1/notifications", &websocket.DialOptions{
			HTTPClient: r.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token}}})
		if err != nil {
			t.Fatal(err)
		}
		// It never reads, so that it never answers.
		time.Sleep(31 * time.Second)
		w.await("disconnected", func(e signaling.Event) bool { return e.Kind == signaling.EventDisconnected })
		_ = ws.CloseNow()
	})
}

func TestCloseDoesNotWaitForAClientThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memoryWorld(t, nil)
		cut := &cables{dial: w.connect}
		r := w.raw("alice")
		r.http.Transport = &http.Transport{DialContext: cut.Dial, TLSClientConfig: &tls.Config{RootCAs: w.authority.Pool()}}
		ws, _, err := websocket.Dial(ctx(t), "https://"+host+"/v1/notifications", &websocket.DialOptions{
			HTTPClient: r.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token}}})
		if err != nil {
			t.Fatal(err)
		}
		cut.cut()
		began := time.Now()
		if err := w.controller.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("Close took %s of the bubble's time", d)
		}
		_ = ws.CloseNow()
	})
}

// The clock is synctest's; what is checked is that a slow client cannot hold a
// connection, not how long.
func TestSlowConnectionsAreEnded(t *testing.T) {
	for _, tc := range []struct {
		name string
		send func(c *tls.Conn) error // after the handshake, if any
		raw  bool
		want string // of the response
	}{
		{name: "no handshake", raw: true},
		{name: "no request", send: func(*tls.Conn) error { return nil }},
		{name: "half a header", send: func(c *tls.Conn) error {
			_, err := io.WriteString(c, "POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			return err
		}},
		{name: "half a body", want: "HTTP/1.1 408 ", send: func(c *tls.Conn) error {
			_, err := io.WriteString(c, "POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := memoryWorld(t, nil)
				c, err := w.connect(ctx(t))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if !tc.raw {
					secure := tls.Client(c, &tls.Config{RootCAs: w.authority.Pool(), ServerName: host})
					if err := secure.Handshake(); err != nil {
						t.Fatal(err)
					}
					if err := tc.send(secure); err != nil {
						t.Fatal(err)
					}
					c = secure
				}
				ended := make(chan string)
				go func() {
					text, _ := io.ReadAll(c)
					ended <- string(text)
				}()
				select {
				case got := <-ended:
					if !strings.HasPrefix(got, tc.want) {
						t.Errorf("got %q, wanted %q", got, tc.want)
					}
				case <-time.After(time.Hour):
					t.Error("the connection is still open after an hour")
					c.Close()
					<-ended
				}
			})
		})
	}
}
