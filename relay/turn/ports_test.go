package turn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// socket is a relay socket that does nothing.
type socket struct{ net.PacketConn }

func (socket) Close() error { return nil }

// opener opens sockets except on the ports that somebody else holds.
func opener(held ...string) func(context.Context, string, string) (net.PacketConn, error) {
	return func(_ context.Context, _, address string) (net.PacketConn, error) {
		for _, h := range held {
			if strings.HasSuffix(address, ":"+h) {
				return nil, errors.New("address already in use")
			}
		}
		return socket{}, nil
	}
}

func testPorts(min, max uint16, addresses []string, held ...string) *ports {
	cfg := &Config{MinPort: min, MaxPort: max, ListenPacket: opener(held...), Rand: rand.NewPCG(1, 2)}
	for _, a := range addresses {
		cfg.Addresses = append(cfg.Addresses, netip.MustParseAddr(a))
	}
	return newPorts(cfg)
}

func TestRelayPortsAreEvenlyDistributed(t *testing.T) {
	const low, high, rounds = 50000, 50009, 20000
	p := testPorts(low, high, []string{"203.0.113.1"})
	counts := make(map[uint16]int)
	// Some ports are in use all the time, so that a walk to the next free one
	// would favour its neighbour.
	for port := uint16(50002); port <= 50005; port++ {
		if _, _, err := p.open(t.Context(), "udp4", int(port)); err != nil {
			t.Fatal(err)
		}
	}
	for range rounds {
		_, at, err := p.open(t.Context(), "udp4", 0)
		if err != nil {
			t.Fatal(err)
		}
		counts[at.Port()]++
		p.release(at)
	}
	const mean = rounds / 6
	for port := uint16(low); port <= high; port++ {
		n := counts[port]
		if taken := port >= 50002 && port <= 50005; taken && n != 0 || !taken && (n < mean*9/10 || n > mean*11/10) {
			t.Errorf("port %d was picked %d times; wanted about %d, and 0 for one in use", port, n, mean)
		}
	}
}

func TestEachPortIsUsedOnceUntilReleased(t *testing.T) {
	p := testPorts(50000, 50063, []string{"203.0.113.1", "203.0.113.2", "2001:db8::1"}, "50007")
	seen := make(map[netip.AddrPort]bool)
	var last netip.AddrPort
	for {
		_, at, err := p.open(t.Context(), "udp4", 0)
		if err != nil {
			if !strings.Contains(err.Error(), "203.0.113.") {
				t.Errorf("error does not name the address: %v", err)
			}
			break
		}
		if seen[at] || at.Port() < 50000 || at.Port() > 50063 || at.Port() == 50007 || !at.Addr().Is4() {
			t.Fatalf("got %v, which is in use, held by somebody else or out of range", at)
		}
		seen[at], last = true, at
	}
	// Addresses are used in turn, so both are nearly full when one is.
	if len(seen) < 2*63-1 {
		t.Errorf("only %d of 126 ports could be used", len(seen))
	}
	if _, at, err := p.open(t.Context(), "udp6", 0); err != nil || at.Addr() != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("udp6: got %v, %v", at, err)
	}
	p.release(last)
	for range 2 { // one of the two addresses has it
		if _, at, err := p.open(t.Context(), "udp4", 0); err == nil && at != last {
			t.Errorf("after %v was released, got %v", last, at)
		}
	}
}

func TestPortsThatCannotBeGivenSayWhy(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		ports  *ports
		port   int
		even   bool
		reason string
	}{
		{"family", t.Context(), testPorts(50000, 50009, []string{"2001:db8::1"}), 0, false, "relay has no address for udp4"},
		{"family of an even port", t.Context(), testPorts(50000, 50009, []string{"2001:db8::1"}), 0, true, "relay has no address for udp4"},
		{"below the range", t.Context(), testPorts(50000, 50009, []string{"203.0.113.1"}), 49999, false, "port 49999 is outside of 50000 to 50009"},
		{"above the range", t.Context(), testPorts(50000, 50009, []string{"203.0.113.1"}), 50010, false, "port 50010 is outside of 50000 to 50009"},
		{"held by somebody else", t.Context(), testPorts(50000, 50000, []string{"203.0.113.1"}, "50000"), 0, false, "address already in use"},
		{"no even port in range", t.Context(), testPorts(50001, 50001, []string{"203.0.113.1"}), 0, true, "all of the 0 relay ports"},
		{"neighbour held", t.Context(), testPorts(50000, 50001, []string{"203.0.113.1"}, "50001"), 0, true, "no free pair of ports"},
		{"closing", cancelled, testPorts(50000, 50001, []string{"203.0.113.1"}, "50000", "50001"), 0, false, "in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.even {
				_, _, err = c.ports.openEven(c.ctx, "udp4")
			} else {
				_, _, err = c.ports.open(c.ctx, "udp4", c.port)
			}
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("wanted an error with %q, got %v", c.reason, err)
			}
			if len(c.ports.used) != 0 {
				t.Errorf("ports left in use: %v", c.ports.used)
			}
		})
	}
}

func TestEvenPortsHaveAFreeNeighbour(t *testing.T) {
	p := testPorts(50001, 50010, []string{"203.0.113.1"}, "50003", "50007")
	for range 50 {
		pc, at, err := p.openEven(t.Context(), "udp4")
		if err != nil {
			t.Fatal(err)
		}
		// 50002 and 50006 have neighbours that are held, 50010 has none in range.
		if got := at.Port(); got != 50004 && got != 50008 {
			t.Fatalf("got %d", got)
		}
		evenPort{pc, p, at}.Close()
	}
	if len(p.used) != 0 {
		t.Errorf("ports left in use: %v", fmt.Sprint(p.used))
	}
}
