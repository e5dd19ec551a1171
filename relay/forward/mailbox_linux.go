package forward

import "sync"

// mailbox is what waits to be delivered (Allocation.Deliver). Empty, it holds nothing.
type mailbox struct {
	mu      sync.Mutex
	waiting []*packet
	// carried is true while a goroutine delivers.
	carried bool
	closed  bool
}

// put adds a packet; start says that a goroutine has to be started, which takes.
func (m *mailbox) put(p *packet) (taken, start bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.waiting) == relayQueue {
		return false, false
	}
	m.waiting = append(m.waiting, p)
	start = !m.carried
	m.carried = true
	return true, start
}

// take returns what waits. When that is nothing, whoever delivers is to end.
func (m *mailbox) take() []*packet {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.waiting
	m.waiting = nil
	m.carried = len(all) > 0
	return all
}

// close has nothing delivered any more, but for what is being delivered.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.waiting = true, nil
}

// post leaves a datagram to Deliver. It is called by a worker, so that the core cannot
// have ended.
func (r *Relay) post(from endpoint, data []byte) bool {
	if len(data) >= maxDatagram {
		return false
	}
	c := r.end.listener.core
	p := c.packets.Get().(*packet)
	p.from, p.size = from, copy(p.data[:], data)
	taken, start := r.left.put(p)
	switch {
	case !taken:
		c.packets.Put(p)
	case start:
		c.running.Go(r.carry)
	}
	return taken
}

// carry delivers until nothing waits.
func (r *Relay) carry() {
	c := r.end.listener.core
	for all := r.left.take(); len(all) > 0; all = r.left.take() {
		for _, p := range all {
			r.deliver(p.from.addrPort(), p.data[:p.size])
			c.packets.Put(p)
		}
	}
}
