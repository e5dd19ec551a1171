package signaling_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
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
	a, b := newHalf(), newHalf()
	ours, theirs := &end{in: a, out: b}, &end{in: b, out: a}
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

// half is one direction of a connection. Unlike net.Pipe's it holds what is
// written, as the buffers of TCP do, so that both ends may write at once.
type half struct {
	mu       sync.Mutex
	data     []byte
	ended    bool // the writer has closed
	left     bool // the reader has closed
	cut      bool // what is written is lost, and so is the end
	deadline time.Time
	changed  chan struct{} // closed and made anew at each change
}

func newHalf() *half { return &half{changed: make(chan struct{})} }

func (h *half) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		changed, deadline := h.changed, h.deadline
		n := copy(p, h.data)
		h.data = h.data[n:]
		ended, left := h.ended, h.left
		h.mu.Unlock()
		var late <-chan time.Time
		switch {
		case left:
			return 0, net.ErrClosed
		case n > 0:
			return n, nil
		case ended:
			return 0, io.EOF
		case !deadline.IsZero():
			wait := time.Until(deadline)
			if wait <= 0 {
				return 0, os.ErrDeadlineExceeded
			}
			t := time.NewTimer(wait)
			late = t.C
			defer t.Stop()
		}
		select {
		case <-changed:
		case <-late:
		}
	}
}

// end is one end of a connection.
type end struct{ in, out *half }

func (e *end) Read(p []byte) (int, error) { return e.in.read(p) }

func (e *end) Write(p []byte) (n int, err error) {
	e.out.change(func() {
		switch {
		case e.out.ended || e.out.left && !e.out.cut:
			err = io.ErrClosedPipe
		case e.out.cut:
			n = len(p)
		default:
			e.out.data = append(e.out.data, p...)
			n = len(p)
		}
	})
	return n, err
}

func (e *end) Close() error {
	e.in.change(func() { e.in.left = true })
	e.out.change(func() { e.out.ended = !e.out.cut })
	return nil
}

func (e *end) LocalAddr() net.Addr                { return &net.UnixAddr{Name: "memory", Net: "memory"} }
func (e *end) RemoteAddr() net.Addr               { return e.LocalAddr() }
func (e *end) SetDeadline(t time.Time) error      { return e.SetReadDeadline(t) }
func (e *end) SetWriteDeadline(t time.Time) error { return nil } // writing never waits

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.change(func() { e.in.deadline = t })
	return nil
}

// cables makes connections that can be cut: from then on nothing passes, and
// neither end is told, as when a host has lost its network.
type cables struct {
	dial func(context.Context) (net.Conn, error)
	mu   sync.Mutex
	all  []*end
}

func (c *cables) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn.(*end))
	return conn, nil
}

func (c *cables) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.all {
		for _, h := range []*half{e.in, e.out} {
			h.change(func() { h.cut, h.data = true, nil })
		}
	}
}
