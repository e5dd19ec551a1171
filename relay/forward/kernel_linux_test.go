package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/pion/stun/v4"
	stock "github.com/pion/turn/v5"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel"
	"github.com/callpath/callpath/relay/forward/kernel/namespace"
	"github.com/callpath/callpath/relay/turn"
)

// newNamespace makes a network namespace, or skips the test.
func newNamespace(t testing.TB) *namespace.Namespace {
	t.Helper()
	n, err := namespace.New()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("the way through the kernel is tested with root's rights: %v", err)
	}
	ok(t, err)
	t.Cleanup(n.Close)
	return n
}

// kernelRelay starts the relay at an address of a namespace, with the way through the
// kernel; the test is skipped where the kernel does not let it.
func kernelRelay(t testing.TB, n *namespace.Namespace, addr netip.Addr, change func(*turn.Config)) (*turn.Server, netip.AddrPort) {
	t.Helper()
	var path *kernel.Path
	if err := n.Do(func() (err error) {
		path, err = kernel.Open(kernel.Config{Channels: 1000})
		return err
	}); errors.Is(err, unix.EPERM) || errors.Is(err, ebpf.ErrNotSupported) {
		t.Skipf("nothing can be forwarded in the kernel here: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	pc, err := n.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, 0).String())
	ok(t, err)
	cfg := turn.Config{
		Realm: realm, Secrets: [][]byte{secret}, PacketConns: []net.PacketConn{pc}, Kernel: path,
		Addresses: []netip.Addr{addr}, ListenPacket: n.ListenPacket,
		Peers:  turn.PeerPolicy{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
		Quota:  turn.Quota{PerUser: 20000, Total: 20000},
		Limits: turn.Limits{Requests: -1},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := turn.New(cfg)
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	return s, pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// The same random traffic comes out of the relay whose packets the kernel forwards
// and of the engine alone.
func TestTheKernelForwardsWhatTheEngineWould(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			var got, want []string
			t.Run("kernel", func(t *testing.T) {
				n := newNamespace(t)
				ok(t, n.Enter())
				s, relay := kernelRelay(t, n, loopback, nil)
				got = script(t, relay, seed)
				stats := s.Stats()
				t.Logf("%d of %d packets were forwarded in the kernel", stats.KernelPackets, stats.Packets)
				if stats.KernelPackets*4 < stats.Packets {
					t.Errorf("only %d of %d packets were forwarded in the kernel", stats.KernelPackets, stats.Packets)
				}
			})
			if got == nil {
				t.Skip("nothing to compare")
			}
			t.Run("engine", func(t *testing.T) { want = script(t, stockRelay(t, turn.Lifetimes{}), seed) })
			compare(t, got, want)
		})
	}
}

// Bindings end in the kernel when they do in the engine.
func TestBindingsExpireInTheKernelAsInTheEngine(t *testing.T) {
	lifetimes := turn.Lifetimes{Permission: 300 * time.Millisecond, Channel: 900 * time.Millisecond}
	n := newNamespace(t)
	ok(t, n.Enter())
	s, relay := kernelRelay(t, n, loopback, func(c *turn.Config) { c.Lifetimes = lifetimes })
	newWorld(t, relay).expire(lifetimes, lifetimes.Permission, 3)
	if stats := s.Stats(); stats.KernelPackets == 0 {
		t.Errorf("figures: %+v; wanted packets that were forwarded in the kernel", stats)
	}
}

// The user's bandwidth is one, whoever forwards, and what is over is counted as ever.
func TestTheKernelForwardsNoMoreThanTheBandwidthQuota(t *testing.T) {
	n := newNamespace(t)
	ok(t, n.Enter())
	s, relay := kernelRelay(t, n, loopback, func(c *turn.Config) { c.Quota.UserBandwidth, c.Quota.TotalBandwidth = 1000, 100_000 })
	c, peer := newClient(t, relay), newPeer(t, "127.0.1.1")
	c.allocate()
	if !c.bind(0x4000, peer.at()) {
		t.Fatal("channel refused")
	}
	for range 10 {
		c.send(channelData(0x4000, make([]byte, 300), 0, 0))
	}
	deadline := time.Now().Add(patience)
	stats := s.Stats()
	for ; stats.Packets+stats.OverBandwidth < 10; stats = s.Stats() {
		if time.Now().After(deadline) {
			t.Fatalf("figures: %+v; wanted 10 payloads relayed or over the bandwidth", stats)
		}
		time.Sleep(time.Millisecond)
	}
	if stats.OverBandwidth == 0 || stats.KernelPackets == 0 || stats.KernelPackets != stats.Packets || stats.BytesOut > 2000 {
		t.Errorf("figures: %+v; wanted the first payloads relayed in the kernel and the others dropped", stats)
	}
}

// What needs the sockets or the engine goes by them, packet for packet, while the
// channel is the kernel's: runs that nobody has cut yet, messages of STUN, fragments.
func TestAPacketThatTheKernelLeavesGoesThroughTheSockets(t *testing.T) {
	n := newNamespace(t)
	ok(t, n.Enter())
	s, relay := kernelRelay(t, n, loopback, nil)
	c, peer := newClient(t, relay), newPeer(t, "127.0.1.1")
	c.allocate()
	if !c.bind(0x4000, peer.at()) {
		t.Fatal("channel refused")
	}
	single := func(text string) {
		t.Helper()
		before := s.Stats().KernelPackets
		c.send(channelData(0x4000, []byte(text), 0, 0))
		peer.await("payload", text)
		if after := s.Stats().KernelPackets; after != before+1 {
			t.Errorf("%q: %d packets in the kernel; wanted 1", text, after-before)
		}
	}
	single("first")
	before := s.Stats()
	var run []byte
	for i := range 5 {
		run = append(run, channelData(0x4000, fmt.Append(nil, "of a run ", i), 0, 0)...)
	}
	sendRun(t, c.conn, netip.AddrPort{}, run, len(run)/5)
	for i := range 5 {
		peer.await("payload", fmt.Sprint("of a run ", i))
	}
	c.send(sendIndication(peer.at(), []byte("in an indication")))
	peer.await("payload", "in an indication")
	c.send(channelData(0x4000, []byte("padded"), 0, 300))
	peer.await("payload", "padded")
	if after := s.Stats(); after.KernelPackets != before.KernelPackets || after.Packets != before.Packets+7 {
		t.Errorf("figures: %+v before and %+v after; wanted 7 payloads more, none of them in the kernel", before, after)
	}
	single("last")
}

// Two clients reach each other by their relayed addresses, whether the policy allows
// those by name or not, and no longer than both are there.
func TestClientsReachEachOtherInTheKernel(t *testing.T) {
	for allow, after := range map[string]uint64{
		"192.0.2.0/24": 20, // only live relayed addresses can be reached
		"127.0.0.0/8":  21, // all of this machine can
	} {
		t.Run("allowed "+allow, func(t *testing.T) {
			n := newNamespace(t)
			ok(t, n.Enter())
			s, relay := kernelRelay(t, n, loopback, func(c *turn.Config) { c.Peers.Allow = []netip.Prefix{netip.MustParsePrefix(allow)} })
			a, b := newClient(t, relay), newClient(t, relay)
			a.allocate()
			b.allocate()
			if !a.bind(0x4001, b.relayed) || !b.bind(0x4002, a.relayed) {
				t.Fatal("channels refused")
			}
			for i := range 5 {
				a.send(channelData(0x4001, []byte(fmt.Sprint("to b ", i)), 0, 0))
				b.await("channel", fmt.Sprint("to b ", i))
				b.send(channelData(0x4002, []byte(fmt.Sprint("to a ", i)), 0, 0))
				a.await("channel", fmt.Sprint("to a ", i))
			}
			before := s.Stats()
			if before.Packets != 20 || before.KernelPackets != 20 {
				t.Errorf("figures: %+v; wanted 20 payloads, each through two allocations, in the kernel", before)
			}
			b.free()
			a.send(channelData(0x4001, []byte("to nobody"), 0, 0))
			a.request(stun.MethodBinding) // which comes behind it
			if got := s.Stats(); got.KernelPackets != after {
				t.Errorf("figures after the other has gone: %+v; wanted %d packets in the kernel", got, after)
			}
		})
	}
}

// Client, relay and peer are three hosts; the client is the library's.
func TestAClientOnAnotherHostIsServedInTheKernel(t *testing.T) {
	for _, c := range []struct {
		name                                 string
		client, atClient, atPeer, peer, mask string
		family                               stock.RequestedAddressFamily
	}{
		{"IPv4", "192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2", "/24", stock.RequestedAddressFamilyIPv4},
		{"IPv6", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1", "2001:db8:2::2", "/64", stock.RequestedAddressFamilyIPv6},
	} {
		t.Run(c.name, func(t *testing.T) {
			clients, relay, peers := newNamespace(t), newNamespace(t), newNamespace(t)
			end := func(n *namespace.Namespace, name, addr string) namespace.End {
				return namespace.End{Namespace: n, Name: name, Prefixes: []netip.Prefix{netip.MustParsePrefix(addr + c.mask)}}
			}
			ok(t, namespace.Join(end(clients, "relay", c.client), end(relay, "clients", c.atClient)))
			ok(t, namespace.Join(end(relay, "peers", c.atPeer), end(peers, "relay", c.peer)))
			// The relayed address is on the clients' side, as a public one may be.
			at := netip.MustParseAddr(c.atClient)
			ok(t, peers.Route(netip.PrefixFrom(at, at.BitLen()), netip.MustParseAddr(c.atPeer)))
			s, server := kernelRelay(t, relay, at, nil)

			conn, err := clients.ListenPacket(t.Context(), "udp", net.JoinHostPort(c.client, "0"))
			ok(t, err)
			defer conn.Close()
			user, password := turn.Credential(secret, "alice", "", time.Now().Add(time.Hour))
			client, err := stock.NewClient(&stock.ClientConfig{
				Conn: conn, TURNServerAddr: server.String(), STUNServerAddr: server.String(), Username: user, Password: password, Realm: realm,
				RequestedAddressFamily: c.family,
			})
			ok(t, err)
			defer client.Close()
			ok(t, client.Listen())
			relayed, err := client.Allocate()
			ok(t, err)
			defer relayed.Close()
			peer, err := peers.ListenPacket(t.Context(), "udp", net.JoinHostPort(c.peer, "0"))
			ok(t, err)
			defer peer.Close()
			deadline := time.Now().Add(patience)
			ok(t, relayed.SetReadDeadline(deadline))
			ok(t, peer.SetReadDeadline(deadline))
			buf := make([]byte, 2000)
			// The client binds a channel when it has something to send, and says
			// nothing of when that has been done.
			for i := 0; s.Stats().KernelPackets < 20; i++ {
				message := fmt.Sprintf("message %d %s", i, bytes.Repeat([]byte{'x'}, i*37%1200))
				_, err := relayed.WriteTo([]byte(message), peer.LocalAddr())
				ok(t, err)
				n, from, err := peer.ReadFrom(buf)
				ok(t, err)
				if string(buf[:n]) != message || from.String() != relayed.LocalAddr().String() {
					t.Fatalf("peer: wanted %q from %v, got %q from %v", message, relayed.LocalAddr(), buf[:n], from)
				}
				_, err = peer.WriteTo(buf[:n], from)
				ok(t, err)
				n, _, err = relayed.ReadFrom(buf)
				ok(t, err)
				if string(buf[:n]) != message {
					t.Fatalf("client: wanted %q, got %q", message, buf[:n])
				}
				if time.Now().After(deadline) {
					t.Fatalf("figures: %+v; wanted packets that were forwarded in the kernel", s.Stats())
				}
			}
		})
	}
}

// script has a world do random things around a relay, and returns what came out.
func script(t *testing.T, relay netip.AddrPort, seed uint64) []string {
	w := newWorld(t, relay)
	w.slow = append(w.slow, "send") // indications are passed by what the kernel forwards
	random := rand.New(rand.NewPCG(seed, 5))
	const steps = 400
	for number := range steps {
		w.step(random, number)
		if number%5 == 4 {
			w.settle() // no socket's buffer must overflow
		}
	}
	w.settle()
	return w.outcome()
}
