package turn_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
	"github.com/pion/stun/v4"
)

// wire is a client that sends single requests, so that a test can send what no
// library would.
type wire struct {
	t                         testing.TB
	conn                      net.Conn
	username, password, realm string
	nonce                     stun.Nonce
}

func (r *rig) wire(username, password string) *wire {
	r.t.Helper()
	w := &wire{t: r.t, conn: r.dial(turn.UDP), username: username, password: password}
	w.challenge()
	return w
}

// challenge makes the unsigned request by which a client learns realm and nonce.
func (w *wire) challenge() {
	w.t.Helper()
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transportUDP)
	response := w.send(m)
	if code := codeOf(response); code != stun.CodeUnauthorized {
		w.t.Fatalf("request without credentials: wanted 401, got %d", code)
	}
	var realm stun.Realm
	ok(w.t, realm.GetFrom(response))
	ok(w.t, w.nonce.GetFrom(response))
	w.realm = realm.String()
}

// build signs a request.
func (w *wire) build(method stun.Method, attributes ...stun.Setter) *stun.Message {
	setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
	setters = append(setters, stun.NewUsername(w.username), stun.NewRealm(w.realm), w.nonce,
		stun.NewLongTermIntegrity(w.username, w.realm, w.password), stun.Fingerprint)
	return stun.MustBuild(setters...)
}

func (w *wire) request(method stun.Method, attributes ...stun.Setter) *stun.Message {
	w.t.Helper()
	return w.send(w.build(method, attributes...))
}

// send sends a message and waits for its response. It retransmits as RFC 8489,
// section 6.2.1 says, because a full buffer may lose a datagram.
func (w *wire) send(m *stun.Message) *stun.Message {
	w.t.Helper()
	_, err := w.conn.Write(m.Raw)
	ok(w.t, err)
	buf := make([]byte, 2048)
	for tries := 1; ; {
		ok(w.t, w.conn.SetReadDeadline(time.Now().Add(patience/10)))
		n, err := w.conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && tries < 10 {
			tries++
			_, err = w.conn.Write(m.Raw)
			ok(w.t, err)
			continue
		}
		if err != nil {
			w.t.Fatalf("waiting for the response to %s: %v", m.Type, err)
		}
		response := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		if response.Decode() == nil && response.TransactionID == m.TransactionID {
			return response
		}
	}
}

func (w *wire) allocate(attributes ...stun.Setter) *stun.Message {
	w.t.Helper()
	return w.request(stun.MethodAllocate, append([]stun.Setter{transportUDP}, attributes...)...)
}

// mustAllocate returns the relayed transport address.
func (w *wire) mustAllocate(attributes ...stun.Setter) netip.AddrPort {
	w.t.Helper()
	response := w.allocate(attributes...)
	if response.Type.Class != stun.ClassSuccessResponse {
		w.t.Fatalf("allocation refused with %d", codeOf(response))
	}
	return relayedOf(w.t, response)
}

func (w *wire) free() {
	w.t.Helper()
	if code := codeOf(w.request(stun.MethodRefresh, lifetime(0))); code != 0 {
		w.t.Fatalf("refresh with lifetime 0: wanted success, got %d", code)
	}
}

func (w *wire) permission(peers ...netip.Addr) *stun.Message {
	w.t.Helper()
	var attributes []stun.Setter
	for _, p := range peers {
		attributes = append(attributes, peer(netip.AddrPortFrom(p, 9)))
	}
	return w.request(stun.MethodCreatePermission, attributes...)
}

func (w *wire) channel(number uint16, to netip.AddrPort) *stun.Message {
	w.t.Helper()
	return w.request(stun.MethodChannelBind, attribute{stun.AttrChannelNumber, []byte{byte(number >> 8), byte(number), 0, 0}}, peer(to))
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

var (
	transportUDP = attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}}
	transportTCP = attribute{stun.AttrRequestedTransport, []byte{6, 0, 0, 0}}
	familyIPv4   = attribute{stun.AttrRequestedAddressFamily, []byte{1, 0, 0, 0}}
	familyIPv6   = attribute{stun.AttrRequestedAddressFamily, []byte{2, 0, 0, 0}}
)

func lifetime(seconds uint32) attribute {
	return attribute{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, seconds)}
}

// peer is XOR-PEER-ADDRESS. The address is written in the family it has, so that
// IPv4-mapped ones stay IPv6 on the wire, which libraries would not do.
type peer netip.AddrPort

func (p peer) AddTo(m *stun.Message) error {
	at := netip.AddrPort(p)
	const cookie = 0x2112a442
	pad := append(binary.BigEndian.AppendUint32(nil, cookie), m.TransactionID[:]...)
	family := byte(2)
	if at.Addr().Is4() {
		family = 1
	}
	value := []byte{0, family}
	value = binary.BigEndian.AppendUint16(value, at.Port()^(cookie>>16))
	for i, b := range at.Addr().AsSlice() {
		value = append(value, b^pad[i])
	}
	m.Add(stun.AttrXORPeerAddress, value)
	return nil
}

func relayedOf(t testing.TB, m *stun.Message) netip.AddrPort {
	t.Helper()
	var a stun.XORMappedAddress
	ok(t, a.GetFromAs(m, stun.AttrXORRelayedAddress))
	addr, valid := netip.AddrFromSlice(a.IP)
	if !valid {
		t.Fatalf("relayed address %v", a.IP)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(a.Port))
}

// codeOf is the error code of a response, 0 for success.
func codeOf(m *stun.Message) stun.ErrorCode {
	var code stun.ErrorCodeAttribute
	if m.Type.Class == stun.ClassSuccessResponse || code.GetFrom(m) != nil {
		return 0
	}
	return code.Code
}
