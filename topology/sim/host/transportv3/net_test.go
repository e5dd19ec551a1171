package transportv3_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	v3 "github.com/pion/transport/v3"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/host/transportv3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newNet(t *testing.T) v3.Net {
	t.Helper()
	h, err := host.New(host.Config{Name: "pc", Interfaces: []host.Interface{{
		Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return transportv3.New(h)
}

func TestSocketsWork(t *testing.T) {
	n := newNet(t)
	l, err := n.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr)
	for name, dial := range map[string]func() (net.Conn, error){
		"DialTCP": func() (net.Conn, error) { return n.DialTCP("tcp", nil, at) },
		"Dial":    func() (net.Conn, error) { return n.Dial("tcp", at.String()) },
		"dialer":  func() (net.Conn, error) { return n.CreateDialer(&net.Dialer{}).Dial("tcp", at.String()) },
	} {
		c, err := dial()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p, err := l.AcceptTCP()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("%s: peer is %s, want %s", name, p.RemoteAddr(), c.LocalAddr())
		}
		_, _ = c.Close(), p.Close()
	}

	u, err := n.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	d, err := n.DialUDP("udp4", nil, u.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if k, _, err := u.ReadFromUDP(make([]byte, 10)); k != 1 || err != nil {
		t.Errorf("read %d, %v", k, err)
	}
	pc, err := n.ListenPacket("udp", "192.0.2.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = pc.Close()
}

func TestErrorsComeWithoutASocket(t *testing.T) {
	n := newNet(t)
	if l, err := n.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(9, 9, 9, 9)}); err == nil || l != nil {
		t.Errorf("ListenTCP: %v, %v", l, err)
	}
	if c, err := n.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(9, 9, 9, 9)}); err == nil || c != nil {
		t.Errorf("ListenUDP: %v, %v", c, err)
	}
	if c, err := n.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}); err == nil || c != nil {
		t.Errorf("DialUDP: %v, %v", c, err)
	}
	if c, err := n.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}); err == nil || c != nil {
		t.Errorf("DialTCP: %v, %v", c, err)
	}
}

func TestInterfacesAreThoseOfTheHost(t *testing.T) {
	n := newNet(t)
	all, err := n.Interfaces()
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v; want lo and eth0", all, err)
	}
	addrs, err := all[1].Addrs()
	if err != nil || len(addrs) != 1 || addrs[0].String() != "192.0.2.1/24" || all[1].Name != "eth0" {
		t.Errorf("%s has %v, %v", all[1].Name, addrs, err)
	}
	if i, err := n.InterfaceByIndex(all[1].Index); err != nil || i.Name != "eth0" {
		t.Errorf("by index: %v, %v", i, err)
	}
	if i, err := n.InterfaceByName("eth0"); err != nil || i.Index != all[1].Index {
		t.Errorf("by name: %v, %v", i, err)
	}
	if _, err := n.InterfaceByName("eth9"); !errors.Is(err, v3.ErrInterfaceNotFound) {
		t.Errorf("got %v, want the older ErrInterfaceNotFound", err)
	}
}

func TestAddressesResolve(t *testing.T) {
	n := newNet(t)
	if a, err := n.ResolveUDPAddr("udp4", "192.0.2.9:3478"); err != nil || a.String() != "192.0.2.9:3478" {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := n.ResolveTCPAddr("tcp4", "localhost:443"); err != nil || a.String() != "127.0.0.1:443" {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := n.ResolveIPAddr("ip", "192.0.2.9"); err != nil || a.String() != "192.0.2.9" {
		t.Errorf("%v, %v", a, err)
	}
}
