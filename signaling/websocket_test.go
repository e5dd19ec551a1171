package signaling_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/callpath/callpath/signaling"
)

// socket is a WebSocket that is not ours. It acknowledges when it is told to.
type socket struct {
	t    testing.TB
	ws   *websocket.Conn
	in   chan signaling.Notification
	done chan struct{}
	err  error // set before done is closed

	mu   sync.Mutex
	last uint64 // received
}

func (r *raw) socket(after uint64) *socket {
	r.w.t.Helper()
	s, resp, err := r.dial(after, http.Header{"Authorization": {"Bearer " + r.token}})
	if err != nil {
		r.w.t.Fatalf("%v %v", resp, err)
	}
	return s
}

// resume is socket with the mailbox that after counts in.
func (r *raw) resume(after uint64, mailbox string) *socket {
	r.w.t.Helper()
	s, resp, err := r.dialQuery(fmt.Sprintf("after=%d&mailbox=%s", after, mailbox), http.Header{"Authorization": {"Bearer " + r.token}})
	if err != nil {
		r.w.t.Fatalf("%v %v", resp, err)
	}
	return s
}

func (r *raw) dial(after uint64, header http.Header, protocols ...string) (*socket, *http.Response, error) {
	return r.dialQuery(fmt.Sprintf("after=%d", after), header, protocols...)
}

func (r *raw) dialQuery(query string, header http.Header, protocols ...string) (*socket, *http.Response, error) {
	ws, resp, err := websocket.Dial(ctx(r.w.t), fmt.Sprintf("https://%s/v1/notifications?%s", host, query),
		&websocket.DialOptions{HTTPClient: r.http, HTTPHeader: header, Subprotocols: protocols})
	if err != nil {
		return nil, resp, err
	}
	ws.SetReadLimit(1 << 20)
	s := &socket{t: r.w.t, ws: ws, in: make(chan signaling.Notification, 1000), done: make(chan struct{})}
	go s.read()
	r.w.t.Cleanup(s.close)
	return s, resp, nil
}

func (s *socket) read() {
	defer close(s.done)
	for {
		_, message, err := s.ws.Read(context.Background())
		if err != nil {
			s.err = err
			return
		}
		var n signaling.Notification
		if err := json.Unmarshal(message, &n); err != nil {
			s.t.Errorf("notification %q: %v", message, err)
		}
		s.mu.Lock()
		s.last = n.Seq
		s.mu.Unlock()
		s.in <- n
	}
}

// close breaks the connection.
func (s *socket) close() {
	_ = s.ws.CloseNow()
	<-s.done
}

// until takes notifications up to one of a type and call.
func (s *socket) until(kind signaling.NotificationType, call string) signaling.Notification {
	s.t.Helper()
	late := time.After(patience)
	for {
		select {
		case n := <-s.in:
			if n.Type == kind && n.Call == call {
				return n
			}
		case <-late:
			s.t.Fatalf("no %s for call %s", kind, call)
		}
	}
}

func (s *socket) next(kind signaling.NotificationType) signaling.Notification {
	s.t.Helper()
	select {
	case n := <-s.in:
		if n.Type != kind {
			s.t.Fatalf("got %+v, wanted %s", n, kind)
		}
		return n
	case <-time.After(patience):
		s.t.Fatalf("no notification, wanted %s", kind)
	}
	return signaling.Notification{}
}

func (s *socket) write(kind websocket.MessageType, message string) {
	s.t.Helper()
	if err := s.ws.Write(ctx(s.t), kind, []byte(message)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) ack(seq uint64) {
	s.t.Helper()
	s.write(websocket.MessageText, fmt.Sprintf(`{"ack":%d}`, seq))
}

func (s *socket) ackAll() {
	s.t.Helper()
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	s.ack(last)
}

// mustClose waits for the controller to close with a status.
func (s *socket) mustClose(status websocket.StatusCode) {
	s.t.Helper()
	select {
	case <-s.done:
		if got := websocket.CloseStatus(s.err); got != status {
			s.t.Errorf("closed with %v (%v), wanted %v", got, s.err, status)
		}
	case <-time.After(patience):
		s.t.Errorf("not closed, wanted %v", status)
	}
}

// RFC 6455, section 10.2.
func TestOnlyPagesThatAreAllowedMayConnect(t *testing.T) {
	w := newWorld(t, func(cfg *signaling.Config) {
		cfg.Origins = []string{"*.app.example", "https://exact.example"}
	})
	alice := w.raw("alice")
	for origin, allowed := range map[string]bool{
		"":                                     true,
		"https://" + host:                      true,
		"https://" + "SIGNALING.callpath.test": true,
		"https://a.app.example":                true,
		"http://a.app.example":                 true,
		"https://exact.example":                true,
		"http://exact.example":                 false,
		"https://app.example":                  false,
		"https://a.app.example.evil":           false,
		"https://evil.example":                 false,
		"null":                                 false,
		"https://":                             false,
		"::":                                   false,
		"https://" + host + ".example":         false,
	} {
		header := http.Header{"Authorization": {"Bearer " + alice.token}}
		if origin != "" {
			header.Set("Origin", origin)
		}
		s, resp, err := alice.dial(0, header)
		if (err == nil) != allowed {
			t.Errorf("origin %q: got %v, wanted allowed=%v", origin, err, allowed)
		}
		if err != nil && resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: got %d, wanted 403", origin, resp.StatusCode)
		}
		if s != nil {
			s.close()
		}
	}
}

// A page cannot set a header on a WebSocket.
func TestATokenMayComeAsSubprotocol(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.raw("alice")
	s, resp, err := alice.dial(0, nil, "callpath.v1", "bearer."+alice.token)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != "callpath.v1" || s.ws.Subprotocol() != "callpath.v1" {
		t.Errorf("subprotocol is %q, wanted callpath.v1: the token must not be sent back", got)
	}
	if _, resp, err := alice.dial(0, nil, "callpath.v1", "bearer.wrong"); err == nil || resp.StatusCode != 401 {
		t.Errorf("a wrong token: got %v, %v", resp, err)
	}
}

func TestGarbageClosesTheWebSocket(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.raw("alice")
	for _, tc := range []struct {
		name    string
		kind    websocket.MessageType
		message string
		status  websocket.StatusCode
	}{
		{"binary", websocket.MessageBinary, `{"ack":0}`, websocket.StatusUnsupportedData},
		{"no JSON", websocket.MessageText, "hello", websocket.StatusPolicyViolation},
		{"empty", websocket.MessageText, "", websocket.StatusPolicyViolation},
		{"not UTF-8", websocket.MessageText, "\xff\xfe", websocket.StatusPolicyViolation},
		{"a negative number", websocket.MessageText, `{"ack":-1}`, websocket.StatusPolicyViolation},
		{"an unknown field", websocket.MessageText, `{"ack":0,"call":"x"}`, websocket.StatusPolicyViolation},
		{"what was never sent", websocket.MessageText, `{"ack":7}`, websocket.StatusPolicyViolation},
		{"too long", websocket.MessageText, `{"ack":0}` + strings.Repeat(" ", 1000), websocket.StatusMessageTooBig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := alice.socket(0)
			s.write(tc.kind, tc.message)
			s.mustClose(tc.status)
		})
	}
	s := alice.socket(0)
	s.ack(0) // nothing, but in order
	w.join("bob")
	if _, err := w.join("carol").Invite(ctx(t), "alice", offer()); err != nil {
		t.Errorf("after all that: %v", err)
	}
	s.next(signaling.NotifyInvite)
}

func TestTheNewestWebSocketWins(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.raw("bob")
	old := bob.socket(0)
	id, err := alice.Invite(ctx(t), "bob", offer())
	if err != nil {
		t.Fatal(err)
	}
	old.next(signaling.NotifyInvite)
	newest := bob.socket(0)
	old.mustClose(4409)
	if n := newest.next(signaling.NotifyInvite); n.Call != id || n.Seq != 1 {
		t.Errorf("got %+v, wanted the invite that was not acknowledged", n)
	}
	newest.ack(1)
	next(t, alice, signaling.NotifyRinging)
}

// Each notification comes once, in order, whatever happens to the connection.
func TestNotificationsAreResumed(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.raw("alice"), w.raw("bob")
	alice.socket(0)
	s := bob.socket(0)
	var call signaling.Call
	alice.post("/v1/calls", body("bob", offer())).decode(&call)
	trickle := func(n int) {
		alice.post("/v1/calls/"+call.ID+"/candidates", text(map[string]any{"candidates": []any{candidate(n)}})).mustBe(t, 200, "")
	}
	s.next(signaling.NotifyInvite)
	s.ack(1)
	for n := range 4 {
		trickle(n)
	}
	for range 4 {
		s.next(signaling.NotifyCandidates)
	}
	s.close()
	trickle(4) // while there is no connection
	// The client has taken the third, though it could not acknowledge it.
	s = bob.socket(3)
	for n := 2; n < 5; n++ {
		got := s.next(signaling.NotifyCandidates)
		if got.Seq != uint64(n+2) || got.Candidates[0].Candidate != candidate(n).Candidate {
			t.Errorf("got %+v, wanted number %d with candidate %d", got, n+2, n)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delivered := 0
	for _, e := range w.events {
		if e.Kind == signaling.EventDelivered && e.User == "bob" {
			delivered++
		}
	}
	if delivered != 3 {
		t.Errorf("%d notifications count as delivered, wanted 3", delivered)
	}
}

// A client that comes from before a restart of the controller is told that it
// has missed something, and counts on.
func TestAClientAheadOfTheControllerGetsAGap(t *testing.T) {
	w := newWorld(t, nil)
	s := w.raw("alice").socket(41)
	if n := s.next(signaling.NotifyGap); n.Seq != 42 {
		t.Errorf("got %+v, wanted number 42", n)
	}
}

// After a restart the numbers begin again: one that a client took before says nothing
// about what waits under it now.
func TestANumberOfAnotherMailboxAcknowledgesNothing(t *testing.T) {
	before, w := newWorld(t, nil), newWorld(t, nil)
	call := func(w *world) (*raw, *socket, signaling.Notification) {
		alice, bob := w.raw("alice"), w.raw("bob")
		alice.socket(0)
		s := bob.socket(0)
		alice.post("/v1/calls", body("bob", offer())).mustBe(t, 201, "")
		return bob, s, s.next(signaling.NotifyInvite)
	}
	_, _, old := call(before)
	bob, s, now := call(w)
	if old.Seq != now.Seq || old.Mailbox == now.Mailbox || now.Mailbox == "" {
		t.Fatalf("%d in mailbox %q and %d in %q, wanted the same number in two mailboxes", old.Seq, old.Mailbox, now.Seq, now.Mailbox)
	}
	s.close()
	var last uint64
	for range 2 { // to come twice without taking anything changes nothing
		s = bob.resume(old.Seq, old.Mailbox)
		gap, invite := s.next(signaling.NotifyGap), s.next(signaling.NotifyInvite)
		if gap.Seq+1 != invite.Seq || invite.Call != now.Call || last != 0 && invite.Seq != last {
			t.Fatalf("got %+v and %+v, wanted a gap and the invite", gap, invite)
		}
		last = invite.Seq
		s.close()
	}
	// In its own mailbox the number counts.
	s = bob.resume(last-1, now.Mailbox)
	if n := s.next(signaling.NotifyInvite); n.Seq != last {
		t.Errorf("got %+v, wanted the invite only", n)
	}
}

func TestAClientThatTakesNothingGetsAGap(t *testing.T) {
	w := newWorld(t, func(cfg *signaling.Config) { cfg.Limits.Queue = 3 })
	alice, bob := w.raw("alice"), w.raw("bob")
	alice.socket(0)
	bob.socket(0).close()
	var call signaling.Call
	alice.post("/v1/calls", body("bob", offer())).decode(&call) // 1
	for n := range 4 {                                          // 2, 3; then a gap, 5, 6
		alice.post("/v1/calls/"+call.ID+"/candidates", text(map[string]any{"candidates": []any{candidate(n)}})).mustBe(t, 200, "")
	}
	s := bob.socket(0)
	if n := s.next(signaling.NotifyGap); n.Seq != 4 || n.Reason == "" {
		t.Errorf("got %+v, wanted number 4", n)
	}
	for n := 2; n < 4; n++ {
		if got := s.next(signaling.NotifyCandidates); got.Seq != uint64(n+3) || got.Candidates[0].Candidate != candidate(n).Candidate {
			t.Errorf("got %+v, wanted candidate %d", got, n)
		}
	}
	s.ack(6)
	// The call goes on.
	bob.post("/v1/calls/"+call.ID+"/answer", body("", answer())).mustBe(t, 200, "")
}

func TestCloseTellsClientsThatTheControllerGoesAway(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.raw("alice").socket(0), w.raw("bob").socket(0)
	if err := w.controller.Close(); err != nil {
		t.Fatal(err)
	}
	a.mustClose(websocket.StatusGoingAway)
	b.mustClose(websocket.StatusGoingAway)
}

func TestAHandshakeThatIsWrongIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.raw("alice")
	req, err := http.NewRequestWithContext(ctx(t), "GET", "https://"+host+"/v1/notifications", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + alice.token}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"12"}}
	resp, err := alice.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d, wanted 400", resp.StatusCode)
	}
	w.await("disconnected", func(e signaling.Event) bool { return e.Kind == signaling.EventDisconnected && e.User == "alice" })
}
