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

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
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

// Its users can sign in, join, and get credentials for the relay.
func TestAServerInAProcessOfItsOwn(t *testing.T) {
	h, err := start(t, host.Config{Users: 2, Secret: "a shared secret", Relay: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(h.CA) {
		t.Fatal("no authority")
	}
	c, err := signaling.NewClient(signaling.ClientConfig{
		BaseURL: h.URL, RootCAs: roots, User: host.User(1), Secret: "a shared secret", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := uuid.NewString()
	if _, err := c.JoinGroup(within(t), id); err != nil {
		t.Fatal(err)
	}
	servers, err := c.GroupICEServers(within(t), id)
	if err != nil || len(servers) != 1 || len(servers[0].URLs) != 3 || servers[0].Credential == "" {
		t.Errorf("%d servers, %v", len(servers), err)
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
	for _, cfg := range []host.Config{{Users: 0, Secret: "a shared secret"}, {Users: 1, Secret: "short"}, {Users: 1 << 20, Secret: "a shared secret"}} {
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

// The talk, without a process.
func TestServeAnswersUntilItsInputEnds(t *testing.T) {
	in, orders := io.Pipe()
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- host.Serve(within(t), in, &out) }()
	e := json.NewEncoder(orders)
	for _, order := range []any{host.Config{Users: 1, Secret: "a shared secret", Relay: true}, map[string]bool{"stats": true}} {
		if err := e.Encode(order); err != nil {
			t.Fatal(err)
		}
	}
	if err := orders.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, `"ready"`) || !strings.Contains(text, `"stats"`) {
		t.Errorf("said %s", text)
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
