//go:build linux

package subject

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback4 = netip.MustParseAddr("127.0.0.1")

// free is an address that nobody listens at.
func free(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// serve runs a built-in subject within the test, as its process would.
func serve(t *testing.T, name string, s settings) {
	t.Helper()
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), name, in, out) }()
	if err := json.NewEncoder(orders).Encode(s); err != nil {
		t.Fatal(err)
	}
	var a ready
	if err := json.NewDecoder(answers).Decode(&a); err != nil || a.Error != "" {
		t.Fatalf("answered %+v (%v)", a, err)
	}
	t.Cleanup(func() {
		_ = orders.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestBuiltInSubjectsRelay(t *testing.T) {
	kinds := load.Load{Name: "kinds", Flows: 5, Streams: []load.Stream{
		{Payload: 160, Rate: 200, Direction: load.Duplex},
		{Payload: 1000, Rate: 320, Run: 16, Segmented: true, Direction: load.Duplex},
	}}
	for _, b := range builtins {
		t.Run(b.name, func(t *testing.T) {
			at := free(t)
			serve(t, b.name, settings{Server: at, Secret: []byte("secret")})
			for _, coalesce := range []bool{true, false} {
				l, err := loader.New(t.Context(), loader.Config{
					Scheme: b.Scheme(), Server: at, Secret: []byte("secret"), Client: loopback4, Peer: loopback4, Load: kinds, Coalesce: coalesce,
				})
				if err != nil {
					t.Fatal(err)
				}
				r, err := l.Step(t.Context(), loader.Step{Rate: kinds.Rate(), Duration: 100 * time.Millisecond})
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if r.Stray != 0 || r.Sent == 0 || r.Received < r.Sent/2 {
					t.Errorf("of %d sent, %d arrived, %d strange", r.Sent, r.Received, r.Stray)
				}
			}
		})
	}
}

func TestSubjectsAreFoundByName(t *testing.T) {
	var names []string
	for _, s := range All() {
		if s.Summary() == "" {
			t.Errorf("%s says nothing of itself", s.Name())
		}
		names = append(names, s.Name())
	}
	found, err := Named(names...)
	if err != nil || len(found) != len(names) || !slices.Contains(names, "coturn") {
		t.Errorf("found %v of %v (%v)", found, names, err)
	}
	if _, err := Named("coturn", "cotrun"); err == nil || !strings.Contains(err.Error(), "pion-v5") {
		t.Errorf("a wrong name is not told which are valid: %v", err)
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	at := taken.LocalAddr().String()
	if err := Serve(t.Context(), "nobody", strings.NewReader(""), io.Discard); err == nil {
		t.Error("served nobody")
	}
	for _, b := range builtins {
		for in, want := range map[string]string{
			"": "", fmt.Sprintf(`{"server":%q,"secret":"c2VjcmV0"}`, at): "address already in use",
		} {
			var out strings.Builder
			err := Serve(t.Context(), b.name, strings.NewReader(in), &out)
			if err == nil || !strings.Contains(out.String(), want) {
				t.Errorf("%s, %q: answered %q (%v)", b.name, in, out.String(), err)
			}
		}
	}
}

func TestServeEndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, orders := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, "forward-single", in, io.Discard) }()
	if err := json.NewEncoder(orders).Encode(settings{Server: free(t)}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = orders.Close()
}

func TestStartSaysWhyASubjectDoesNot(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{`echo "no luck" >&2; exit 3`, "no luck"},
		{`read settings; echo '{"error":"no address"}'; cat`, "no address"},
	} {
		_, err := builtins[0].Start(t.Context(), Place{Self: []string{"sh", "-c", c.script}, Server: free(t)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("wanted an error with %q, got %v", c.want, err)
		}
	}
}

func TestCoturnRelays(t *testing.T) {
	if err := (coturn{}).Available(); err != nil {
		t.Skip(err)
	}
	at := free(t)
	p, err := coturn{}.Start(t.Context(), Place{Server: at, Secret: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	l, err := loader.New(t.Context(), loader.Config{
		Scheme: loader.TURN, Server: at, Secret: []byte("secret"), Client: loopback4, Peer: loopback4, ServerProcess: p.PID(),
		Load: load.Load{Flows: 3, Streams: []load.Stream{{Payload: 100, Rate: 100, Direction: load.Duplex}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	r, err := l.Step(t.Context(), loader.Step{Rate: 600, Duration: 100 * time.Millisecond})
	if err != nil || r.Received == 0 || r.Stray > 0 {
		t.Errorf("got %+v (%v)", r, err)
	}
	// Nobody answers where coturn cannot be.
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := (coturn{}).Start(short, Place{Server: netip.MustParseAddrPort("192.0.2.1:3478"), Secret: []byte("s")}); err == nil {
		t.Error("started coturn on an address that is not this machine's")
	}
}
