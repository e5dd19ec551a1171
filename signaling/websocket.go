package signaling

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// The WebSocket's subprotocol, and the prefix of one that holds the bearer token:
// a page's script cannot set the Authorization header of a WebSocket.
const (
	subprotocol       = "callpath.v1"
	bearerSubprotocol = "bearer."
)

// closing is why the controller ends a WebSocket.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// Status codes of our own (RFC 6455, section 7.4.2).
const (
	statusTokenEnded websocket.StatusCode = 4401
	statusReplaced   websocket.StatusCode = 4409
)

var (
	closeGoingAway  = closing{websocket.StatusGoingAway, "the controller is closing"}
	closeReplaced   = closing{statusReplaced, "a newer connection of the same user took its place"}
	closeTokenEnded = closing{statusTokenEnded, "the token is no longer valid"}
	closeNotText    = closing{websocket.StatusUnsupportedData, "only text messages are taken"}
	closeNotAck     = closing{websocket.StatusPolicyViolation, `a message must read {"ack": NUMBER}`}
	closeAckUnsent  = closing{websocket.StatusPolicyViolation, "that notification has not been sent"}
)

const (
	// maxMessage bounds what a client may send: acknowledgements.
	maxMessage = 256
	// closeWait is how long a client may take to answer a close.
	closeWait = time.Second
)

// session is one WebSocket. Its handler's goroutine reads; one more writes, one
// pings. All end with the handler.
type session struct {
	by actor
	ws *websocket.Conn // set before its goroutines start
	// sent is the last notification handed to the writer; Controller.mu guards
	// it.
	sent uint64
	wake chan struct{} // holds one: there may be something to write
	stop chan closing  // holds one: the writer is to close
}

// poke tells the writer to look into the mailbox.
func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// end tells the writer to close; the first reason stands.
func (s *session) end(why closing) {
	select {
	case s.stop <- why:
	default:
	}
}

// getNotifications is the WebSocket. Its query has "after", the number of the
// last notification that the client took, and "mailbox", in which that is its number.
func (c *Controller) getNotifications(w http.ResponseWriter, r *http.Request) {
	if !c.checkOrigin(r) {
		refuse(w, problem(CodeForbiddenOrigin, "pages of %q may not connect", clip(r.Header.Get("Origin"))))
		return
	}
	token := bearer(r.Header)
	if token == "" {
		token = subprotocolToken(r.Header)
	}
	by, ok := c.authenticateFor(w, r, token, anyScope)
	if !ok {
		return
	}
	after := uint64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseUint(text, 10, 64); err != nil || after > maxSeq {
			refuse(w, problem(CodeBadRequest, "after is %q, wanted the number of the last notification taken", clip(text)))
			return
		}
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		p := problem(CodeBadRequest, "this is a WebSocket (RFC 6455); ask for the upgrade")
		p.Status, p.Title = http.StatusUpgradeRequired, http.StatusText(http.StatusUpgradeRequired)
		refuse(w, p)
		return
	}
	if !c.enter() {
		refuse(w, problem(CodeUnavailable, "the controller is closing"))
		return
	}
	defer c.running.Done()
	s := &session{by: by, wake: make(chan struct{}, 1), stop: make(chan closing, 1)}
	// Before the client learns that it is connected: from then on it can be called.
	c.attach(s, after, r.URL.Query().Get("mailbox"))
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol},
		// The origin is checked above, where a refusal is also recorded.
		InsecureSkipVerify: true,
	})
	if err != nil {
		// It has answered.
		c.cfg.Log.Debug("signaling: no WebSocket", "user", by.user.id, "remote", by.remote, "error", err)
		c.detach(s, "the handshake failed")
		return
	}
	ws.SetReadLimit(maxMessage)
	s.ws = ws
	c.run(s)
}

// enter counts a WebSocket, so that Close waits for it; it is false when it is
// too late.
func (c *Controller) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Add(1)
	}
	return !c.closed
}

// checkOrigin lets a request pass that no page made, that a page of the same host
// made, or one that Config.Origins names (RFC 6455, section 10.2).
func (c *Controller) checkOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	allowed := false
	if u, err := url.Parse(origin); err == nil && u.Host != "" {
		allowed = strings.EqualFold(u.Host, r.Host)
		for _, pattern := range c.cfg.Origins {
			target := u.Host
			if strings.Contains(pattern, "://") {
				target = u.Scheme + "://" + u.Host
			}
			// NewController has checked the patterns.
			if match, _ := path.Match(strings.ToLower(pattern), strings.ToLower(target)); match {
				allowed = true
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.audit(ruleOrigin, allowed, "origin "+clip(origin), Event{Remote: r.RemoteAddr})
	return allowed
}

func subprotocolToken(h http.Header) string {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for word := range strings.SplitSeq(line, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(word), bearerSubprotocol); ok {
				return token
			}
		}
	}
	return ""
}

// attach makes s the user's WebSocket: the newest wins.
func (c *Controller) attach(s *session, after uint64, box string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		s.end(closeGoingAway)
		return
	}
	u := s.by.user
	c.stop(u.absent)
	u.absent = nil
	if old := u.session; old != nil {
		old.end(closeReplaced)
		c.disconnected(old, closeReplaced.reason)
	}
	u.session = s
	e := s.by.event(nil)
	e.Kind = EventConnected
	c.emit(e)
	if after > 0 && box != "" && box != u.box.id {
		u.box.begin(c.cfg.Now())
	} else {
		s.sent = after
		c.acknowledge(s.by, u.box.resume(after, c.cfg.Now()))
	}
	c.connected(u)
}

// detach starts the time in which the user may come back.
func (c *Controller) detach(s *session, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := s.by.user
	if u.session != s {
		return
	}
	u.session = nil
	c.disconnected(s, why)
	c.watch(u)
	c.connected(u)
}

func (c *Controller) disconnected(s *session, why string) {
	e := s.by.event(nil)
	e.Kind, e.Reason = EventDisconnected, why
	c.emit(e)
}

// run serves a WebSocket until it has ended.
func (c *Controller) run(s *session) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	var others sync.WaitGroup
	others.Go(func() { c.write(ctx, cancel, s) })
	others.Go(func() { c.ping(ctx, cancel, s) })
	why := c.receive(ctx, s)
	cancel()
	others.Wait()
	_ = s.ws.CloseNow() // it has ended; only what it holds is to be freed
	c.detach(s, why)
}

// receive takes acknowledgements until the WebSocket ends, and says why it did.
// After a message that is wrong it reads on only to see the close answered.
func (c *Controller) receive(ctx context.Context, s *session) string {
	ended := ""
	end := func(why closing) {
		ended = why.reason
		s.end(why)
	}
	for {
		kind, message, err := s.ws.Read(ctx)
		var ack ackMessage
		switch {
		case err != nil && ended != "":
			return ended
		case err != nil:
			return closeReason(err)
		case ended != "":
		case kind != websocket.MessageText:
			end(closeNotText)
		case decode(message, &ack) != nil:
			end(closeNotAck)
		case !c.take(s, ack.Ack):
			end(closeAckUnsent)
		}
	}
}

// take acknowledges; it is false when the notification was never sent.
func (c *Controller) take(s *session, seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := s.by.user
	if u.session != s || c.closed {
		return true // too late to count; the client will resume
	}
	if seq > s.sent {
		return false
	}
	c.acknowledge(s.by, u.box.ack(seq))
	return true
}

// write sends what comes into the mailbox, and closes when it is told to.
func (c *Controller) write(ctx context.Context, cancel context.CancelFunc, s *session) {
	defer cancel()
	for {
		select {
		case why := <-s.stop:
			// A client that does not answer the close is cut off.
			impatient := time.AfterFunc(closeWait, cancel)
			defer impatient.Stop()
			_ = s.ws.Close(why.code, why.reason)
			return
		default:
		}
		if n, ok := c.next(s); ok {
			if !c.writeOne(ctx, s, n) {
				return
			}
			continue
		}
		select {
		case <-s.wake:
		case why := <-s.stop:
			s.end(why) // back, for the beginning of the loop
		case <-ctx.Done():
			return
		}
	}
}

// next takes the next notification out of the mailbox for s.
func (c *Controller) next(s *session) (Notification, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.by.user.session != s {
		return Notification{}, false
	}
	n, ok := s.by.user.box.next(s.sent)
	if ok {
		s.sent = n.Seq
		s.by.user.box.sent = max(s.by.user.box.sent, n.Seq)
	}
	switch {
	case n.Type == NotifyGap:
	case n.Message != nil && !s.by.grant.chats():
		n.Message, n.Reason = nil, "the token lacks the scope "+ScopeChat
	case n.Message == nil && !s.by.grant.calls():
		// Such as an offer, which came while the user had another token.
		n = Notification{Seq: n.Seq, Type: n.Type, Time: n.Time, Call: n.Call, Meeting: n.Meeting, Reason: "the token lacks the scope " + ScopeVoIP}
	}
	n.Mailbox = s.by.user.box.id
	return n, ok
}

func (c *Controller) writeOne(ctx context.Context, s *session, n Notification) bool {
	message, err := encode(n)
	if err != nil {
		c.cfg.Log.Error("signaling: notification not encoded", "user", s.by.user.id, "type", n.Type, "error", err)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Limits.PingInterval)
	defer cancel()
	return s.ws.Write(ctx, websocket.MessageText, message) == nil
}

// ping ends a WebSocket whose client has gone or whose token has ended.
func (c *Controller) ping(ctx context.Context, cancel context.CancelFunc, s *session) {
	tick := time.NewTicker(c.cfg.Limits.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !c.granted(s) {
			s.end(closeTokenEnded)
			return
		}
		pong, stop := context.WithTimeout(ctx, c.cfg.Limits.PingInterval)
		err := s.ws.Ping(pong)
		stop()
		if err != nil {
			cancel()
			return
		}
	}
}

// granted says whether the token of s is still valid.
func (c *Controller) granted(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	valid := c.holds(s.by.grant)
	if !valid {
		c.audit(ruleToken, false, "the token of an open WebSocket has ended", s.by.event(nil))
	}
	return valid
}

// closeReason is why reading ended, in words.
func closeReason(err error) string {
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return "closed by the client: " + closed.Code.String()
	case errors.Is(err, context.Canceled):
		return "closed by the controller: no pong, or a write failed"
	default:
		return "the connection broke"
	}
}
