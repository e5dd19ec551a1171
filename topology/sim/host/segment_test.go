package host_test

import (
	"net/netip"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/topology/sim/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// segment joins hosts: a packet goes to whoever has its destination address,
// and nowhere if nobody has it. It keeps the rule of Config.Send in the simplest
// way: it delivers in another goroutine.
type segment struct {
	mu    sync.RWMutex
	owner map[netip.Addr]port
	// seen is called with each packet sent; false drops it. Nil passes all.
	seen func(from, iface string, packet []byte) bool
}

type port struct {
	h     *host.Host
	iface string
	queue chan arrival
}

type arrival struct {
	iface  string
	packet []byte
}

func newSegment() *segment { return &segment{owner: make(map[netip.Addr]port)} }

// add starts a host with the given interfaces on the segment. The test ends it.
func (s *segment) add(t testing.TB, cfg host.Config) *host.Host {
	t.Helper()
	queue := make(chan arrival, 4096)
	cfg.Send = func(iface string, packet []byte) { s.send(cfg.Name, iface, packet) }
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.claim(h, queue, cfg.Interfaces)
	stop := make(chan struct{})
	var delivery sync.WaitGroup
	delivery.Go(func() {
		for {
			select {
			case a := <-queue:
				h.Deliver(a.iface, a.packet)
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		close(stop)
		delivery.Wait()
	})
	return h
}

// claim makes the interfaces' addresses lead to the host.
func (s *segment) claim(h *host.Host, queue chan arrival, interfaces []host.Interface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, p := range s.owner {
		if p.h == h {
			queue = p.queue
			delete(s.owner, a)
		}
	}
	for _, i := range interfaces {
		for _, p := range i.Addresses {
			s.owner[p.Addr()] = port{h, i.Name, queue}
		}
	}
}

func (s *segment) send(from, iface string, packet []byte) {
	s.mu.RLock()
	seen := s.seen
	to, ok := s.owner[destination(packet)]
	s.mu.RUnlock()
	if seen != nil && !seen(from, iface, packet) || !ok {
		return
	}
	select {
	case to.queue <- arrival{to.iface, packet}:
	default: // the queue is full, as a router's may be
	}
}

func (s *segment) watch(seen func(from, iface string, packet []byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = seen
}

func destination(packet []byte) netip.Addr {
	if packet[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(packet[16:20]))
	}
	return netip.AddrFrom16([16]byte(packet[24:40]))
}

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// eth0 is an interface with default routes.
func eth0(addresses ...string) []host.Interface {
	return []host.Interface{{Name: "eth0", Addresses: prefixes(addresses...), Routes: prefixes("0.0.0.0/0", "::/0")}}
}

// two returns two hosts that reach each other by IPv4 and IPv6.
func two(t testing.TB) (*segment, *host.Host, *host.Host) {
	t.Helper()
	s := newSegment()
	alice := s.add(t, host.Config{Name: "alice-pc", Interfaces: eth0("192.0.2.1/24", "2001:db8:1::1/64")})
	bob := s.add(t, host.Config{Name: "bob-pc", Interfaces: eth0("198.51.100.2/24", "2001:db8:2::2/64")})
	return s, alice, bob
}
