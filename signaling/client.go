package signaling

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
)

// ClientConfig configures a Client. BaseURL, User and Secret are required.
type ClientConfig struct {
	// BaseURL is the controller's, for example "https://signaling.example".
	BaseURL string
	// Dial opens connections, and looks names up; nil uses the machine's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// RootCAs verifies the controller; nil uses the machine's.
	RootCAs *x509.CertPool
	User    string
	Secret  string
	// Log is slog.Default when nil.
	Log *slog.Logger
}

// Client is one participant's connection to the controller. Its methods may be
// called from several goroutines; whoever made it closes it. A request that the
// controller refuses returns a *Problem. Requests are sent again with the same
// Repeatability-Request-ID when the connection breaks, so that each acts once.
type Client struct {
	cfg ClientConfig
}

// NewClient checks cfg; it opens no connection.
func NewClient(cfg ClientConfig) (*Client, error) {
	return nil, errors.New("signaling: not built yet")
}

// SignIn gets a bearer token. The client signs in again by itself when the token
// has expired.
func (c *Client) SignIn(ctx context.Context) error { return nil }

// ICEServers returns the ICE servers with credentials for one call; an empty
// call is the next Invite of this client.
func (c *Client) ICEServers(ctx context.Context, call string) ([]ICEServer, error) { return nil, nil }

// Connect opens the WebSocket and returns when it is up: from then on the user
// can be called. The client keeps it up until Close, resuming after the last
// notification that was taken.
func (c *Client) Connect(ctx context.Context) error { return nil }

// Notifications yields notifications in order, each once. Taking one
// acknowledges it. The channel is closed by Close, or when the controller
// refuses the client for good; Err then says why.
func (c *Client) Notifications() <-chan Notification { return nil }

// Err is why the notifications ended; nil while they have not, and after Close.
func (c *Client) Err() error { return nil }

// NetworkChanged drops all connections, so that the next requests and the
// WebSocket are made anew: for a host that has moved to another network.
func (c *Client) NetworkChanged() {}

// Invite calls callee with an offer and the candidates gathered so far.
func (c *Client) Invite(ctx context.Context, callee string, offer Description, candidates ...Candidate) (call string, err error) {
	return "", nil
}

// Answer accepts an invite.
func (c *Client) Answer(ctx context.Context, call string, answer Description, candidates ...Candidate) error {
	return nil
}

// Reject declines an invite.
func (c *Client) Reject(ctx context.Context, call, reason string) error { return nil }

// Candidate trickles candidates; the zero Candidate is end-of-candidates.
func (c *Client) Candidate(ctx context.Context, call string, candidates ...Candidate) error {
	return nil
}

// Update sends a re-offer (ICE restart, hold, change of media), the answer to
// one, or a rollback. A crossing re-offer is refused with code "glare" and the
// time to wait (Problem.RetryAfter).
func (c *Client) Update(ctx context.Context, call string, d Description, candidates ...Candidate) error {
	return nil
}

// Hangup ends a call in any state; hanging up an ended call is no error.
func (c *Client) Hangup(ctx context.Context, call, reason string) error { return nil }

// Telemetry sends any value that encodes to JSON, during the call or shortly
// after it.
func (c *Client) Telemetry(ctx context.Context, call string, v any) error { return nil }

// Call reads the call's state.
func (c *Client) Call(ctx context.Context, call string) (Call, error) { return Call{}, nil }

// Close ends the WebSocket and waits for the client's goroutines. It does not
// hang up.
func (c *Client) Close() error { return nil }
