package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/relay/forward/kernel"
)

// Relay is the relay socket of one allocation. As a net.PacketConn it is what the
// engine sees: ReadFrom returns what peers without a channel sent. It has no
// deadlines.
type Relay struct {
	end    *end
	socket *socket
	key    endpoint
	client netip.AddrPort
	spend  func(int) bool
	meters []*kernel.Meter
	// name is the client, as the listener's socket writes it.
	name sockaddr
	// What is left goes to one of the two: to queue for ReadFrom, or to deliver.
	queue   *queue
	deliver func(netip.AddrPort, []byte)
	left    mailbox
	// flows are the bound channels; replaced under mu.
	flows    atomic.Pointer[flows]
	overflow atomic.Uint64
	// ask is how many datagrams to read at a time; it belongs to the worker.
	ask int

	mu sync.Mutex
	// permitted are the addresses of peers that have a permission.
	permitted []netip.Addr
	closed    bool
	// past are the figures of flows that were unbound; nil when none was.
	past *Totals
}

// toPeer forwards a client's datagram if it is of a bound channel.
func (r *Relay) toPeer(w *worker, p []byte) bool {
	if len(p) >= maxDatagram {
		return false
	}
	var f *flow
	channel, payload, ok := channelData(p)
	if ok {
		f = r.flows.Load().byChannel(channel)
	} else if peer, data, ok := send(p); ok {
		// Unlike a channel, an indication needs a permission (RFC 8656, section
		// 11.2): the channel may outlive it.
		if f = r.flows.Load().byPeer(peer); f != nil && !f.permitted.Load() {
			return false
		}
		payload = data
	}
	if f == nil || f.reachable != nil && !f.reachable() {
		return false
	}
	if r.spend != nil && !r.spend(len(payload)) {
		return true
	}
	if w.toPeers.full() {
		w.toPeers.flush()
	}
	w.toPeers.toPeer(r.socket, f, payload)
	return true
}

// ready forwards what peers sent.
func (r *Relay) ready(w *worker) {
	w.room(r.ask)
	n, errno := w.in.receive(r.socket, r.ask)
	if errno != 0 {
		r.ask = 1
		return
	}
	first := w.in.used
	w.in.used += n
	w.handled += n
	// Where all that was asked for was there, there may be more the next time.
	if n == r.ask {
		r.ask = min(2*n, relayBatch)
	} else {
		r.ask = max(n, 1)
	}
	for i := first; i < first+n; i++ {
		r.toClient(w, i)
	}
}

// toClient forwards what is in slot i of the inbox, if it is from a peer with a
// channel and a permission: the channel may outlive it (RFC 8656, sections 11.3 and
// 12.7).
func (r *Relay) toClient(w *worker, i int) {
	from, data, size := w.in.run(i)
	f := r.flows.Load().byPeer(from)
	if f == nil || !f.permitted.Load() || size >= maxDatagram {
		r.leave(from, data, size)
		return
	}
	out := r.end.out
	framed := w.in.before(i, headerChannelData, min(size, len(data)))
	for {
		p := data[:min(size, len(data))]
		if r.spend == nil || r.spend(len(p)) {
			if out.full() {
				out.flush()
			}
			if out.used == 0 {
				w.dirty = append(w.dirty, r.end)
			}
			out.toClient(r.end.socket, f, &r.name, p, framed)
		}
		framed = nil
		if data = data[len(p):]; len(data) == 0 {
			return
		}
	}
}

// leave leaves datagrams to the engine, or whoever stands in its place.
func (r *Relay) leave(from endpoint, data []byte, size int) {
	r.end.worker.left = true
	for {
		p := data[:min(size, len(data))]
		var taken bool
		if r.deliver != nil {
			taken = r.post(from, p)
		} else {
			taken = r.queue.put(&r.end.listener.core.packets, nil, from, p)
		}
		if !taken {
			r.overflow.Add(1)
		}
		if data = data[len(p):]; len(data) == 0 {
			return
		}
	}
}

// Bind binds a channel to a peer. A number or a peer that is bound already is bound
// anew.
func (r *Relay) Bind(b Binding) error {
	if b.Channel < minChannel || b.Channel > maxChannel {
		return fmt.Errorf("channel 0x%04x; valid: 0x%04x to 0x%04x", b.Channel, minChannel, maxChannel)
	}
	to, err := sockaddrOf(b.Peer, r.socket.v6)
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	f := &flow{channel: b.Channel, id: r.end.listener.core.flowID.Add(1), peer: endpointOf(b.Peer), to: to, reachable: b.Reachable}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	f.permitted.Store(slices.Contains(r.permitted, b.Peer.Addr().Unmap()))
	replaced := func(old *flow) bool { return old.channel == f.channel || old.peer == f.peer }
	for _, old := range r.flows.Load().all {
		if replaced(old) {
			old.leaveKernel()
		}
	}
	r.enterKernel(f)
	r.replace(f, replaced)
	return nil
}

// Unbind ends the binding of a channel, if there is one.
func (r *Relay) Unbind(channel uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replace(nil, func(old *flow) bool { return old.channel == channel })
}

// replace removes flows, and adds f when it is not nil. Its caller holds mu.
func (r *Relay) replace(f *flow, remove func(*flow) bool) {
	all := slices.Clone(r.flows.Load().all)
	all = slices.DeleteFunc(all, func(old *flow) bool {
		gone := remove(old)
		if gone {
			old.leaveKernel()
			toPeer, toClient := old.counts()
			if r.past == nil {
				r.past = new(Totals)
			}
			r.past.ToPeer.add(toPeer)
			r.past.ToClient.add(toClient)
		}
		return gone
	})
	if f != nil {
		all = append(all, f)
	}
	r.flows.Store(newFlows(all))
}

// Permit says that a peer's address has a permission, or has it no more. What the
// client sends through a channel does not depend on it (RFC 8656, section 12.6). What
// the peer sends does, and so do Send indications (sections 12.7 and 11.2): without
// the permission they are left to the engine, or to Allocation.Deliver.
func (r *Relay) Permit(peer netip.Addr, permitted bool) {
	peer = peer.Unmap()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.permitted = slices.DeleteFunc(r.permitted, func(known netip.Addr) bool { return known == peer })
	if permitted {
		r.permitted = append(r.permitted, peer)
	}
	for _, f := range r.flows.Load().all {
		if f.peer.addrPort().Addr() == peer {
			f.permit(permitted)
		}
	}
}

// Flows returns the figures of the bound channels.
func (r *Relay) Flows() []FlowStats {
	var all []FlowStats
	for _, f := range r.flows.Load().all {
		toPeer, toClient := f.counts()
		all = append(all, FlowStats{
			Client: r.client, Relay: r.socket.local, Peer: f.peer.addrPort(), Channel: f.channel,
			ToPeer: toPeer, ToClient: toClient,
		})
	}
	return all
}

func (r *Relay) totals() Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := Totals{Overflow: r.overflow.Load()}
	if r.past != nil {
		t.add(*r.past)
	}
	for _, f := range r.flows.Load().all {
		toPeer, toClient := f.counts()
		t.ToPeer.add(toPeer)
		t.ToClient.add(toClient)
	}
	return t
}

// ReadFrom waits for the next datagram for the engine. Only one goroutine may read.
func (r *Relay) ReadFrom(p []byte) (int, net.Addr, error) {
	if r.queue == nil {
		return 0, nil, fmt.Errorf("relay %v: %w: what is left is delivered", r.socket.local, errors.ErrUnsupported)
	}
	m, err := r.queue.get()
	if err != nil {
		return 0, nil, &net.OpError{Op: "read", Net: "udp", Addr: r.LocalAddr(), Err: err}
	}
	n := copy(p, m.data[:m.size])
	from := net.UDPAddrFromAddrPort(m.from.addrPort())
	r.end.listener.core.packets.Put(m)
	return n, from, nil
}

// WriteTo sends a payload of the engine to a peer.
func (r *Relay) WriteTo(p []byte, to net.Addr) (int, error) { return r.socket.writeTo(p, to) }

// LocalAddr is the relayed transport address.
func (r *Relay) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(r.socket.local) }

// Close ends all bindings, closes the socket and ends ReadFrom. When it returns,
// the port is free.
func (r *Relay) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return net.ErrClosed
	}
	r.closed = true
	r.mu.Unlock()

	r.end.listener.clients.remove(r.key, r)
	r.end.worker.unwatch(r.socket.fd)
	r.socket.close()
	r.left.close()
	if r.queue != nil {
		r.queue.close()
	}
	// Nothing is sent any more, so the figures are final.
	r.mu.Lock()
	r.replace(nil, func(*flow) bool { return true })
	r.mu.Unlock()
	c := r.end.listener.core
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.relays, r)
	c.past.add(r.totals())
	return nil
}

// SetDeadline is not supported.
func (*Relay) SetDeadline(time.Time) error { return errors.ErrUnsupported }

// SetReadDeadline is not supported.
func (*Relay) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// SetWriteDeadline is not supported.
func (*Relay) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
