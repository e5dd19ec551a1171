//go:build linux

package light_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/meeting/light"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/relay/processor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for conditions that hold soon; the machine may be busy.
const patience = 10 * time.Second

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var loopback = netip.MustParseAddr("127.0.0.1")

// server runs a media processor on loopback.
func server(t testing.TB, change func(*processor.Config)) *processor.Processor {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	cfg := processor.Config{Sockets: []net.PacketConn{conn}}
	if change != nil {
		change(&cfg)
	}
	p, err := processor.New(cfg)
	ok(t, err)
	run(t, p.Run)
	return p
}

// run runs something until the test ends, and wants no error of it.
func run(t testing.TB, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	t.Cleanup(func() {
		cancel()
		ok(t, <-done)
	})
}

func engine(t testing.TB, cfg light.Config) *light.Engine {
	t.Helper()
	cfg.Local = loopback
	e, err := light.NewEngine(cfg)
	ok(t, err)
	run(t, e.Run)
	return e
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// join has a client join and connect.
func join(t testing.TB, e *light.Engine, p *processor.Processor, number int, m light.Media) *light.Client {
	t.Helper()
	c, err := e.Open(within(t), uint32(number), m)
	ok(t, err)
	t.Cleanup(func() { ok(t, c.Close()) })
	answer, err := p.Join(within(t), processor.Join{Conference: "meeting", Participant: fmt.Sprint("p", number), Offer: c.Offer()})
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Offer())
	}
	ok(t, c.Connect(within(t), answer))
	return c
}

// until cuts until the sum of all cuts holds.
func until(t testing.TB, e *light.Engine, what string, holds func(*tally.Tally) bool) *tally.Tally {
	t.Helper()
	sum := tally.New()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		cut, err := e.Cut(within(t))
		ok(t, err)
		sum.Add(cut)
		if holds(sum) {
			return sum
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s; sent %d, received %d of %d, %d streams, %d stray",
				patience, what, sum.Sent, sum.Received, sum.Expected, sum.Streams, sum.Stray)
		}
	}
}

// Everybody hears and sees everybody else, over real ICE, DTLS and SRTP.
func TestClientsMeetInAMediaProcessor(t *testing.T) {
	p := server(t, nil)
	e := engine(t, light.Config{})
	var clients []*light.Client
	for i := range 4 {
		clients = append(clients, join(t, e, p, i, light.Media{Audio: true, Video: i < 2, AudioSlots: 3, VideoSlots: 2}))
	}
	// 4 hear 3 others; the two senders of video see each other, the other two both.
	const streams = 4*3 + 2*1 + 2*2
	sum := until(t, e, "everybody has everything, and reports have come", func(s *tally.Tally) bool {
		return s.Streams == streams && s.RTT.Count() > 0 && s.Expected > 0 && s.KeyFrames > 0
	})
	if sum.Latency.Count() == 0 || sum.Pacing.Count() == 0 || sum.Jitter.Count() == 0 || sum.Bytes == 0 {
		t.Errorf("figures are missing: %+v", sum)
	}
	score, err := sum.Score("opus")
	ok(t, err)
	if score == nil || score.Intervals == 0 || score.P50 < 1 || !strings.Contains(score.Inputs, "G.107") {
		t.Errorf("score %+v", score)
	}
	for i, c := range clients {
		at := c.Times()
		for _, order := range []bool{!at.Answered.IsZero(), !at.Selected.Before(at.Answered), !at.Keyed.Before(at.Selected), !at.FirstMedia.IsZero()} {
			if !order {
				t.Errorf("client %d: %+v", i, at)
			}
		}
		if c.Err() != nil {
			t.Errorf("client %d: %v", i, c.Err())
		}
	}
	if stats := p.Stats(); stats.Connected != 4 || stats.PacketsIn == 0 || stats.Drops[processor.DropUnauthentic] > 0 {
		t.Errorf("the processor has %+v", stats)
	}
}

// A client that leaves says so: the processor does not wait for its consent to expire.
func TestAClientThatIsClosedLeaves(t *testing.T) {
	var mu sync.Mutex
	left := make(map[string]processor.EventKind)
	p := server(t, func(c *processor.Config) {
		c.OnEvent = func(e processor.Event) {
			mu.Lock()
			defer mu.Unlock()
			left[e.Participant] = e.Kind
		}
	})
	e := engine(t, light.Config{})
	c := join(t, e, p, 0, light.Media{Audio: true})
	ok(t, c.Close())
	ok(t, c.Close()) // again is nothing
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		kind := left["p0"]
		mu.Unlock()
		if kind == processor.EventLeft {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("last event %q", kind)
		}
	}
}

// A participant whom the server takes away knows it.
func TestAClientThatIsTakenAwayFails(t *testing.T) {
	p := server(t, nil)
	e := engine(t, light.Config{})
	c := join(t, e, p, 0, light.Media{Audio: true})
	p.Leave("meeting", "p0")
	select {
	case <-c.Failed():
	case <-time.After(patience):
		t.Fatal("the client does not know")
	}
	if c.Err() == nil {
		t.Error("no reason")
	}
}

func TestConnectFails(t *testing.T) {
	p := server(t, nil)
	e := engine(t, light.Config{})
	for _, c := range []struct {
		name, wanted string
		change       func(string) string
	}{
		{"by a foreign certificate", "certificate", func(answer string) string {
			at := strings.Index(answer, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
			for strings.HasPrefix(answer[at:], "00") {
				at += 3
			}
			return strings.ReplaceAll(answer, answer[at:at+5], "00:00")
		}},
		{"by an answer without candidates", "candidate", func(answer string) string {
			return strings.ReplaceAll(answer, "a=candidate:", "a=ignored:")
		}},
		{"by a full agent", "ice-lite", func(answer string) string { return strings.ReplaceAll(answer, "a=ice-lite", "a=ignored") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := e.Open(within(t), 1, light.Media{Audio: true})
			ok(t, err)
			defer func() { ok(t, client.Close()) }()
			answer, err := p.Join(within(t), processor.Join{Conference: c.name, Participant: "p", Offer: client.Offer()})
			ok(t, err)
			if err := client.Connect(within(t), c.change(answer)); err == nil || !strings.Contains(err.Error(), c.wanted) {
				t.Errorf("got %v, wanted something of %q", err, c.wanted)
			}
		})
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	p := server(t, nil)
	e := engine(t, light.Config{})
	client, err := e.Open(within(t), 1, light.Media{Audio: true})
	ok(t, err)
	defer func() { ok(t, client.Close()) }()
	answer, err := p.Join(within(t), processor.Join{Conference: "x", Participant: "p", Offer: client.Offer()})
	ok(t, err)
	p.End("x") // nobody answers checks any more
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	cancel(enough)
	if err := client.Connect(ctx, answer); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		wanted string
		cfg    light.Config
	}{
		{"Local", light.Config{Local: netip.IPv6Loopback()}},
		{"Bitrate", light.Config{Bitrate: 100}},
		{"Bitrate", light.Config{Bitrate: 2_000_000_000}},
		{"Frames", light.Config{Frames: 500}},
		{"Share", light.Config{Share: 2}},
	} {
		if _, err := light.NewEngine(c.cfg); err == nil || !strings.Contains(err.Error(), c.wanted) {
			t.Errorf("%+v: got %v, wanted something of %s", c.cfg, err, c.wanted)
		}
	}
}

func TestAnEngineThatHasEndedSaysSo(t *testing.T) {
	e, err := light.NewEngine(light.Config{Local: loopback})
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	c, err := e.Open(within(t), 0, light.Media{Audio: true})
	ok(t, err)
	cancel()
	ok(t, <-done)
	if _, err := e.Cut(within(t)); err == nil {
		t.Error("cut")
	}
	if _, err := e.Open(within(t), 1, light.Media{}); err == nil {
		t.Error("opened")
	}
	ok(t, c.Close()) // its socket is closed
}
