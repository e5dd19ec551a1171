package signaling

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// How requests are sent again when the connection breaks.
const (
	attemptTimeout = 10 * time.Second // of one attempt
	retryFor       = 30 * time.Second // no attempt begins later
	firstBackoff   = 100 * time.Millisecond
	lastBackoff    = 2 * time.Second
	// maxResponse bounds what is read of a response, in bytes.
	maxResponse = 1 << 20
)

// do sends a request with the token, signs in when there is none or it has
// expired, and decodes the response into out, which may be nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = encode(in); err != nil {
			return fmt.Errorf("signaling: %s %s: %w", method, path, err)
		}
	}
	header := http.Header{}
	if method != http.MethodGet {
		header.Set(headerRequestID, uuid.NewString())
		header.Set(headerFirstSent, time.Now().UTC().Format(http.TimeFormat))
	}
	fresh := false // the token was got for this request
	for {
		token := c.currentToken()
		if token == "" {
			if err := c.signIn(ctx, token); err != nil {
				return err
			}
			fresh = true
			continue
		}
		header.Set("Authorization", "Bearer "+token)
		err := c.send(ctx, method, path, header, body, out)
		var refused *Problem
		if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && !fresh {
			if err := c.signIn(ctx, token); err != nil {
				return err
			}
			fresh = true
			continue
		}
		return err
	}
}

func (c *Client) currentToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

// signIn gets a token in place of old. When somebody else has replaced old
// meanwhile, theirs is used.
func (c *Client) signIn(ctx context.Context, old string) error {
	select {
	case c.signing <- struct{}{}:
		defer func() { <-c.signing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.currentToken() != old {
		return nil
	}
	if c.cfg.Token != nil {
		token, err := c.cfg.Token(ctx)
		if err == nil && token == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return fmt.Errorf("signaling: no access token: %w", err)
		}
		c.mu.Lock()
		c.token = token
		c.mu.Unlock()
		return nil
	}
	body, err := encode(signInRequest{User: c.cfg.User, Secret: c.cfg.Secret})
	if err != nil {
		return fmt.Errorf("signaling: sign-in: %w", err)
	}
	var out signInResponse
	if err := c.send(ctx, http.MethodPost, "/v1/sign-in", http.Header{}, body, &out); err != nil {
		return err
	}
	c.mu.Lock()
	c.token = out.Token
	c.mu.Unlock()
	c.cfg.Log.Debug("signaling client signed in", "user", out.User, "region", out.Region, "expires", out.Expires)
	return nil
}

// send sends one request until there is a response, for retryFor at most.
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body []byte, out any) error {
	began := time.Now()
	wait := backoff{}
	var last error
	for {
		err := c.attempt(ctx, method, path, header, body, out)
		var refused *Problem
		switch {
		case err == nil, errors.As(err, &refused):
			return err
		case c.ctx.Err() != nil:
			return errClosed
		case ctx.Err() != nil:
			return fmt.Errorf("signaling: %s %s: %w", method, path, errors.Join(ctx.Err(), last))
		case permanent(err), time.Since(began) > retryFor:
			return fmt.Errorf("signaling: %s %s: %w", method, path, err)
		}
		last = err
		c.cfg.Log.Debug("signaling client sends again", "user", c.cfg.User, "method", method, "path", path, "error", err)
		// What broke one connection may have broken the others that wait.
		c.http.CloseIdleConnections()
		c.pause(ctx, wait.next())
	}
}

// attempt sends a request once.
func (c *Client) attempt(ctx context.Context, method, path string, header http.Header, body []byte, out any) error {
	ctx, done := c.onNetwork(ctx)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return &permanentError{err}
	}
	req.Header = header.Clone()
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return readProblem(resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return &permanentError{fmt.Errorf("the response is not the JSON that is wanted: %w", err)}
	}
	return nil
}

// onNetwork ends ctx when the host leaves its network or the client is closed.
func (c *Client) onNetwork(ctx context.Context) (context.Context, func()) {
	c.mu.Lock()
	network := c.network
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(network, cancel)
	return ctx, func() { stop(); cancel() }
}

// pause waits, less when the network changes.
func (c *Client) pause(ctx context.Context, d time.Duration) {
	ctx, done := c.onNetwork(ctx)
	defer done()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// readProblem makes a *Problem of any refusal, the controller's or another's.
func readProblem(status int, body []byte) *Problem {
	p := &Problem{}
	if err := json.Unmarshal(body, p); err != nil || p.Code == "" {
		p = &Problem{Detail: clip(string(body))}
	}
	p.Status = status
	if p.Title == "" {
		p.Title = http.StatusText(status)
	}
	return p
}

// temporary is a refusal that another attempt may not meet.
func (p *Problem) temporary() bool {
	return p.Status == http.StatusTooManyRequests || p.Status >= 500
}

// permanent is an error of the connection that another attempt would meet again.
func permanent(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var other *permanentError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &other)
}

// permanentError is one that another attempt would meet again.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// backoff grows from firstBackoff to lastBackoff, each time with a random half.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstBackoff), lastBackoff)
	return b.last/2 + rand.N(b.last/2)
}
