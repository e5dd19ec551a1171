//go:build linux

package kernel

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel/namespace"
)

// The socket of a test, in the other namespace.
func (h *host) socket(t testing.TB, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	ok(t, h.far.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	ok(t, conn.SetReadDeadline(time.Now().Add(patience)))
	return conn
}

const patience = 20 * time.Second

// plain has the far host send packets as they are on a wire: whole, and with their
// checksums made. Its own sockets check what arrives.
func (h *host) plain(t testing.TB) {
	t.Helper()
	for _, n := range []*namespace.Namespace{h.near, h.far} {
		ok(t, namespace.End{Namespace: n, Name: "wire"}.ChecksumsInPackets())
	}
}

// capture opens a socket that gets each packet of the near host.
func (h *host) capture(t testing.TB) (fd int) {
	t.Helper()
	ok(t, h.near.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0300) // ETH_P_ALL
		return err
	}))
	return fd
}

// exchange sends payloads of some sizes both ways through the kernel alone: there is no
// relay that has sockets.
func exchange(t *testing.T, client, peer *net.UDPConn, e ends) {
	t.Helper()
	buf := make([]byte, 2000)
	for _, size := range []int{0, 1, 3, 160, 1200, 1400} {
		payload := random(size)
		_, err := client.WriteToUDPAddrPort(data(number, payload), e.server)
		ok(t, err)
		n, from, err := peer.ReadFromUDPAddrPort(buf)
		ok(t, err)
		if string(buf[:n]) != string(payload) || unmap(from) != e.relay {
			t.Fatalf("peer: wanted %x from %v, got %x from %v", payload, e.relay, buf[:n], from)
		}
		_, err = peer.WriteToUDPAddrPort(payload, e.relay)
		ok(t, err)
		n, from, err = client.ReadFromUDPAddrPort(buf)
		ok(t, err)
		if string(buf[:n]) != string(data(number, payload)) || unmap(from) != e.server {
			t.Fatalf("client: wanted %x from %v, got %x from %v", data(number, payload), e.server, buf[:n], from)
		}
	}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Packets go from host to host, with checksums that the network card makes and with
// those that are in them already, and the kernel asks for neighbours by itself.
func TestPacketsGoFromHostToHost(t *testing.T) {
	for _, c := range []struct {
		name           string
		plain, watched bool
	}{{"checksums by the card", false, false}, {"checksums in the packets", true, false}, {"packets that a capture holds too", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, Config{Interfaces: []string{"wire"}, Channels: 10})
			if c.plain {
				h.plain(t)
			}
			if c.watched {
				fd := h.capture(t)
				defer unix.Close(fd)
			}
			for _, e := range []ends{flow4, flow6} {
				f, err := h.Bind(e.channel())
				ok(t, err)
				client, peer := h.socket(t, e.client), h.socket(t, e.peer)
				exchange(t, client, peer, e)
				if up, down := f.Counts(); up.Packets != 6 || down.Packets != 6 || up.Bytes != 2764 || down.Bytes != up.Bytes {
					t.Errorf("counted %+v and %+v; wanted 6 packets and 2764 bytes each way", up, down)
				}
			}
		})
	}
}

// On one machine, packets go by lo.
func TestPacketsGoByLoopback(t *testing.T) {
	h := newHost(t, Config{Channels: 10})
	h.far = h.near
	for _, addr := range []string{"127.0.0.1", "::1"} {
		at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), port) }
		e := ends{at(40000), at(3478), at(50001), at(41001)}
		_, err := h.Bind(e.channel())
		ok(t, err)
		exchange(t, h.socket(t, e.client), h.socket(t, e.peer), e)
	}
}

// passes is true when the program forwards a packet of a flow.
func (h *host) passes(t testing.TB, e ends) (toPeer, toClient bool) {
	t.Helper()
	up, _ := h.run(t, frame(t, e.client, e.server, data(number, []byte("payload"))))
	down, _ := h.run(t, frame(t, e.peer, e.relay, []byte("payload")))
	return up == forwarded, down == forwarded
}

func (h *host) wants(t testing.TB, when string, e ends, wantUp, wantDown bool) {
	t.Helper()
	if up, down := h.passes(t, e); up != wantUp || down != wantDown {
		t.Errorf("%s: forwarded to the peer: %v, to the client: %v; wanted %v and %v", when, up, down, wantUp, wantDown)
	}
}

func TestABindingEndsAtOnceAndItsFiguresStay(t *testing.T) {
	h := newHost(t, Config{Channels: 2})
	f, err := h.Bind(flow4.channel())
	ok(t, err)
	h.wants(t, "bound", flow4, true, true)
	// A second owner of the same ends waits for the first to go.
	again, err := h.Bind(flow4.channel())
	ok(t, err)
	// The table is full then.
	if _, err := h.Bind(flow6.channel()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a third channel of two: %v", err)
	}
	f.Unbind()
	f.Unbind()
	h.wants(t, "unbound", flow4, false, false)
	up, down := f.Counts()
	if want := (Count{Packets: 1, Bytes: 7}); up != want || down != want {
		t.Errorf("counted %+v and %+v; wanted %+v", up, down, want)
	}
	deadline := time.Now().Add(patience)
	for up := false; !up; up, _ = h.passes(t, flow4) {
		if time.Now().After(deadline) {
			t.Fatal("the second owner of the ends never had them")
		}
		time.Sleep(tick / 10)
	}
	again.Unbind()
	c := flow4.channel()
	c.Within = true
	f, err = h.Bind(c)
	ok(t, err)
	h.wants(t, "to another client only, and there is none", flow4, false, true)
	ok(t, h.Close())
	if _, err := h.Bind(flow4.channel()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("binding when closed: %v", err)
	}
	if up, down := f.Counts(); up.Packets != 0 || down.Packets != 1 {
		t.Errorf("counted %+v and %+v; wanted the one packet to the client", up, down)
	}
}

// RFC 8656, sections 12.6 and 12.7: without the permission a channel goes one way only.
func TestAPeerNeedsAPermissionBesideTheChannel(t *testing.T) {
	h := newHost(t, Config{Channels: 2})
	c := flow4.channel()
	c.ToPeer = true
	f, err := h.Bind(c)
	ok(t, err)
	h.wants(t, "bound without a permission", flow4, true, false)
	f.Permit(true)
	h.wants(t, "permitted", flow4, true, true)
	f.Permit(false)
	h.wants(t, "expired", flow4, true, false)
	f.Permit(true)
	h.wants(t, "permitted again", flow4, true, true)
	f.Unbind()
	f.Permit(false)
	f.Permit(true)
	h.wants(t, "unbound", flow4, false, false)
}

// A relay that hangs forwards nothing.
func TestNothingIsForwardedWithoutALease(t *testing.T) {
	h := newHost(t, Config{Channels: 2})
	_, err := h.Bind(flow4.channel())
	ok(t, err)
	h.wants(t, "alive", flow4, true, true)
	close(h.stop)
	h.running.Wait()
	h.stop = make(chan struct{}) // for Close
	h.lease.at(0).Store(h.now() - int64(time.Second))
	h.wants(t, "hung", flow4, false, false)
	h.prolong()
	h.wants(t, "alive again", flow4, true, true)
}

func TestAMeterIsOneForBothWays(t *testing.T) {
	h := newHost(t, Config{Channels: 2})
	m, err := h.Meter(10, 10) // 100 bytes at once
	ok(t, err)
	total, err := h.Meter(1<<30, 1)
	ok(t, err)
	c := flow4.channel()
	c.Meters = []*Meter{m, total}
	f, err := h.Bind(c)
	ok(t, err)
	send := func(size int, want int32) {
		t.Helper()
		verdict, _ := h.run(t, frame(t, flow4.client, flow4.server, data(number, make([]byte, size))))
		if verdict != want {
			t.Errorf("%d bytes: wanted %d, got %d", size, want, verdict)
		}
	}
	send(40, forwarded)
	if !m.Take(40) {
		t.Error("80 of 100 bytes do not pass")
	}
	send(60, dropped)
	if m.Take(60) {
		t.Error("140 of 100 bytes pass")
	}
	up, _ := f.Counts()
	if want := (Count{Packets: 1, Bytes: 40, Over: 1}); up != want {
		t.Errorf("counted %+v; wanted %+v", up, want)
	}
	// In its own time, it lets more pass.
	h.meters.at(m.slot).due.Add(-int64(10 * time.Second))
	send(60, forwarded)
	f.Unbind()
	m.Close()
	m.Close()
	for _, c := range []struct {
		rate  int64
		burst float64
	}{{0, 1}, {-1, 1}, {1, 0}} {
		if _, err := h.Meter(c.rate, c.burst); err == nil {
			t.Errorf("a meter of %d bytes a second and %v seconds was made", c.rate, c.burst)
		}
	}
	for range maxMeters {
		if _, err = h.Meter(1, 1); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("more meters than there are: %v", err)
	}
}

// A route that changes is followed, and without one the sockets have the packets.
func TestRoutesAreFollowed(t *testing.T) {
	h := newHost(t, Config{Channels: 2})
	e := flow4
	e.peer = netip.MustParseAddrPort("198.51.100.7:5000")
	_, err := h.Bind(e.channel())
	ok(t, err)
	h.wants(t, "no route to the peer", e, false, true)
	until := func(when string, wantUp bool) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for up, _ := h.passes(t, e); up != wantUp; up, _ = h.passes(t, e) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: forwarded to the peer: %v", when, up)
			}
			time.Sleep(tick / 10)
		}
	}
	to := netip.MustParsePrefix("198.51.100.0/24")
	ok(t, h.near.Route(to, netip.MustParseAddr("192.0.2.2")))
	until("a route", true)
	// The path's MTU is too small for the packet then.
	ok(t, h.near.Do(func() error { return setMTU("wire", 68) }))
	long := frame(t, e.client, e.server, data(number, make([]byte, 100)))
	deadline := time.Now().Add(patience)
	for v := int32(forwarded); v != left; v, _ = h.run(t, long) {
		if time.Now().After(deadline) {
			t.Fatal("a packet that is too long for the path is forwarded")
		}
		time.Sleep(tick / 10)
	}
	ok(t, h.near.Do(func() error {
		l, err := netlink.LinkByName("wire")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(l)
	}))
	until("no wire", false)
}

func TestWhatTheKernelCannotHaveIsRefused(t *testing.T) {
	h := newHost(t, Config{Channels: 2})
	for name, change := range map[string]func(*Channel){
		"between families":      func(c *Channel) { c.Relay, c.Peer = flow6.relay, flow6.peer },
		"server on any address": func(c *Channel) { c.Server = netip.MustParseAddrPort("0.0.0.0:3478") },
		"zone":                  func(c *Channel) { c.Peer = netip.MustParseAddrPort("[fe80::1%wire]:1") },
		"no address":            func(c *Channel) { c.Peer = netip.AddrPort{} },
	} {
		c := flow4.channel()
		change(&c)
		if _, err := h.Bind(c); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []uint16{0x3fff, 0x8000} {
		c := flow4.channel()
		c.Number = n
		if _, err := h.Bind(c); err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("channel %#x: %v", n, err)
		}
	}
	c := flow4.channel()
	c.Meters = make([]*Meter, 3)
	if _, err := h.Bind(c); err == nil {
		t.Error("three meters were taken")
	}
}

func TestInterfacesAreThoseThatWereNamed(t *testing.T) {
	h := newHost(t, Config{Channels: 2})
	if got := h.Interfaces(); !slices.Equal(got, []string{"lo", "wire"}) {
		t.Errorf("all interfaces: %q", got)
	}
	if got := h.open(t, Config{Interfaces: []string{"wire"}, Channels: 2}).Interfaces(); !slices.Equal(got, []string{"wire"}) {
		t.Errorf("one of two interfaces: %q", got)
	}
	for _, c := range []struct {
		cfg    Config
		wanted string
	}{
		{Config{Interfaces: []string{"eth99"}}, `there is no interface "eth99"`},
		{Config{Channels: -1}, "channels is -1"},
	} {
		err := h.near.Do(func() error { _, err := Open(c.cfg); return err })
		if err == nil || !strings.Contains(err.Error(), c.wanted) {
			t.Errorf("%+v: wanted %q, got %v", c.cfg, c.wanted, err)
		}
	}
	ok(t, Available())
}

// CAP_BPF and CAP_NET_ADMIN are enough, and without them the error names them.
func TestWhichRightsAreNeeded(t *testing.T) {
	if err := Available(); errors.Is(err, unix.EPERM) {
		t.Skipf("nothing can be forwarded in the kernel here: %v", err)
	}
	with := func(rights ...int) error {
		result := make(chan error)
		go func() {
			runtime.LockOSThread() // whose rights end with it
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var set [2]unix.CapUserData
			for _, r := range rights {
				set[r/32].Effective |= 1 << (r % 32)
				set[r/32].Permitted |= 1 << (r % 32)
			}
			if err := unix.Capset(&header, &set[0]); err != nil {
				result <- err
				return
			}
			result <- Available()
		}()
		return <-result
	}
	if err := with(unix.CAP_BPF, unix.CAP_NET_ADMIN); err != nil {
		t.Errorf("with CAP_BPF and CAP_NET_ADMIN: %v", err)
	}
	for _, rights := range [][]int{nil, {unix.CAP_BPF}, {unix.CAP_NET_ADMIN}} {
		if err := with(rights...); err == nil || !strings.Contains(err.Error(), "CAP_BPF and CAP_NET_ADMIN") || !errors.Is(err, unix.EPERM) {
			t.Errorf("with capabilities %v: wanted an error that names those that are missing, got %v", rights, err)
		}
	}
}
