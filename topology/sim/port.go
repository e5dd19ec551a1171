package sim

import (
	"maps"
	"net/netip"
	"sync/atomic"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/host"
	"github.com/callpath/callpath/topology/sim/packet"
)

// primary is the name of each host's own interface.
const primary = "eth0"

// port is where a host meets the network.
type port struct {
	net    *Internet
	name   string
	host   atomic.Pointer[host.Host]  // nil while the host starts
	plug   atomic.Pointer[attachment] // where the host is now
	tunnel *tunnel                    // nil for all but VPN clients
	// fragments are the tunnel's outer ones; the host's own stack sees to others.
	fragments packet.Reassembler
}

// attachment is a host's place in a subnet. It does not change; a host that moves
// gets another.
type attachment struct {
	port      *port
	subnet    *subnet
	addresses []netip.Addr
	up, down  *pipe
	hop       topology.Hop
}

// send takes a packet from the host's stack.
func (p *port) send(iface string, data []byte) {
	i := p.net
	at := p.plug.Load()
	i.captured(p, iface, true, data)
	view, err := packet.Parse(data)
	if err != nil {
		i.dropBytes(data, at.hop, WhyMalformed)
		return
	}
	f := newFrame(view, p.name, at.hop)
	f.origin = p
	if view.DestinationAddr().IsMulticast() {
		i.drop(f, at.hop, WhyMulticast, "")
		return
	}
	if iface != primary {
		if p.tunnel == nil || iface != p.tunnel.end.vpn.Name {
			i.drop(f, at.hop, WhyNoRoute, "")
			return
		}
		p.tunnel.enter(f)
		return
	}
	p.up(f)
}

// up puts a packet on the host's link.
func (p *port) up(f *frame) {
	at := p.plug.Load()
	if mtu := at.up.link.MTU(); tooBig(f, mtu) {
		at.subnet.router.answer(f, packet.TooBig, mtu)
		p.net.drop(f, at.hop, WhyTooBig, "")
		return
	}
	at.up.transmit(f)
}

// receive takes a packet from the host's link, unless the host has moved away.
func (at *attachment) receive(f *frame) {
	p := at.port
	if p.plug.Load() != at {
		p.net.drop(f, at.subnet.router.hop, WhyNoHost, "")
		return
	}
	f.at(at.hop)
	if !f.queued && !p.straight(f) {
		p.net.later(f, p.arrive)
		return
	}
	p.arrive(f)
}

// straight says whether a packet may go to the host's stack on the goroutine of
// its sender's, which is inside that stack. Stacks send UDP without holding locks,
// and only note a TCP segment for a goroutine of their own. But ICMP errors and
// resets are what a stack makes on the spot while it takes a packet: they would end
// at the very socket that is sending. So they may not, nor may what comes back to
// its own host.
func (p *port) straight(f *frame) bool {
	switch f.p.Protocol() {
	case packet.UDP:
		return f.origin != p
	case packet.TCP:
		return f.origin != p && f.p.TCPFlags()&packet.RST == 0
	}
	return false
}

func (p *port) arrive(f *frame) {
	i := p.net
	i.captured(p, primary, false, f.p.Bytes())
	if p.tunnel != nil && p.tunnel.carries(f) {
		if assemble(i, &p.fragments, f) {
			p.tunnel.leave(f)
		}
		return
	}
	p.deliver(primary, f)
}

// deliver ends a packet's way at the host's stack.
func (p *port) deliver(iface string, f *frame) {
	p.net.delivered(p.name, f)
	data := f.p.Bytes()
	f.free()
	if h := p.host.Load(); h != nil {
		h.Deliver(iface, data)
	}
}

// hostTable says which host has an address in a subnet. It is copied on change, so
// that packets read it without a lock; changes hold Internet.mu.
type hostTable struct {
	p atomic.Pointer[map[netip.Addr]*attachment]
}

func (t *hostTable) get(a netip.Addr) *attachment {
	if m := t.p.Load(); m != nil {
		return (*m)[a]
	}
	return nil
}

func (t *hostTable) change(edit func(map[netip.Addr]*attachment)) {
	next := make(map[netip.Addr]*attachment)
	if m := t.p.Load(); m != nil {
		maps.Copy(next, *m)
	}
	edit(next)
	t.p.Store(&next)
}
