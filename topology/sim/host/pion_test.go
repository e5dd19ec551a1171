package host_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/transport/v5"

	"github.com/callpath/callpath/topology/sim/host"
)

func TestNetListsInterfaces(t *testing.T) {
	s := newSegment()
	n := s.add(t, host.Config{Name: "pc", Interfaces: splitTunnel()}).Net()
	all, err := n.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name     string
		mtu      int
		loopback bool
		addrs    []string
	}{
		{"lo", 65536, true, []string{"127.0.0.1/8", "::1/128"}},
		{"vpn0", 1400, false, []string{"10.8.0.2/32"}},
		{"eth0", 1500, false, []string{"192.168.1.5/24", "2001:db8:1::5/64"}},
	}
	if len(all) != len(want) {
		t.Fatalf("%d interfaces, want %d", len(all), len(want))
	}
	for i, w := range want {
		got := all[i]
		if got.Name != w.name || got.MTU != w.mtu || got.Flags&net.FlagUp == 0 || (got.Flags&net.FlagLoopback != 0) != w.loopback {
			t.Errorf("got %+v, want %+v, up", got.Interface, w)
		}
		addrs, err := got.Addrs()
		if err != nil || len(addrs) != len(w.addrs) {
			t.Fatalf("%s: addresses %v, %v; want %v", w.name, addrs, err, w.addrs)
		}
		for k := range addrs {
			if addrs[k].String() != w.addrs[k] {
				t.Errorf("%s: address %s, want %s", w.name, addrs[k], w.addrs[k])
			}
		}
		byIndex, err := n.InterfaceByIndex(got.Index)
		if err != nil || byIndex.Name != w.name {
			t.Errorf("by index %d: %v, %v", got.Index, byIndex, err)
		}
		byName, err := n.InterfaceByName(w.name)
		if err != nil || byName.Index != got.Index {
			t.Errorf("by name %s: %v, %v", w.name, byName, err)
		}
	}
	if _, err := n.InterfaceByName("eth9"); !errors.Is(err, transport.ErrInterfaceNotFound) {
		t.Errorf("got %v, want ErrInterfaceNotFound", err)
	}
	if _, err := n.InterfaceByIndex(99); !errors.Is(err, transport.ErrInterfaceNotFound) {
		t.Errorf("got %v, want ErrInterfaceNotFound", err)
	}
}

func TestNetResolves(t *testing.T) {
	s := newSegment()
	server := s.add(t, host.Config{Name: "dns", Interfaces: eth0("20.202.0.53/16")})
	serveNames(t, server, map[string][]netip.Addr{
		"both.test": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("20.202.0.1")},
	})
	n := s.add(t, host.Config{Name: "pc", Interfaces: eth0("192.0.2.1/24", "2001:db8:1::1/64"),
		DNS: []netip.AddrPort{netip.MustParseAddrPort("20.202.0.53:53")}}).Net()

	resolve := map[string]func(network, address string) (string, error){
		"udp": func(network, address string) (string, error) {
			a, err := n.ResolveUDPAddr(network, address)
			if err != nil {
				return "", err
			}
			return a.String(), nil
		},
		"tcp": func(network, address string) (string, error) {
			a, err := n.ResolveTCPAddr(network, address)
			if err != nil {
				return "", err
			}
			return a.String(), nil
		},
		"ip": func(network, address string) (string, error) {
			a, err := n.ResolveIPAddr(network, address)
			if err != nil {
				return "", err
			}
			return a.String(), nil
		},
	}
	for _, tt := range []struct{ network, address, want string }{
		{"udp", "both.test:3478", "20.202.0.1:3478"}, // as package net: IPv4 when one must do
		{"udp4", "both.test:3478", "20.202.0.1:3478"},
		{"udp6", "both.test:3478", "[2001:db8::1]:3478"},
		{"tcp", "both.test:https", "20.202.0.1:443"},
		{"tcp6", "[2001:db8::7]:443", "[2001:db8::7]:443"},
		{"udp4", ":5000", ":5000"},
		{"ip", "both.test", "20.202.0.1"},
		{"ip6", "both.test", "2001:db8::1"},
	} {
		got, err := resolve[strings.TrimRight(tt.network, "46")](tt.network, tt.address)
		if err != nil || got != tt.want {
			t.Errorf("%s %s: got %s, %v; want %s", tt.network, tt.address, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ network, address string }{
		{"udp", "both.test"}, {"udp", "both.test:nothing"}, {"udp", "none.test:1"}, {"udp", "both.test:65536"},
		{"udp4", "[2001:db8::1]:1"}, {"udp6", "192.0.2.1:1"}, {"tcp", "none.test:1"}, {"ip", "none.test"},
	} {
		if got, err := resolve[strings.TrimRight(tt.network, "46")](tt.network, tt.address); err == nil {
			t.Errorf("%s %s: got %s, want an error", tt.network, tt.address, got)
		}
	}
	for kind, r := range resolve {
		var unknown net.UnknownNetworkError
		if _, err := r("unix", "x:1"); !errors.As(err, &unknown) {
			t.Errorf("%s: got %v, want an unknown network", kind, err)
		}
	}
}

func TestNetOpensSockets(t *testing.T) {
	_, alice, bob := two(t)
	a, b := alice.Net(), bob.Net()

	t.Run("UDP", func(t *testing.T) {
		in, err := b.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(198, 51, 100, 2)})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := a.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5000}, in.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if out.RemoteAddr().String() != in.LocalAddr().String() {
			t.Errorf("connected to %s, want %s", out.RemoteAddr(), in.LocalAddr())
		}
		if _, _, err := out.WriteMsgUDP([]byte("x"), nil, nil); err != nil {
			t.Fatal(err)
		}
		n, oobn, _, from, err := in.ReadMsgUDP(make([]byte, 10), nil)
		if n != 1 || oobn != 0 || err != nil || from.String() != "192.0.2.1:5000" {
			t.Fatalf("read %d, %d from %s, %v", n, oobn, from, err)
		}
		if _, _, err := in.WriteMsgUDP([]byte("longer"), nil, from); err != nil {
			t.Fatal(err)
		}
		if n, _, err := out.ReadFromUDP(make([]byte, 3)); n != 3 || err != nil {
			t.Errorf("a short buffer got %d bytes, %v; want 3", n, err)
		}
		if _, _, err := in.WriteMsgUDP([]byte("x"), []byte{1}, from); !errors.Is(err, syscall.EOPNOTSUPP) {
			t.Errorf("out-of-band data: got %v, want EOPNOTSUPP", err)
		}
		if _, err := in.WriteTo([]byte("x"), &net.TCPAddr{}); err == nil {
			t.Error("a TCP address was taken")
		}
		if _, err := in.WriteTo([]byte("x"), nil); err == nil {
			t.Error("no address was taken")
		}
		if err := errors.Join(in.SetReadBuffer(1<<20), in.SetWriteBuffer(1<<20)); err != nil {
			t.Error(err)
		}
	})
	t.Run("UDP without addresses", func(t *testing.T) {
		c, err := a.ListenUDP("udp", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		d, err := a.DialUDP("udp", nil, &net.UDPAddr{Port: c.LocalAddr().(*net.UDPAddr).Port})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if got := d.RemoteAddr().(*net.UDPAddr).IP; !got.IsLoopback() {
			t.Errorf("connected to %s, want the host itself", got)
		}
		pc, err := a.ListenPacket("udp4", "")
		if err != nil {
			t.Fatal(err)
		}
		_ = pc.Close()
	})
	t.Run("TCP", func(t *testing.T) {
		l, err := b.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(198, 51, 100, 2)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := a.DialTCP("tcp4", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, l.Addr().(*net.TCPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p, err := l.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if p.RemoteAddr().String() != c.LocalAddr().String() || p.LocalAddr().String() != c.RemoteAddr().String() {
			t.Errorf("%s-%s and %s-%s do not fit", c.LocalAddr(), c.RemoteAddr(), p.LocalAddr(), p.RemoteAddr())
		}
		_ = l.SetDeadline(time.Now().Add(-time.Second))
		if _, err := l.AcceptTCP(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("accept: got %v, want a timeout", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: got %v, want ErrClosed", err)
		}
	})
	t.Run("dialer", func(t *testing.T) {
		l := listenTCP(t, bob, "tcp", "198.51.100.2:0")
		for _, d := range []*net.Dialer{
			{}, {Timeout: time.Minute}, {Deadline: time.Now().Add(time.Minute)},
			{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 6000}},
		} {
			c, err := a.CreateDialer(d).Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if want := d.LocalAddr; want != nil && c.LocalAddr().String() != want.String() {
				t.Errorf("from %s, want %s", c.LocalAddr(), want)
			}
			_ = c.Close()
		}
		d := &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 6001}, Timeout: time.Minute}
		c, err := a.CreateDialer(d).Dial("udp", "198.51.100.2:9")
		if err != nil || c.LocalAddr().String() != "192.0.2.1:6001" {
			t.Fatalf("%v, %v", c, err)
		}
		_ = c.Close()
		if _, err := a.CreateDialer(&net.Dialer{Deadline: time.Unix(1, 0)}).Dial("tcp", "198.51.100.2:9"); err == nil {
			t.Error("a deadline in the past connected")
		}
		if _, err := a.CreateDialer(d).Dial("udp", "[2001:db8:2::2]:9"); !errors.Is(err, syscall.EAFNOSUPPORT) {
			t.Errorf("IPv4 to IPv6: got %v, want EAFNOSUPPORT", err)
		}
	})
	t.Run("listen config", func(t *testing.T) {
		lc := a.CreateListenConfig(&net.ListenConfig{})
		l, err := lc.Listen(t.Context(), "tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		pc, err := lc.ListenPacket(t.Context(), "udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		_ = pc.Close()
	})
}

func TestNetRefuses(t *testing.T) {
	_, alice, _ := two(t)
	n := alice.Net()
	discard := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"listen on multicast":     discard(n.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})),
		"listen on IPv6 as IPv4":  discard(n.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP("2001:db8:1::1")})),
		"listen UDP on tcp":       discard(n.ListenUDP("tcp", nil)),
		"listen TCP on udp":       discard(n.ListenTCP("udp", nil)),
		"listen TCP on other":     discard(n.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(9, 9, 9, 9)})),
		"listen TCP on multicast": discard(n.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(224, 0, 0, 251)})),
		"dial IPv6 as IPv4":       discard(n.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1})),
		"dial TCP on udp":         discard(n.DialTCP("udp", nil, &net.TCPAddr{Port: 1})),
		"dial refused":            discard(n.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 1})),
		"dial from a taken port":  discard(n.DialUDP("udp", listenUDP(t, alice, "udp4", "192.0.2.1:0").LocalAddr().(*net.UDPAddr), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 1})),
		"dial an unknown network": discard(n.Dial("sctp", "198.51.100.2:1")),
		"dial without a port":     discard(n.Dial("tcp", "198.51.100.2")),
		"listen without a port":   discard(n.ListenPacket("udp", "192.0.2.1")),
		"listen on a name":        discard(n.ListenPacket("udp", "nowhere.test:1")),
		"listen packets on tcp":   discard(n.ListenPacket("tcp", ":0")),
	} {
		var op *net.OpError
		if !errors.As(err, &op) {
			t.Errorf("%s: got %v, want a *net.OpError", name, err)
		}
	}
}
