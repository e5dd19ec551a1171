package signaling

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// User is somebody who may sign in.
type User struct {
	// ID is what others call, for example "alice": 1 to 64 letters, digits or
	// any of "._-@".
	ID string
	// Name is for display; it may be empty.
	Name string
	// Client is "acs" or "teams", or "pstn" for a caller from the telephone network
	// whom a gateway signs in.
	Client string
	// Tenant and Kind are as in Bearer; of a user who has neither, the client
	// decides: Teams users are members of the home tenant.
	Tenant string
	Kind   policy.Kind
	// Groups decide which meeting policy applies to the user's meetings.
	Groups []string
	// Secret must have 8 bytes or more. The controller keeps its hash only.
	Secret string
}

// Config configures a Controller. TURN is required, and either Users or Verifier.
type Config struct {
	// Users sign in with their secret at the controller itself.
	Users []User
	// Verifier takes the place of Users: it knows the tokens that others issue,
	// and there is no sign-in here.
	Verifier Verifier
	// TURN mints the ICE servers and their time-limited credential for one user
	// in one call. It may be called from several goroutines at once.
	TURN func(user, call string) ([]ICEServer, error)
	// Region is where the controller stands, for example "westeurope".
	Region string
	// Log is slog.Default when nil. No token, secret or credential is logged.
	Log *slog.Logger
	// EventLog gets a record of each event; Log does when it is nil.
	EventLog *slog.Logger
	// Now is time.Now when nil; it gives the time of events and of tokens, while
	// timers run on the machine's clock. Rand is crypto/rand's when nil.
	Now  func() time.Time
	Rand io.Reader
	// OnEvent, when set, gets every event in order. It is called with a lock
	// held: it must return soon and must not call the controller.
	OnEvent func(Event)
	// Origins are the patterns of other hosts whose pages may open the
	// WebSocket; a request without Origin, or from the same host, always may.
	Origins []string
	Limits  Limits

	// Processors host the media of meetings and group calls, by region; the one
	// of Region, or the only one, takes those of regions without one. None:
	// neither is possible.
	Processors map[string]MediaProcessor
	// RegionOf says where a client is, by its address; Region when nil or empty.
	RegionOf func(netip.Addr) string
	// Policies are those until SetPolicies; later ones that the Store holds go
	// before them, until Policies itself is changed.
	Policies Policies
	// Store keeps meetings and policies; in memory only when nil.
	Store Store
	// JoinURL begins the page on which people join a meeting, whose ID is put
	// behind it; "https://HOST/?meeting=" when empty, with the request's host.
	JoinURL string
	// Chat keeps the messages of meetings and of threads apart from them; there are
	// no chats when nil. Each tenant in it needs a data encryption policy (package
	// chat/customerkey): here the home tenant.
	Chat *chat.Service
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
	// Users is how many users there may be at once when a Verifier brings
	// them; 10,000. Those who have left and have no calls make room.
	Users int

	// LobbyTimeout is the longest wait in a lobby; 30 minutes.
	LobbyTimeout time.Duration
	// KeepMeetings is how long a meeting that has ended can be read, and its chat;
	// 24 hours. After it nobody can read the chat, whose records stay in its store. A
	// group call in which nobody is, is kept for KeepEnded, and a meeting that nobody
	// ends, for good.
	KeepMeetings time.Duration
	// Meetings is how many meetings and group calls there may be, with those that
	// have ended and are kept; 10,000. MeetingsPerUser is how many of them one
	// user may have made; 200.
	Meetings, MeetingsPerUser int
	// MeetingsAtOnce is how many meetings and group calls a user may be in, or wait
	// for; 4.
	MeetingsAtOnce int
	// WritesPerMinute is how many messages a user may send, edit or delete, and
	// threads begin; 240.
	WritesPerMinute int
}

// Controller is the signaling controller. It is safe for concurrent use; whoever
// made it closes it.
type Controller struct {
	cfg     Config
	handler http.Handler
	// ctx is the parent of every WebSocket's; Close ends it.
	ctx    context.Context
	cancel context.CancelFunc
	// running counts WebSockets, timers and what runs in the background.
	running sync.WaitGroup

	// ruling is held while the policies change, and shared while a meeting is made;
	// grouping is held while a group call is made or forgotten. Both come before a
	// conference's turn, and that before mu.
	ruling   sync.RWMutex
	grouping sync.Mutex

	// mu guards everything below and what hangs from it: the whole state is
	// under one lock, so that events have one order. Nothing that waits is done
	// under it; descriptions are parsed and credentials minted before.
	mu       sync.Mutex
	closed   bool
	draining bool
	users    map[string]*user
	tokens   tokens
	calls    map[string]*call
	timers   map[*timer]struct{}
	policies Policies
	// conferences are by ID; total and owned, by who made them, count also those
	// that are just being made.
	conferences map[string]*conference
	total       int
	owned       map[string]int
	misses      misses
	// boot is another at each start; it and the number of boxes made name a mailbox.
	boot  string
	boxes int
	swept time.Time // when makeRoom last looked
}

// NewController checks cfg and returns a controller, which serves nothing until
// Handler is given to Serve.
func NewController(cfg Config) (*Controller, error) {
	if cfg.TURN == nil {
		return nil, errors.New("signaling: Config.TURN is nil, wanted a function that mints ICE servers")
	}
	if err := cfg.Limits.complete(); err != nil {
		return nil, err
	}
	for _, pattern := range cfg.Origins {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("signaling: Config.Origins has %q, wanted a pattern of path.Match: %w", pattern, err)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.EventLog == nil {
		cfg.EventLog = cfg.Log
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	c := &Controller{
		cfg:    cfg,
		users:  map[string]*user{},
		calls:  map[string]*call{},
		timers: map[*timer]struct{}{},

		conferences: map[string]*conference{},
		owned:       map[string]int{},
	}
	var err error
	if c.cfg.Policies, err = cfg.Policies.complete(); err != nil {
		return nil, err
	}
	c.policies = c.cfg.Policies
	if c.boot, err = random(cfg.Rand, bootBytes); err != nil {
		return nil, err
	}
	c.tokens = tokens{lifetime: cfg.Limits.TokenLifetime, perUser: cfg.Limits.TokensPerUser, byHash: map[tokenHash]*grant{}}
	for _, u := range cfg.Users {
		known, err := newUser(u, cfg.Rand)
		if err != nil {
			return nil, err
		}
		if c.users[u.ID] != nil {
			return nil, fmt.Errorf("signaling: Config.Users has %q twice", u.ID)
		}
		known.box = c.newMailbox()
		c.users[u.ID] = known
	}
	switch {
	case cfg.Verifier == nil && len(c.users) == 0:
		return nil, errors.New("signaling: Config.Users is empty, wanted at least one user, or a Config.Verifier")
	case cfg.Verifier != nil && len(c.users) > 0:
		// Two ways to be "alice" would let one pass for the other.
		return nil, errors.New("signaling: Config.Users and Config.Verifier are both set, wanted one of them")
	}
	c.cfg.Users = nil // they hold the secrets
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.handler = c.routes()
	if err := c.restore(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// bootBytes make two starts of a controller differ.
const bootBytes = 9

// newMailbox is of a new user. c.mu is held, or nobody else knows c.
func (c *Controller) newMailbox() mailbox {
	c.boxes++
	return mailbox{id: c.boot + "." + strconv.Itoa(c.boxes), limit: c.cfg.Limits.Queue}
}

// Handler serves the REST API and the WebSocket.
func (c *Controller) Handler() http.Handler { return c.handler }

// Close ends every WebSocket with status 1001 (going away) and waits for their
// goroutines and for timers. Later requests get 503.
func (c *Controller) Close() error {
	c.mu.Lock()
	c.closed = true
	for t := range c.timers {
		c.stop(t)
	}
	for _, u := range c.users {
		if u.session != nil {
			u.session.end(closeGoingAway)
		}
	}
	c.mu.Unlock()
	c.running.Wait()
	c.cancel()
	return nil
}

// complete fills in the defaults.
func (l *Limits) complete() error {
	for _, f := range []struct {
		name     string
		field    *time.Duration
		standard time.Duration
	}{
		{"TokenLifetime", &l.TokenLifetime, time.Hour},
		{"RingTimeout", &l.RingTimeout, time.Minute},
		{"ReconnectGrace", &l.ReconnectGrace, 30 * time.Second},
		{"KeepEnded", &l.KeepEnded, 5 * time.Minute},
		{"PingInterval", &l.PingInterval, 15 * time.Second},
		{"LobbyTimeout", &l.LobbyTimeout, meeting.DefaultLobbyTimeout},
		{"KeepMeetings", &l.KeepMeetings, 24 * time.Hour},
	} {
		if *f.field < 0 {
			return fmt.Errorf("signaling: Limits.%s is %s, wanted 0 or more", f.name, *f.field)
		}
		if *f.field == 0 {
			*f.field = f.standard
		}
	}
	for _, f := range []struct {
		name     string
		field    *int
		standard int
		min      int
	}{
		{"SDP", &l.SDP, 64 << 10, 1},
		{"Queue", &l.Queue, 256, 2}, // a gap and the notification after it
		{"Candidates", &l.Candidates, 256, 1},
		{"CallsPerUser", &l.CallsPerUser, 1, 1},
		{"TokensPerUser", &l.TokensPerUser, 8, 1},
		{"Users", &l.Users, 10_000, 1},
		{"Meetings", &l.Meetings, 10_000, 1},
		{"MeetingsPerUser", &l.MeetingsPerUser, 200, 1},
		{"MeetingsAtOnce", &l.MeetingsAtOnce, 4, 1},
		{"WritesPerMinute", &l.WritesPerMinute, 240, 1},
	} {
		if *f.field == 0 {
			*f.field = f.standard
		}
		if *f.field < f.min {
			return fmt.Errorf("signaling: Limits.%s is %d, wanted %d or more, or 0 for %d", f.name, *f.field, f.min, f.standard)
		}
	}
	if l.Body == 0 {
		l.Body = 256 << 10
	}
	if l.Body < 0 {
		return fmt.Errorf("signaling: Limits.Body is %d, wanted 0 or more", l.Body)
	}
	return nil
}

// random returns n random bytes as text that may stand in a URL.
func random(r io.Reader, n int) (string, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return "", fmt.Errorf("signaling: no randomness: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}
