package signaling

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// User is somebody who may sign in.
type User struct {
	// ID is what others call, for example "alice": 1 to 64 letters, digits or
	// any of "._-@".
	ID string
	// Name is for display; it may be empty.
	Name string
	// Client is "acs" or "teams".
	Client string
	// Secret must have 8 bytes or more. The controller keeps its hash only.
	Secret string
}

// Config configures a Controller. Users and TURN are required.
type Config struct {
	Users []User
	// TURN mints the ICE servers and their time-limited credential for one user
	// in one call. It may be called from several goroutines at once.
	TURN func(user, call string) ([]ICEServer, error)
	// Region is where the controller stands, for example "westeurope".
	Region string
	// Log is slog.Default when nil. No token, secret or credential is logged.
	Log *slog.Logger
	// Now is time.Now when nil; Rand is crypto/rand's when nil.
	Now  func() time.Time
	Rand io.Reader
	// OnEvent, when set, gets every event in order. It is called with a lock
	// held: it must return soon and must not call the controller.
	OnEvent func(Event)
	// Origins are the patterns of other hosts whose pages may open the
	// WebSocket; a request without Origin, or from the same host, always may.
	Origins []string
	Limits  Limits
}

// Limits bound what clients may use. A zero field takes its default.
type Limits struct {
	// TokenLifetime is how long a sign-in lasts; 1 hour.
	TokenLifetime time.Duration
	// RingTimeout is from the invite to the answer; 60 s.
	RingTimeout time.Duration
	// ReconnectGrace is how long a user without a WebSocket still counts as
	// present; after it their calls end. 30 s.
	ReconnectGrace time.Duration
	// KeepEnded is how long an ended call can still be read and take
	// telemetry; 5 minutes.
	KeepEnded time.Duration
	// PingInterval is between the WebSocket's pings, and the time that a pong
	// and a write may take; 15 s.
	PingInterval time.Duration
	// Body is the largest request body in bytes; 256 KiB.
	Body int64
	// SDP is the largest description in bytes; 64 KiB.
	SDP int
	// Queue is how many notifications may wait for a user's client; 256.
	Queue int
	// Candidates is how many one side may send in a call between two
	// descriptions; 256.
	Candidates int
	// CallsPerUser is how many calls a user may be in at once; 1.
	CallsPerUser int
	// TokensPerUser is how many sign-ins of a user are valid at once, the
	// oldest being dropped; 8.
	TokensPerUser int
}

// Controller is the signaling controller. It is safe for concurrent use; whoever
// made it closes it.
type Controller struct {
	cfg Config
}

// NewController checks cfg and returns a controller, which serves nothing until
// Handler is given to Serve.
func NewController(cfg Config) (*Controller, error) {
	return nil, errors.New("signaling: not built yet")
}

// Handler serves the REST API and the WebSocket.
func (c *Controller) Handler() http.Handler { return http.NotFoundHandler() }

// Close ends every WebSocket with status 1001 (going away) and waits for their
// goroutines and for timers. Later requests get 503.
func (c *Controller) Close() error { return nil }
