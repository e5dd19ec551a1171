package forward

import (
	"net"
	"sync"
)

// queue takes what the core leaves to the engine from the workers, which never
// wait, to the goroutine of the engine that reads.
type queue struct {
	packets chan *packet
	closed  chan struct{}
	once    sync.Once
}

// packet is a datagram in a queue, as much of it as tells the engine that it was
// too long.
type packet struct {
	from endpoint
	// end is where it came in.
	end  *end
	size int
	data [maxDatagram]byte
}

func newQueue(length int) *queue {
	return &queue{packets: make(chan *packet, length), closed: make(chan struct{})}
}

// put copies a datagram into the queue. When the engine does not keep up it says
// no, and the datagram is lost, as it would be in a socket's buffer.
func (q *queue) put(pool *sync.Pool, at *end, from endpoint, data []byte) bool {
	p := pool.Get().(*packet)
	p.from, p.end = from, at
	p.size = copy(p.data[:], data)
	select {
	case q.packets <- p:
		return true
	default:
		pool.Put(p)
		return false
	}
}

// get waits for the next datagram.
func (q *queue) get() (*packet, error) {
	select {
	case p := <-q.packets:
		return p, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) close() { q.once.Do(func() { close(q.closed) }) }
