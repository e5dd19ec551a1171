package forward_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel"
	"github.com/callpath/callpath/relay/forward/kernel/namespace"
	"github.com/callpath/callpath/relay/turn"
)

// newNamespace makes a network namespace, or skips the test.
func newNamespace(t testing.TB) *namespace.Namespace {
	t.Helper()
	n, err := namespace.New()
	if err != nil {
		t.Skipf("the way through the kernel is tested with root's rights: %v", err)
	}
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
