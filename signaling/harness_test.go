package signaling_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	host   = "signaling.callpath.test"
	secret = "correct horse"
)

// world is a controller that serves over TLS on loopback, and its clients.
type world struct {
	t          testing.TB
	authority  *authority.Authority
	controller *signaling.Controller
	connect    func(context.Context) (net.Conn, error)
	log        *logs

	tokens []string // of raw clients: like all secrets, in no log and no event

	mu     sync.Mutex
	events []signaling.Event
	grown  chan struct{} // closed and made anew at each event
}

// newWorld starts a controller on loopback for alice, bob and carol; change may
// be nil.
func newWorld(t testing.TB, change func(*signaling.Config)) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startWorld(t, ln, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
	}, change)
}

// memoryWorld is a world without sockets, for testing/synctest.
func memoryWorld(t testing.TB, change func(*signaling.Config)) *world {
	t.Helper()
	ln := newMemory()
	return startWorld(t, ln, ln.dial, change)
}

func startWorld(t testing.TB, ln net.Listener, connect func(context.Context) (net.Conn, error), change func(*signaling.Config)) *world {
	t.Helper()
	w := &world{t: t, log: &logs{}, grown: make(chan struct{}), connect: connect}
	var err error
	if w.authority, err = authority.New(authority.Config{}); err != nil {
		t.Fatal(err)
	}
	cfg := signaling.Config{
		TURN:    turn,
		Region:  "westeurope",
		Log:     slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnEvent: w.record,
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		cfg.Users = append(cfg.Users, signaling.User{ID: name, Name: strings.ToTitle(name), Client: "acs", Secret: secret + name})
	}
	if change != nil {
		change(&cfg)
	}
	if w.controller, err = signaling.NewController(cfg); err != nil {
		t.Fatal(err)
	}
	conf, err := w.authority.TLS(host)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- signaling.Serve(ctx, ln, conf, w.controller.Handler()) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := w.controller.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, e := range w.events {
			fmt.Fprintf(w.log, "%+v\n", e)
		}
		for _, hidden := range append(w.tokens, secret, turnPassword) {
			w.log.mustNotHold(t, hidden)
		}
	})
	return w
}

const turnPassword = "relay-password"

func turn(user, call string) ([]signaling.ICEServer, error) {
	return []signaling.ICEServer{{
		URLs:     []string{"turn:relay.callpath.test:3478?transport=udp"},
		Username: user + ":" + call, Credential: turnPassword,
	}}, nil
}

func (w *world) record(e signaling.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	close(w.grown)
	w.grown = make(chan struct{})
}

// await waits for an event that matches, and returns it.
func (w *world) await(what string, match func(signaling.Event) bool) signaling.Event {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		i := slices.IndexFunc(w.events, match)
		grown := w.grown
		var found signaling.Event
		if i >= 0 {
			found = w.events[i]
		}
		w.mu.Unlock()
		if i >= 0 {
			return found
		}
		select {
		case <-grown:
		case <-deadline:
			w.t.Fatalf("no event: %s", what)
		}
	}
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// dial finds the controller by whatever name.
func (w *world) dial(ctx context.Context, _, _ string) (net.Conn, error) { return w.connect(ctx) }

func (w *world) config(user string) signaling.ClientConfig {
	return signaling.ClientConfig{BaseURL: "https://" + host, Dial: w.dial, RootCAs: w.authority.Pool(),
		User: user, Secret: secret + user, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

func (w *world) client(cfg signaling.ClientConfig) *signaling.Client {
	w.t.Helper()
	c, err := signaling.NewClient(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			w.t.Errorf("Close of %s: %v", cfg.User, err)
		}
	})
	return c
}

// join returns a client that is signed in and can be called.
func (w *world) join(user string) *signaling.Client {
	w.t.Helper()
	c := w.client(w.config(user))
	if err := c.SignIn(ctx(w.t)); err != nil {
		w.t.Fatal(err)
	}
	if err := c.Connect(ctx(w.t)); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func ctx(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return c
}

// next takes the next notification, which must be of a type.
func next(t testing.TB, c *signaling.Client, want signaling.NotificationType) signaling.Notification {
	t.Helper()
	select {
	case n, ok := <-c.Notifications():
		if !ok {
			t.Fatalf("notifications ended (%v), wanted %s", c.Err(), want)
		}
		if n.Type != want {
			t.Fatalf("got notification %s (%+v), wanted %s", n.Type, n, want)
		}
		return n
	case <-time.After(patience):
		t.Fatalf("no notification, wanted %s", want)
	}
	return signaling.Notification{}
}

// logs is what was logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) mustNotHold(t testing.TB, secret string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(l.text.String(), secret) {
		t.Errorf("a log or an event holds the secret %q", secret)
	}
}

// sdp makes a description with one audio m-line.
func sdp(setup, direction, ufrag string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"+
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=%s\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"+
		"a=setup:%s\r\na=ice-ufrag:%s\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=fingerprint:sha-256 %s\r\n",
		direction, setup, ufrag, strings.TrimSuffix(strings.Repeat("AB:", 32), ":"))
}

func offer() signaling.Description {
	return signaling.Description{Type: signaling.Offer, SDP: sdp("actpass", "sendrecv", "AAAA")}
}

func answer() signaling.Description {
	return signaling.Description{Type: signaling.Answer, SDP: sdp("active", "sendrecv", "BBBB")}
}

func candidate(n int) signaling.Candidate {
	mid := "0"
	return signaling.Candidate{Candidate: fmt.Sprintf("candidate:1 1 udp 2130706431 192.0.2.1 %d typ host", n), SDPMid: &mid}
}
