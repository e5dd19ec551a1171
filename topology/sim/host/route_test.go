package host_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/callpath/callpath/topology/sim/host"
)

// ledger notes which interface each packet left by, by destination.
type ledger struct {
	mu  sync.Mutex
	way map[netip.Addr][]string
}

func (l *ledger) note(from, iface string, packet []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.way == nil {
		l.way = make(map[netip.Addr][]string)
	}
	to := destination(packet)
	l.way[to] = append(l.way[to], from+"/"+iface)
	return true
}

func (l *ledger) last(to netip.Addr) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.way[to]); n > 0 {
		return l.way[to][n-1]
	}
	return "nowhere"
}

// A VPN that takes everything but the relay's range, which leaves by the
// local network: the split tunnel of figures 5 to 7.
func splitTunnel() []host.Interface {
	return []host.Interface{
		{Name: "vpn0", MTU: 1400, Addresses: prefixes("10.8.0.2/32"), Routes: prefixes("0.0.0.0/0")},
		{Name: "eth0", Addresses: prefixes("192.168.1.5/24", "2001:db8:1::5/64"), Routes: prefixes("0.0.0.0/0", "::/0", "20.202.0.0/16")},
	}
}

func TestRoutesChooseInterfaceAndSource(t *testing.T) {
	s := newSegment()
	var l ledger
	s.watch(l.note)
	h := s.add(t, host.Config{Name: "pc", Interfaces: splitTunnel()})
	for _, tt := range []struct{ name, local, to, iface, source string }{
		{"default route of the first interface", ":0", "203.0.113.7", "vpn0", "10.8.0.2"},
		{"more specific route", ":0", "20.202.3.4", "eth0", "192.168.1.5"},
		{"own subnet", ":0", "192.168.1.9", "eth0", "192.168.1.5"},
		{"only interface of the family", ":0", "2001:db8:9::1", "eth0", "2001:db8:1::5"},
		{"bound to the other interface (RFC 1122, 3.3.4.2)", "192.168.1.5:0", "203.0.113.8", "eth0", "192.168.1.5"},
		{"bound, against a more specific route", "10.8.0.2:0", "20.202.3.5", "vpn0", "10.8.0.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddr(tt.to)
			c := listenUDP(t, h, "udp", tt.local)
			if _, err := c.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(to, 9)); err != nil {
				t.Fatal(err)
			}
			if got, want := l.last(to), "pc/"+tt.iface; got != want {
				t.Errorf("left by %s, want %s", got, want)
			}
			if tt.local == ":0" {
				d, err := h.DialContext(t.Context(), "udp", netip.AddrPortFrom(to, 9).String())
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if got := d.LocalAddr().(*net.UDPAddr).AddrPort().Addr(); got.String() != tt.source {
					t.Errorf("source address %s, want %s", got, tt.source)
				}
			}
		})
	}
}

func TestWithoutARouteTheNetworkIsUnreachable(t *testing.T) {
	s := newSegment()
	h := s.add(t, host.Config{Name: "pc", Interfaces: []host.Interface{{Name: "eth0", Addresses: prefixes("192.0.2.1/24")}}})
	_, err := h.DialContext(t.Context(), "tcp", "198.51.100.2:443")
	if !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("tcp: got %v, want ENETUNREACH", err)
	}
	c := listenUDP(t, h, "udp4", ":0")
	_, err = c.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort("198.51.100.2:9"))
	if !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("udp: got %v, want ENETUNREACH", err)
	}
	_, err = h.DialContext(t.Context(), "udp", "[2001:db8::1]:9")
	if err == nil {
		t.Error("udp over a family without an address: no error")
	}
}

// A firewall that rejects answers a SYN with ICMP "administratively
// prohibited" (RFC 1812, section 5.2.7.1).
func TestICMPErrorsEndAConnectionAttempt(t *testing.T) {
	s := newSegment()
	var h *host.Host
	ready := make(chan struct{})
	s.watch(func(_, iface string, packet []byte) bool {
		go func() { <-ready; h.Deliver(iface, prohibited(packet)) }()
		return false
	})
	h = s.add(t, host.Config{Name: "pc", Interfaces: eth0("192.0.2.1/24")})
	close(ready)
	_, err := h.DialContext(t.Context(), "tcp", "198.51.100.2:443")
	if !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("got %v, want EHOSTUNREACH", err)
	}
}

// prohibited makes the ICMP error that a router at 198.51.100.1 returns for an
// IPv4 packet.
func prohibited(packet []byte) []byte {
	quoted := packet[:min(len(packet), 28)]
	b := make([]byte, 28, 28+len(quoted))
	b[0], b[8], b[9] = 0x45, 64, 1
	copy(b[12:16], []byte{198, 51, 100, 1})
	copy(b[16:20], packet[12:16])
	b[20], b[21] = 3, 13
	b = append(b, quoted...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
	binary.BigEndian.PutUint16(b[22:], checksum(b[20:]))
	return b
}

func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestDialEndsWithItsContext(t *testing.T) {
	s := newSegment() // where nobody answers
	h := s.add(t, host.Config{Name: "pc", Interfaces: eth0("192.0.2.1/24")})
	ctx, cancel := context.WithCancel(t.Context())
	s.watch(func(string, string, []byte) bool { cancel(); return false })
	_, err := h.DialContext(ctx, "tcp", "198.51.100.2:443")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestLoopbackStaysInside(t *testing.T) {
	s := newSegment()
	s.watch(func(from, iface string, packet []byte) bool {
		t.Errorf("a packet to %s left by %s", destination(packet), iface)
		return false
	})
	h := s.add(t, host.Config{Name: "pc", Interfaces: eth0("192.0.2.1/24", "2001:db8::1/64")})
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "192.0.2.1:0", "[2001:db8::1]:0"} {
		t.Run(address, func(t *testing.T) {
			c, peer := connect(t, h, h, address)
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if n, err := peer.Read(make([]byte, 10)); n != 1 || err != nil {
				t.Errorf("read %d, %v", n, err)
			}
		})
	}
	t.Run("unspecified", func(t *testing.T) {
		l := listenTCP(t, h, "tcp", ":0")
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, to := range []string{":" + port, "0.0.0.0:" + port, "[::]:" + port, "localhost:" + port} {
			c, err := h.DialContext(t.Context(), "tcp", to)
			if err != nil {
				t.Errorf("%s: %v", to, err)
				continue
			}
			_ = c.Close()
		}
	})
}

func TestSeedRepeatsTheChoiceOfPorts(t *testing.T) {
	ports := func(name string, seed uint64) (list []int) {
		s := newSegment()
		h := s.add(t, host.Config{Name: name, Seed: seed, Interfaces: eth0("192.0.2.1/24")})
		for range 5 {
			list = append(list, listenUDP(t, h, "udp4", ":0").LocalAddr().(*net.UDPAddr).Port)
		}
		return list
	}
	same := func(a, b []int) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	first := ports("pc", 7)
	if again := ports("pc", 7); !same(first, again) {
		t.Errorf("the same seed gave %v and %v", first, again)
	}
	if other := ports("pc", 8); same(first, other) {
		t.Errorf("another seed gave %v too", other)
	}
	if other := ports("phone", 7); same(first, other) {
		t.Errorf("another host gave %v too", other)
	}
}

func TestNewRefusesBadInterfaces(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		interfaces []host.Interface
	}{
		{"no name", "no name", []host.Interface{{}}},
		{"loopback's name", "loopback", []host.Interface{{Name: "lo"}}},
		{"same name twice", "two interfaces", []host.Interface{{Name: "eth0"}, {Name: "eth0"}}},
		{"small MTU", "1279", []host.Interface{{Name: "eth0", MTU: 1279}}},
		{"large MTU", "65536", []host.Interface{{Name: "eth0", MTU: 65536}}},
		{"no address", "invalid Prefix", []host.Interface{{Name: "eth0", Addresses: []netip.Prefix{{}}}}},
		{"mapped address", "::ffff:192.0.2.1", []host.Interface{{Name: "eth0", Addresses: prefixes("::ffff:192.0.2.1/120")}}},
		{"multicast address", "unicast", []host.Interface{{Name: "eth0", Addresses: prefixes("224.0.0.1/24")}}},
		{"same address twice", "also on eth0", []host.Interface{
			{Name: "eth0", Addresses: prefixes("192.0.2.1/24")}, {Name: "eth1", Addresses: prefixes("192.0.2.1/25")}}},
		{"no route", "route", []host.Interface{{Name: "eth0", Routes: []netip.Prefix{{}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := host.New(host.Config{Name: "pc", Interfaces: tt.interfaces})
			if err == nil {
				_ = h.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "host pc") {
				t.Errorf("error %q does not name the host and %q", err, tt.want)
			}
		})
	}
}

func TestGarbageFromTheNetworkIsDropped(t *testing.T) {
	_, alice, bob := two(t)
	for _, packet := range [][]byte{nil, {}, {0}, {0x45}, {0x60}, make([]byte, 20), append([]byte{0x45}, make([]byte, 60)...)} {
		alice.Deliver("eth0", packet)
	}
	alice.Deliver("eth9", []byte{0x45})
	connect(t, alice, bob, "198.51.100.2:0") // it still works
}
