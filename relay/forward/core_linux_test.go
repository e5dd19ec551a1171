package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/callpath/callpath/relay/forward"
	"github.com/pion/stun/v4"
	"golang.org/x/sys/unix"
)

// rig is a core with one listener, without an engine.
type rig struct {
	core     *forward.Core
	listener *forward.Listener
	at       netip.AddrPort
}

func newRig(t testing.TB, workers int, network, address string) *rig {
	t.Helper()
	core, err := forward.New(forward.Config{Workers: workers})
	ok(t, err)
	t.Cleanup(func() { ok(t, core.Close()) })
	pc, err := forward.ListenUDP(context.Background(), network, address)
	ok(t, err)
	l, err := core.Listen(pc)
	ok(t, err)
	return &rig{core, l, l.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// flow is a client with a relay socket and a channel to a peer.
type flow struct {
	client, peer *inbox
	relay        *forward.Relay
	at           netip.AddrPort // the relayed transport address
}

const channel = 0x4000

func (r *rig) flow(t testing.TB, a forward.Allocation, b forward.Binding) *flow {
	t.Helper()
	host := r.at.Addr()
	if host.IsUnspecified() {
		host = loopback
	}
	network := "udp6"
	if host.Unmap().Is4() {
		network = "udp4"
	}
	server := netip.AddrPortFrom(host, r.at.Port())
	conn, err := net.DialUDP(network, nil, net.UDPAddrFromAddrPort(server))
	ok(t, err)
	f := &flow{client: receive(t, conn, readClient)}
	listen := func() *net.UDPConn {
		conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
		ok(t, err)
		return conn
	}
	f.peer = receive(t, listen(), func(from netip.AddrPort, p []byte) (got, *stun.Message) {
		return got{"payload", from.String(), string(p)}, nil
	})
	a.Client, a.Conn = addrPortOf(conn.LocalAddr()), listen()
	f.relay, err = r.listener.Relay(a)
	ok(t, err)
	f.at = addrPortOf(f.relay.LocalAddr())
	b.Channel, b.Peer = channel, f.peer.at()
	f.relay.Permit(b.Peer.Addr(), true)
	ok(t, f.relay.Bind(b))
	return f
}

func (f *flow) exchange(text string) {
	f.client.t.Helper()
	f.toPeer(channelData(channel, []byte(text+" to peer"), 0, 0))
	f.peer.await("payload", text+" to peer")
	f.toClient(text + " to client")
	f.client.await("channel", text+" to client")
}

func (f *flow) toPeer(p []byte) {
	_, err := f.client.conn.Write(p)
	ok(f.client.t, err)
}

func (f *flow) toClient(text string) {
	_, err := f.peer.conn.WriteToUDPAddrPort([]byte(text), f.at)
	ok(f.client.t, err)
}

func TestPacketsOfABoundChannelPassBothWays(t *testing.T) {
	for _, c := range []struct{ network, address string }{
		{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}, {"udp", "[::]:0"},
	} {
		for _, workers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s %s by %d workers", c.network, c.address, workers), func(t *testing.T) {
				r := newRig(t, workers, c.network, c.address)
				for i := range 10 {
					r.flow(t, forward.Allocation{}, forward.Binding{}).exchange(fmt.Sprint(i))
				}
				total := r.core.Totals()
				if total.ToPeer.Packets != 10 || total.ToClient.Packets != 10 || total.ToPeer.Bytes != 90 || total.ToClient.Bytes != 110 {
					t.Errorf("totals: %+v; wanted 10 packets each way, of 90 and 110 bytes", total)
				}
				for _, f := range r.core.Flows() {
					if f.ToPeer.Packets != 1 || f.ToClient.Packets != 1 || f.Channel != channel || !f.Client.IsValid() || !f.Peer.IsValid() || !f.Relay.IsValid() {
						t.Errorf("flow: %+v; wanted one packet each way", f)
					}
				}
			})
		}
	}
}

// sendRun sends packets of size bytes, one behind the other in p, as one message
// that the kernel cuts.
func sendRun(t testing.TB, conn *net.UDPConn, to netip.AddrPort, p []byte, size int) {
	t.Helper()
	control := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Pointer(&control[unix.CmsgLen(0)])) = uint16(size)
	var addr *net.UDPAddr
	if to.IsValid() {
		addr = net.UDPAddrFromAddrPort(to)
	}
	_, _, err := conn.WriteMsgUDP(p, control, addr)
	ok(t, err)
}

// Runs that the sender has made come out packet by packet, in their order.
func TestRunsPassWholeAndInOrder(t *testing.T) {
	r := newRig(t, 1, "udp4", "127.0.0.1:0")
	f := r.flow(t, forward.Allocation{}, forward.Binding{})
	for _, c := range []struct{ n, size, last int }{
		{2, 1, 1}, {16, 200, 200}, {16, 200, 7}, {64, 160, 159}, {40, 1200, 33}, {54, 1200, 1200},
	} {
		var frames, payloads []byte
		var want []string
		for i := range c.n {
			size := c.size
			if i == c.n-1 {
				size = c.last
			}
			p := bytes.Repeat([]byte{byte(i)}, size)
			want = append(want, string(p))
			frames = append(frames, channelData(channel, p, 0, 0)...)
			payloads = append(payloads, p...)
		}
		before := []int{len(f.peer.received()), len(f.client.received())}
		sendRun(t, f.client.conn, netip.AddrPort{}, frames, c.size+4)
		sendRun(t, f.peer.conn, f.at, payloads, c.size)
		for i, in := range []*inbox{f.peer, f.client} {
			if !in.wait(patience, func() bool { return len(in.all) >= before[i]+c.n }) {
				t.Fatalf("%d packets of %d bytes: only %d came", c.n, c.size, len(in.received())-before[i])
			}
			for k, g := range in.received()[before[i]:] {
				if g.payload != want[k] {
					t.Fatalf("packet %d of %d: wanted %d bytes %x, got %d bytes %x by %s", k, c.n, len(want[k]), want[k][:1], len(g.payload), g.payload, g.kind)
				}
			}
		}
	}
}

// What is not of a bound channel comes to the engine as it is, and who has sent it.
func TestTheEngineGetsEverythingElse(t *testing.T) {
	r := newRig(t, 2, "udp4", "127.0.0.1:0")
	f := r.flow(t, forward.Allocation{}, forward.Binding{})
	f.relay.Permit(f.peer.at().Addr(), false)
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	buf := make([]byte, 2048)
	for _, p := range [][]byte{
		request,
		channelData(channel+1, []byte("another channel"), 0, 0),
		channelData(channel, []byte("cut off"), 1, 0),
		channelData(channel, make([]byte, 1600), 0, 0),
		sendIndication(f.peer.at(), []byte("without permission")),
	} {
		f.toPeer(p)
		n, from, err := r.listener.ReadFrom(buf)
		ok(t, err)
		if want := p[:min(len(p), 1600)]; !bytes.Equal(buf[:n], want) || addrPortOf(from) != f.client.at() {
			t.Errorf("wanted %x from %v, got %x from %v", want, f.client.at(), buf[:n], from)
		}
	}
	f.relay.Permit(f.peer.at().Addr(), true)
	f.toPeer(sendIndication(f.peer.at(), []byte("with permission")))
	f.peer.await("payload", "with permission")
	f.relay.Permit(f.peer.at().Addr(), false)
	f.toPeer(sendIndication(f.peer.at(), []byte("without it again")))
	_, _, err := r.listener.ReadFrom(buf)
	ok(t, err)

	f.relay.Unbind(channel)
	f.toClient("from nobody")
	n, from, err := f.relay.ReadFrom(buf)
	ok(t, err)
	if string(buf[:n]) != "from nobody" || addrPortOf(from) != f.peer.at() {
		t.Errorf("wanted %q from %v, got %q from %v", "from nobody", f.peer.at(), buf[:n], from)
	}
	// And what the engine sends goes out.
	_, err = r.listener.WriteTo(channelData(channel, []byte("of the engine"), 0, 0), net.UDPAddrFromAddrPort(f.client.at()))
	ok(t, err)
	f.client.await("channel", "of the engine")
	_, err = f.relay.WriteTo([]byte("of the engine"), net.UDPAddrFromAddrPort(f.peer.at()))
	ok(t, err)
	f.peer.await("payload", "of the engine")
}

// RFC 8656, sections 12.6 and 12.7: without the permission a channel goes one way only.
func TestAPeerNeedsAPermissionBesideTheChannel(t *testing.T) {
	r := newRig(t, 1, "udp4", "127.0.0.1:0")
	f := r.flow(t, forward.Allocation{}, forward.Binding{})
	f.exchange("permitted")
	f.relay.Permit(f.peer.at().Addr(), false)
	f.toPeer(channelData(channel, []byte("by the channel alone"), 0, 0))
	f.peer.await("payload", "by the channel alone")
	f.toClient("expired")
	buf := make([]byte, 2048)
	n, from, err := f.relay.ReadFrom(buf)
	ok(t, err)
	if string(buf[:n]) != "expired" || addrPortOf(from) != f.peer.at() {
		t.Errorf("wanted %q from %v for the engine, got %q from %v", "expired", f.peer.at(), buf[:n], from)
	}
	f.relay.Permit(f.peer.at().Addr(), true)
	f.exchange("permitted again")
	if f.client.has("channel", "expired") {
		t.Error("what came without a permission was forwarded")
	}
}

func TestHooksDecideForEachPayload(t *testing.T) {
	r := newRig(t, 1, "udp4", "127.0.0.1:0")
	var budget, reachable atomic.Int64
	budget.Store(1000)
	reachable.Store(1)
	f := r.flow(t,
		forward.Allocation{Spend: func(n int) bool { return budget.Add(-int64(n)) >= 0 }},
		forward.Binding{Reachable: func() bool { return reachable.Load() > 0 }})
	f.exchange("within the budget")
	reachable.Store(0)
	f.toPeer(channelData(channel, []byte("not reachable"), 0, 0))
	buf := make([]byte, 2048)
	n, _, err := r.listener.ReadFrom(buf)
	ok(t, err)
	if want := channelData(channel, []byte("not reachable"), 0, 0); !bytes.Equal(buf[:n], want) {
		t.Errorf("wanted %x for the engine, got %x", want, buf[:n])
	}
	reachable.Store(1)
	budget.Store(0)
	f.toPeer(channelData(channel, []byte("over the budget"), 0, 0))
	f.toClient("over the budget")
	for budget.Load() > -30 {
		runtime.Gosched()
	}
	budget.Store(1000)
	f.exchange("within the budget again")
	if f.peer.has("payload", "over the budget") || f.client.has("channel", "over the budget") {
		t.Error("payloads over the budget were forwarded")
	}
}

func TestChannelsAreBoundAnewAndFiguresStay(t *testing.T) {
	r := newRig(t, 1, "udp4", "127.0.0.1:0")
	f := r.flow(t, forward.Allocation{}, forward.Binding{})
	f.exchange("first")
	other := newPeer(t, "127.0.0.1")
	ok(t, f.relay.Bind(forward.Binding{Channel: channel, Peer: other.at()}))
	f.toPeer(channelData(channel, []byte("second"), 0, 0))
	other.await("payload", "second")
	ok(t, f.relay.Bind(forward.Binding{Channel: channel + 1, Peer: other.at()}))
	if flows := f.relay.Flows(); len(flows) != 1 || flows[0].Channel != channel+1 || flows[0].Peer != other.at() {
		t.Errorf("flows: %+v; wanted the last binding of the peer", flows)
	}
	for _, b := range []forward.Binding{
		{Channel: 0x3fff, Peer: other.at()}, {Channel: 0x8000, Peer: other.at()}, {Channel: channel},
		{Channel: channel, Peer: netip.MustParseAddrPort("[2001:db8::1]:1")},
	} {
		if err := f.relay.Bind(b); err == nil {
			t.Errorf("binding %+v was not refused", b)
		}
	}
	at := f.at
	ok(t, f.relay.Close())
	if total := r.core.Totals(); total.ToPeer.Packets != 2 || total.ToClient.Packets != 1 {
		t.Errorf("totals after the end: %+v; wanted 2 packets to peers and 1 to the client", total)
	}
	if _, _, err := f.relay.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading from a closed relay: %v", err)
	}
	if err := f.relay.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
	if err := f.relay.Bind(forward.Binding{Channel: channel, Peer: other.at()}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("binding a closed relay: %v", err)
	}
	if _, err := f.relay.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(other.at())); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing to a closed relay: %v", err)
	}
	again, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatalf("the port of a closed relay is not free: %v", err)
	}
	again.Close()
}

// What the engine is too slow to take is lost and counted.
func TestAFloodForTheEngineOverflows(t *testing.T) {
	r := newRig(t, 1, "udp4", "127.0.0.1:0")
	f := r.flow(t, forward.Allocation{}, forward.Binding{})
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	deadline := time.Now().Add(patience)
	stranger := newPeer(t, "127.0.0.1")
	for r.core.Totals().Overflow < 10 {
		f.toPeer(request)
		_, err := stranger.conn.WriteToUDPAddrPort(request, f.at)
		ok(t, err)
		if time.Now().After(deadline) {
			t.Fatal("no overflow")
		}
	}
	// The flood fills the sockets too, so that packets are lost before the core.
	for f.toClient("meanwhile"); !f.client.wait(patience/100, func() bool { return len(f.client.all) > 0 }); {
		f.toClient("meanwhile")
	}
	before := r.core.Totals().Overflow
	ok(t, f.relay.Close())
	ok(t, r.listener.Close())
	if after := r.core.Totals().Overflow; after < before {
		t.Errorf("overflow: %d after closing, %d before", after, before)
	}
}

func TestWhatACoreCannotTakeOverIsRefused(t *testing.T) {
	r := newRig(t, 1, "udp4", "127.0.0.1:0")
	stream, err := net.Listen("tcp4", "127.0.0.1:0")
	ok(t, err)
	defer stream.Close()
	connected, err := net.Dial("udp4", r.at.String())
	ok(t, err)
	defer connected.Close()
	for _, conn := range []net.PacketConn{nil, struct{ net.PacketConn }{r.listener}, connected.(*net.UDPConn)} {
		if _, err := r.core.Listen(conn); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("listening on %T: %v", conn, err)
		}
		if _, err := r.listener.Relay(forward.Allocation{Client: r.at, Conn: conn}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("relaying on %T: %v", conn, err)
		}
	}
	udp := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		ok(t, err)
		return c
	}
	kept := udp()
	if _, err := r.listener.Relay(forward.Allocation{Conn: kept}); err == nil {
		t.Error("an allocation without a client was taken")
	}
	ok(t, kept.Close())
	closed := udp()
	ok(t, closed.Close())
	if _, err := r.core.Listen(closed); err == nil {
		t.Error("a closed socket was taken")
	}
	if _, err := r.listener.Relay(forward.Allocation{Client: r.at, Conn: closed}); err == nil {
		t.Error("a closed relay socket was taken")
	}
	if _, err := forward.New(forward.Config{Workers: -1}); err == nil {
		t.Error("a negative number of workers was taken")
	}
	for _, conn := range []net.PacketConn{r.listener} {
		if conn.SetDeadline(time.Now()) == nil || conn.SetReadDeadline(time.Now()) == nil || conn.SetWriteDeadline(time.Now()) == nil {
			t.Error("deadlines were taken, which have no effect")
		}
	}
	for _, to := range []net.Addr{nil, &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}, &net.UnixAddr{Name: "x"}} {
		if _, err := r.listener.WriteTo([]byte("x"), to); err == nil {
			t.Errorf("a datagram to %v was sent", to)
		}
	}
	f := r.flow(t, forward.Allocation{}, forward.Binding{})
	if f.relay.SetDeadline(time.Now()) == nil || f.relay.SetReadDeadline(time.Now()) == nil || f.relay.SetWriteDeadline(time.Now()) == nil {
		t.Error("deadlines were taken, which have no effect")
	}
	ok(t, r.core.Close())
	if _, err := r.core.Listen(udp()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listening on a closed core: %v", err)
	}
	if _, err := r.listener.Relay(forward.Allocation{Client: r.at, Conn: udp()}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("relaying on a closed core: %v", err)
	}
	if _, _, err := r.listener.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading from a closed listener: %v", err)
	}
	if err := r.listener.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing a listener again: %v", err)
	}
}

// The data path allocates nothing.
func TestNothingIsAllocatedForAPacket(t *testing.T) {
	r := newRig(t, 1, "udp4", "127.0.0.1:0")
	f := r.flow(t, forward.Allocation{}, forward.Binding{})
	sink := f.peer
	sink.close() // its goroutine would allocate
	frame := channelData(channel, make([]byte, 200), 0, 0)
	forwarded := func(n int) {
		want := r.core.Totals().ToPeer
		for range n {
			f.toPeer(frame)
		}
		for {
			got := r.core.Totals().ToPeer
			if got.Packets+got.Dropped >= want.Packets+want.Dropped+uint64(n) {
				return
			}
			runtime.Gosched()
		}
	}
	forwarded(100)
	const packets = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range packets / 100 {
		forwarded(100)
	}
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > packets/10 {
		t.Errorf("%d allocations for %d packets", n, packets)
	}
}
