package negotiation_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5/dpipe"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	alice = netip.MustParseAddrPort("192.0.2.10:50000")
	bob   = netip.MustParseAddrPort("198.51.100.20:60000")
)

// clock is a time that goes on by a millisecond each time it is asked.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) tick() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

// wire joins two endpoints and shows each of their packets to the recorders at
// both ends, as interfaces would.
type wire struct {
	clock
	addresses [2]netip.AddrPort
	recorders [2]*negotiation.Recorder
	// lose, when set, takes a datagram off the wire after its sender's
	// interface; from is 0 or 1 and n counts that side's datagrams from 0.
	lose    func(from, n int, datagram []byte) bool
	sent    [2]int
	packets [][]byte // all, in order
}

func newWire(t *testing.T, cfg negotiation.Config) *wire {
	t.Helper()
	w := &wire{clock: clock{now: epoch}, addresses: [2]netip.AddrPort{alice, bob}}
	for i, leg := range []string{"alice", "bob"} {
		cfg.Leg = leg
		cfg.Now = w.tick
		w.recorders[i] = negotiation.NewRecorder(cfg)
	}
	return w
}

// pass shows a datagram of one side, and tells whether it arrives.
func (w *wire) pass(from int, datagram []byte) bool {
	packet := iptest.UDP(w.addresses[from], w.addresses[1-from], datagram)
	w.packets = append(w.packets, packet)
	w.recorders[from].Packet(w.tick(), true, packet)
	n := w.sent[from]
	w.sent[from]++
	if w.lose != nil && w.lose(from, n, datagram) {
		return false
	}
	w.recorders[1-from].Packet(w.tick(), false, packet)
	return true
}

// ends returns the two ends of the wire as connections.
func (w *wire) ends(t *testing.T) (a, b net.Conn) {
	t.Helper()
	left, right := dpipe.Pipe()
	var mu sync.Mutex // one packet at a time, in one order
	a = &tapped{Conn: left, pass: func(d []byte) bool { mu.Lock(); defer mu.Unlock(); return w.pass(0, d) }}
	b = &tapped{Conn: right, pass: func(d []byte) bool { mu.Lock(); defer mu.Unlock(); return w.pass(1, d) }}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

// tapped is a connection whose datagrams are shown before they are sent.
type tapped struct {
	net.Conn
	pass func([]byte) bool
}

func (c *tapped) Write(b []byte) (int, error) {
	if !c.pass(b) {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// both runs the two sides of something that needs both to get on, and returns
// their errors.
func both(a, b func() error) (errA, errB error) {
	var wg sync.WaitGroup
	wg.Go(func() { errA = a() })
	wg.Go(func() { errB = b() })
	wg.Wait()
	return errA, errB
}

// soon is a context for what must not hang.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalLists[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func contains(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
		t.Errorf("%s: nothing with %q in %q", what, want, got)
	}
}

func fromHex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
