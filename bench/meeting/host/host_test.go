//go:build linux

package host_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/meeting/full"
	"github.com/callpath/callpath/bench/meeting/host"
	"github.com/callpath/callpath/signaling"
)

// variable has this program be a server.
const variable = "CALLPATH_TEST_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(variable) != "" {
		if err := host.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const (
	secret = "a shared secret"
	// patience is for conditions that hold soon; the machine may be busy.
	patience = 15 * time.Second
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, cfg host.Config) (*host.Host, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return host.Start(within(t), []string{self}, []string{variable + "=1"}, cfg)
}

// sign makes the client of a user.
func sign(t *testing.T, at *host.Ready, user int) *signaling.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(at.CA) {
		t.Fatal("no authority")
	}
	c, err := signaling.NewClient(signaling.ClientConfig{
		BaseURL: at.URL, RootCAs: roots, User: host.User(user), Secret: secret, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Its users can sign in and join.
func TestAServerInAProcessOfItsOwn(t *testing.T) {
	h, err := start(t, host.Config{Users: 2, Secret: secret, Relay: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop()
	c := sign(t, &h.Ready, 1)
	defer c.Close()
	id := uuid.NewString()
	if _, err := c.JoinGroup(within(t), id); err != nil {
		t.Fatal(err)
	}
	stats, err := h.Stats(within(t))
	if err != nil || stats.Processor.Participants != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	if h.PID() == 0 {
		t.Error("no process")
	}
	h.Stop()
	<-h.Ended()
	if _, err := h.Stats(within(t)); err == nil {
		t.Error("a server that has ended has figures")
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	for _, cfg := range []host.Config{{Users: 0, Secret: secret}, {Users: 1, Secret: "short"}, {Users: 1 << 20, Secret: secret}} {
		h, err := start(t, cfg)
		if err == nil {
			h.Stop()
			t.Errorf("started with %+v", cfg)
		} else if !strings.Contains(err.Error(), "wanted") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if _, err := host.Start(within(t), []string{"/no/such/program"}, nil, host.Config{}); err == nil {
		t.Error("started nothing")
	}
}

// Without a process: what it says, and somebody who joins.
func TestServeAnswersUntilItsInputEnds(t *testing.T) {
	in, orders := io.Pipe()
	said, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- host.Serve(within(t), in, out)
		_ = out.Close()
	}()
	e, d := json.NewEncoder(orders), json.NewDecoder(said)
	var answer struct {
		Ready *host.Ready `json:"ready"`
		Stats *host.Stats `json:"stats"`
	}
	ask := func(order any) {
		t.Helper()
		if err := e.Encode(order); err != nil {
			t.Fatal(err)
		}
		answer.Ready, answer.Stats = nil, nil
		if err := d.Decode(&answer); err != nil {
			t.Fatal(err)
		}
	}
	ask(host.Config{Users: 1, Secret: secret, Relay: true})
	c := sign(t, answer.Ready, 0)
	id := uuid.NewString()
	if _, err := c.JoinGroup(within(t), id); err != nil {
		t.Fatal(err)
	}
	if servers, err := c.GroupICEServers(within(t), id); err != nil || len(servers) != 1 || len(servers[0].URLs) != 3 || servers[0].Credential == "" {
		t.Errorf("%d servers, %v", len(servers), err)
	}
	g, err := full.NewGroup(full.Config{Loopback: true, Bitrate: 100_000, Frames: 10})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := g.Open(within(t), 0, full.Media{Audio: true, AudioSlots: 1}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.GroupMedia(within(t), id, peer.Offer(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.Connect(within(t), text); err != nil {
		t.Fatal(err)
	}
	// Who is on which slot is told to the controller, and from there.
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		slots, err := c.GroupLayout(within(t), id)
		if len(slots) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no layout: %v %v", slots, err)
		}
	}
	if ask(map[string]bool{"stats": true}); answer.Stats == nil || answer.Stats.Processor.Connected != 1 {
		t.Errorf("%+v", answer.Stats)
	}
	for _, err := range []error{peer.Close(), g.Close(), c.Close(), orders.Close(), <-done} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestServeRefusesWhatItCannotRead(t *testing.T) {
	for _, text := range []string{"", "{", `{"users":1,"secret":"a shared secret"} nonsense`} {
		var out bytes.Buffer
		if err := host.Serve(within(t), strings.NewReader(text), &out); err == nil {
			t.Errorf("%q: no error, said %s", text, out.String())
		}
	}
}
