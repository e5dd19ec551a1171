package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/forward"
	"github.com/pion/stun/v4"
	engine "github.com/pion/turn/v5"
)

// front is the net.PacketConn between a socket and its engine: all clients of a
// UDP socket, or the one client of a connection.
//
// The engine reads, handles what it read, and reads again, in one goroutine. From
// one read to the next the front keeps the request, and the hooks, which the engine
// calls in between, look it up. Other goroutines of the engine only write data.
type front struct {
	net.PacketConn
	server    *Server
	transport Transport
	// guest is the connection; nil for a UDP socket.
	guest *guest
	// at is the address that clients reached.
	at netip.AddrPort
	// listener is the PacketConn when the core forwards for it, else nil.
	listener *forward.Listener

	// These belong to the engine's reading goroutine: the request, the one that
	// waits for the engine's nonce, and that nonce (challenge.go).
	request       request
	waiting       *request
	engineNonce   stun.Nonce
	engineNonceAt time.Time

	mu sync.RWMutex
	// clients are the allocations by client; an allocation ends when its client
	// does, or its socket closes.
	clients map[netip.AddrPort]*allocation
}

// request is one request from its arrival to the next read. The zero value is for
// what is no request: data, indications and noise.
type request struct {
	client  netip.AddrPort
	message *stun.Message
	// who and key are set when the request is authenticated.
	who identity
	key stun.MessageIntegrity
	// answered is set when the engine has sent a response.
	answered bool
	// holds is true while a unit of who's quota belongs to no allocation yet.
	holds bool
	// code, when not zero, is the error code that a hook wants instead of the
	// engine's; told is set when the refusal was reported.
	code stun.ErrorCode
	told bool
	// probe is true for the relay's own question for the engine's nonce.
	probe bool
	// whole is true for a request or Send indication with DONT-FRAGMENT (whole.go).
	whole bool
}

func newFront(s *Server, t Transport, conn net.PacketConn) (*front, error) {
	f := &front{
		PacketConn: conn,
		server:     s,
		transport:  t,
		at:         addrPort(conn.LocalAddr()),
		clients:    make(map[netip.AddrPort]*allocation),
	}
	if !f.at.IsValid() {
		return nil, fmt.Errorf("local address %v of a %s socket is not an address and port", conn.LocalAddr(), t)
	}
	if err := f.takeOver(); err != nil {
		return nil, err
	}
	return f, nil
}

// start starts the engine, whose reader ends after ReadFrom has returned an error.
// Engines have no Close that does more than closing the socket.
func (f *front) start() error {
	cfg := &f.server.cfg
	hasIPv6 := false
	for _, a := range cfg.Addresses {
		hasIPv6 = hasIPv6 || a.Is6()
	}
	f.server.running.Add(1)
	_, err := engine.NewServer(engine.ServerConfig{
		Realm:         cfg.Realm,
		AuthHandler:   f.authenticate,
		QuotaHandler:  f.allocate,
		EventHandler:  f.events(),
		LoggerFactory: f.server.engineLog,
		PacketConnConfigs: []engine.PacketConnConfig{{
			PacketConn:            f,
			RelayAddressGenerator: relaySockets{f},
			PermissionHandler:     f.permit,
		}},
		AllocationLifetime: cfg.Lifetimes.Allocation,
		PermissionTimeout:  cfg.Lifetimes.Permission,
		ChannelBindTimeout: cfg.Lifetimes.Channel,
		// Without REQUESTED-ADDRESS-FAMILY the RFC gives IPv4. Browsers on IPv6
		// expect IPv6, so they get it where the relay has it.
		StrictAddressFamily: !hasIPv6,
	})
	if err != nil {
		f.server.running.Done()
		return fmt.Errorf("starting the protocol engine: %w", err)
	}
	return nil
}

// maxReadErrors bounds the errors in a row after which a UDP socket is given up.
const maxReadErrors = 64

// ReadFrom gives the engine the next message. It is the end of the one before.
func (f *front) ReadFrom(p []byte) (int, net.Addr, error) {
	f.finish()
	if n, client, ok := f.next(p); ok {
		return n, net.UDPAddrFromAddrPort(client), nil
	}
	for failures := 0; ; failures++ {
		n, from, err := f.PacketConn.ReadFrom(p)
		if err != nil {
			// The engine takes any error for the end. On a UDP socket it may be
			// one client's ICMP error, and the others must not suffer from it.
			last := f.transport != UDP || errors.Is(err, net.ErrClosed) || f.server.ctx.Err() != nil
			if !last && failures < maxReadErrors {
				continue
			}
			f.PacketConn.Close()
			f.server.ended(f)
			return 0, nil, err
		}
		client := addrPort(from)
		if !client.IsValid() {
			continue
		}
		n, ok := f.receive(client, p, n)
		if !ok {
			continue
		}
		// The engine knows allocations by *net.UDPAddr and *net.TCPAddr only.
		return n, net.UDPAddrFromAddrPort(client), nil
	}
}

// begin notes the request, if p is one. It is false when p is neither STUN nor
// ChannelData.
func (f *front) begin(client netip.AddrPort, p []byte) bool {
	f.request = request{client: client}
	if len(p) >= headerChannelData && p[0]>>6 == 1 {
		return true
	}
	m := &stun.Message{Raw: append([]byte(nil), p...)}
	if !stun.IsMessage(p) || m.Decode() != nil {
		return false
	}
	f.request.whole = m.Contains(stun.AttrDontFragment)
	if m.Type.Class == stun.ClassRequest {
		f.request.message = m
	}
	return true
}

// finish gives back what the request holds, and answers it when the engine did not.
func (f *front) finish() {
	r := &f.request
	if r.holds {
		r.holds = false
		f.server.quotas.release(r.who.user)
	}
	if r.key != nil && !r.answered {
		f.answerMismatch()
	}
	f.request = request{}
}

// WriteTo sends what the engine says to a client: responses, from the reading
// goroutine, and data, from the goroutine that reads the allocation's socket.
func (f *front) WriteTo(p []byte, to net.Addr) (int, error) {
	if isResponse(p) {
		return len(p), f.respond(p, to)
	}
	a := f.allocation(addrPort(to))
	if a == nil {
		return len(p), nil // closed in the meantime
	}
	return a.count(a.inFlight, func() (int, error) { return f.PacketConn.WriteTo(p, to) })
}

// isResponse is true for success and error responses: the class bits of a STUN
// message type are 0x0110, and responses have the upper one set (RFC 8489,
// section 5).
func isResponse(p []byte) bool { return len(p) >= headerSTUN && p[0]&0xc1 == 0x01 }

// LocalAddr is part of the engine's five-tuple.
func (f *front) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(f.at) }

func (f *front) allocation(client netip.AddrPort) *allocation {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.clients[client]
}

// event is the request as the beginning of an event.
func (f *front) event(kind EventKind) Event {
	r := &f.request
	e := Event{Kind: kind, Transport: f.transport, User: r.who.user, Call: r.who.call, Client: r.client, Server: f.at}
	if r.message != nil {
		e.Method = r.message.Type.Method.String()
	}
	if a := f.allocation(r.client); a != nil {
		e.Relay = a.relay
	}
	return e
}

// refuse reports a refusal and sees to it that the client gets code.
func (f *front) refuse(e Event, code stun.ErrorCode) {
	f.request.code = code
	f.request.told = true
	e.Code = int(code)
	f.server.report(e)
}
