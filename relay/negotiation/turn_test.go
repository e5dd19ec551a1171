package negotiation_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/turn/v5"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// turnServer runs a real TURN server on loopback, over UDP and TCP.
func turnServer(t *testing.T) (udp, tcp netip.AddrPort) {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	generator := &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
	forbidden := func(_ net.Addr, peer net.IP) bool { return !peer.Equal(net.IPv4(10, 9, 9, 9)) }
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "callpath.test",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey("1800000000:alice", "callpath.test", "secret"), a.Username == "1800000000:alice"
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: pc, RelayAddressGenerator: generator, PermissionHandler: forbidden}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: l, RelayAddressGenerator: generator, PermissionHandler: forbidden}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return pc.LocalAddr().(*net.UDPAddr).AddrPort(), l.Addr().(*net.TCPAddr).AddrPort()
}

// recordedPackets shows each datagram of a UDP socket to a recorder.
type recordedPackets struct {
	net.PacketConn
	r     *negotiation.Recorder
	clock *clock
}

func (c *recordedPackets) local() netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func (c *recordedPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	c.r.Packet(c.clock.tick(), true, iptest.UDP(c.local(), to.(*net.UDPAddr).AddrPort(), b))
	return c.PacketConn.WriteTo(b, to)
}

func (c *recordedPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(b)
	if err == nil {
		c.r.Packet(c.clock.tick(), false, iptest.UDP(from.(*net.UDPAddr).AddrPort(), c.local(), b[:n]))
	}
	return n, from, err
}

// recordedStream shows the bytes of a TCP connection to a recorder: as segments,
// or as the plaintext of TLS.
type recordedStream struct {
	net.Conn
	r     *negotiation.Recorder
	clock *clock
	tls   bool
	mu    sync.Mutex
	next  [2]uint32
}

func (c *recordedStream) show(outbound bool, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	i, from, to := 0, local, remote
	if !outbound {
		i, from, to = 1, remote, local
	}
	// In pieces that respect no frame, and of TCP the second before the first.
	var pieces [][]byte
	for rest := b; len(rest) > 0; {
		n := min(50, len(rest))
		pieces = append(pieces, rest[:n])
		rest = rest[n:]
	}
	if c.tls {
		for _, p := range pieces {
			c.r.Stream(c.clock.tick(), outbound, local, remote, "tls", p)
		}
		return
	}
	if c.next[i] == 0 {
		const syn = 2
		c.next[i] = uint32(1<<32 - 20*(i+1)) // soon wraps
		c.r.Packet(c.clock.tick(), outbound, iptest.TCP(from, to, c.next[i], syn, nil))
		c.next[i]++
	}
	var packets [][]byte
	for _, p := range pieces {
		packets = append(packets, iptest.TCP(from, to, c.next[i], 0x10, p))
		c.next[i] += uint32(len(p))
	}
	if len(packets) > 1 {
		packets[0], packets[1] = packets[1], packets[0]
	}
	for _, p := range append(packets, packets[0]) { // one twice
		c.r.Packet(c.clock.tick(), outbound, p)
	}
}

func (c *recordedStream) Write(b []byte) (int, error) {
	c.show(true, b)
	return c.Conn.Write(b)
}

func (c *recordedStream) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.show(false, b[:n])
	}
	return n, err
}

// turnClient opens a client over the transport that the recorder is to read.
func turnClient(t *testing.T, r *negotiation.Recorder, protocol, user string, udp, tcp netip.AddrPort) (client *turn.Client, server netip.AddrPort) {
	t.Helper()
	clock := &clock{now: epoch}
	var conn net.PacketConn
	server = udp
	if protocol == "udp" {
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn = &recordedPackets{pc, r, clock}
	} else {
		server = tcp
		c, err := net.Dial("tcp4", tcp.String())
		if err != nil {
			t.Fatal(err)
		}
		conn = turn.NewSTUNConn(&recordedStream{Conn: c, r: r, clock: clock, tls: protocol == "tls"})
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(),
		Username: user, Password: "secret", Realm: "callpath.test", Conn: conn,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); _ = conn.Close() })
	return client, server
}

func TestTURNAllocationIsRecorded(t *testing.T) {
	for _, protocol := range []string{"udp", "tcp", "tls"} {
		t.Run(protocol, func(t *testing.T) {
			udp, tcp := turnServer(t)
			var mu sync.Mutex
			var seen []string
			r := negotiation.NewRecorder(negotiation.Config{OnEvent: func(e negotiation.Event) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, e.Name)
			}})
			client, server := turnClient(t, r, protocol, "1800000000:alice", udp, tcp)
			relay, err := client.Allocate()
			if err != nil {
				t.Fatal(err)
			}
			relayed := relay.LocalAddr().(*net.UDPAddr).AddrPort()
			peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = peer.Close() })
			_ = peer.SetDeadline(time.Now().Add(5 * time.Second))
			_ = relay.SetDeadline(time.Now().Add(5 * time.Second))
			// The first packet goes in a Send indication; later ones on a
			// channel, once the client has bound it.
			sent, received := 0, 0
			buffer := make([]byte, 1500)
			bound := func() bool { return len(r.Record().TURN[0].Channels) > 0 }
			for i := 0; i < 200 && (i < 5 || !bound()); i++ {
				media := rtpPacket(1, uint16(i), 100)
				if _, err := relay.WriteTo(media, peer.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				sent += len(media)
				n, from, err := peer.ReadFrom(buffer)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := peer.WriteTo(buffer[:n], from); err != nil {
					t.Fatal(err)
				}
				if _, _, err = relay.ReadFrom(buffer); err != nil {
					t.Fatal(err)
				}
				received += n
			}
			if err := client.CreatePermission(&net.UDPAddr{IP: net.IPv4(10, 9, 9, 9), Port: 1}); err == nil {
				t.Fatal("a permission for a forbidden peer")
			}
			if err := relay.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			rec := r.Record()
			if len(rec.TURN) != 1 {
				t.Fatalf("%d allocations, want 1", len(rec.TURN))
			}
			a := rec.TURN[0]
			peerAddress := peer.LocalAddr().(*net.UDPAddr).AddrPort()
			equal(t, "server", a.Server, server)
			equal(t, "protocol", a.Protocol, protocol)
			equal(t, "username", a.Username, "1800000000:alice")
			equal(t, "realm", a.Realm, "callpath.test")
			equal(t, "relayed", a.Relayed, relayed)
			equal(t, "mapped", a.Mapped, a.Client)
			equal(t, "lifetime", a.Lifetime, 10*time.Minute)
			equalLists(t, "peers", a.Peers, []netip.AddrPort{peerAddress})
			equal(t, "channel", a.Channels[0x4000], peerAddress)
			equalLists(t, "errors", a.Errors, []string{"CreatePermission 403 Forbidden"})
			equal(t, "sent bytes", a.SentBytes, uint64(sent))
			equal(t, "received bytes", a.ReceivedBytes, uint64(received))
			equal(t, "streams", len(rec.SRTP), 2)
			equal(t, "lost", streamOf(t, r, 1, "received").Lost, 0)
			mu.Lock()
			defer mu.Unlock()
			for _, name := range []string{negotiation.EventAllocated, negotiation.EventPermission, negotiation.EventChannelBound, negotiation.EventRefused} {
				contains(t, "events", seen, name)
			}
		})
	}
}

func rtpPacket(ssrc uint32, sequence uint16, payload int) []byte {
	b := make([]byte, 12+payload)
	b[0] = 0x80
	b[2], b[3] = byte(sequence>>8), byte(sequence)
	b[8], b[9], b[10], b[11] = byte(ssrc>>24), byte(ssrc>>16), byte(ssrc>>8), byte(ssrc)
	return b
}

func TestTURNRefusedCredential(t *testing.T) {
	udp, tcp := turnServer(t)
	r := negotiation.NewRecorder(negotiation.Config{})
	client, _ := turnClient(t, r, "udp", "1500000000:mallory", udp, tcp)
	if _, err := client.Allocate(); err == nil {
		t.Fatal("an allocation for a stranger")
	}
	rec := r.Record()
	a := rec.TURN[0]
	equal(t, "relayed", a.Relayed.IsValid(), false)
	equal(t, "username", a.Username, "1500000000:mallory")
	if len(a.Errors) != 1 || !strings.HasPrefix(a.Errors[0], "Allocate 4") {
		t.Errorf("errors: got %q, want one refusal of Allocate", a.Errors)
	}
	equal(t, "verdict", rec.Verdict, "ICE gathered no candidates")
}

func TestTURNDeletedAllocation(t *testing.T) {
	udp, tcp := turnServer(t)
	r := negotiation.NewRecorder(negotiation.Config{})
	client, _ := turnClient(t, r, "udp", "1800000000:alice", udp, tcp)
	relay, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Close(); err != nil {
		t.Fatal(err)
	}
	// The client does not wait for the answer; a request after it does.
	if _, err := client.SendBindingRequest(); err != nil {
		t.Fatal(err)
	}
	equal(t, "deleted", r.Record().TURN[0].Deleted, true)
}

// HTTPS and other TCP is passed over, and costs no buffers.
func TestOtherTCPIsPassedOver(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	https := netip.MustParseAddrPort("203.0.113.1:443")
	for i := range uint32(100) {
		r.Packet(epoch, true, iptest.TCP(alice, https, 1+i*1000, 0x10, append([]byte{0x16, 3, 1, 0, 200}, make([]byte, 995)...)))
	}
	rec := r.Record()
	equal(t, "verdict", rec.Verdict, "nothing was seen")
	equalLists(t, "problems", rec.Problems, nil)
}

// A stream of TURN that breaks is given up, and said so.
func TestTURNStreamThatBreaks(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	relay := netip.MustParseAddrPort("203.0.113.1:443")
	r.Stream(epoch, true, alice, relay, "tls", allocateRequest)
	r.Stream(epoch, true, alice, relay, "tls", []byte{0x80, 0, 0, 0})
	r.Stream(epoch, true, alice, relay, "tls", allocateRequest)
	rec := r.Record()
	equal(t, "allocations", len(rec.TURN), 1)
	equalLists(t, "errors", rec.TURN[0].Errors, []string{"Allocate no answer"})
	contains(t, "problems", rec.Problems, "not a stream of STUN messages and ChannelData")
}

// allocateRequest is the first request of a client, without credentials.
var allocateRequest = []byte{
	0x00, 0x03, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
	0x00, 0x19, 0x00, 0x04, 17, 0, 0, 0,
}
