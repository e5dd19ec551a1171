package host

import (
	"net"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// backlog is how many connections may wait to be accepted.
const backlog = 1024

// TCPListener accepts TCP connections. It behaves as *net.TCPListener.
type TCPListener struct{ socket socket }

// openListener listens on local. The error is bare.
func (h *Host) openListener(local binding) (*TCPListener, error) {
	end, err := h.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	l := &TCPListener{socket{host: h, proto: "tcp", queue: new(waiter.Queue), family: local.family}}
	s := &l.socket
	ep, terr := h.stack.NewEndpoint(tcp.ProtocolNumber, local.family, s.queue)
	if terr != nil {
		return nil, bare(terr)
	}
	s.ep = ep
	// As servers do, so that a port can be listened on again while old
	// connections are in TIME-WAIT.
	ep.SocketOptions().SetReuseAddress(true)
	if terr := local.bind(ep); terr != nil {
		ep.Close()
		return nil, bare(terr)
	}
	if terr := ep.Listen(backlog); terr != nil {
		ep.Close()
		return nil, bare(terr)
	}
	s.local = bound(ep, local.family)
	s.init()
	s.register()
	return l, nil
}

// AcceptTCP waits for the next connection.
func (l *TCPListener) AcceptTCP() (*TCPConn, error) {
	s := &l.socket
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	var (
		ep    tcpip.Endpoint
		queue *waiter.Queue
		peer  tcpip.FullAddress
	)
	err := s.attempt(&s.in, func() (terr tcpip.Error) {
		ep, queue, terr = s.ep.Accept(&peer)
		return terr
	})
	if err != nil {
		return nil, s.opError("accept", err)
	}
	end, err := s.host.begin()
	if err != nil {
		ep.Abort()
		return nil, s.opError("accept", err)
	}
	defer end()
	c := newTCPConn(s.host, ep, queue, s.family)
	c.remote = addrPort(peer)
	c.local = bound(ep, s.family)
	c.register()
	if !s.host.has(c.local.Addr()) {
		c.lose() // while the connection waited to be accepted the host moved
	}
	return c, nil
}

// Accept waits for the next connection, a *TCPConn.
func (l *TCPListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Addr returns the address listened on, a *net.TCPAddr.
func (l *TCPListener) Addr() net.Addr { return netAddr("tcp", l.socket.local) }

// SetDeadline sets the deadline of pending and later accepts.
func (l *TCPListener) SetDeadline(t time.Time) error { return l.socket.SetReadDeadline(t) }

// Close stops listening. Connections already accepted live on.
func (l *TCPListener) Close() error { return l.socket.Close() }
