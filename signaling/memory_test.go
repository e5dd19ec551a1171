package signaling_test

import (
	"context"
	"net"
	"sync"
)

// memory is a listener whose connections are pairs of ends in the process, which
// testing/synctest can follow.
type memory struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), done: make(chan struct{})} }

func (m *memory) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case m.conns <- theirs:
		return ours, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// cable is a connection that can be cut: from then on nothing passes, and
// neither end is told, as when a host has lost its network.
type cable struct {
	net.Conn
	mu   sync.Mutex
	cut  bool
	gone chan struct{} // closed by Close
	once sync.Once
}

func newCable(c net.Conn) *cable { return &cable{Conn: c, gone: make(chan struct{})} }

func (c *cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
}

func (c *cable) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

func (c *cable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.isCut() {
		<-c.gone
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cable) Write(p []byte) (int, error) {
	if c.isCut() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Close of a cut cable does not reach the other end; leave does.
func (c *cable) Close() error {
	c.once.Do(func() { close(c.gone) })
	if c.isCut() {
		return nil
	}
	return c.Conn.Close()
}
