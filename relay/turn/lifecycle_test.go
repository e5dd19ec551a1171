package turn_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/dtls/v3"
	"github.com/pion/stun/v4"
	turn5 "github.com/pion/turn/v5"
)

func TestConfigErrorsNameTheField(t *testing.T) {
	for _, c := range []struct {
		wanted string
		change func(*turn.Config)
	}{
		{"realm", func(c *turn.Config) { c.Realm = "" }},
		{"secrets is empty", func(c *turn.Config) { c.Secrets = nil }},
		{"secrets[1]", func(c *turn.Config) { c.Secrets = append(c.Secrets, nil) }},
		{"nothing to listen on", func(c *turn.Config) { c.PacketConns = nil }},
		{"packet conns[1]", func(c *turn.Config) { c.PacketConns = append(c.PacketConns, nil) }},
		{"listeners[0] is nil", func(c *turn.Config) { c.Listeners = []turn.Listener{{Transport: turn.TCP}} }},
		{`transport "quic"; valid: tcp, tls, dtls`, func(c *turn.Config) { c.Listeners = []turn.Listener{{Transport: "quic", Listener: deaf{}}} }},
		{"addresses is empty", func(c *turn.Config) { c.Addresses = nil }},
		{"addresses[0]: 0.0.0.0", func(c *turn.Config) { c.Addresses = []netip.Addr{netip.IPv4Unspecified()} }},
		{"min port 60000 is above max port 50000", func(c *turn.Config) { c.MinPort, c.MaxPort = 60000, 50000 }},
		{"quota: per user is -1", func(c *turn.Config) { c.Quota.PerUser = -1 }},
		{"lifetimes: permission is -1s", func(c *turn.Config) { c.Lifetimes.Permission = -time.Second }},
		{"local address nowhere of a udp socket", func(c *turn.Config) { c.PacketConns = append(c.PacketConns, nowhere{c.PacketConns[0]}) }},
	} {
		t.Run(c.wanted, func(t *testing.T) {
			pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
			ok(t, err)
			defer pc.Close()
			cfg := turn.Config{Realm: realm, Secrets: [][]byte{secret}, PacketConns: []net.PacketConn{pc}, Addresses: []netip.Addr{loopback}}
			c.change(&cfg)
			s, err := turn.New(cfg)
			if err == nil {
				s.Close()
				t.Fatal("wanted an error, got none")
			}
			if !strings.Contains(err.Error(), c.wanted) {
				t.Errorf("wanted an error with %q, got %q", c.wanted, err)
			}
		})
	}
}

// nowhere is a socket whose address is none.
type nowhere struct{ net.PacketConn }

func (nowhere) LocalAddr() net.Addr { return &net.UnixAddr{Name: "nowhere"} }

// deaf is a listener whose Accept fails until it closes.
type deaf struct{ closed chan struct{} }

func (d deaf) Accept() (net.Conn, error) {
	select {
	case <-d.closed:
		return nil, net.ErrClosed
	default:
		return nil, errors.New("too many open files")
	}
}
func (d deaf) Close() error   { close(d.closed); return nil }
func (d deaf) Addr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:1")) }

func TestCloseEndsEverything(t *testing.T) {
	r := newRig(t, func(c *turn.Config) {
		c.Listeners = append(c.Listeners, turn.Listener{Transport: turn.TCP, Listener: deaf{make(chan struct{})}})
	})
	clients := make(map[turn.Transport]*wire)
	for _, transport := range []turn.Transport{turn.UDP, turn.TCP, turn.TLS} {
		username, password := r.credential(string(transport), "")
		w := &wire{t: t, conn: r.dial(transport), username: username, password: password}
		w.challenge()
		w.mustAllocate()
		w.permission(netip.MustParseAddr("203.0.113.1"))
		w.channel(0x4000, netip.MustParseAddrPort("203.0.113.2:2"))
		clients[transport] = w
	}
	// One connects and never begins its handshake; one makes no request at all.
	silent, err := net.Dial("tcp4", r.tls.String())
	ok(t, err)
	defer silent.Close()
	r.dial(turn.TLS)

	if s := r.server.Stats(); s.Allocations != 3 || s.Permissions != 6 || s.Channels != 3 || s.Connections < 2 {
		t.Errorf("figures: %+v; wanted 3 allocations, 6 permissions, 3 channels", s)
	}
	ok(t, r.server.Close())
	ok(t, r.server.Close())
	if n := r.count(turn.AllocationDeleted); n != 3 {
		t.Errorf("deletions told before Close returned: wanted 3, got %d", n)
	}
	if s := r.server.Stats(); s.Allocations+s.Permissions+s.Channels+s.Connections != 0 {
		t.Errorf("figures after Close: %+v; wanted nothing alive", s)
	}
	for _, transport := range []turn.Transport{turn.TCP, turn.TLS} {
		ok(t, clients[transport].conn.SetReadDeadline(time.Now().Add(patience)))
		if _, err := clients[transport].conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s connection after Close: %v", transport, err)
		}
	}
}

func TestAllocationEndsWithItsConnection(t *testing.T) {
	r := newRig(t, nil)
	for i, transport := range []turn.Transport{turn.TCP, turn.TLS} {
		username, password := r.credential("alice", "")
		w := &wire{t: t, conn: r.dial(transport), username: username, password: password}
		w.challenge()
		w.mustAllocate()
		w.conn.Close()
		if e := r.await(turn.AllocationDeleted, i+1); e.Transport != transport {
			t.Errorf("told as %v", e)
		}
	}
}

func TestAllocationEndsWhenItsTimeIsOver(t *testing.T) {
	r := newRig(t, func(c *turn.Config) {
		c.Lifetimes = turn.Lifetimes{Allocation: 50 * time.Millisecond, Permission: time.Millisecond, Channel: time.Millisecond}
	})
	w := r.wire(r.credential("alice", ""))
	w.mustAllocate()
	w.channel(0x4000, netip.MustParseAddrPort("127.0.0.2:2"))
	r.await(turn.AllocationDeleted, 1)
	if s := r.server.Stats(); s.Allocations+s.Permissions+s.Channels != 0 {
		t.Errorf("figures after the end: %+v; wanted nothing alive", s)
	}
}

func TestASlowHandshakeHoldsUpNobody(t *testing.T) {
	r := newRig(t, nil)
	silent, err := net.Dial("tcp4", r.tls.String())
	ok(t, err)
	defer silent.Close()
	wrong, err := net.Dial("tcp4", r.tls.String())
	ok(t, err)
	_, err = wrong.Write([]byte("this is not TLS at all"))
	ok(t, err)
	defer wrong.Close()
	username, password := r.credential("alice", "")
	w := &wire{t: t, conn: r.dial(turn.TLS), username: username, password: password}
	w.challenge()
	w.mustAllocate()
}

// RFC 8656, section 7.2: REQUESTED-ADDRESS-FAMILY.
func TestRelayedAddressesAreOfTheFamilyAskedFor(t *testing.T) {
	v4, v4b, v6 := netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11"), netip.MustParseAddr("2001:db8::10")
	for _, c := range []struct {
		name      string
		addresses []netip.Addr
		family    []stun.Setter
		wanted    []netip.Addr
		code      stun.ErrorCode
	}{
		{"IPv4 by default", []netip.Addr{v4, v6}, nil, []netip.Addr{v4}, 0},
		{"IPv4", []netip.Addr{v6, v4}, []stun.Setter{familyIPv4}, []netip.Addr{v4}, 0},
		{"IPv6", []netip.Addr{v4, v6}, []stun.Setter{familyIPv6}, []netip.Addr{v6}, 0},
		{"two of a family", []netip.Addr{v4, v6, v4b}, []stun.Setter{familyIPv4}, []netip.Addr{v4, v4b}, 0},
		{"IPv6 without", []netip.Addr{v4}, []stun.Setter{familyIPv6}, nil, stun.CodeAddrFamilyNotSupported},
		{"IPv4 without", []netip.Addr{v6}, nil, nil, stun.CodeAddrFamilyNotSupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(cfg *turn.Config) {
				cfg.Addresses, cfg.ListenPacket = c.addresses, anywhere
				cfg.MinPort, cfg.MaxPort = 50000, 50099
				cfg.Rand = rand.NewPCG(1, 1)
			})
			seen := make(map[netip.Addr]bool)
			for range max(1, len(c.wanted)) {
				w := r.wire(r.credential("alice", ""))
				response := w.allocate(c.family...)
				if code := codeOf(response); code != c.code {
					t.Fatalf("wanted %d, got %d", c.code, code)
				}
				if c.code == 0 {
					at := relayedOf(t, response)
					if at.Port() < 50000 || at.Port() > 50099 {
						t.Errorf("port of %v is out of range", at)
					}
					seen[at.Addr()] = true
				} else if e := r.await(turn.AllocationRefused, 1); e.Rule != turn.RuleAddressFamily || e.Code != int(c.code) {
					t.Errorf("told as %v", e)
				}
			}
			for _, a := range c.wanted {
				if !seen[a] {
					t.Errorf("wanted relayed addresses on %v, got them on %v", c.wanted, seen)
				}
			}
		})
	}
}

// RFC 8656, section 7.2: EVEN-PORT and RESERVATION-TOKEN.
func TestReservedPortsArePairs(t *testing.T) {
	r := newRig(t, func(c *turn.Config) { c.ListenPacket = anywhere })
	first := r.wire(r.credential("alice", ""))
	response := first.allocate(attribute{stun.AttrEvenPort, []byte{0x80}})
	at := relayedOf(t, response)
	token, err := response.Get(stun.AttrReservationToken)
	ok(t, err)
	second := r.wire(r.credential("alice", ""))
	next := second.mustAllocate(attribute{stun.AttrReservationToken, token})
	if at.Port()%2 != 0 || next.Port() != at.Port()+1 {
		t.Errorf("wanted an even port and its neighbour, got %v and %v", at, next)
	}
	third := r.wire(r.credential("alice", ""))
	if code := codeOf(third.allocate(attribute{stun.AttrReservationToken, []byte("unknown!")})); code != stun.CodeInsufficientCapacity {
		t.Errorf("unknown token: wanted 508, got %d", code)
	}
}

func TestPortsRunOut(t *testing.T) {
	r := newRig(t, func(c *turn.Config) { c.MinPort, c.MaxPort, c.ListenPacket = 50000, 50001, anywhere })
	r.wire(r.credential("alice", "")).mustAllocate()
	last := r.wire(r.credential("alice", ""))
	last.mustAllocate()
	w := r.wire(r.credential("alice", ""))
	if code := codeOf(w.allocate()); code != stun.CodeInsufficientCapacity {
		t.Errorf("wanted 508, got %d", code)
	}
	if e := r.await(turn.AllocationRefused, 1); e.Rule != turn.RulePorts || e.Reason != "all of the 2 relay ports on 127.0.0.1 are in use" {
		t.Errorf("told as %v", e)
	}
	last.free()
	w.mustAllocate()
}

func TestDatagramsThatNobodyAskedForAreDropped(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire(r.credential("alice", ""))
	at := w.mustAllocate()
	w.permission(netip.MustParseAddr("127.0.0.2"))
	stranger, err := net.Dial("udp4", at.String())
	ok(t, err)
	defer stranger.Close()
	friend, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(at))
	ok(t, err)
	defer friend.Close()
	for _, send := range []func() (int, error){
		func() (int, error) { return stranger.Write([]byte("let me in")) },
		func() (int, error) { return friend.Write(make([]byte, 1601)) }, // would be cut off
		func() (int, error) { return friend.Write([]byte("wanted")) },
	} {
		_, err := send()
		ok(t, err)
	}
	ok(t, w.conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 2048)
	n, err := w.conn.Read(buf)
	ok(t, err)
	data := &stun.Message{Raw: buf[:n]}
	ok(t, data.Decode())
	if payload, err := data.Get(stun.AttrData); err != nil || string(payload) != "wanted" {
		t.Errorf("wanted a Data indication with the friend's payload, got %v %q", data, payload)
	}
	if s := r.server.Stats(); s.Dropped != 2 || s.Packets != 1 {
		t.Errorf("figures: %+v; wanted 2 dropped, 1 relayed", s)
	}
}

// RFC 8656, sections 12.6, 12.7 and 12.1: a channel that outlives the permission goes one
// way only, until the client binds it again.
func TestAChannelWithoutItsPermissionGoesOneWay(t *testing.T) {
	for _, transport := range []turn.Transport{turn.UDP, turn.TCP} {
		t.Run(string(transport), func(t *testing.T) {
			r := newRig(t, func(c *turn.Config) {
				c.Lifetimes = turn.Lifetimes{Permission: 20 * time.Millisecond, Channel: time.Hour}
			})
			w := &wire{t: t, conn: r.dial(transport)}
			w.username, w.password = r.credential("alice", "")
			w.challenge()
			at := w.mustAllocate()
			pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			ok(t, err)
			defer pc.Close()
			deadline := time.Now().Add(patience)
			ok(t, pc.SetReadDeadline(deadline))
			w.channel(0x4000, addrPortOf(pc.LocalAddr()))
			until := func(what string, done func(turn.Stats) bool) {
				t.Helper()
				for !done(r.server.Stats()) {
					if time.Now().After(deadline) {
						t.Fatalf("%s: %+v", what, r.server.Stats())
					}
					time.Sleep(time.Millisecond)
				}
			}
			until("expired", func(s turn.Stats) bool { return s.Permissions == 0 })
			_, err = pc.WriteToUDPAddrPort([]byte("late"), at)
			ok(t, err)
			until("dropped", func(s turn.Stats) bool { return s.Dropped == 1 })
			_, err = w.conn.Write([]byte{0x40, 0, 0, 4, 'd', 'a', 't', 'a'})
			ok(t, err)
			buf := make([]byte, 2048)
			n, _, err := pc.ReadFrom(buf)
			ok(t, err)
			if s := r.server.Stats(); string(buf[:n]) != "data" || s.Packets != 1 || s.Channels != 1 {
				t.Errorf("got %q, figures %+v; wanted the client's data alone, by the channel", buf[:n], s)
			}
			if code := codeOf(w.channel(0x4000, addrPortOf(pc.LocalAddr()))); code != 0 {
				t.Errorf("bound again: wanted success, got %d", code)
			}
			if n := r.count(turn.PermissionCreated); n != 2 {
				t.Errorf("%d permissions were created; wanted another by the refresh", n)
			}
		})
	}
}

func TestTheRelayItselfIsNoPeer(t *testing.T) {
	// Even where all of loopback is allowed, what the relay listens on is not.
	for name, listen := range map[string]string{"one address": "127.0.0.1:0", "all addresses": "0.0.0.0:0"} {
		t.Run(name, func(t *testing.T) {
			pc, err := net.ListenPacket("udp4", listen)
			ok(t, err)
			port := addrPortOf(pc.LocalAddr()).Port()
			r := newRig(t, func(c *turn.Config) { c.PacketConns = append(c.PacketConns, pc) })
			w := r.wire(r.credential("alice", ""))
			w.mustAllocate()
			to := netip.AddrPortFrom(loopback, port)
			if code := codeOf(w.channel(0x4000, to)); code != stun.CodeForbidden {
				t.Errorf("channel to the relay itself: wanted 403, got %d", code)
			}
			w.permission(loopback)
			m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), peer(to), attribute{stun.AttrData, []byte("loop")})
			for range 3 {
				_, err = w.conn.Write(m.Raw)
				ok(t, err)
			}
			if e := r.await(turn.DataDenied, 1); e.Rule != "own-address" || e.Peer != to {
				t.Errorf("told as %v", e)
			}
			w.request(stun.MethodRefresh)
			if n := r.count(turn.DataDenied); n != 1 {
				t.Errorf("the same denial was told %d times", n)
			}
		})
	}
}

// flaky is a socket with errors that pass, as an ICMP error gives on some systems.
type flaky struct {
	net.PacketConn
	mu     sync.Mutex
	errors int
}

func (f *flaky) ReadFrom(p []byte) (int, net.Addr, error) {
	f.mu.Lock()
	f.errors--
	failing := f.errors >= 0
	f.mu.Unlock()
	if failing {
		return 0, nil, errors.New("connection refused")
	}
	return f.PacketConn.ReadFrom(p)
}

func TestErrorsThatPassEndNothing(t *testing.T) {
	r := newRig(t, func(c *turn.Config) {
		c.PacketConns[0] = &flaky{PacketConn: c.PacketConns[0], errors: 5}
		c.ListenPacket = func(ctx context.Context, network, address string) (net.PacketConn, error) {
			pc, err := anywhere(ctx, network, address)
			return &flaky{PacketConn: pc, errors: 5}, err
		}
	})
	w := r.wire(r.credential("alice", ""))
	w.mustAllocate()
	if code := codeOf(w.request(stun.MethodRefresh)); code != 0 {
		t.Errorf("refresh: %d", code)
	}
}

func TestBindingNeedsNoCredentials(t *testing.T) {
	r := newRig(t, nil)
	for _, transport := range []turn.Transport{turn.UDP, turn.TCP, turn.TLS} {
		w := &wire{t: t, conn: r.dial(transport)}
		response := w.send(stun.MustBuild(stun.TransactionID, stun.BindingRequest))
		var mapped stun.XORMappedAddress
		ok(t, mapped.GetFrom(response))
		if mapped.String() != w.conn.LocalAddr().String() {
			t.Errorf("%s: wanted %v, got %v", transport, w.conn.LocalAddr(), mapped)
		}
	}
}

func TestNoiseIsSurvived(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire(r.credential("alice", ""))
	allocate := w.build(stun.MethodAllocate, transportUDP)
	const fingerprint = 8 // at the end; without it the request is as good
	for i := range len(allocate.Raw) - fingerprint {
		noise := append([]byte(nil), allocate.Raw...)
		noise[i] ^= 0xff
		_, err := w.conn.Write(noise)
		ok(t, err)
		_, err = w.conn.Write(noise[:i])
		ok(t, err)
	}
	_, err := w.conn.Write([]byte{0x40, 0x00, 0x00, 0x00})
	ok(t, err)
	if code := codeOf(w.request(stun.MethodAllocate, transportUDP)); code != 0 {
		t.Errorf("after noise: %d", code)
	}
	unknown := w.request(stun.MethodRefresh, attribute{0x7fff, nil})
	if code := codeOf(unknown); code != stun.CodeUnknownAttribute {
		t.Errorf("unknown attribute that must be understood: wanted 420, got %d", code)
	}
}

func TestClientsReachTheRelayOverDTLS(t *testing.T) {
	certificate, roots := certificate(t)
	listener, err := dtls.ListenWithOptions("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, dtls.WithCertificates(certificate))
	ok(t, err)
	r := newRig(t, func(c *turn.Config) {
		c.Listeners = append(c.Listeners, turn.Listener{Transport: turn.DTLS, Listener: listener})
	})
	conn, err := dtls.DialWithOptions("udp4", listener.Addr().(*net.UDPAddr), dtls.WithRootCAs(roots), dtls.WithServerName(realm))
	ok(t, err)
	defer conn.Close()
	username, password := r.credential("alice", "call-1")
	c, err := turn5.NewClient(&turn5.ClientConfig{
		STUNServerAddr: listener.Addr().String(), TURNServerAddr: listener.Addr().String(),
		Username: username, Password: password, Conn: connected{conn},
	})
	ok(t, err)
	defer c.Close()
	ok(t, c.Listen())
	relayed, err := c.Allocate()
	ok(t, err)
	exchange(t, relayed, echo(t), 5)
	if e := r.await(turn.AllocationCreated, 1); e.Transport != turn.DTLS {
		t.Errorf("told as %v", e)
	}
	ok(t, relayed.Close())
}
