package stunprobe_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/nat"
	"github.com/callpath/callpath/topology/sim/packet"
	"github.com/callpath/callpath/topology/sim/stunprobe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	everything = netip.MustParsePrefix("0.0.0.0/0")
	first      = netip.MustParseAddr("198.51.100.20")
	second     = netip.MustParseAddr("198.51.100.21")
	primary    = netip.AddrPortFrom(first, 3478)
	opposite   = netip.AddrPortFrom(second, 3479)
)

// wire joins two hosts through what may change or drop packets.
type wire struct{ client, server *host.Host }

// newWire makes a client, with a NAT in front of it or nil, and a server's host.
// What lose returns true for is dropped on its way to the client.
func newWire(t *testing.T, n *nat.NAT, lose func(packet.Packet) bool) *wire {
	t.Helper()
	w := new(wire)
	make := func(name string, addresses []netip.Prefix, send func(packet.Packet)) *host.Host {
		h, err := host.New(host.Config{
			Name:       name,
			Interfaces: []host.Interface{{Name: "eth0", Addresses: addresses, Routes: []netip.Prefix{everything}}},
			Send: func(_ string, data []byte) {
				if p, err := packet.Parse(data); err == nil && !p.DestinationAddr().IsMulticast() {
					send(p)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	w.client = make("client", []netip.Prefix{netip.MustParsePrefix("10.1.0.10/24")}, func(p packet.Packet) {
		if n == nil || n.Outbound(&p) == nat.Pass {
			w.server.Deliver("eth0", p.Bytes())
		}
	})
	w.server = make("server", []netip.Prefix{netip.PrefixFrom(first, 24), netip.PrefixFrom(second, 24)}, func(p packet.Packet) {
		if lose != nil && lose(p) {
			return
		}
		if n == nil || n.Inbound(&p) == nat.Pass {
			w.client.Deliver("eth0", p.Bytes())
		}
	})
	return w
}

// serve runs a STUN server on the server's host until the test ends.
func (w *wire) serve(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := stunprobe.Listen(ctx, w.server.ListenPacket, [2]netip.Addr{first, second})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// RFC 5780, sections 4.3 and 4.4.
func TestDiscover(t *testing.T) {
	ctx := timeout(t)
	var all sync.WaitGroup
	for _, c := range []struct{ mapping, filtering topology.Behavior }{
		{topology.EndpointIndependent, topology.AddressAndPortDependent},
		{topology.AddressDependent, topology.AddressDependent},
		{topology.AddressAndPortDependent, topology.EndpointIndependent},
	} {
		n, err := nat.New(nat.Config{NAT: topology.NAT{
			Mapping: c.mapping, Filtering: c.filtering, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		}})
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(t, n, nil)
		w.serve(t)
		all.Go(func() {
			m, f, err := stunprobe.Discover(ctx, w.client.ListenPacket, primary)
			if err != nil || m != c.mapping || f != c.filtering {
				t.Errorf("found %q, %q, %v; want %q, %q", m, f, err, c.mapping, c.filtering)
			}
		})
	}
	all.Wait()
}

func TestDiscoverWithoutNAT(t *testing.T) {
	w := newWire(t, nil, nil)
	w.serve(t)
	m, f, err := stunprobe.Discover(timeout(t), w.client.ListenPacket, primary)
	if err != nil || m != topology.EndpointIndependent || f != topology.EndpointIndependent {
		t.Errorf("found %q, %q, %v", m, f, err)
	}
}

// A lost answer is asked for again; only when all are lost is there none.
func TestDiscoverAsksAgain(t *testing.T) {
	var mu sync.Mutex
	n := 0
	w := newWire(t, nil, func(packet.Packet) bool {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n%2 == 1
	})
	w.serve(t)
	if m, f, err := stunprobe.Discover(timeout(t), w.client.ListenPacket, primary); err != nil {
		t.Errorf("found %q, %q, %v", m, f, err)
	}
}

func TestDiscoverWithoutServer(t *testing.T) {
	w := newWire(t, nil, func(packet.Packet) bool { return true })
	if _, _, err := stunprobe.Discover(timeout(t), w.client.ListenPacket, primary); err == nil {
		t.Error("no error without a server")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := stunprobe.Discover(ctx, w.client.ListenPacket, primary); err == nil {
		t.Error("no error when the context has ended")
	}
	broken := errors.New("no socket")
	none := func(context.Context, string, string) (net.PacketConn, error) { return nil, broken }
	if _, _, err := stunprobe.Discover(timeout(t), none, primary); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if _, err := stunprobe.Listen(timeout(t), none, [2]netip.Addr{first, second}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// RFC 5780, section 6.1: from where an answer to CHANGE-REQUEST comes, and what is
// in it.
func TestAnswers(t *testing.T) {
	w := newWire(t, nil, nil)
	w.serve(t)
	pc, err := w.client.ListenPacket(timeout(t), "udp4", "10.1.0.10:5000")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if err := pc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	send := func(to netip.AddrPort, data []byte) {
		if _, err := pc.WriteTo(data, net.UDPAddrFromAddrPort(to)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		to     netip.AddrPort
		change uint32
		from   string
		other  netip.AddrPort
	}{
		{primary, 0, "198.51.100.20:3478", opposite},
		{primary, 2, "198.51.100.20:3479", opposite},
		{primary, 4, "198.51.100.21:3478", opposite},
		{primary, 6, "198.51.100.21:3479", opposite},
		{opposite, 6, "198.51.100.20:3478", primary},
	} {
		// What is not a binding request gets no answer.
		send(c.to, []byte("hello"))
		send(c.to, stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw)
		send(c.to, stun.MustBuild(stun.TransactionID, stun.BindingRequest,
			stun.RawAttribute{Type: stun.AttrChangeRequest, Value: []byte{6}}).Raw)
		request := stun.MustBuild(stun.TransactionID, stun.BindingRequest,
			stun.RawAttribute{Type: stun.AttrChangeRequest, Value: binary.BigEndian.AppendUint32(nil, c.change)})
		send(c.to, request.Raw)
		buf := make([]byte, 1500)
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		m := &stun.Message{Raw: buf[:n]}
		var mapped stun.XORMappedAddress
		var origin stun.ResponseOrigin
		var other stun.OtherAddress
		if err := errors.Join(m.Decode(), mapped.GetFrom(m), origin.GetFrom(m), other.GetFrom(m), stun.Fingerprint.Check(m)); err != nil {
			t.Errorf("change %d: %v", c.change, err)
		}
		if m.TransactionID != request.TransactionID || from.String() != c.from || origin.String() != c.from ||
			other.String() != c.other.String() || mapped.String() != "10.1.0.10:5000" {
			t.Errorf("to %v, change %d: from %v, origin %v, other %v, mapped %v; want from %s, other %v",
				c.to, c.change, from, origin, other, mapped, c.from, c.other)
		}
	}
}

func TestRunEndsWhenASocketBreaks(t *testing.T) {
	w := newWire(t, nil, nil)
	s, err := stunprobe.Listen(timeout(t), w.server.ListenPacket, [2]netip.Addr{first, second})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(timeout(t)); err == nil {
		t.Error("no error although the host is gone")
	}
}
