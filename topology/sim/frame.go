package sim

import (
	"net/netip"
	"sync"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/packet"
)

// frame is one IP packet on its way, with what the network knows of it. It moves
// one way: whoever has it passes it on or ends it (Internet.drop, port.deliver),
// and does not touch it afterwards.
type frame struct {
	p    packet.Packet
	from string // host, router or VPN that made it
	// sentFrom and sentTo are as the sender wrote them.
	sentFrom, sentTo netip.AddrPort
	way              topology.Way
	room             [10]topology.Hop // way's array, as long as it suffices

	// inner is the packet that this one carries through a tunnel.
	inner *frame
	// origin is the host's port that sent it; nil for what routers make.
	origin *port
	// own packets are made by a router: no firewall judges its own answers.
	own bool
	// queued says that the packet has been on a schedule, and so is no longer on
	// its sender's stack.
	queued bool
	// split is the size to which a packet that was put together from fragments is
	// split again, and id their identification. Zero for all others.
	split int
	id    uint32
}

var frames = sync.Pool{New: func() any { return new(frame) }}

// newFrame starts a packet's way at a place.
func newFrame(p packet.Packet, from string, start topology.Hop) *frame {
	f := frames.Get().(*frame)
	f.p, f.from = p, from
	f.sentFrom, f.sentTo = p.Source(), p.Destination()
	f.way = append(f.room[:0], start)
	return f
}

// piece makes a frame for a fragment of f.
func (f *frame) piece(p packet.Packet) *frame {
	g := frames.Get().(*frame)
	room := g.room
	*g = *f
	g.room = room
	g.p = p
	g.way = append(g.room[:0], f.way...)
	g.split = 0
	return g
}

// free gives the frame back. Nothing may refer to it or its way any more.
func (f *frame) free() {
	*f = frame{}
	frames.Put(f)
}

func (f *frame) at(h topology.Hop) { f.way = append(f.way, h) }
