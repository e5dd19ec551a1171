package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What follows is as in bpf/relay.c. Ports, channels and addresses are in the order
// of the network.

type lease struct{ atomic.Int64 }

type (
	address [16]byte
	port    [2]byte
)

type key struct {
	source, destination         address
	sourcePort, destinationPort port
	channel                     port
	family                      uint16
}

type leg struct {
	source, destination         address
	hop                         address
	hopFamily                   uint32
	ifindex                     uint32
	mtu                         uint32
	count                       uint32
	meters                      [2]uint32
	addressesSum, portsSum      uint32
	flowLabel                   [4]byte
	sourcePort, destinationPort port
	channel                     port
	toClient                    uint16
}

// Flow is one channel that is bound. Its methods are safe for concurrent use.
type Flow struct {
	path             *Path
	toPeer, toClient *way

	// place is where the flow is in Path.flows; -1 when it is unbound. Path.mu
	// guards it and final.
	place int
	final [2]Count
}

// way is one direction of a flow. Path.mu guards it.
type way struct {
	key      key
	leg      leg
	from, to netip.Addr // of the route that it goes out by
	hop      hop
	bound    bool
	told     bool // that there is no route
	within   bool // it goes to another flow's client, and nowhere else
	barred   bool // it is from a peer that has no permission
}

func (f *Flow) ways() [2]*way { return [2]*way{f.toPeer, f.toClient} }

// Bind has the program forward the packets of a channel, each way as soon as there
// is a route. errors.ErrUnsupported says that the sockets must have this channel.
func (p *Path) Bind(c Channel) (*Flow, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("kernel path: %w", err)
	}
	f := &Flow{path: p, toPeer: c.way(false), toClient: c.way(true)}
	f.toPeer.within, f.toClient.barred = c.Within, c.ToPeer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("kernel path: %w", errors.ErrUnsupported)
	}
	now := time.Now()
	for _, w := range f.ways() {
		if w.leg.count = p.counts.take(now); w.leg.count == 0 {
			p.giveCounts(f)
			return nil, fmt.Errorf("kernel path: all places for channels are taken: %w", errors.ErrUnsupported)
		}
		p.counts.at(w.leg.count).reset()
	}
	f.place = len(p.flows)
	p.flows = append(p.flows, f)
	for _, w := range f.ways() {
		p.route(w)
	}
	return f, nil
}

func (p *Path) giveCounts(f *Flow) {
	for _, w := range f.ways() {
		if w.leg.count != 0 {
			p.counts.give(w.leg.count, time.Now())
		}
	}
}

func (c *Channel) check() error {
	if c.Number < 0x4000 || c.Number > 0x7fff {
		return fmt.Errorf("channel 0x%04x; valid: 0x4000 to 0x7fff", c.Number)
	}
	if len(c.Meters) > len(leg{}.meters) {
		return fmt.Errorf("%d meters; valid: at most %d", len(c.Meters), len(leg{}.meters))
	}
	ends := []*netip.AddrPort{&c.Client, &c.Server, &c.Relay, &c.Peer}
	for _, at := range ends {
		addr := at.Addr().Unmap()
		if !addr.IsValid() || addr.IsUnspecified() || addr.Zone() != "" || at.Port() == 0 {
			return fmt.Errorf("address %v: %w", *at, errors.ErrUnsupported)
		}
		*at = netip.AddrPortFrom(addr, at.Port())
	}
	if slices.ContainsFunc(ends, func(at *netip.AddrPort) bool { return at.Addr().Is4() != c.Client.Addr().Is4() }) {
		return fmt.Errorf("channel from %v to %v changes the address family: %w", c.Client, c.Peer, errors.ErrUnsupported)
	}
	return nil
}

// way is all of a direction but what depends on the route.
func (c *Channel) way(toClient bool) *way {
	in, out := [2]netip.AddrPort{c.Client, c.Server}, [2]netip.AddrPort{c.Relay, c.Peer}
	number := networkPort(c.Number)
	w := &way{}
	if toClient {
		in, out = [2]netip.AddrPort{c.Peer, c.Relay}, [2]netip.AddrPort{c.Server, c.Client}
		w.leg.toClient = 1
	} else {
		w.key.channel = number
	}
	w.from, w.to = out[0].Addr(), out[1].Addr()
	w.key.family = family(w.to)
	w.key.source, w.key.sourcePort = words(in[0].Addr()), networkPort(in[0].Port())
	w.key.destination, w.key.destinationPort = words(in[1].Addr()), networkPort(in[1].Port())
	w.leg.source, w.leg.sourcePort = words(w.from), networkPort(out[0].Port())
	w.leg.destination, w.leg.destinationPort = words(w.to), networkPort(out[1].Port())
	w.leg.channel = number
	w.leg.addressesSum = difference(slices.Concat(w.key.source[:], w.key.destination[:]), slices.Concat(w.leg.source[:], w.leg.destination[:]))
	before := slices.Concat(w.key.sourcePort[:], w.key.destinationPort[:], w.key.channel[:])
	after := slices.Concat(w.leg.sourcePort[:], w.leg.destinationPort[:])
	if toClient {
		after = append(after, number[:]...)
	}
	w.leg.portsSum = difference(before, after)
	if w.to.Is6() {
		binary.BigEndian.PutUint32(w.leg.flowLabel[:], rand.Uint32N(1<<20))
	}
	for i, m := range c.Meters {
		w.leg.meters[i] = m.slot
	}
	return w
}

// difference is by how much the sum of 16-bit words changes (RFC 1624).
func difference(before, after []byte) uint32 {
	var sum uint32
	for i := 0; i < len(before); i += 2 {
		sum += uint32(^binary.LittleEndian.Uint16(before[i:]))
	}
	for i := 0; i < len(after); i += 2 {
		sum += uint32(binary.LittleEndian.Uint16(after[i:]))
	}
	return sum
}

func family(a netip.Addr) uint16 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// words is the address, IPv4 in the first word.
func words(a netip.Addr) (w address) {
	copy(w[:], a.AsSlice())
	return w
}

func networkPort(n uint16) port { return port{byte(n >> 8), byte(n)} }

// maxMTU is that of lo, and of no way at all.
const maxMTU = 1 << 16

// route asks for the route of a way and puts it into the table, or takes it out when
// there is none that can be used, or none may be. Its caller holds mu.
func (p *Path) route(w *way) {
	if w.barred {
		p.unbind(w)
		return
	}
	h, err := hop{mtu: maxMTU}, error(nil)
	if !w.within {
		h, err = p.routes.find(w.from, w.to)
	}
	if err != nil {
		if !w.told {
			w.told = true
			p.log.Info("packets of a channel go through the sockets", "to", w.to, "error", err)
		}
		p.unbind(w)
		return
	}
	w.told = false
	if w.bound && w.hop == h {
		return
	}
	w.leg.hop, w.leg.hopFamily = address{}, 0
	if h.addr.IsValid() {
		w.leg.hop, w.leg.hopFamily = words(h.addr), uint32(family(h.addr))
	}
	w.leg.ifindex, w.leg.mtu = uint32(h.ifindex), uint32(h.mtu)
	// What somebody else has bound stays theirs: it is a client's old allocation,
	// which is about to end.
	flags := ebpf.UpdateNoExist
	if w.bound {
		flags = ebpf.UpdateExist
	}
	if err := p.legs.Update(unsafe.Pointer(&w.key), unsafe.Pointer(&w.leg), flags); err != nil {
		p.log.Debug("packets of a channel go through the sockets", "to", w.to, "error", err)
		p.unbind(w)
		return
	}
	w.bound, w.hop = true, h
}

func (p *Path) unbind(w *way) {
	if w.bound {
		_ = p.legs.Delete(unsafe.Pointer(&w.key))
		w.bound = false
	}
}

// Counts returns what went either way until now, or until Unbind.
func (f *Flow) Counts() (toPeer, toClient Count) {
	f.path.mu.Lock()
	defer f.path.mu.Unlock()
	if f.place >= 0 {
		f.count()
	}
	return f.final[0], f.final[1]
}

func (f *Flow) count() {
	f.final[0] = f.path.counts.at(f.toPeer.leg.count).load()
	f.final[1] = f.path.counts.at(f.toClient.leg.count).load()
}

// Permit says whether the peer has a permission (RFC 8656, section 12.7). While it has
// none, the next packet that it sends is left to the sockets; what the client sends does
// not depend on it. After Unbind it does nothing.
func (f *Flow) Permit(permitted bool) {
	p := f.path
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.place < 0 || f.toClient.barred != permitted {
		return
	}
	f.toClient.barred = !permitted
	p.route(f.toClient)
}

// Unbind ends the binding: the next packet is left to the sockets. It may be called
// more than once.
func (f *Flow) Unbind() {
	p := f.path
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.place < 0 {
		return
	}
	for _, w := range f.ways() {
		p.unbind(w)
	}
	f.count()
	p.giveCounts(f)
	last := len(p.flows) - 1
	p.flows[f.place] = p.flows[last]
	p.flows[f.place].place = f.place
	p.flows = p.flows[:last]
	f.place = -1
}
