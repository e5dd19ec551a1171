package turn_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/turn"
)

// RFC 8656, sections 14 and 15: a datagram that is sent with DONT-FRAGMENT is not cut on a
// path that is too narrow for it, and one without is. Section 13: between UDP over IPv4
// and over IPv6 the attribute is ignored.
func TestDontFragmentKeepsADatagramWhole(t *testing.T) {
	const mtu, fits, exceeds = 1280, 1000, 1400
	listen := narrow(t, mtu)
	for _, c := range []struct {
		name      string
		transport turn.Transport
		observed  bool // so that the engine sends
		address   string
		ignored   bool
	}{
		{"core", turn.UDP, false, "127.0.0.1", false},
		{"engine", turn.UDP, true, "127.0.0.1", false},
		{"from IPv4 to IPv6", turn.UDP, false, "::1", true},
		{"connection", turn.TCP, false, "127.0.0.1", false},
		{"connection to IPv6", turn.TCP, false, "::1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := netip.MustParseAddr(c.address)
			r := start(t, c.observed, func(cfg *turn.Config) {
				cfg.Addresses = []netip.Addr{host}
				cfg.Peers.Allow = append(cfg.Peers.Allow, netip.PrefixFrom(host, host.BitLen()))
				cfg.Peers.Services = nil
				cfg.ListenPacket = listen
			})
			network := map[bool]string{true: "udp4", false: "udp6"}[host.Is4()]
			pc, err := listen(t.Context(), network, netip.AddrPortFrom(host, 0).String())
			ok(t, err)
			defer pc.Close()
			w := &wire{t: t, conn: r.dial(c.transport)}
			w.username, w.password = r.credential("alice", "")
			w.challenge()
			family := familyIPv4
			if host.Is6() {
				family = familyIPv6
			}
			w.mustAllocate(family, attribute{stun.AttrDontFragment, nil})
			to := addrPortOf(pc.LocalAddr())
			if code := codeOf(w.permission(host)); code != 0 {
				t.Fatalf("permission refused with %d", code)
			}

			send := func(size int, whole bool) []byte {
				payload := bytes.Repeat([]byte{byte(size)}, size)
				setters := []stun.Setter{stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), peer(to), attribute{stun.AttrData, payload}}
				if whole {
					setters = append(setters, attribute{stun.AttrDontFragment, nil})
				}
				_, err := w.conn.Write(stun.MustBuild(setters...).Raw)
				ok(t, err)
				return payload
			}
			arrives := func(payload []byte) {
				t.Helper()
				ok(t, pc.SetReadDeadline(time.Now().Add(patience)))
				got := make([]byte, 2048)
				n, _, err := pc.ReadFrom(got)
				if err != nil || !bytes.Equal(got[:n], payload) {
					t.Fatalf("%d bytes arrived (%v), wanted %d", n, err, len(payload))
				}
			}
			arrives(send(fits, true))
			arrives(send(exceeds, false)) // in two parts
			if payload := send(exceeds, true); c.ignored {
				arrives(payload)
			}
			arrives(send(fits, false))
			arrives(send(exceeds, false)) // as before
			want := map[bool]uint64{false: 1, true: 0}[c.ignored]
			if dropped := r.server.Stats().Dropped; dropped != want {
				t.Errorf("datagrams dropped: %d, wanted %d", dropped, want)
			}
		})
	}
}

// narrow makes a network of its own, whose loopback takes packets of at most mtu bytes,
// and returns what opens sockets in it.
func narrow(t *testing.T, mtu int) func(context.Context, string, string) (net.PacketConn, error) {
	t.Helper()
	work, ready := make(chan func()), make(chan error)
	go func() {
		// The thread is in the other network for good, and ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				if err = netlink.LinkSetMTU(lo, mtu); err == nil {
					err = netlink.LinkSetUp(lo)
				}
			}
		}
		ready <- err
		for f := range work {
			f()
		}
		close(ready)
	}()
	t.Cleanup(func() { close(work); <-ready })
	if err := <-ready; err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no network of its own: %v", err)
		}
		t.Skipf("no network of its own, which needs root: %v", err)
	}
	return func(ctx context.Context, network, address string) (pc net.PacketConn, err error) {
		done := make(chan struct{})
		work <- func() {
			defer close(done)
			pc, err = (&net.ListenConfig{}).ListenPacket(ctx, network, address)
		}
		<-done
		return pc, err
	}
}
