package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// session is a TURN client that sends single requests, so that a test can send what
// no library would.
type session struct {
	t              testing.TB
	conn           net.Conn
	user, password string
	realm          string
	nonce          stun.Nonce
}

// session makes one over transport, udp, tcp or tls, that has been challenged.
func (p *target) session(transport, user, password string) *session {
	p.t.Helper()
	s := &session{t: p.t, conn: p.dial(transport), user: user, password: password}
	response := s.send(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transportUDP))
	if code := codeOf(response); code != stun.CodeUnauthorized {
		p.t.Fatalf("request without credentials: wanted 401, got %d", code)
	}
	var realm stun.Realm
	ok(p.t, realm.GetFrom(response), s.nonce.GetFrom(response))
	s.realm = realm.String()
	return s
}

func (p *target) dial(transport string) net.Conn {
	p.t.Helper()
	network := "tcp4"
	if transport == "udp" {
		network = "udp4"
	}
	conn, err := net.DialTimeout(network, p.at[transport].String(), patience)
	ok(p.t, err)
	if transport == "tls" {
		secure := tls.Client(conn, &tls.Config{RootCAs: p.roots(), ServerName: "localhost"})
		ok(p.t, secure.Handshake())
		conn = secure
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

// roots trusts the target's authority.
func (p *target) roots() *x509.CertPool {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.state, "authority.pem"))
	ok(p.t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		p.t.Fatal("no certificate in authority.pem")
	}
	return pool
}

// alice is a session with a good credential.
func (p *target) alice(transport string) *session {
	p.t.Helper()
	user, password := p.credential("alice")
	return p.session(transport, user, password)
}

// request signs a request and sends it.
func (s *session) request(method stun.Method, attributes ...stun.Setter) *stun.Message {
	s.t.Helper()
	return s.send(s.build(method, attributes...))
}

func (s *session) build(method stun.Method, attributes ...stun.Setter) *stun.Message {
	setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
	setters = append(setters, stun.NewUsername(s.user), stun.NewRealm(s.realm), s.nonce,
		stun.NewLongTermIntegrity(s.user, s.realm, s.password), stun.Fingerprint)
	return stun.MustBuild(setters...)
}

// send sends a message and waits for its response, with retransmissions on UDP.
func (s *session) send(m *stun.Message) *stun.Message {
	s.t.Helper()
	_, err := s.conn.Write(m.Raw)
	ok(s.t, err)
	for tries := 0; ; {
		ok(s.t, s.conn.SetReadDeadline(time.Now().Add(patience/10)))
		response, err := s.read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && tries < 10:
			tries++
			_, err = s.conn.Write(m.Raw)
			ok(s.t, err)
		case err != nil:
			s.t.Fatalf("waiting for the response to %s: %v", m.Type, err)
		case response != nil && response.TransactionID == m.TransactionID:
			return response
		}
	}
}

// read reads one message; nil when it is no STUN.
func (s *session) read() (*stun.Message, error) {
	buf := make([]byte, 2048)
	n := 0
	var err error
	if _, datagrams := s.conn.(*net.UDPConn); datagrams {
		n, err = s.conn.Read(buf)
	} else if _, err = io.ReadFull(s.conn, buf[:20]); err == nil {
		n = 20 + int(binary.BigEndian.Uint16(buf[2:]))
		_, err = io.ReadFull(s.conn, buf[20:n])
	}
	if err != nil {
		return nil, err
	}
	m := &stun.Message{Raw: buf[:n]}
	if m.Decode() != nil {
		return nil, nil
	}
	return m, nil
}

func (s *session) allocate(attributes ...stun.Setter) *stun.Message {
	s.t.Helper()
	return s.request(stun.MethodAllocate, append([]stun.Setter{transportUDP}, attributes...)...)
}

func (s *session) mustAllocate(attributes ...stun.Setter) netip.AddrPort {
	s.t.Helper()
	response := s.allocate(attributes...)
	if code := codeOf(response); code != 0 {
		s.t.Fatalf("allocation refused with %d", code)
	}
	var a stun.XORMappedAddress
	ok(s.t, a.GetFromAs(response, stun.AttrXORRelayedAddress))
	addr, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(addr.Unmap(), uint16(a.Port))
}

func (s *session) permission(to netip.AddrPort) *stun.Message {
	s.t.Helper()
	return s.request(stun.MethodCreatePermission, peer(to))
}

func (s *session) channel(number uint16, to netip.AddrPort) *stun.Message {
	s.t.Helper()
	return s.request(stun.MethodChannelBind, attribute{stun.AttrChannelNumber, []byte{byte(number >> 8), byte(number), 0, 0}}, peer(to))
}

func (s *session) free() *stun.Message {
	s.t.Helper()
	return s.request(stun.MethodRefresh, attribute{stun.AttrLifetime, make([]byte, 4)})
}

// ping sends a payload over a channel and waits for its echo.
func (s *session) ping(channel uint16, number uint32) error {
	data := binary.BigEndian.AppendUint16(nil, channel)
	data = append(data, 0, 100)
	data = binary.BigEndian.AppendUint32(data, number)
	data = append(data, make([]byte, 96)...)
	if _, err := s.conn.Write(data); err != nil {
		return err
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buf := make([]byte, 2048)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			return fmt.Errorf("packet %d did not come back: %w", number, err)
		}
		if n >= 8 && binary.BigEndian.Uint16(buf) == channel && binary.BigEndian.Uint32(buf[4:]) == number {
			return nil
		}
	}
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
	familyIPv6   = attribute{stun.AttrRequestedAddressFamily, []byte{2, 0, 0, 0}}
)

// peer is XOR-PEER-ADDRESS in the family that the address is written in, so that
// IPv4-mapped ones stay IPv6.
type peer netip.AddrPort

func (p peer) AddTo(m *stun.Message) error {
	at := netip.AddrPort(p)
	const cookie = 0x2112a442
	pad := append(binary.BigEndian.AppendUint32(nil, cookie), m.TransactionID[:]...)
	family := byte(2)
	if at.Addr().Is4() {
		family = 1
	}
	value := binary.BigEndian.AppendUint16([]byte{0, family}, at.Port()^(cookie>>16))
	for i, b := range at.Addr().AsSlice() {
		value = append(value, b^pad[i])
	}
	m.Add(stun.AttrXORPeerAddress, value)
	return nil
}

// codeOf is the error code of a response, 0 for success.
func codeOf(m *stun.Message) stun.ErrorCode {
	var code stun.ErrorCodeAttribute
	if m.Type.Class == stun.ClassSuccessResponse || code.GetFrom(m) != nil {
		return 0
	}
	return code.Code
}
