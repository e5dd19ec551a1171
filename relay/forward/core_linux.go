package forward

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel"
)

// Config says how a core works. Its zero value is good.
type Config struct {
	// Workers is how many goroutines forward; 0 means one for each processor that
	// the runtime uses.
	Workers int
	// Kernel, when not nil, forwards what it can before it comes to the core. The
	// core does not close it.
	Kernel *kernel.Path
}

// Core forwards the packets of bound channels. Its methods are safe for concurrent
// use.
type Core struct {
	workers []*worker
	kernel  *kernel.Path
	running sync.WaitGroup
	packets sync.Pool // of *packet, for the queues
	// whole is set when the kernel turns out not to cut runs into packets.
	whole  atomic.Bool
	flowID atomic.Uint32

	mu     sync.Mutex
	closed bool
	next   int // the worker that gets the next listener with one socket
	// listeners and relays are the open ones.
	listeners map[*Listener]struct{}
	relays    map[*Relay]struct{}
	// past are the figures of flows that are no more.
	past Totals
}

// Totals are the figures of all flows since the start, and what was lost between
// core and engine.
type Totals struct {
	ToPeer, ToClient Count
	// Overflow counts datagrams for the engine that it was too slow to take, or that were
	// too long for Allocation.Deliver.
	Overflow uint64
}

// New starts a core. Where the system has not what it needs, the error is
// errors.ErrUnsupported.
func New(cfg Config) (*Core, error) {
	if cfg.Workers < 0 {
		return nil, fmt.Errorf("forwarding core: workers is %d; valid: 1 or more, or 0 for one a processor", cfg.Workers)
	}
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	c := &Core{
		kernel:    cfg.Kernel,
		packets:   sync.Pool{New: func() any { return new(packet) }},
		listeners: make(map[*Listener]struct{}),
		relays:    make(map[*Relay]struct{}),
	}
	for range cfg.Workers {
		w, err := newWorker(&c.whole)
		if err != nil {
			for _, w := range c.workers {
				w.close()
			}
			return nil, fmt.Errorf("forwarding core: %w", err)
		}
		c.workers = append(c.workers, w)
	}
	for _, w := range c.workers {
		c.running.Go(w.run)
	}
	return c, nil
}

// Close closes all listeners and relays and waits for the workers. It may be called
// more than once.
func (c *Core) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	var open []net.PacketConn
	for l := range c.listeners {
		open = append(open, l)
	}
	for r := range c.relays {
		open = append(open, r)
	}
	c.mu.Unlock()
	for _, o := range open {
		o.Close()
	}
	if first {
		for _, w := range c.workers {
			w.stop()
		}
	}
	c.running.Wait()
	if first {
		for _, w := range c.workers {
			w.close()
		}
	}
	return nil
}

// Totals returns the figures of this moment.
func (c *Core) Totals() Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.past
	for l := range c.listeners {
		t.Overflow += l.overflow.Load()
	}
	for r := range c.relays {
		t.add(r.totals())
	}
	return t
}

func (t *Totals) add(o Totals) {
	t.ToPeer.add(o.ToPeer)
	t.ToClient.add(o.ToClient)
	t.Overflow += o.Overflow
}

// Flows returns the figures of all live flows.
func (c *Core) Flows() []FlowStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []FlowStats
	for r := range c.relays {
		all = append(all, r.Flows()...)
	}
	return all
}

// Listen takes over a UDP socket that clients send to. The error is
// errors.ErrUnsupported when conn is not one of the net package's; conn is as
// before then, while otherwise the core has it, and has closed it if there was an
// error.
//
// When conn was opened by ListenUDP, there will be a socket for each worker.
func (c *Core) Listen(conn net.PacketConn) (*Listener, error) {
	u, ok := conn.(*net.UDPConn)
	if !ok || u.RemoteAddr() != nil {
		return nil, errors.ErrUnsupported
	}
	s, err := takeSocket(u)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("forwarding core: taking over a socket: %w", err)
	}
	l := &Listener{core: c, local: s.local, clients: newTable[*Relay](), queue: newQueue(engineQueue)}
	c.mu.Lock()
	defer c.mu.Unlock()
	sockets := []*socket{s}
	if shared, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT); shared != 0 {
		for len(sockets) < len(c.workers) {
			more, err := another(s)
			if err != nil {
				break // fewer workers then
			}
			sockets = append(sockets, more)
		}
	}
	for _, s := range sockets {
		w := c.workers[c.next%len(c.workers)]
		c.next++
		s.grow(listenBuffer)
		c.separate(s)
		l.ends = append(l.ends, &end{listener: l, worker: w, socket: s, out: newOutbox(&c.whole)})
	}
	if c.closed {
		l.shut()
		return nil, net.ErrClosed
	}
	for _, e := range l.ends {
		if err := e.worker.watch(e.socket.fd, e); err != nil {
			l.shut()
			return nil, fmt.Errorf("forwarding core: %w", err)
		}
	}
	c.listeners[l] = struct{}{}
	return l, nil
}
