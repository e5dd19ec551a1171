package full_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/meeting/full"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/signaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for conditions that hold soon; the machine may be busy.
const patience = 15 * time.Second

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func server(t testing.TB) *processor.Processor {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	p, err := processor.New(processor.Config{Sockets: []net.PacketConn{conn}})
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		ok(t, <-done)
	})
	return p
}

func group(t testing.TB, transport string) *full.Group {
	t.Helper()
	g, err := full.NewGroup(full.Config{Loopback: true, Bitrate: 200_000, Frames: 15, Transport: transport})
	ok(t, err)
	t.Cleanup(func() { ok(t, g.Close()) })
	return g
}

// Everybody hears and sees everybody else, and all figures are there.
func TestClientsMeetInAMediaProcessor(t *testing.T) {
	p, g := server(t), group(t, "")
	var clients []*full.Client
	for i := range 3 {
		c, err := g.Open(within(t), uint32(i), full.Media{Audio: true, Video: i < 1, AudioSlots: 2, VideoSlots: 1}, nil, nil)
		ok(t, err)
		t.Cleanup(func() { ok(t, c.Close()) })
		answer, err := p.Join(within(t), processor.Join{Conference: "meeting", Participant: fmt.Sprint("p", i), Offer: c.Offer()})
		ok(t, err)
		ok(t, c.Connect(within(t), answer))
		clients = append(clients, c)
	}
	sum := tally.New()
	const streams = 3*2 + 2
	for deadline := time.Now().Add(patience); sum.Streams < streams || sum.RTT.Count() == 0 || sum.Expected == 0; time.Sleep(20 * time.Millisecond) {
		sum.Add(g.Cut())
		if time.Now().After(deadline) {
			t.Fatalf("%d streams of %d, %d of %d packets", sum.Streams, streams, sum.Received, sum.Expected)
		}
	}
	if sum.Latency.Count() == 0 || sum.Pacing.Count() == 0 || sum.Sent == 0 {
		t.Errorf("figures are missing: %+v", sum)
	}
	if score, err := sum.Score("opus"); err != nil || score == nil {
		t.Errorf("score %+v, %v", score, err)
	}
	for i, c := range clients {
		at := c.Times()
		if at.Answered.IsZero() || at.Selected.Before(at.Answered) || at.Keyed.Before(at.Selected) || c.Err() != nil {
			t.Errorf("client %d: %+v, %v", i, at, c.Err())
		}
	}
	// One that is taken away knows it.
	p.Leave("meeting", "p0")
	select {
	case <-clients[0].Failed():
	case <-time.After(patience):
		t.Fatal("the client does not know")
	}
	if clients[0].Err() == nil {
		t.Error("no reason")
	}
	ok(t, clients[0].Close())
	ok(t, clients[0].Close()) // again is nothing
}

func TestWhatCannotBeOpened(t *testing.T) {
	g := group(t, "tls")
	for _, servers := range [][]signaling.ICEServer{
		nil,
		{{URLs: []string{"turn:127.0.0.1:1?transport=udp", "turn:127.0.0.1:1?transport=tcp", "stun:127.0.0.1:1"}}},
		{{URLs: []string{"turnip"}}},
	} {
		if _, err := g.Open(within(t), 0, full.Media{Audio: true}, servers, nil); err == nil {
			t.Errorf("opened with %v", servers)
		}
	}
}

func TestConnectFails(t *testing.T) {
	p, g := server(t), group(t, "")
	c, err := g.Open(within(t), 0, full.Media{Audio: true}, nil, nil)
	ok(t, err)
	defer func() { ok(t, c.Close()) }()
	if err := c.Connect(within(t), "no SDP"); err == nil {
		t.Error("connected by no answer")
	}
	answer, err := p.Join(within(t), processor.Join{Conference: "x", Participant: "p", Offer: c.Offer()})
	ok(t, err)
	p.End("x") // nobody answers any more
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := c.Connect(ctx, answer); err == nil || !strings.Contains(err.Error(), "connecting") {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []full.Config{{Bitrate: 1, Frames: 1, Transport: "sctp"}, {Bitrate: 0, Frames: 1}, {Bitrate: 1}} {
		if _, err := full.NewGroup(cfg); err == nil {
			t.Errorf("took %+v", cfg)
		}
	}
}
