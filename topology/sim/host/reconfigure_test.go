package host_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/callpath/callpath/topology/sim/host"
)

func TestReconfigureMovesTheHost(t *testing.T) {
	s, alice, bob := two(t)
	bound := listenUDP(t, alice, "udp", "192.0.2.1:0")
	open := listenUDP(t, alice, "udp", ":0")
	listener := listenTCP(t, alice, "tcp", "192.0.2.1:0")
	c, _ := connect(t, alice, bob, "198.51.100.2:0")
	looped, _ := connect(t, alice, alice, "127.0.0.1:0")
	pending := make(chan error, 3)
	go func() { _, err := c.Read(make([]byte, 1)); pending <- err }()
	go func() { _, _, err := bound.ReadFrom(make([]byte, 1)); pending <- err }()
	go func() { _, err := listener.Accept(); pending <- err }()

	moved := []host.Interface{{Name: "wlan0", MTU: 1400, Addresses: prefixes("203.0.113.9/24"), Routes: prefixes("0.0.0.0/0")}}
	if err := alice.Reconfigure(moved); err != nil {
		t.Fatal(err)
	}
	s.claim(alice, nil, moved)

	for range 3 {
		if err := <-pending; !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("pending: got %v, want ECONNABORTED or EADDRNOTAVAIL", err)
		}
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("connection: got %v, want ECONNABORTED", err)
	}
	to := &net.UDPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 9}
	if _, err := bound.WriteTo([]byte("x"), to); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("bound socket: got %v, want EADDRNOTAVAIL", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing what broke: %v", err)
	}
	if _, err := looped.Write([]byte("x")); err != nil {
		t.Errorf("a loopback connection broke: %v", err)
	}

	want := []netip.Addr{netip.MustParseAddr("203.0.113.9")}
	if got := alice.Addresses(); !equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	if _, err := alice.Net().InterfaceByName("eth0"); err == nil {
		t.Error("eth0 is still there")
	}
	if i, err := alice.Net().InterfaceByName("wlan0"); err != nil || i.MTU != 1400 {
		t.Errorf("wlan0: %+v, %v", i, err)
	}

	far := listenUDP(t, bob, "udp4", ":3478")
	if _, err := open.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 3478}); err != nil {
		t.Fatalf("socket on all addresses: %v", err)
	}
	_, from, err := far.ReadFromUDPAddrPort(make([]byte, 10))
	if err != nil || from.Addr() != want[0] {
		t.Errorf("from %s, %v; want %s", from, err, want[0])
	}
	connect(t, alice, bob, "198.51.100.2:0")
}

func TestReconfigureKeepsWhatStays(t *testing.T) {
	s, alice, bob := two(t)
	c, peer := connect(t, alice, bob, "198.51.100.2:0")
	before, err := alice.Net().InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	// A VPN comes up: a second interface, while the first loses its IPv6.
	grown := append(eth0("192.0.2.1/24", "192.0.2.7/24"),
		host.Interface{Name: "vpn0", Addresses: prefixes("10.8.0.2/32"), Routes: prefixes("10.0.0.0/8")})
	if err := alice.Reconfigure(grown); err != nil {
		t.Fatal(err)
	}
	s.claim(alice, nil, grown)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := peer.Read(make([]byte, 10)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	after, err := alice.Net().InterfaceByName("eth0")
	if err != nil || after.Index != before.Index {
		t.Errorf("eth0 was %d and is %d, %v", before.Index, after.Index, err)
	}
	connect(t, bob, alice, "192.0.2.7:0")
	if _, err := alice.ListenPacket(t.Context(), "udp", "[2001:db8:1::1]:0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("listening on the lost address: got %v, want EADDRNOTAVAIL", err)
	}
}

func TestAcceptAfterTheMoveGivesABrokenConnection(t *testing.T) {
	s, alice, bob := two(t)
	// The first packet of alice is the SYN-ACK; the second acknowledges data, so
	// that the connection certainly waits to be accepted.
	acknowledged := make(chan struct{})
	var sent atomic.Int32
	s.watch(func(from, _ string, _ []byte) bool {
		if from == "alice-pc" && sent.Add(1) == 2 {
			close(acknowledged)
		}
		return true
	})
	l := listenTCP(t, alice, "tcp", ":0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := bob.DialContext(t.Context(), "tcp", "192.0.2.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-acknowledged
	if err := alice.Reconfigure(eth0("203.0.113.9/24")); err != nil {
		t.Fatal(err)
	}
	p, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("got %v, want ECONNABORTED", err)
	}
}

func TestReconfigureRefusesBadInterfacesAndChangesNothing(t *testing.T) {
	_, alice, _ := two(t)
	before := alice.Addresses()
	if err := alice.Reconfigure([]host.Interface{{Name: "eth0", MTU: 1}}); err == nil {
		t.Error("no error")
	}
	if after := alice.Addresses(); !equal(before, after) {
		t.Errorf("addresses %v became %v", before, after)
	}
}

func TestCloseBreaksEverything(t *testing.T) {
	_, alice, bob := two(t)
	u := listenUDP(t, alice, "udp", ":0")
	l := listenTCP(t, alice, "tcp", ":0")
	c, _ := connect(t, alice, bob, "198.51.100.2:0")
	pending := make(chan error, 4)
	go func() { _, err := c.Read(make([]byte, 1)); pending <- err }()
	go func() { _, _, err := u.ReadFrom(make([]byte, 1)); pending <- err }()
	go func() { _, err := l.Accept(); pending <- err }()
	go func() { _, err := alice.DialContext(t.Context(), "tcp", "203.0.113.254:1"); pending <- err }()
	if err := alice.Close(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := <-pending; !errors.Is(err, net.ErrClosed) {
			t.Errorf("pending: got %v, want ErrClosed", err)
		}
	}
	for name, open := range map[string]func() error{
		"dial TCP":   func() error { _, err := alice.DialContext(t.Context(), "tcp", "198.51.100.2:1"); return err },
		"dial UDP":   func() error { _, err := alice.DialContext(t.Context(), "udp", "198.51.100.2:1"); return err },
		"listen TCP": func() error { _, err := alice.Listen(t.Context(), "tcp", ":0"); return err },
		"listen UDP": func() error { _, err := alice.ListenPacket(t.Context(), "udp", ":0"); return err },
		"move":       func() error { return alice.Reconfigure(eth0("192.0.2.1/24")) },
	} {
		if err := open(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	alice.Deliver("eth0", []byte{0x45})
	if err := alice.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
