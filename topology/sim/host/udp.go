package host

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// UDPConn is a UDP socket, connected or not. It behaves as *net.UDPConn, with
// one difference: IPv4 addresses are never returned as IPv4-mapped IPv6.
// ReadFromUDPAddrPort and WriteToUDPAddrPort do not allocate beyond what the
// packet itself needs.
type UDPConn struct {
	socket
	// into is where the stack writes the datagram being read; guarded by in.mu.
	into fixedWriter
	last tcpip.ReadResult
	// try is read bound once, so that reading does not allocate a closure.
	try func() tcpip.Error
}

// openUDP binds a socket to local, and connects it if remote is valid. The error
// is bare.
func (h *Host) openUDP(local binding, remote netip.AddrPort) (*UDPConn, error) {
	end, err := h.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	c := &UDPConn{socket: socket{host: h, proto: "udp", queue: new(waiter.Queue), family: local.family}}
	c.try = c.read
	ep, terr := h.stack.NewEndpoint(udp.ProtocolNumber, local.family, c.queue)
	if terr != nil {
		return nil, bare(terr)
	}
	c.ep = ep
	if terr := local.bind(ep); terr != nil {
		ep.Close()
		return nil, bare(terr)
	}
	if remote.IsValid() {
		if terr := ep.Connect(fullAddress(remote, local.family)); terr != nil {
			ep.Close()
			return nil, bare(terr)
		}
		c.remote = remote
	}
	c.local = bound(ep, local.family)
	c.init()
	c.register()
	return c, nil
}

// LocalAddr returns the address to which the socket is bound, a *net.UDPAddr.
func (c *UDPConn) LocalAddr() net.Addr { return netAddr("udp", c.local) }

// RemoteAddr returns the address to which the socket is connected, a
// *net.UDPAddr, or nil.
func (c *UDPConn) RemoteAddr() net.Addr { return netAddr("udp", c.remote) }

// fixedWriter takes what fits and drops the rest, as a datagram socket does.
type fixedWriter struct {
	b []byte
	n int
}

func (w *fixedWriter) Write(p []byte) (int, error) {
	n := copy(w.b[w.n:], p)
	w.n += n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// read is called with in.mu held.
func (c *UDPConn) read() tcpip.Error {
	c.into.n = 0
	var terr tcpip.Error
	c.last, terr = c.ep.Read(&c.into, tcpip.ReadOptions{NeedRemoteAddr: true})
	if _, short := terr.(*tcpip.ErrBadBuffer); short {
		return nil // nothing of the datagram fitted
	}
	return terr
}

// ReadFromUDPAddrPort reads one datagram; what does not fit into b is lost.
func (c *UDPConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.into.b = b
	err := c.attempt(&c.in, c.try)
	c.into.b = nil
	if err != nil {
		return 0, netip.AddrPort{}, c.opError("read", err)
	}
	return c.into.n, addrPort(c.last.RemoteAddr), nil
}

// ReadFromUDP reads one datagram.
func (c *UDPConn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	return n, udpAddr(from), err
}

// ReadFrom reads one datagram; the address is a *net.UDPAddr.
func (c *UDPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	return n, netAddr("udp", from), err
}

// Read reads one datagram.
func (c *UDPConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromUDPAddrPort(b)
	return n, err
}

// ReadMsgUDP reads one datagram. There is never out-of-band data.
func (c *UDPConn) ReadMsgUDP(b, _ []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, addr, err = c.ReadFromUDP(b)
	return n, 0, 0, addr, err
}

// datagram is what a write needs on the heap, kept for the next.
type datagram struct {
	payload bytes.Reader
	to      tcpip.FullAddress
}

var datagrams = sync.Pool{New: func() any { return new(datagram) }}

// write sends b to the given address, or to where the socket is connected.
func (c *UDPConn) write(b []byte, to netip.AddrPort) (int, error) {
	d := datagrams.Get().(*datagram)
	defer func() {
		d.payload.Reset(nil)
		datagrams.Put(d)
	}()
	var opts tcpip.WriteOptions
	if to.IsValid() {
		if c.family == header.IPv4ProtocolNumber && !to.Addr().Is4() {
			return 0, opError("write", "udp", c.local, to, syscall.EAFNOSUPPORT)
		}
		d.to = fullAddress(to, c.family)
		opts.To = &d.to
	}
	for waiting := false; ; {
		if err := c.stopped(&c.out); err != nil {
			return 0, opError("write", "udp", c.local, to, err)
		}
		d.payload.Reset(b)
		n, terr := c.ep.Write(&d.payload, opts)
		switch terr.(type) {
		case nil:
			return int(n), nil
		case *tcpip.ErrWouldBlock:
			// The send buffer is full, which is rare: a link takes packets at
			// once. Only then do writers queue up.
			if !waiting {
				waiting = true
				c.out.mu.Lock()
				defer c.out.mu.Unlock()
				continue
			}
			<-c.out.ready
		default:
			err := bare(terr)
			if c.closed.Load() {
				err = net.ErrClosed
			}
			return 0, opError("write", "udp", c.local, to, err)
		}
	}
}

// WriteToUDPAddrPort sends one datagram.
func (c *UDPConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	switch {
	case c.remote.IsValid():
		return 0, opError("write", "udp", c.local, to, net.ErrWriteToConnected)
	case !to.IsValid():
		return 0, opError("write", "udp", c.local, to, syscall.EDESTADDRREQ)
	}
	return c.write(b, unmapped(to))
}

// WriteToUDP sends one datagram.
func (c *UDPConn) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	return c.WriteToUDPAddrPort(b, to.AddrPort())
}

// WriteTo sends one datagram; to must be a *net.UDPAddr.
func (c *UDPConn) WriteTo(b []byte, to net.Addr) (int, error) {
	ua, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", &net.AddrError{Err: "not a *net.UDPAddr", Addr: addrString(to)})
	}
	return c.WriteToUDP(b, ua)
}

// Write sends one datagram to where the socket is connected.
func (c *UDPConn) Write(b []byte) (int, error) {
	if !c.remote.IsValid() {
		return 0, c.opError("write", syscall.EDESTADDRREQ)
	}
	return c.write(b, netip.AddrPort{})
}

// WriteMsgUDP sends one datagram. Out-of-band data is refused with
// syscall.EOPNOTSUPP.
func (c *UDPConn) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	if len(oob) > 0 {
		return 0, 0, c.opError("write", syscall.EOPNOTSUPP)
	}
	if to == nil {
		n, err = c.Write(b)
	} else {
		n, err = c.WriteToUDP(b, to)
	}
	return n, 0, err
}

func addrString(a net.Addr) string {
	if a == nil {
		return "<nil>"
	}
	return a.String()
}
