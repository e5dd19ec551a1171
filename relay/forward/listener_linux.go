package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// engineQueue is how many messages wait for the engine of a listener.
	engineQueue = 256
	// relayQueue is how many datagrams wait for that of an allocation, or for Deliver.
	relayQueue = 32
	// listenBuffer is the size of a listening socket's buffers: all clients share them.
	listenBuffer = 4 << 20
	// batch is how many datagrams are taken from a listening socket at a time, and
	// relayBatch how many at most from a relay socket. They are so many for the time
	// when the core does not keep up: then they hold several packets of a flow, which
	// make runs and cost less.
	batch      = 128
	relayBatch = 16
)

// ListenUDP opens a UDP socket that a core can share among its workers
// (SO_REUSEPORT): the kernel gives all packets of one client to the same.
func ListenUDP(ctx context.Context, network, address string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		if err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); err != nil {
			return err
		}
		return failed
	}}
	return lc.ListenPacket(ctx, network, address)
}

// another opens one more socket like s, which ListenUDP opened.
func another(s *socket) (*socket, error) {
	family, v6only := unix.AF_INET, 0
	var at unix.Sockaddr
	if !s.v6 {
		at = &unix.SockaddrInet4{Port: int(s.local.Port()), Addr: s.local.Addr().As4()}
	} else {
		family = unix.AF_INET6
		at = &unix.SockaddrInet6{Port: int(s.local.Port()), Addr: s.local.Addr().As16(), ZoneId: zoneIndex(s.local.Addr().Zone())}
		var err error
		if v6only, err = unix.GetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if err == nil && s.v6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only)
	}
	if err == nil {
		err = unix.Bind(fd, at)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	more := &socket{local: s.local, v6: s.v6, fd: fd}
	more.coalesce()
	return more, nil
}

// Listener is a socket that clients send to. As a net.PacketConn it is what the
// engine sees: ReadFrom returns what the core does not forward itself. It has no
// deadlines.
type Listener struct {
	core  *Core
	local netip.AddrPort
	// ends are its sockets, one for each of its workers.
	ends     []*end
	clients  *table[*Relay]
	queue    *queue
	overflow atomic.Uint64
	// current is where the message came in that ReadFrom returned last.
	current atomic.Pointer[end]
}

// end is one socket of a listener, and the worker that reads from it.
type end struct {
	listener *Listener
	worker   *worker
	socket   *socket
	// out is what goes to clients; it belongs to the worker.
	out *outbox
}

// ready forwards what clients sent.
func (e *end) ready(w *worker) {
	w.room(batch)
	n, errno := w.in.receive(e.socket, batch)
	if errno != 0 {
		return
	}
	first := w.in.used
	w.in.used += n
	w.handled += n
	for i := first; i < first+n; i++ {
		from, data, size := w.in.run(i)
		r := e.listener.clients.get(from)
		for {
			p := data[:min(size, len(data))]
			if r == nil || !r.toPeer(w, p) {
				e.listener.leave(e, from, p)
			}
			if data = data[len(p):]; len(data) == 0 {
				break
			}
		}
	}
}

// leave leaves a message to the engine.
func (l *Listener) leave(e *end, from endpoint, p []byte) {
	e.worker.left = true
	if !l.queue.put(&l.core.packets, e, from, p) {
		l.overflow.Add(1)
	}
}

// ReadFrom waits for the next message for the engine. Only one goroutine may read.
func (l *Listener) ReadFrom(p []byte) (int, net.Addr, error) {
	m, err := l.queue.get()
	if err != nil {
		return 0, nil, &net.OpError{Op: "read", Net: "udp", Addr: l.LocalAddr(), Err: err}
	}
	l.current.Store(m.end)
	n := copy(p, m.data[:m.size])
	from := net.UDPAddrFromAddrPort(m.from.addrPort())
	l.core.packets.Put(m)
	return n, from, nil
}

// WriteTo sends a message of the engine to a client.
func (l *Listener) WriteTo(p []byte, to net.Addr) (int, error) {
	return l.ends[0].socket.writeTo(p, to)
}

// LocalAddr is the address that clients send to.
func (l *Listener) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(l.local) }

// Close closes the sockets and ends ReadFrom. Relays stay open, but nothing
// reaches the client any more.
func (l *Listener) Close() error {
	c := l.core
	c.mu.Lock()
	if _, open := c.listeners[l]; !open {
		c.mu.Unlock()
		return net.ErrClosed
	}
	delete(c.listeners, l)
	c.past.Overflow += l.overflow.Load()
	c.mu.Unlock()
	l.shut()
	return nil
}

func (l *Listener) shut() {
	for _, e := range l.ends {
		e.worker.unwatch(e.socket.fd)
		e.socket.close()
	}
	l.queue.close()
}

// Relay takes over the relay socket of a client's allocation. It belongs to the
// worker that the client's packets come to, if it is called between two calls of
// ReadFrom. About a.Conn it is as Core.Listen.
func (l *Listener) Relay(a Allocation) (*Relay, error) {
	u, ok := a.Conn.(*net.UDPConn)
	if !ok || u.RemoteAddr() != nil {
		return nil, errors.ErrUnsupported
	}
	e := l.current.Load()
	if e == nil {
		e = l.ends[0]
	}
	name, err := sockaddrOf(a.Client, e.socket.v6)
	if err != nil {
		return nil, fmt.Errorf("forwarding core: client: %w", err)
	}
	s, err := takeSocket(u)
	if err != nil {
		a.Conn.Close()
		return nil, fmt.Errorf("forwarding core: taking over a relay socket: %w", err)
	}
	r := &Relay{end: e, socket: s, key: endpointOf(a.Client), client: a.Client, spend: a.Spend, meters: a.Meters, name: name, ask: 1, deliver: a.Deliver}
	if a.Deliver == nil {
		r.queue = newQueue(relayQueue)
	}
	r.flows.Store(noFlows)
	c := l.core
	c.separate(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		s.close()
		return nil, net.ErrClosed
	}
	if err := e.worker.watch(s.fd, r); err != nil {
		s.close()
		return nil, fmt.Errorf("forwarding core: %w", err)
	}
	c.relays[r] = struct{}{}
	l.clients.set(r.key, r)
	return r, nil
}

// The engine uses no deadlines.

// SetDeadline is not supported.
func (*Listener) SetDeadline(time.Time) error { return errors.ErrUnsupported }

// SetReadDeadline is not supported.
func (*Listener) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// SetWriteDeadline is not supported.
func (*Listener) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
