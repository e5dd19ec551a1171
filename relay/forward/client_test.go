package forward_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/stun/v4"
	stock "github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	realm    = "relay.callpath.test"
	patience = 10 * time.Second
	username = "2000000000:alice" // until 2033
)

var (
	secret   = []byte("secret of the relay")
	loopback = netip.MustParseAddr("127.0.0.1")
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ourRelay starts the relay whose packets the core forwards.
func ourRelay(t testing.TB, lifetimes turn.Lifetimes) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	at := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	s, err := turn.New(turn.Config{
		Realm: realm, Secrets: [][]byte{secret}, PacketConns: []net.PacketConn{pc},
		Addresses: []netip.Addr{loopback},
		Peers:     turn.PeerPolicy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Quota:     turn.Quota{PerUser: 20000, Total: 20000},
		Limits:    turn.Limits{Requests: -1},
		Lifetimes: lifetimes,
	})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	return at
}

// stockRelay starts the engine alone.
func stockRelay(t testing.TB, lifetimes turn.Lifetimes) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	at := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	_, password := turn.Credential(secret, "alice", "", time.Unix(2000000000, 0))
	s, err := stock.NewServer(stock.ServerConfig{
		Realm: realm,
		AuthHandler: func(ra *stock.RequestAttributes) (string, []byte, bool) {
			return ra.Username, stock.GenerateAuthKey(ra.Username, ra.Realm, password), true
		},
		PacketConnConfigs: []stock.PacketConnConfig{{
			PacketConn:            pc,
			RelayAddressGenerator: &stock.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
		}},
		PermissionTimeout: lifetimes.Permission, ChannelBindTimeout: lifetimes.Channel,
	})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	return at
}

// got is a datagram that a client or a peer received, as far as it means something.
type got struct {
	kind    string // "channel", "data" or, at a peer, "payload"
	from    string // channel number, peer, or relayed transport address
	payload string
}

// inbox is a socket with a goroutine that keeps what comes.
type inbox struct {
	t    testing.TB
	conn *net.UDPConn

	mu        sync.Mutex
	changed   *sync.Cond
	all       []got
	responses map[[stun.TransactionIDSize]byte]*stun.Message
	done      chan struct{}
}

// receive starts the goroutine; read says what a datagram is.
func receive(t testing.TB, conn *net.UDPConn, read func(from netip.AddrPort, p []byte) (got, *stun.Message)) *inbox {
	in := &inbox{t: t, conn: conn, responses: make(map[[stun.TransactionIDSize]byte]*stun.Message), done: make(chan struct{})}
	in.changed = sync.NewCond(&in.mu)
	go func() {
		defer close(in.done)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				continue
			}
			g, response := read(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), bytes.Clone(buf[:n]))
			in.mu.Lock()
			if response != nil {
				in.responses[response.TransactionID] = response
			} else {
				in.all = append(in.all, g)
			}
			in.changed.Broadcast()
			in.mu.Unlock()
		}
	}()
	t.Cleanup(in.close)
	return in
}

func (in *inbox) close() {
	in.conn.Close()
	<-in.done
}

// wait waits until there is what done wants, or gives up.
func (in *inbox) wait(most time.Duration, done func() bool) bool {
	stop := time.AfterFunc(most, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.changed.Broadcast()
	})
	defer stop.Stop()
	deadline := time.Now().Add(most)
	in.mu.Lock()
	defer in.mu.Unlock()
	for !done() {
		if !time.Now().Before(deadline) {
			return false
		}
		in.changed.Wait()
	}
	return true
}

// await waits for a payload that came in some way.
func (in *inbox) await(kind, payload string) {
	in.t.Helper()
	if !in.awaits(patience, kind, payload) {
		in.t.Fatalf("%q did not come by %s at %v", payload, kind, in.conn.LocalAddr())
	}
}

// awaits is true when it came in time.
func (in *inbox) awaits(most time.Duration, kind, payload string) bool {
	return in.wait(most, func() bool {
		return slices.ContainsFunc(in.all, func(g got) bool { return g.kind == kind && g.payload == payload })
	})
}

func (in *inbox) has(kind, payload string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.ContainsFunc(in.all, func(g got) bool { return g.kind == kind && g.payload == payload })
}

func (in *inbox) received() []got {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.all)
}

// peer is a peer's socket on an address of its own, as permissions are by address.
func newPeer(t testing.TB, addr string) *inbox {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 0)))
	ok(t, err)
	ok(t, conn.SetReadBuffer(1<<20))
	return receive(t, conn, func(from netip.AddrPort, p []byte) (got, *stun.Message) {
		return got{"payload", from.String(), string(p)}, nil
	})
}

func (in *inbox) at() netip.AddrPort { return in.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// client is a TURN client that sends whatever a test wants.
type client struct {
	*inbox
	relay    netip.AddrPort // of the server
	relayed  netip.AddrPort
	nonce    stun.Nonce
	password string
}

func newClient(t testing.TB, relay netip.AddrPort) *client {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(relay))
	ok(t, err)
	ok(t, conn.SetReadBuffer(1<<20))
	c := &client{relay: relay}
	_, c.password = turn.Credential(secret, "alice", "", time.Unix(2000000000, 0))
	c.inbox = receive(t, conn, readClient)
	return c
}

// readClient reads what a relay sends. Padding is no part of a payload.
func readClient(_ netip.AddrPort, p []byte) (got, *stun.Message) {
	if len(p) >= 4 && p[0]>>6 == 1 {
		size := int(binary.BigEndian.Uint16(p[2:]))
		if size > len(p)-4 || len(p)-4-size > 3 {
			return got{"malformed", "", fmt.Sprintf("%x", p)}, nil
		}
		return got{"channel", fmt.Sprintf("0x%04x", binary.BigEndian.Uint16(p)), string(p[4 : 4+size])}, nil
	}
	m := &stun.Message{Raw: p}
	if m.Decode() != nil {
		return got{"malformed", "", fmt.Sprintf("%x", p)}, nil
	}
	if m.Type.Class != stun.ClassIndication {
		return got{}, m
	}
	var from stun.XORMappedAddress
	data, err := m.Get(stun.AttrData)
	if err != nil || from.GetFromAs(m, stun.AttrXORPeerAddress) != nil {
		return got{"malformed", "", fmt.Sprintf("%x", p)}, nil
	}
	return got{"data", from.String(), string(data)}, nil
}

// request sends a signed request, again when no response comes, and returns the
// response.
func (c *client) request(method stun.Method, attributes ...stun.Setter) *stun.Message {
	c.t.Helper()
	for {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		if c.nonce != nil {
			setters = append(setters, stun.NewUsername(username), stun.NewRealm(realm), c.nonce,
				stun.NewLongTermIntegrity(username, realm, c.password))
		}
		m := stun.MustBuild(setters...)
		var response *stun.Message
		for range 10 {
			c.send(m.Raw)
			if c.wait(patience/10, func() bool { response = c.responses[m.TransactionID]; return response != nil }) {
				break
			}
		}
		if response == nil {
			c.t.Fatalf("no response to %s", m.Type)
		}
		var code stun.ErrorCodeAttribute
		if code.GetFrom(response) == nil && (code.Code == stun.CodeUnauthorized && c.nonce == nil || code.Code == stun.CodeStaleNonce) {
			ok(c.t, c.nonce.GetFrom(response))
			continue
		}
		return response
	}
}

func (c *client) send(p []byte) {
	if _, err := c.conn.Write(p); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Logf("client's write: %v", err)
	}
}

func good(m *stun.Message) bool { return m.Type.Class == stun.ClassSuccessResponse }

func (c *client) allocate() {
	c.t.Helper()
	m := c.request(stun.MethodAllocate, attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}})
	var at stun.XORMappedAddress
	if err := at.GetFromAs(m, stun.AttrXORRelayedAddress); err != nil {
		c.t.Fatalf("allocation: %v", m)
	}
	addr, _ := netip.AddrFromSlice(at.IP)
	c.relayed = netip.AddrPortFrom(addr.Unmap(), uint16(at.Port))
}

func (c *client) bind(channel uint16, to netip.AddrPort) bool {
	c.t.Helper()
	return good(c.request(stun.MethodChannelBind, attribute{stun.AttrChannelNumber, []byte{byte(channel >> 8), byte(channel), 0, 0}}, peerAddress(to)))
}

func (c *client) permit(to netip.AddrPort) bool {
	c.t.Helper()
	return good(c.request(stun.MethodCreatePermission, peerAddress(to)))
}

func (c *client) free() bool {
	c.t.Helper()
	return good(c.request(stun.MethodRefresh, attribute{stun.AttrLifetime, make([]byte, 4)}))
}

// attribute is an attribute as it is on the wire.
type attribute struct {
	kind  stun.AttrType
	value []byte
}

func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

type peerAddress netip.AddrPort

func (p peerAddress) AddTo(m *stun.Message) error {
	a := netip.AddrPort(p)
	return (&stun.XORMappedAddress{IP: net.IP(a.Addr().AsSlice()), Port: int(a.Port())}).AddToAs(m, stun.AttrXORPeerAddress)
}

// channelData is a frame whose length may be wrong by the difference given, with
// trailing bytes behind it.
func channelData(channel uint16, payload []byte, wrong int, trailing int) []byte {
	p := binary.BigEndian.AppendUint16(nil, channel)
	p = binary.BigEndian.AppendUint16(p, uint16(len(payload)+wrong))
	p = append(p, payload...)
	return append(p, make([]byte, trailing)...)
}

func sendIndication(to netip.AddrPort, payload []byte, more ...stun.Setter) []byte {
	setters := []stun.Setter{stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication)}
	if to.IsValid() {
		setters = append(setters, peerAddress(to))
	}
	setters = append(setters, attribute{stun.AttrData, payload})
	return stun.MustBuild(append(setters, more...)...).Raw
}
