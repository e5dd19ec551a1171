package signaling

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// maxNotification bounds a message of the controller's, in bytes: the
	// largest description and candidates, each byte escaped.
	maxNotification = 4 << 20
	// maxPending bounds what is received and not taken.
	maxPending = 4096
	// stable is how long a WebSocket lives that is worth making anew at once.
	stable = 5 * time.Second
	// clientPing is between the client's own pings: a network that is gone is
	// noticed without the controller.
	clientPing = 10 * time.Second
)

// place is a notification's: its number, and in which mailbox.
type place struct {
	mailbox string
	seq     uint64
}

// errMoved ends a WebSocket after NetworkChanged.
var errMoved = errors.New("signaling: the network has changed")

// Connect opens the WebSocket and returns when it is up: from then on the user
// can be called. The client keeps it up until Close, resuming after the last
// notification that was taken.
func (c *Client) Connect(ctx context.Context) error {
	select {
	case c.connecting <- struct{}{}:
		defer func() { <-c.connecting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	closed, connected := c.closed, c.connected
	if !closed && !connected {
		c.running.Add(1)
	}
	c.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case connected:
		return c.Err()
	}
	ws, err := c.dialUntil(ctx, place{})
	if err != nil {
		c.running.Done()
		return err
	}
	c.mu.Lock()
	c.connected = true
	c.mu.Unlock()
	go func() {
		defer c.running.Done()
		c.keepConnected(ws)
	}()
	return nil
}

// Notifications yields notifications in order, each once. Taking one
// acknowledges it. The channel is closed by Close, or when the controller
// refuses the client for good; Err then says why.
func (c *Client) Notifications() <-chan Notification { return c.notifications }

// Err is why the notifications ended; nil while they have not, and after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// keepConnected hands out notifications until Close or a refusal for good.
func (c *Client) keepConnected(ws *websocket.Conn) {
	defer close(c.notifications)
	var taken place
	wait, short := backoff{}, 0
	for {
		began := time.Now()
		var err error
		taken, err = c.receive(ws, taken)
		if c.ctx.Err() != nil {
			return
		}
		c.cfg.Log.Debug("signaling client lost its WebSocket", "user", c.cfg.User, "error", err)
		if short++; time.Since(began) > stable || errors.Is(err, errMoved) {
			wait, short = backoff{}, 0
		}
		if short > 1 {
			c.pause(c.ctx, wait.next())
		}
		if websocket.CloseStatus(err) == statusReplaced {
			err = ErrReplaced
		} else {
			ws, err = c.dialUntil(c.ctx, taken)
		}
		if c.ctx.Err() != nil && err != nil {
			return
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
	}
}

// dialUntil opens the WebSocket, and tries again until ctx ends or the
// controller refuses.
func (c *Client) dialUntil(ctx context.Context, after place) (*websocket.Conn, error) {
	wait := backoff{}
	fresh := false // the token is new, and has not met a broken connection since
	var last error
	for {
		ws, err := c.dialOrSignIn(ctx, after, &fresh)
		var refused *Problem
		switch {
		case ws != nil:
			return ws, nil
		case err == nil:
			continue // signed in
		case c.ctx.Err() != nil:
			return nil, errClosed
		case ctx.Err() != nil:
			return nil, fmt.Errorf("signaling: connecting notifications: %w", errors.Join(ctx.Err(), cmp.Or(last, err)))
		case errors.As(err, &refused) && !refused.temporary(), permanent(err):
			return nil, err
		}
		fresh, last = false, err
		c.cfg.Log.Debug("signaling client connects again", "user", c.cfg.User, "error", err)
		c.pause(ctx, wait.next())
	}
}

// dialOrSignIn opens the WebSocket once; or, when the token is not good, gets
// another, and returns neither.
func (c *Client) dialOrSignIn(ctx context.Context, after place, fresh *bool) (*websocket.Conn, error) {
	token := c.currentToken()
	if token != "" {
		ws, err := c.dial(ctx, token, after)
		var refused *Problem
		if err == nil || !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized || *fresh {
			return ws, err
		}
	}
	*fresh = true
	return nil, c.signIn(ctx, token)
}

// dial opens the WebSocket once.
func (c *Client) dial(ctx context.Context, token string, after place) (*websocket.Conn, error) {
	ctx, done := c.onNetwork(ctx)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	to := c.base + "/v1/notifications?after=" + strconv.FormatUint(after.seq, 10)
	if after.mailbox != "" {
		to += "&mailbox=" + url.QueryEscape(after.mailbox)
	}
	ws, resp, err := websocket.Dial(ctx, to, &websocket.DialOptions{
		HTTPClient:   c.http,
		HTTPHeader:   http.Header{"Authorization": {"Bearer " + token}},
		Subprotocols: []string{subprotocol},
	})
	if err != nil {
		if resp != nil && resp.StatusCode >= 300 {
			text, _ := io.ReadAll(resp.Body) // what there is of it
			return nil, readProblem(resp.StatusCode, text)
		}
		return nil, err
	}
	ws.SetReadLimit(maxNotification)
	return ws, nil
}

// receive hands out what one WebSocket brings, and acknowledges what is taken,
// until it ends. It returns the last notification taken. What was received and
// not taken is thrown away: the controller sends it again.
func (c *Client) receive(ws *websocket.Conn, taken place) (place, error) {
	network, done := c.onNetwork(c.ctx)
	defer done()
	// The goroutines have a context of their own, so that a close can be sent
	// and answered when the client's has ended.
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.ctx))
	var reader, acker, pinger sync.WaitGroup
	messages := make(chan Notification)
	acks := make(chan uint64, 1)
	broken := make(chan error, 3) // one for each
	var readErr error             // the reader's, once it has ended
	reader.Go(func() {
		readErr = readMessages(ctx, network, ws, messages)
		broken <- readErr
	})
	acker.Go(func() { broken <- writeAcks(ctx, ws, acks) })
	pinger.Go(func() { broken <- pingUntil(ctx, ws) })
	defer pinger.Wait()
	defer acker.Wait()
	finish := func() {
		cancel()
		_ = ws.CloseNow() // only to free it: it is closed, or of no more use
		reader.Wait()
	}
	defer finish()

	received := taken
	var pending []Notification
	for {
		var out chan<- Notification
		var head Notification
		if len(pending) > 0 {
			out, head = c.notifications, pending[0]
		}
		select {
		case out <- head:
			pending = pending[1:]
			taken = place{head.Mailbox, head.Seq}
			select { // only the newest counts
			case <-acks:
			default:
			}
			acks <- taken.seq
		case n := <-messages:
			switch {
			case n.Mailbox == received.mailbox && n.Seq <= received.seq:
				continue
			case n.Type == NotifyGap:
				pending = nil
			}
			received = place{n.Mailbox, n.Seq}
			if pending = append(pending, n); len(pending) > maxPending {
				return taken, fmt.Errorf("signaling: more than %d notifications wait to be taken", maxPending)
			}
		case err := <-broken:
			// Whoever met it first: why the controller closed, the reader knows.
			finish()
			if websocket.CloseStatus(readErr) != -1 {
				err = readErr
			}
			return taken, err
		case <-network.Done():
			if c.ctx.Err() != nil {
				// Closing: the last acknowledgement, then the close.
				impatient := time.AfterFunc(closeWait, cancel)
				defer impatient.Stop()
				close(acks)
				acker.Wait()
				_ = ws.Close(websocket.StatusNormalClosure, "")
			}
			return taken, errMoved
		}
	}
}

// readMessages hands messages on until wanted ends, and reads on until ctx does:
// pings and a close are answered only while somebody reads.
func readMessages(ctx, wanted context.Context, ws *websocket.Conn, to chan<- Notification) error {
	for {
		_, message, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		var n Notification
		if err := json.Unmarshal(message, &n); err != nil {
			return fmt.Errorf("signaling: notification: %w", err)
		}
		select {
		case to <- n:
		case <-wanted.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// writeAcks sends acknowledgements until there are no more.
func writeAcks(ctx context.Context, ws *websocket.Conn, acks <-chan uint64) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case seq, more := <-acks:
			if !more {
				return nil
			}
			message, err := encode(ackMessage{Ack: seq})
			if err != nil {
				return err
			}
			late, cancel := context.WithTimeout(ctx, clientPing)
			err = ws.Write(late, websocket.MessageText, message)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

// pingUntil finds out when the network is gone without a word.
func pingUntil(ctx context.Context, ws *websocket.Conn) error {
	tick := time.NewTicker(clientPing)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		late, cancel := context.WithTimeout(ctx, clientPing)
		err := ws.Ping(late)
		cancel()
		if err != nil {
			return err
		}
	}
}
