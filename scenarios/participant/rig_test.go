package participant

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	internet "github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
)

// rig is a small internet with a signaling controller on it.
type rig struct {
	*internet.Rig
	t *testing.T

	processor *mediaProcessor

	mu    sync.Mutex
	steps []result.Step
	told  []signaling.Notification
}

// newRig starts everything; it ends with the test.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Rig: internet.New(t), t: t}
	r.processor = newMediaProcessor(r)
	controller, err := signaling.NewController(signaling.Config{
		Users: []signaling.User{
			{ID: "alice", Client: "acs", Secret: "secret of alice"},
			{ID: "bob", Client: "teams", Secret: "secret of bob"},
		},
		TURN:       r.ICEServers,
		Region:     "test",
		Processors: map[string]signaling.MediaProcessor{"test": r.processor},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.processor.tell(controller)
	t.Cleanup(func() {
		if err := controller.Close(); err != nil {
			t.Errorf("close controller: %v", err)
		}
	})
	ln, err := r.Hosts["provider"].Listen(t.Context(), "tcp", netip.AddrPortFrom(internet.Machines["provider"], 443).String())
	if err != nil {
		t.Fatal(err)
	}
	conf, err := r.Authority.TLS("signaling.callpath.test")
	if err != nil {
		t.Fatal(err)
	}
	r.Serve("signaling", func(ctx context.Context) error { return signaling.Serve(ctx, ln, conf, controller.Handler()) })
	return r
}

// client is one participant of a rig with what it was given.
type client struct {
	*Participant
	recorder *negotiation.Recorder
	keys     *lines
}

// lines is a key log that may be written to by several goroutines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var _ io.Writer = (*lines)(nil)

// join makes a participant on the host of its name, and signs it in.
func (r *rig) join(ctx context.Context, name string, spec language.Participant) client {
	r.t.Helper()
	spec.Name, spec.Host = name, name
	c := client{recorder: negotiation.NewRecorder(negotiation.Config{Leg: name, Keys: true}), keys: &lines{}}
	seed := uint64(len(name))
	var log *slog.Logger
	if os.Getenv("PARTICIPANT_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("who", name)
	}
	var err error
	c.Participant, err = New(Config{
		Spec: spec, Host: r.Hosts[name], Signaling: "https://signaling.callpath.test", RootCAs: r.Authority.Pool(),
		User: name, Secret: "secret of " + name, Recorder: c.recorder, Ledger: r.Ledger, KeyLog: c.keys, Seed: seed, Start: r.Start,
		OnStep: func(s result.Step) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.steps = append(r.steps, s)
		},
		OnNotification: func(n signaling.Notification) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.told = append(r.told, n)
		},
		Conference: endpoint.Conference{Audio: 1, Video: 2},
		Log:        log,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			r.t.Errorf("close %s: %v", name, err)
		}
	})
	if err := c.SignIn(ctx); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// call has alice call bob, and bob answer.
func (r *rig) call(ctx context.Context, alice, bob client) {
	r.t.Helper()
	if err := alice.Call(ctx, "bob"); err != nil {
		r.t.Fatal(err)
	}
	if err := bob.AwaitInvite(ctx); err != nil {
		r.t.Fatal(err)
	}
	if err := bob.Answer(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// media waits for media on both sides.
func (r *rig) media(ctx context.Context, both ...client) {
	r.t.Helper()
	for _, c := range both {
		if err := c.AwaitMedia(ctx); err != nil {
			r.t.Fatal(err)
		}
	}
}

// counts are packets received intact and corrupt, over all streams.
func counts(c client) (intact, corrupt uint64) {
	for _, s := range c.Result().Streams {
		intact += s.Intact
		corrupt += s.Corrupt
	}
	return intact, corrupt
}

// flows waits until a client has received n more packets.
func flows(ctx context.Context, t *testing.T, c client, n uint64) {
	t.Helper()
	before, _ := counts(c)
	for {
		now, _ := counts(c)
		if now >= before+n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s received %d packets, want %d: %v", c.cfg.User, now-before, n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// testContext bounds one test.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}
