package sim

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/esp"
	"github.com/callpath/callpath/topology/sim/firewall"
	"github.com/callpath/callpath/topology/sim/packet"
)

// defaultBeat is how often a client sends something through its tunnel, so that
// NATs on the way keep their mappings (RFC 3948, section 4).
const defaultBeat = 20 * time.Second

// concentrator is a VPN's end at a site's edge.
type concentrator struct {
	net      *Internet
	vpn      topology.VPN
	hop      topology.Hop // HopTunnel
	address  netip.AddrPort
	edge     *edge
	firewall *firewall.Firewall
	bySPI    map[uint32]*tunnel
	byAddr   map[netip.Addr]*tunnel
	beat     time.Duration
}

// tunnel is one client's, with the keys of both directions.
type tunnel struct {
	end      *concentrator
	port     *port
	address  netip.Addr // the client's, inside
	toSite   direction
	toClient direction
	// client is the client's outer endpoint as the concentrator saw it last; the
	// tunnel follows a client that moves, or whose NAT does.
	client atomic.Pointer[netip.AddrPort]
}

// direction is one direction of a tunnel.
type direction struct {
	seal *esp.Sealer
	open *esp.Opener
}

func newDirection(spi uint32) (direction, error) {
	key := make([]byte, esp.KeySize)
	if _, err := rand.Read(key); err != nil {
		return direction{}, err
	}
	seal, err := esp.NewSealer(spi, key)
	if err != nil {
		return direction{}, err
	}
	open, err := esp.NewOpener(spi, key)
	return direction{seal, open}, err
}

// add makes a client's tunnel.
func (c *concentrator) add(p *port, address netip.Addr) error {
	spi := uint32(0x1000 + 2*len(c.bySPI))
	t := &tunnel{end: c, port: p, address: address}
	var err error
	if t.toSite, err = newDirection(spi); err != nil {
		return err
	}
	if t.toClient, err = newDirection(spi + 1); err != nil {
		return err
	}
	c.bySPI[spi], c.byAddr[address] = t, t
	p.tunnel = t
	return nil
}

// wrap seals inner, which may be nil for a dummy, into an outer packet.
func (d direction) wrap(from, to netip.AddrPort, inner *frame) (packet.Packet, error) {
	var data []byte
	if inner != nil {
		data = inner.p.Bytes()
	}
	outer, room := packet.NewUDPRoom(from, to, esp.Size(len(data)))
	if err := d.seal.Seal(room, data); err != nil {
		return packet.Packet{}, err
	}
	packet.Finish(outer)
	return packet.Parse(outer)
}

// enter takes a packet from the client's tunnel interface; nil sends a dummy.
func (t *tunnel) enter(inner *frame) {
	i, at := t.end.net, t.port.plug.Load()
	var from netip.Addr
	for _, a := range at.addresses {
		if a.Is4() == t.end.address.Addr().Is4() {
			from = a
			break
		}
	}
	if !from.IsValid() {
		if inner != nil {
			i.drop(inner, at.hop, WhyNoRoute, "")
		}
		return
	}
	if inner != nil {
		inner.at(t.end.hop)
	}
	outer, err := t.toSite.wrap(netip.AddrPortFrom(from, esp.Port), t.end.address, inner)
	if err != nil {
		if inner != nil {
			i.drop(inner, at.hop, fmt.Sprintf("tunnel: %v", err), "")
		}
		return
	}
	f := newFrame(outer, t.port.name, at.hop)
	f.origin, f.inner = t.port, inner
	i.captured(t.port, primary, true, outer.Bytes())
	t.port.up(f)
}

// keepAlive sends a dummy now and from then on.
func (t *tunnel) keepAlive() {
	t.enter(nil)
	t.end.net.after(t.end.beat, t.keepAlive)
}

// take takes an outer packet that has reached the concentrator.
func (c *concentrator) take(f *frame) {
	i := c.net
	if !assemble(i, &c.edge.incoming, f) {
		return
	}
	if f.p.Protocol() != packet.UDP || f.p.Destination().Port() != esp.Port {
		i.drop(f, c.edge.hop, WhyNoService, "")
		return
	}
	payload := f.p.Payload()
	spi, ok := esp.SPI(payload)
	t := c.bySPI[spi]
	if !ok || t == nil {
		i.drop(f, c.edge.hop, "tunnel: nobody's packet", "")
		return
	}
	i.delivered(c.vpn.Name, f)
	data, err := t.toSite.open.Open(payload)
	if err != nil {
		i.drop(f, c.edge.hop, fmt.Sprintf("tunnel: %v", err), "")
		return
	}
	client := f.p.Source()
	t.client.Store(&client)
	inner, queued := f.inner, f.queued
	f.free()
	if len(data) == 0 || inner == nil {
		return
	}
	if inner.p, err = packet.Parse(data); err != nil || inner.p.SourceAddr() != t.address {
		i.drop(inner, c.edge.hop, "tunnel: not from the client's address", "")
		return
	}
	inner.queued = inner.queued || queued
	inner.at(c.edge.hop)
	if judge(c.edge.router, c.firewall, c.hop, topology.Outbound, inner) {
		c.route(inner)
	}
}

// route sends a packet on that has left the tunnel.
func (c *concentrator) route(f *frame) {
	r := c.edge.router
	if !f.p.Age() {
		r.answer(f, packet.TimeExceeded, 0)
		c.net.drop(f, c.edge.hop, WhyTTL, "")
		return
	}
	to := r.table.lookup(f.p.DestinationAddr())
	if to == nil {
		r.answer(f, packet.NoRoute, 0)
		c.net.drop(f, c.edge.hop, WhyNoRoute, "")
		return
	}
	to.to.carry(r, f)
}

// carry makes the tunnels an exit of the edge, for the addresses of the pool.
func (c *concentrator) carry(at *router, f *frame) {
	i := c.net
	t := c.byAddr[f.p.DestinationAddr()]
	if t == nil {
		at.answer(f, packet.HostUnreachable, 0)
		i.drop(f, c.edge.hop, WhyNoHost, "")
		return
	}
	if f.own {
		f.own = false
	} else if !judge(at, c.firewall, c.hop, topology.Inbound, f) {
		return
	}
	if mtu := c.mtu(); f.p.Len() > mtu {
		// The tunnel's own packets can be fragmented; its inside can not.
		at.answer(f, packet.TooBig, mtu)
		i.drop(f, c.edge.hop, WhyTooBig, "")
		return
	}
	client := t.client.Load()
	if client == nil {
		i.drop(f, c.edge.hop, "tunnel is not up", "")
		return
	}
	outer, err := t.toClient.wrap(c.address, *client, f)
	if err != nil {
		i.drop(f, c.edge.hop, fmt.Sprintf("tunnel: %v", err), "")
		return
	}
	f.at(c.hop)
	g := newFrame(outer, c.vpn.Name, c.edge.hop)
	g.inner, g.queued, g.origin = f, f.queued, f.origin
	to := at.table.lookup(client.Addr())
	switch {
	case to == nil:
		i.drop(g, c.edge.hop, WhyNoRoute, "")
	case to.to == exit(uplink{c.edge}):
		c.edge.up.transmit(g) // from the concentrator's own public address
	default:
		to.to.carry(at, g)
	}
}

func (c *concentrator) mtu() int {
	if c.vpn.MTU == 0 {
		return defaultTunnelMTU
	}
	return c.vpn.MTU
}

const defaultTunnelMTU = 1400

// carries says whether a packet that has come to the client's host is the tunnel's.
func (t *tunnel) carries(f *frame) bool {
	if f.p.Protocol() != packet.UDP || f.p.SourceAddr() != t.end.address.Addr() {
		return false
	}
	return f.p.IsFragment() || f.p.Source().Port() == esp.Port && f.p.Destination().Port() == esp.Port
}

// leave takes an outer packet that has reached the client.
func (t *tunnel) leave(f *frame) {
	i, at := t.end.net, t.port.plug.Load()
	i.delivered(t.port.name, f)
	data, err := t.toClient.open.Open(f.p.Payload())
	if err != nil {
		i.drop(f, at.hop, fmt.Sprintf("tunnel: %v", err), "")
		return
	}
	inner, queued := f.inner, f.queued
	f.free()
	if len(data) == 0 || inner == nil {
		return
	}
	if inner.p, err = packet.Parse(data); err != nil {
		i.drop(inner, at.hop, WhyMalformed, "")
		return
	}
	inner.at(at.hop)
	if !inner.queued && !queued && !t.port.straight(inner) {
		i.later(inner, t.arrive)
		return
	}
	t.arrive(inner)
}

// arrive hands a packet from the tunnel to the client's stack.
func (t *tunnel) arrive(f *frame) {
	t.end.net.captured(t.port, t.end.vpn.Name, false, f.p.Bytes())
	t.port.deliver(t.end.vpn.Name, f)
}
