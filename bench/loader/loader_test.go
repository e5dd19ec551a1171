//go:build linux

package loader_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/relay/turn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

// small is every kind of stream that there is.
var small = load.Load{Name: "small", Flows: 6, Streams: []load.Stream{
	{Payload: 160, Rate: 100, Direction: load.Duplex},
	{Payload: 600, Rate: 80, Run: 4, Segmented: true, Direction: load.Alternate},
	{Payload: 61, Rate: 80, Run: 4, Direction: load.Duplex},
}}

var step = loader.Step{Rate: small.Rate(), WarmUp: 20 * time.Millisecond, Duration: 100 * time.Millisecond}

// relay is this project's, on loopback.
func relay(t *testing.T, secret string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := turn.New(turn.Config{
		Realm: "test", Secrets: [][]byte{[]byte(secret)}, PacketConns: []net.PacketConn{conn}, Addresses: []netip.Addr{loopback},
		Peers: turn.PeerPolicy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Whatever is sent arrives, once and in order; through a relay, unless it loses it.
func TestEveryPacketIsAccountedFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		config loader.Config
	}{
		{"straight to the sink", loader.Config{Scheme: loader.Direct, Coalesce: true}},
		{"straight, packets one by one", loader.Config{Scheme: loader.Direct}},
		{"through a relay", loader.Config{Scheme: loader.TURN, Coalesce: true, Secret: []byte("s"), Server: relay(t, "s"), ServerProcess: os.Getpid()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Client, c.config.Peer, c.config.Load = loopback, loopback, small
			l, err := loader.New(t.Context(), c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}()
			if l.Ready().Flows != small.Flows {
				t.Errorf("%d flows", l.Ready().Flows)
			}
			for range 2 {
				l.Age(3 * time.Minute) // so that permissions are refreshed
				r, err := l.Step(t.Context(), step)
				if err != nil {
					t.Fatal(err)
				}
				check(t, r, c.config.Scheme == loader.Direct)
			}
		})
	}
}

func check(t *testing.T, r loader.Result, straight bool) {
	t.Helper()
	// A relay on a busy machine may lose some, which this is no test of.
	lost := r.Received != r.Sent
	if !straight {
		lost = r.Received < r.Sent/4 || r.Received > r.Sent
	}
	if lost || r.Sent == 0 || r.Reordered != 0 || r.Stray != 0 {
		t.Errorf("of %d sent, %d arrived, %d not in order, %d strange", r.Sent, r.Received, r.Reordered, r.Stray)
	}
	// All that was due was sent or is said not to have been.
	if due := float64(r.Sent+r.Unsent) / step.Duration.Seconds(); due < 0.6*step.Rate || due > 1.4*step.Rate {
		t.Errorf("%.0f packets/s were due, wanted %.0f", due, step.Rate)
	}
	if r.Latency.Count() != int64(r.Received) || r.Latency.At(50) <= 0 || r.Latency.At(50) < r.Pacing.At(0) {
		t.Errorf("latency of %d packets, half within %v", r.Latency.Count(), r.Latency.At(50))
	}
	if r.Spent.Elapsed <= 0 || len(r.Spent.Processes) == 0 || r.Spent.Processes[0] <= 0 {
		t.Errorf("spent %+v", r.Spent)
	}
}

func TestLossIsWhatDidNotArrive(t *testing.T) {
	// What goes to a peer through a relay that forgets its allocations is lost.
	secret := "s"
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := turn.New(turn.Config{
		Realm: "test", Secrets: [][]byte{[]byte(secret)}, PacketConns: []net.PacketConn{conn}, Addresses: []netip.Addr{loopback},
		Peers: turn.PeerPolicy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := loader.New(t.Context(), loader.Config{
		Scheme: loader.TURN, Server: conn.LocalAddr().(*net.UDPAddr).AddrPort(), Secret: []byte(secret), Client: loopback, Peer: loopback, Load: small,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := l.Step(t.Context(), step)
	if err != nil {
		t.Fatal(err)
	}
	if r.Received != 0 || r.Sent+r.Unsent == 0 || r.Latency.At(99) != 0 {
		t.Errorf("of %d sent through nothing, %d arrived", r.Sent, r.Received)
	}
}

func TestFlowsThatCannotBeMadeAreErrors(t *testing.T) {
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	server := relay(t, "right")
	for _, c := range []struct {
		name   string
		ctx    context.Context
		change func(*loader.Config)
		want   string
	}{
		{"wrong secret", t.Context(), func(c *loader.Config) { c.Secret = []byte("wrong") }, "401"},
		{"no such scheme", t.Context(), func(c *loader.Config) { c.Scheme = "carrier pigeon" }, "carrier pigeon"},
		{"nobody there", short, func(c *loader.Config) { c.Server = netip.MustParseAddrPort("127.0.0.1:9") }, "deadline"},
		{"no forwarder there", short, func(c *loader.Config) { c.Scheme = loader.Plain; c.Server = netip.MustParseAddrPort("127.0.0.1:9") }, "deadline"},
		{"no such address", t.Context(), func(c *loader.Config) { c.Client = netip.MustParseAddr("192.0.2.1") }, "192.0.2."},
		{"no such peer", t.Context(), func(c *loader.Config) { c.Peer = netip.MustParseAddr("192.0.2.1") }, "192.0.2."},
		{"no flows", t.Context(), func(c *loader.Config) { c.Load.Flows = 0 }, "0 flows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := loader.Config{Scheme: loader.TURN, Server: server, Secret: []byte("right"), Client: loopback, Peer: loopback, Load: small}
			c.change(&config)
			l, err := loader.New(c.ctx, config)
			if err == nil {
				_ = l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("wanted an error with %q, got %v", c.want, err)
			}
		})
	}
}

func TestStepEndsWhenInterrupted(t *testing.T) {
	l, err := loader.New(t.Context(), loader.Config{Scheme: loader.Direct, Client: loopback, Peer: loopback, Load: small})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Step(ctx, loader.Step{Rate: 10, Duration: time.Hour}); err == nil {
		t.Error("an interrupted step has a result")
	}
	if _, err := l.Step(t.Context(), loader.Step{Rate: 1e9, Duration: time.Second}); err == nil {
		t.Error("a step of a thousand million packets/s has a result")
	}
}

func TestServeAnswersEachOrder(t *testing.T) {
	var in, out bytes.Buffer
	orders := json.NewEncoder(&in)
	for _, order := range []any{loader.Config{Scheme: loader.Direct, Client: loopback, Peer: loopback, Load: small}, step, step} {
		if err := orders.Encode(order); err != nil {
			t.Fatal(err)
		}
	}
	if err := loader.Serve(t.Context(), &in, &out); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(&out)
	for i := range 3 {
		var a loader.Answer
		if err := answers.Decode(&a); err != nil {
			t.Fatal(err)
		}
		if (a.Ready != nil) != (i == 0) || (a.Result != nil) != (i > 0) || a.Error != "" {
			t.Errorf("answer %d: %+v", i, a)
		}
		if a.Result != nil {
			check(t, *a.Result, true)
		}
	}
	if err := answers.Decode(new(loader.Answer)); err != io.EOF {
		t.Errorf("more answers than orders (%v)", err)
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	for _, in := range []string{"", "{", `{"scheme":"direct"}`, `{"scheme":"direct","client":"127.0.0.1","peer":"127.0.0.1","load":{"flows":1,"streams":[{"payload":60,"rate":1,"direction":"up"}]}} x`} {
		var out bytes.Buffer
		if err := loader.Serve(t.Context(), strings.NewReader(in), &out); err == nil {
			t.Errorf("served %q", in)
		}
		if !strings.Contains(out.String(), `"error":"`) {
			t.Errorf("answered %q to %q", out.String(), in)
		}
	}
}

func TestHelloIsWhatWasSaid(t *testing.T) {
	want := loader.Hello{Address: netip.MustParseAddrPort("127.9.8.7:654")}
	if got, ok := loader.ReadHello(want.Bytes()); !ok || got != want {
		t.Errorf("got %v (%t)", got, ok)
	}
}

func FuzzReadHello(f *testing.F) {
	f.Add(loader.Hello{Address: netip.MustParseAddrPort("127.0.0.1:1")}.Bytes())
	f.Fuzz(func(t *testing.T, p []byte) {
		if h, ok := loader.ReadHello(p); ok && !bytes.Equal(h.Bytes(), p) {
			t.Errorf("read %x as %v", p, h)
		}
	})
}
