package runner

import (
	"net"
	"sync"
	"time"
)

// gate stands before the sockets of a service. While it is shut, as when a process
// hangs, packets and connections come in, and nothing takes or answers them.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // closed while the gate is open
	isShut bool
}

func newGate() *gate {
	g := &gate{closed: make(chan struct{})}
	close(g.closed)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isShut {
		g.isShut, g.closed = true, make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		g.isShut = false
		close(g.closed)
	}
}

func (g *gate) hangs() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isShut
}

// pass waits until the gate is open, or done is closed.
func (g *gate) pass(done <-chan struct{}) {
	g.mu.Lock()
	open := g.closed
	g.mu.Unlock()
	select {
	case <-open:
	case <-done:
	}
}

func (g *gate) packets(c net.PacketConn) net.PacketConn { return &gatedPackets{c, g} }

// gatedPackets loses what comes and goes while the gate is shut.
type gatedPackets struct {
	net.PacketConn
	gate *gate
}

func (c *gatedPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if err != nil || !c.gate.hangs() {
			return n, from, err
		}
	}
}

func (c *gatedPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.gate.hangs() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

func (g *gate) listener(l net.Listener) net.Listener { return &gatedListener{l, g} }

// gatedListener accepts connections on which nothing moves while the gate is shut.
type gatedListener struct {
	net.Listener
	gate *gate
}

func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatedConn{Conn: c, gate: l.gate, done: make(chan struct{})}, nil
}

type gatedConn struct {
	net.Conn
	gate *gate
	once sync.Once
	done chan struct{}
}

func (c *gatedConn) Read(b []byte) (int, error) {
	c.gate.pass(c.done)
	return c.Conn.Read(b)
}

func (c *gatedConn) Write(b []byte) (int, error) {
	c.gate.pass(c.done)
	return c.Conn.Write(b)
}

// SetDeadline lets a server give up on a connection that does not move.
func (c *gatedConn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(t) }

func (c *gatedConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}
