package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// TCPConn is a TCP connection. It behaves as *net.TCPConn.
type TCPConn struct {
	socket
	// into, data and the bound functions spare an allocation a call; into is
	// guarded by in.mu, data by out.mu.
	into         fixedWriter
	data         bytes.Reader
	sent         int64
	read1, send1 func() tcpip.Error
}

func newTCPConn(h *Host, ep tcpip.Endpoint, queue *waiter.Queue, family tcpip.NetworkProtocolNumber) *TCPConn {
	c := &TCPConn{socket: socket{host: h, proto: "tcp", ep: ep, queue: queue, family: family, connection: true}}
	c.read1, c.send1 = c.readOnce, c.sendOnce
	c.init()
	// As Go does: small writes go out at once.
	ep.SocketOptions().SetDelayOption(false)
	return c
}

// openTCP connects to remote, from local if that is valid. The error is bare.
func (h *Host) openTCP(ctx context.Context, local, remote netip.AddrPort) (*TCPConn, error) {
	c, err := h.startTCP(local, remote)
	if err != nil {
		return nil, err
	}
	if err := c.connected(ctx); err != nil {
		c.shut()
		return nil, err
	}
	return c, nil
}

// startTCP sends the SYN.
func (h *Host) startTCP(local, remote netip.AddrPort) (*TCPConn, error) {
	end, err := h.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	family := familyOf(remote.Addr())
	queue := new(waiter.Queue)
	ep, terr := h.stack.NewEndpoint(tcp.ProtocolNumber, family, queue)
	if terr != nil {
		return nil, bare(terr)
	}
	c := newTCPConn(h, ep, queue, family)
	if local.IsValid() {
		if terr := (binding{addr: local, family: family}).bind(ep); terr != nil {
			c.shut()
			return nil, bare(terr)
		}
	}
	terr = ep.Connect(fullAddress(remote, family))
	if _, started := terr.(*tcpip.ErrConnectStarted); terr != nil && !started {
		c.shut()
		return nil, bare(terr)
	}
	c.local, c.remote = bound(ep, family), remote
	c.register()
	return c, nil
}

// connected waits for the handshake to end.
func (c *TCPConn) connected(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.out.wake)
	defer stop()
	for {
		if err := ctx.Err(); err != nil {
			c.ep.Abort()
			return err
		}
		if err := c.stopped(&c.out); err != nil {
			return err
		}
		switch state := tcp.EndpointState(c.ep.State()); state {
		case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
			<-c.out.ready
		case tcp.StateError, tcp.StateClose:
			if err := bare(c.ep.LastError()); err != nil {
				return err
			}
			return errors.New("connection attempt ended in state " + state.String())
		default:
			return nil
		}
	}
}

// LocalAddr returns the connection's own address, a *net.TCPAddr.
func (c *TCPConn) LocalAddr() net.Addr { return netAddr("tcp", c.local) }

// RemoteAddr returns the peer's address, a *net.TCPAddr.
func (c *TCPConn) RemoteAddr() net.Addr { return netAddr("tcp", c.remote) }

func (c *TCPConn) readOnce() tcpip.Error {
	c.into.n = 0
	_, terr := c.ep.Read(&c.into, tcpip.ReadOptions{})
	return terr
}

// Read reads at least one byte. It returns io.EOF after the peer's last byte.
func (c *TCPConn) Read(b []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if len(b) == 0 {
		if err := c.stopped(&c.in); err != nil {
			return 0, c.opError("read", err)
		}
		return 0, nil
	}
	c.into.b = b
	err := c.attempt(&c.in, c.read1)
	c.into.b = nil
	if err != nil {
		if err == io.EOF {
			return 0, err // as it is, like all of Go
		}
		return 0, c.opError("read", err)
	}
	c.ep.ModerateRecvBuf(c.into.n)
	return c.into.n, nil
}

func (c *TCPConn) sendOnce() tcpip.Error {
	n, terr := c.ep.Write(&c.data, tcpip.WriteOptions{})
	c.sent += n
	return terr
}

// Write writes all of b. It waits while the send buffer is full.
func (c *TCPConn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	defer c.data.Reset(nil)
	if err := c.stopped(&c.out); err != nil {
		return 0, c.opError("write", err)
	}
	for c.sent = 0; int(c.sent) < len(b); {
		// The stack may take a part only, and may have read more from data than
		// it took.
		c.data.Reset(b[c.sent:])
		if err := c.attempt(&c.out, c.send1); err != nil {
			return int(c.sent), c.opError("write", err)
		}
	}
	return len(b), nil
}

// ReadFrom writes all that r gives.
func (c *TCPConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// CloseRead ends the reading side: later reads return io.EOF.
func (c *TCPConn) CloseRead() error { return c.shutdown(tcpip.ShutdownRead) }

// CloseWrite ends the writing side: the peer reads io.EOF after what was
// written.
func (c *TCPConn) CloseWrite() error { return c.shutdown(tcpip.ShutdownWrite) }

func (c *TCPConn) shutdown(which tcpip.ShutdownFlags) error {
	if c.closed.Load() {
		return c.opError("close", net.ErrClosed)
	}
	if terr := c.ep.Shutdown(which); terr != nil {
		return c.opError("close", bare(terr))
	}
	return nil
}

// SetLinger says what Close does with data that was not acknowledged: a
// negative sec sends it in the background (the default), 0 discards it and
// resets the connection, a positive one sends it for as many seconds.
func (c *TCPConn) SetLinger(sec int) error {
	return c.set(func(o *tcpip.SocketOptions) {
		o.SetLinger(tcpip.LingerOption{Enabled: sec >= 0, Timeout: time.Duration(max(sec, 0)) * time.Second})
	})
}

// SetKeepAlive turns keep-alive probes on or off; they are off at first.
func (c *TCPConn) SetKeepAlive(on bool) error {
	return c.set(func(o *tcpip.SocketOptions) { o.SetKeepAlive(on) })
}

// SetKeepAlivePeriod sets the idle time before the first probe and that between
// probes.
func (c *TCPConn) SetKeepAlivePeriod(d time.Duration) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	idle, interval := tcpip.KeepaliveIdleOption(d), tcpip.KeepaliveIntervalOption(d)
	for _, o := range []tcpip.SettableSocketOption{&idle, &interval} {
		if terr := c.ep.SetSockOpt(o); terr != nil {
			return c.opError("set", bare(terr))
		}
	}
	return nil
}

// SetNoDelay turns Nagle's algorithm off (true, the default) or on.
func (c *TCPConn) SetNoDelay(noDelay bool) error {
	return c.set(func(o *tcpip.SocketOptions) { o.SetDelayOption(!noDelay) })
}

func (c *TCPConn) set(apply func(*tcpip.SocketOptions)) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	apply(c.ep.SocketOptions())
	return nil
}
