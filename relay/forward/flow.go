package forward

import (
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/callpath/callpath/relay/forward/kernel"
)

// Allocation is what Listener.Relay takes over.
type Allocation struct {
	// Client is whose it is, Conn its relay socket.
	Client netip.AddrPort
	Conn   net.PacketConn
	// Spend, when not nil, is asked for each payload that would be forwarded, with
	// its size. When it says no the payload is dropped. It is called by workers: it
	// must be quick and must not wait.
	Spend func(payload int) bool
	// Deliver, when not nil, is given what peers sent and the core does not forward, in
	// place of Relay.ReadFrom: in order, and by one goroutine at a time, which lives only
	// while there is something to deliver. An allocation on which nothing happens then
	// has no goroutine, stack or queue. The payload is Deliver's until it returns. One
	// that is as long as an engine's buffer may have been longer; Deliver is not given it.
	Deliver func(peer netip.AddrPort, payload []byte)
	// Meters are those that Spend takes from, for the way through the kernel: with
	// Spend and without Meters, all packets go through the core.
	Meters []*kernel.Meter
}

// Binding is one channel of an allocation.
type Binding struct {
	Channel uint16
	Peer    netip.AddrPort
	// Reachable, when not nil, is asked before each run of packets to the peer.
	// While it says no, they go to the engine. It is called by workers: it must be
	// quick and must not wait. The kernel's path cannot ask, and sends to such a peer
	// only what a channel of another relay of the core takes.
	Reachable func() bool
}

// Count is what went one way through a flow.
type Count struct {
	// Packets and Bytes count payloads that were sent on.
	Packets, Bytes uint64
	// Dropped and DroppedBytes count payloads that could not be sent.
	Dropped, DroppedBytes uint64
	// Kernel are the packets among Packets that the kernel's path has forwarded, Over
	// counts payloads that Allocation.Meters did not let pass there.
	Kernel, Over uint64
}

func (c *Count) add(o Count) {
	c.Packets += o.Packets
	c.Bytes += o.Bytes
	c.Dropped += o.Dropped
	c.DroppedBytes += o.DroppedBytes
	c.Kernel += o.Kernel
	c.Over += o.Over
}

// FlowStats are the figures of one live flow.
type FlowStats struct {
	Client, Relay, Peer netip.AddrPort
	Channel             uint16
	ToPeer, ToClient    Count
}

// flow is a bound channel: what a packet needs on its way, and what is counted.
// Everything but the counters and what permit changes is fixed before a worker can see it.
type flow struct {
	channel   uint16
	permitted atomic.Bool // the peer's address has a permission
	id        uint32
	peer      endpoint
	to        sockaddr // the peer, as the relay socket writes it
	reachable func() bool
	kernel    *kernel.Flow // nil when the kernel's path does not have it

	// The two directions may be on different workers, so on different cache lines.
	_                [64]byte
	toPeer, toClient counter
}

type counter struct {
	packets, bytes, dropped, droppedBytes atomic.Uint64
	_                                     [32]byte
}

// sent counts a run before it is sent, so that whoever has received a packet finds
// it counted; failed takes back what could not be sent.
func (c *counter) sent(packets, bytes int) {
	c.packets.Add(uint64(packets))
	c.bytes.Add(uint64(bytes))
}

func (c *counter) failed(packets, bytes int) {
	c.packets.Add(-uint64(packets))
	c.bytes.Add(-uint64(bytes))
	c.dropped.Add(uint64(packets))
	c.droppedBytes.Add(uint64(bytes))
}

func (c *counter) load() Count {
	return Count{
		Packets: c.packets.Load(), Bytes: c.bytes.Load(),
		Dropped: c.dropped.Load(), DroppedBytes: c.droppedBytes.Load(),
	}
}

// counts are the figures of a flow, whoever has forwarded.
func (f *flow) counts() (toPeer, toClient Count) {
	toPeer, toClient = f.toPeer.load(), f.toClient.load()
	if f.kernel != nil {
		up, down := f.kernel.Counts()
		toPeer.add(Count{Packets: up.Packets, Bytes: up.Bytes, Kernel: up.Packets, Over: up.Over})
		toClient.add(Count{Packets: down.Packets, Bytes: down.Bytes, Kernel: down.Packets, Over: down.Over})
	}
	return toPeer, toClient
}

// flows are the bound channels of one allocation. They never change: a binding
// that comes or goes makes new ones, which replace these at once (Relay.flows).
type flows struct {
	all []*flow
	// numbers and peers are hash tables with open addressing, a power of two long
	// and at most half full; nil where there are so few flows that looking at each
	// is as fast.
	numbers, peers []*flow
}

// few flows need no tables.
const few = 4

var noFlows = new(flows)

func newFlows(all []*flow) *flows {
	if len(all) == 0 {
		return noFlows
	}
	if len(all) <= few {
		return &flows{all: all}
	}
	size := 4 * few
	for size < 2*len(all) {
		size *= 2
	}
	f := &flows{all, make([]*flow, size), make([]*flow, size)}
	for _, x := range all {
		f.numbers[free(f.numbers, uint64(x.channel))] = x
		f.peers[free(f.peers, peerHash(x.peer))] = x
	}
	return f
}

func free(slots []*flow, hash uint64) uint64 {
	mask := uint64(len(slots) - 1)
	for hash &= mask; slots[hash] != nil; hash = (hash + 1) & mask {
	}
	return hash
}

// peerHash needs no seed: a client can only slow itself down.
func peerHash(e endpoint) uint64 { return e.lo ^ e.hi ^ uint64(e.port) ^ uint64(e.port)>>8 }

func (f *flows) byChannel(channel uint16) *flow {
	if f.numbers == nil {
		for _, x := range f.all {
			if x.channel == channel {
				return x
			}
		}
		return nil
	}
	mask := uint64(len(f.numbers) - 1)
	for i := uint64(channel) & mask; f.numbers[i] != nil; i = (i + 1) & mask {
		if f.numbers[i].channel == channel {
			return f.numbers[i]
		}
	}
	return nil
}

func (f *flows) byPeer(peer endpoint) *flow {
	if f.peers == nil {
		for _, x := range f.all {
			if x.peer == peer {
				return x
			}
		}
		return nil
	}
	mask := uint64(len(f.peers) - 1)
	for i := peerHash(peer) & mask; f.peers[i] != nil; i = (i + 1) & mask {
		if f.peers[i].peer == peer {
			return f.peers[i]
		}
	}
	return nil
}
