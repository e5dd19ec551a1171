package turn_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	turn3 "github.com/pion/turn/v3"
	turn5 "github.com/pion/turn/v5"
)

// allocator allocates with a client library over a socket to the relay.
type allocator func(t *testing.T, r *rig, transport turn.Transport, username, password string) (net.PacketConn, error)

func allocate5(t *testing.T, r *rig, transport turn.Transport, username, password string) (net.PacketConn, error) {
	conn := r.dial(transport)
	var pc net.PacketConn = turn5.NewSTUNConn(conn)
	if transport == turn.UDP {
		pc = connected{conn}
	}
	c, err := turn5.NewClient(&turn5.ClientConfig{
		STUNServerAddr: conn.RemoteAddr().String(), TURNServerAddr: conn.RemoteAddr().String(),
		Username: username, Password: password, Conn: pc,
	})
	ok(t, err)
	t.Cleanup(c.Close)
	ok(t, c.Listen())
	return closing(t)(c.Allocate())
}

func allocate3(t *testing.T, r *rig, transport turn.Transport, username, password string) (net.PacketConn, error) {
	conn := r.dial(transport)
	var pc net.PacketConn = turn3.NewSTUNConn(conn)
	if transport == turn.UDP {
		pc = connected{conn}
	}
	c, err := turn3.NewClient(&turn3.ClientConfig{
		STUNServerAddr: conn.RemoteAddr().String(), TURNServerAddr: conn.RemoteAddr().String(),
		Username: username, Password: password, Conn: pc,
	})
	ok(t, err)
	t.Cleanup(c.Close)
	ok(t, c.Listen())
	return closing(t)(c.Allocate())
}

// closing closes an allocation at the test's end; its client has timers.
func closing(t *testing.T) func(net.PacketConn, error) (net.PacketConn, error) {
	return func(relayed net.PacketConn, err error) (net.PacketConn, error) {
		if err == nil {
			t.Cleanup(func() { relayed.Close() })
		}
		return relayed, err
	}
}

// connected is a connected UDP socket as a PacketConn.
type connected struct{ net.Conn }

func (c connected) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, c.RemoteAddr(), err
}
func (c connected) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }

// exchange sends payloads to peer, one after the other, and wants each back. The
// first go as Send and Data indications, the later ones on a channel.
func exchange(t *testing.T, relayed net.PacketConn, peer netip.AddrPort, n int) {
	t.Helper()
	buf := make([]byte, 2048)
	for i := range n {
		want := bytes.Repeat([]byte{byte(i)}, 100+i)
		_, err := relayed.WriteTo(want, net.UDPAddrFromAddrPort(peer))
		ok(t, err)
		ok(t, relayed.SetReadDeadline(time.Now().Add(patience)))
		got, from, err := relayed.ReadFrom(buf)
		ok(t, err)
		if !bytes.Equal(buf[:got], want) {
			t.Fatalf("payload %d: wanted %x, got %x", i, want, buf[:got])
		}
		if addrPortOf(from) != peer {
			t.Fatalf("payload %d came from %v, not %v", i, from, peer)
		}
	}
}

func TestPayloadsReachThePeerAndComeBackUnchanged(t *testing.T) {
	for _, c := range []struct {
		name     string
		allocate allocator
	}{{"turn v5 client", allocate5}, {"turn v3 client", allocate3}} {
		for _, transport := range []turn.Transport{turn.UDP, turn.TCP, turn.TLS} {
			t.Run(fmt.Sprintf("%s over %s", c.name, transport), func(t *testing.T) {
				r := newObservedRig(t)
				peer := echo(t)
				username, password := r.credential("alice", "call-1")
				relayed, err := c.allocate(t, r, transport, username, password)
				ok(t, err)
				at := addrPortOf(relayed.LocalAddr())

				exchange(t, relayed, peer, 1)
				bound := r.await(turn.ChannelBound, 1)
				exchange(t, relayed, peer, 20)

				created := r.await(turn.AllocationCreated, 1)
				for _, e := range []turn.Event{created, bound, r.await(turn.PermissionCreated, 1)} {
					if e.User != "alice" || e.Call != "call-1" || e.Transport != transport || e.Relay != at {
						t.Errorf("event %v: wanted alice in call-1 over %s at %v", e, transport, at)
					}
				}
				if bound.Peer != peer || bound.Channel < 0x4000 {
					t.Errorf("channel event %v: wanted peer %v", bound, peer)
				}
				stats := r.server.Stats()
				if stats.Allocations != 1 || stats.Permissions != 1 || stats.Channels != 1 {
					t.Errorf("live figures: %+v; wanted one allocation, permission and channel", stats)
				}
				if stats.Packets != 42 || stats.BytesIn != stats.BytesOut || stats.BytesIn != 2*(100+20*100+190) {
					t.Errorf("traffic figures: %+v; wanted 42 packets and 4580 bytes in and out", stats)
				}

				ok(t, relayed.Close())
				if e := r.await(turn.AllocationDeleted, 1); e.Relay != at || e.User != "alice" {
					t.Errorf("deletion %v: wanted alice's at %v", e, at)
				}
				if stats := r.server.Stats(); stats.Allocations+stats.Permissions+stats.Channels != 0 {
					t.Errorf("figures after the end: %+v; wanted nothing alive", stats)
				}

				r.mu.Lock()
				defer r.mu.Unlock()
				if len(r.relayed) != 42 {
					t.Fatalf("relayed payloads told: wanted 42, got %d", len(r.relayed))
				}
				for i, p := range r.relayed {
					want := turn.Relayed{Time: p.Time, User: "alice", Call: "call-1", Transport: transport,
						Client: created.Client, Relay: at, Peer: peer, ToPeer: i%2 == 0}
					want.Payload, p.Payload = nil, nil
					if fmt.Sprint(p) != fmt.Sprint(want) {
						t.Errorf("relayed payload %d: wanted %+v, got %+v", i, want, p)
					}
				}
			})
		}
	}
}

func TestTwoClientsOfOneRelayReachEachOther(t *testing.T) {
	// Nothing is allowed: relayed transport addresses are reachable by themselves.
	r := newRig(t, func(c *turn.Config) { c.Peers = turn.PeerPolicy{} })
	var ends [2]net.PacketConn
	for i, user := range []string{"alice", "bob"} {
		username, password := r.credential(user, "call-1")
		var err error
		ends[i], err = allocate5(t, r, turn.UDP, username, password)
		ok(t, err)
	}
	// Each must have sent, and so have made its permission, before it can receive:
	// alice's first payload may or may not arrive.
	send := func(from, to net.PacketConn, text string) {
		_, err := from.WriteTo([]byte(text), to.LocalAddr())
		ok(t, err)
	}
	send(ends[0], ends[1], "perhaps too early")
	send(ends[1], ends[0], "hello from bob")
	buf := make([]byte, 2048)
	ok(t, ends[0].SetReadDeadline(time.Now().Add(patience)))
	n, from, err := ends[0].ReadFrom(buf)
	ok(t, err)
	if string(buf[:n]) != "hello from bob" || from.String() != ends[1].LocalAddr().String() {
		t.Errorf("wanted bob's hello from %v, got %q from %v", ends[1].LocalAddr(), buf[:n], from)
	}
	send(ends[0], ends[1], "hello from alice")
	ok(t, ends[1].SetReadDeadline(time.Now().Add(patience)))
	for text := ""; text != "hello from alice"; text = string(buf[:n]) {
		n, _, err = ends[1].ReadFrom(buf)
		ok(t, err)
	}

	// The same address with any other port stays out of reach.
	other := echo(t)
	_, err = ends[0].WriteTo([]byte("to something else on this machine"), net.UDPAddrFromAddrPort(other))
	ok(t, err)
	if e := r.await(turn.DataDenied, 1); e.Rule != "own-address" || e.Peer != other || e.User != "alice" {
		t.Errorf("wanted alice's datagram to %v denied as own-address, got %v", other, e)
	}
	if e := r.await(turn.ChannelDenied, 1); e.Rule != "own-address" || e.Code != 403 {
		t.Errorf("wanted the channel denied as own-address with 403, got %v", e)
	}
}

// A media processor stands beside the relay, at an address of which nothing else is
// to be reached: with the relay's own relayed addresses on it, or in a private network.
func TestAServiceIsReachedAtItsPortOnly(t *testing.T) {
	for name, relayed := range map[string]netip.Addr{"on a relayed address": loopback, "elsewhere": netip.MustParseAddr("203.0.113.10")} {
		t.Run(name, func(t *testing.T) {
			service, other := echo(t), echo(t)
			r := newRig(t, func(c *turn.Config) {
				c.Addresses, c.ListenPacket = []netip.Addr{relayed}, anywhere
				c.Peers = turn.PeerPolicy{Services: []netip.AddrPort{service}}
			})
			username, password := r.credential("alice", "meeting-1")
			end, err := allocate5(t, r, turn.UDP, username, password)
			ok(t, err)
			for range 3 { // by an indication, then by a channel
				_, err = end.WriteTo([]byte("to the processor"), net.UDPAddrFromAddrPort(service))
				ok(t, err)
				ok(t, end.SetReadDeadline(time.Now().Add(patience)))
				buf := make([]byte, 100)
				n, _, err := end.ReadFrom(buf)
				ok(t, err)
				if string(buf[:n]) != "to the processor" {
					t.Fatalf("the service answered %q", buf[:n])
				}
			}
			_, err = end.WriteTo([]byte("to something else there"), net.UDPAddrFromAddrPort(other))
			ok(t, err)
			if e := r.await(turn.DataDenied, 1); e.Rule != "own-address" || e.Peer != other {
				t.Errorf("wanted the datagram to %v denied, got %v", other, e)
			}
			if e := r.await(turn.ChannelDenied, 1); e.Rule != "own-address" || e.Code != 403 {
				t.Errorf("wanted the channel denied with 403, got %v", e)
			}
		})
	}
}
