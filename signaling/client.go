package signaling

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/signaling/callstate"
)

// ClientConfig configures a Client. BaseURL is required, and either Token or both
// User and Secret.
type ClientConfig struct {
	// BaseURL is the controller's, for example "https://signaling.example".
	BaseURL string
	// Dial opens connections, and looks names up; nil uses the machine's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// RootCAs verifies the controller; nil uses the machine's.
	RootCAs *x509.CertPool
	User    string
	Secret  string
	// Token, when set, takes the place of Secret: it gets a new access token
	// from whoever issues them. It is called for the first request and whenever
	// the controller refuses the last token, by one goroutine at a time.
	Token func(ctx context.Context) (string, error)
	// Log is slog.Default when nil.
	Log *slog.Logger
}

// Client is one participant's connection to the controller. Its methods may be
// called from several goroutines; whoever made it closes it. A request that the
// controller refuses returns a *Problem. Requests are sent again with the same
// Repeatability-Request-ID when the connection breaks, so that each acts once.
type Client struct {
	cfg  ClientConfig
	base string // without a slash at its end
	http *http.Client

	// ctx ends with Close; running counts the goroutines that Close waits for.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	// signing and connecting hold a place for who does so; the others wait.
	signing       chan struct{}
	connecting    chan struct{}
	notifications chan Notification

	mu       sync.Mutex
	token    string
	reserved string // the ID of the next call
	// network ends with the network that the host is on; leave ends it.
	network   context.Context
	leave     context.CancelFunc
	connected bool // keepConnected runs, or has run
	closed    bool
	err       error // why the notifications ended
}

// ErrReplaced is Client.Err after a newer connection of the same user has taken
// over the notifications.
var ErrReplaced = errors.New("signaling: a newer connection of the same user took over the notifications")

// errClosed is what methods return once the client is closed.
var errClosed = fmt.Errorf("signaling: the client is closed: %w", net.ErrClosed)

// NewClient checks cfg; it opens no connection.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(cfg.BaseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("signaling: ClientConfig.BaseURL: %w", err)
	case base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.User != nil:
		return nil, fmt.Errorf("signaling: ClientConfig.BaseURL is %q, wanted https://HOST", base.Redacted())
	case cfg.Token != nil && cfg.Secret != "":
		return nil, errors.New("signaling: ClientConfig.Token and Secret are both set, wanted one of them")
	case cfg.Token == nil && !validUserID(cfg.User):
		return nil, fmt.Errorf("signaling: ClientConfig.User is %q, wanted a user's ID", cfg.User)
	case cfg.Token == nil && cfg.Secret == "":
		return nil, errors.New("signaling: ClientConfig.Secret is empty")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	c := &Client{
		cfg:  cfg,
		base: strings.TrimSuffix(base.String(), "/"),
		http: &http.Client{
			Transport: &http.Transport{
				DialContext: cfg.Dial,
				TLSClientConfig: &tls.Config{
					RootCAs:    cfg.RootCAs,
					MinVersion: tls.VersionTLS12,
					NextProtos: []string{"http/1.1"},
				},
				TLSHandshakeTimeout: attemptTimeout,
				IdleConnTimeout:     time.Minute,
				MaxIdleConnsPerHost: 4,
			},
			// The controller sends nobody elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		signing:       make(chan struct{}, 1),
		connecting:    make(chan struct{}, 1),
		notifications: make(chan Notification),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.network, c.leave = context.WithCancel(c.ctx)
	return c, nil
}

// SignIn gets a bearer token. The client signs in again by itself when the token
// has expired.
func (c *Client) SignIn(ctx context.Context) error { return c.signIn(ctx, c.currentToken()) }

// ICEServers returns the ICE servers with credentials for one call; an empty
// call is the next Invite of this client.
func (c *Client) ICEServers(ctx context.Context, call string) ([]ICEServer, error) {
	var out iceServersResponse
	if call != "" {
		err := c.do(ctx, http.MethodGet, "/v1/ice-servers?call="+url.QueryEscape(call), nil, &out)
		return out.ICEServers, err
	}
	if err := c.do(ctx, http.MethodPost, "/v1/ice-servers", nil, &out); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.reserved = out.Call
	c.mu.Unlock()
	return out.ICEServers, nil
}

// Invite calls callee with an offer and the candidates gathered so far.
func (c *Client) Invite(ctx context.Context, callee string, offer Description, candidates ...Candidate) (call string, err error) {
	c.mu.Lock()
	reserved := c.reserved
	c.mu.Unlock()
	var out Call
	in := inviteRequest{Call: reserved, Callee: callee, Description: offer, Candidates: candidates}
	err = c.do(ctx, http.MethodPost, "/v1/calls", in, &out)
	var refused *Problem
	if err == nil || errors.As(err, &refused) && refused.Code == CodeNotFound {
		c.mu.Lock() // the ID is used, or not known any more
		if c.reserved == reserved {
			c.reserved = ""
		}
		c.mu.Unlock()
	}
	return out.ID, err
}

// Answer accepts an invite.
func (c *Client) Answer(ctx context.Context, call string, answer Description, candidates ...Candidate) error {
	return c.onCall(ctx, call, "answer", descriptionRequest{Description: answer, Candidates: candidates})
}

// Reject declines an invite.
func (c *Client) Reject(ctx context.Context, call, reason string) error {
	return c.onCall(ctx, call, "reject", reasonRequest{Reason: reason})
}

// Candidate trickles candidates; the zero Candidate is end-of-candidates.
func (c *Client) Candidate(ctx context.Context, call string, candidates ...Candidate) error {
	return c.onCall(ctx, call, "candidates", candidatesRequest{Candidates: candidates})
}

// Update sends a re-offer (ICE restart, hold, change of media), the answer to
// one, or a rollback. A crossing re-offer is refused with code "glare" and the
// time to wait (Problem.RetryAfter).
func (c *Client) Update(ctx context.Context, call string, d Description, candidates ...Candidate) error {
	return c.onCall(ctx, call, "description", descriptionRequest{Description: d, Candidates: candidates})
}

// Hangup ends a call in any state; hanging up an ended call is no error.
func (c *Client) Hangup(ctx context.Context, call, reason string) error {
	return c.onCall(ctx, call, "hangup", reasonRequest{Reason: reason})
}

// Telemetry sends any value that encodes to JSON, during the call or shortly
// after it.
func (c *Client) Telemetry(ctx context.Context, call string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("signaling: telemetry: %w", err)
	}
	return c.onCall(ctx, call, string(callstate.Telemetry), telemetryRequest{Telemetry: raw})
}

// Call reads the call's state.
func (c *Client) Call(ctx context.Context, call string) (Call, error) {
	var out Call
	err := c.do(ctx, http.MethodGet, "/v1/calls/"+url.PathEscape(call), nil, &out)
	return out, err
}

func (c *Client) onCall(ctx context.Context, call, action string, in any) error {
	return c.do(ctx, http.MethodPost, "/v1/calls/"+url.PathEscape(call)+"/"+action, in, nil)
}

// NetworkChanged drops all connections, so that the next requests and the
// WebSocket are made anew: for a host that has moved to another network.
func (c *Client) NetworkChanged() {
	c.mu.Lock()
	old := c.leave
	c.network, c.leave = context.WithCancel(c.ctx)
	c.mu.Unlock()
	old() // requests under way are sent again
	c.http.CloseIdleConnections()
}

// Close ends the WebSocket and waits for the client's goroutines. It does not
// hang up.
func (c *Client) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	c.mu.Lock()
	if !c.connected && !again {
		close(c.notifications) // keepConnected, which does so, never ran
	}
	c.mu.Unlock()
	c.http.CloseIdleConnections()
	return nil
}
