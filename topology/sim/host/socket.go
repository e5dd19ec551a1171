package host

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// socket is what UDP sockets, TCP connections and TCP listeners share: an
// endpoint of the stack, two directions that can wait, and an end.
type socket struct {
	host  *Host
	proto string // "udp" or "tcp", for errors
	ep    tcpip.Endpoint
	queue *waiter.Queue
	// family is that of the endpoint. An IPv6 endpoint that is bound to the
	// unspecified address takes IPv4 too.
	family tcpip.NetworkProtocolNumber
	// connection is true of an established or connecting TCP connection.
	connection bool
	// local and remote are fixed once the socket is registered. remote is the
	// zero AddrPort unless connected.
	local, remote netip.AddrPort

	in, out direction

	closed atomic.Bool
	// broken holds the errno that ended the socket, or 0.
	broken atomic.Uint32
}

// direction is one half of a socket.
type direction struct {
	// mu is held by the operation that is under way, so that one at most waits.
	mu sync.Mutex
	// ready gets a token whenever something may have changed: the endpoint, the
	// deadline, the end of the socket. Whoever takes it looks at all of them.
	ready chan struct{}
	entry waiter.Entry

	deadline deadline
}

func (d *direction) wake() {
	select {
	case d.ready <- struct{}{}:
	default:
	}
}

// deadline turns late at a time that can be moved.
type deadline struct {
	late atomic.Bool

	mu    sync.Mutex
	timer *time.Timer // guarded by mu
	set   uint64      // guarded by mu: how often it was moved
}

// move sets the deadline; the zero time is none. wake is called when it passes.
func (d *deadline) move(t time.Time, wake func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if t.IsZero() {
		d.late.Store(false)
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.late.Store(true)
		wake()
		return
	}
	d.late.Store(false)
	mine := d.set
	d.timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		current := d.set == mine
		if current {
			d.late.Store(true)
		}
		d.mu.Unlock()
		if current {
			wake()
		}
	})
}

const (
	readEvents  = waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp | waiter.EventRdHUp
	writeEvents = waiter.WritableEvents | waiter.EventErr | waiter.EventHUp
)

// init begins to listen for the endpoint's events.
func (s *socket) init() {
	s.in.entry, s.in.ready = waiter.NewChannelEntry(readEvents)
	s.out.entry, s.out.ready = waiter.NewChannelEntry(writeEvents)
	s.queue.EventRegister(&s.in.entry)
	s.queue.EventRegister(&s.out.entry)
}

// begin must come before a socket is made; end says that it is registered, or
// failed. It returns net.ErrClosed if the host is closed.
func (h *Host) begin() (end func(), err error) {
	h.opening.RLock()
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		h.opening.RUnlock()
		return nil, net.ErrClosed
	}
	return h.opening.RUnlock, nil
}

// register adds the socket to those that the host breaks when it closes or
// loses an address. It is called between begin and end.
func (s *socket) register() {
	s.host.mu.Lock()
	s.host.sockets[s] = struct{}{}
	s.host.mu.Unlock()
}

// shut ends the socket and reports whether it was open.
func (s *socket) shut() bool {
	if s.closed.Swap(true) {
		return false
	}
	s.host.mu.Lock()
	delete(s.host.sockets, s)
	s.host.mu.Unlock()
	s.queue.EventUnregister(&s.in.entry)
	s.queue.EventUnregister(&s.out.entry)
	s.in.deadline.move(time.Time{}, nil)
	s.out.deadline.move(time.Time{}, nil)
	s.ep.Close()
	s.wake()
	return true
}

func (s *socket) wake() {
	s.in.wake()
	s.out.wake()
}

// stopped returns the reason why an operation in the direction must not go on,
// or nil.
func (s *socket) stopped(d *direction) error {
	switch {
	case s.closed.Load():
		return net.ErrClosed
	case s.broken.Load() != 0:
		return syscall.Errno(s.broken.Load())
	case d.deadline.late.Load():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// attempt calls try until it does something else than ask to wait, or until the
// socket ends or the direction's deadline passes. The error is bare.
func (s *socket) attempt(d *direction, try func() tcpip.Error) error {
	for {
		if err := s.stopped(d); err != nil {
			return err
		}
		terr := try()
		switch terr.(type) {
		case nil:
			return nil
		case *tcpip.ErrWouldBlock:
			<-d.ready
		default:
			// Closing the endpoint under a call shows as an error of the
			// endpoint; the caller wants to hear what really happened.
			if s.closed.Load() || s.broken.Load() != 0 {
				return s.stopped(d)
			}
			return bare(terr)
		}
	}
}

// Close closes the socket. Pending operations return net.ErrClosed, and so does
// a second Close.
func (s *socket) Close() error {
	if !s.shut() {
		return s.opError("close", net.ErrClosed)
	}
	return nil
}

// SetDeadline sets the read and write deadlines; the zero time means none.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of pending and later reads.
func (s *socket) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.in, t) }

// SetWriteDeadline sets the deadline of pending and later writes.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.out, t) }

func (s *socket) setDeadline(d *direction, t time.Time) error {
	if s.closed.Load() {
		return s.opError("set", net.ErrClosed)
	}
	d.deadline.move(t, d.wake)
	return nil
}

// SetReadBuffer sets the size of the receive buffer in bytes.
func (s *socket) SetReadBuffer(bytes int) error {
	if s.closed.Load() {
		return s.opError("set", net.ErrClosed)
	}
	s.ep.SocketOptions().SetReceiveBufferSize(int64(bytes), true)
	return nil
}

// SetWriteBuffer sets the size of the send buffer in bytes.
func (s *socket) SetWriteBuffer(bytes int) error {
	if s.closed.Load() {
		return s.opError("set", net.ErrClosed)
	}
	s.ep.SocketOptions().SetSendBufferSize(int64(bytes), true)
	return nil
}
