package nat

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/packet"
)

// Config says how to translate.
type Config struct {
	// NAT is the behaviour. It must have addresses.
	NAT topology.NAT
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Random chooses ports; nil takes a random seed. The NAT alone uses it.
	Random *rand.Rand
}

// Verdict is what became of a packet.
type Verdict uint8

// The verdicts. A packet may go on after Pass and Hairpin only; any other says why
// it must be dropped.
const (
	// Pass: the packet was translated, or is of a family that is not.
	Pass Verdict = iota
	// Hairpin: the packet was translated and is for one of the NAT's own
	// addresses. It goes to Inbound next (RFC 4787, REQ-9).
	Hairpin
	// HairpinOff: as Hairpin, but this NAT does not do that.
	HairpinOff
	// NoMapping: nothing inside has the destination of an inbound packet.
	NoMapping
	// Filtered: there is a mapping, but its filter does not know the sender.
	Filtered
	// NoSession: a TCP segment that neither belongs to a connection nor begins one.
	NoSession
	// NoPort: all external ports are taken.
	NoPort
	// Untranslatable: a protocol without ports, a fragment, or an ICMP error
	// about nothing that the NAT knows.
	Untranslatable
)

// String says the verdict in words, as a reason for a drop.
func (v Verdict) String() string {
	switch v {
	case Pass:
		return "pass"
	case Hairpin:
		return "hairpin"
	case HairpinOff:
		return "NAT does no hairpinning"
	case NoMapping:
		return "NAT has no mapping"
	case Filtered:
		return "NAT's filter does not know the sender"
	case NoSession:
		return "NAT knows no such TCP connection"
	case NoPort:
		return "NAT has no port left"
	case Untranslatable:
		return "NAT cannot translate it"
	}
	return fmt.Sprintf("verdict %d", v)
}

// NAT is one translator. It is safe for concurrent use.
type NAT struct {
	cfg       topology.NAT
	now       func() time.Time
	v4, v6    []netip.Addr // external addresses
	addresses map[netip.Addr]bool

	mu       sync.Mutex
	random   *rand.Rand
	inside   map[insideKey]*mapping  // by what is mapped
	outside  map[outsideKey]*mapping // by what it is mapped to
	pairs    map[netip.Addr]*pair    // internal address to external (paired pooling, REQ-2)
	swept    time.Time
	nextPair int
}

// insideKey is what a mapping is for: an internal endpoint, and as much of the
// remote one as the mapping behaviour looks at.
type insideKey struct {
	protocol packet.Protocol
	internal netip.AddrPort
	remote   netip.AddrPort
}

// outsideKey is what a mapping is known by from outside.
type outsideKey struct {
	protocol packet.Protocol
	external netip.AddrPort
}

// pair is the external address of an internal one, as long as mappings use it.
type pair struct {
	external netip.Addr
	mappings int
}

// New makes a translator without mappings.
func New(cfg Config) (*NAT, error) {
	n := &NAT{
		cfg: cfg.NAT, now: cfg.Now, random: cfg.Random,
		addresses: make(map[netip.Addr]bool),
		inside:    make(map[insideKey]*mapping),
		outside:   make(map[outsideKey]*mapping),
		pairs:     make(map[netip.Addr]*pair),
	}
	if n.now == nil {
		n.now = time.Now
	}
	if n.random == nil {
		n.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	for _, b := range []struct {
		field string
		value topology.Behavior
	}{{"mapping", n.cfg.Mapping}, {"filtering", n.cfg.Filtering}} {
		if !slices.Contains(behaviors, b.value) {
			return nil, fmt.Errorf("NAT has no %s behaviour %q; valid: %q", b.field, b.value, behaviors)
		}
	}
	if len(n.cfg.Addresses) == 0 {
		return nil, errors.New("NAT has no external address")
	}
	for _, a := range n.cfg.Addresses {
		n.addresses[a] = true
		if a.Is4() {
			n.v4 = append(n.v4, a)
		} else {
			n.v6 = append(n.v6, a)
		}
	}
	if n.cfg.UDPTimeout == 0 {
		n.cfg.UDPTimeout = topology.Duration(5 * time.Minute)
	}
	if n.cfg.TCPTimeout == 0 {
		n.cfg.TCPTimeout = topology.Duration(2*time.Hour + 4*time.Minute)
	}
	return n, nil
}

var behaviors = []topology.Behavior{topology.EndpointIndependent, topology.AddressDependent, topology.AddressAndPortDependent}

// scope is the part of a remote endpoint that a behaviour looks at: nothing, the
// address, or address and port. It makes the keys of mappings and of filters.
func scope(b topology.Behavior, remote netip.AddrPort) netip.AddrPort {
	switch b {
	case topology.AddressDependent:
		return netip.AddrPortFrom(remote.Addr(), 0)
	case topology.AddressAndPortDependent:
		return remote
	}
	return netip.AddrPort{}
}

// Translates says whether the NAT translates the family of an address; packets of
// the other family pass as they are.
func (n *NAT) Translates(a netip.Addr) bool { return len(n.external(a)) > 0 }

// Owns says whether an address is one of the external ones.
func (n *NAT) Owns(a netip.Addr) bool { return n.addresses[a] }

func (n *NAT) external(like netip.Addr) []netip.Addr {
	if like.Is4() {
		return n.v4
	}
	return n.v6
}

// Outbound translates a packet that leaves the site: its source becomes external.
func (n *NAT) Outbound(p *packet.Packet) Verdict {
	if !n.Translates(p.SourceAddr()) {
		return Pass
	}
	if p.IsFragment() {
		return Untranslatable
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	n.sweep(now)
	if p.IsICMPError() {
		return n.errorOutbound(p, now)
	}
	if !translatable(p) {
		return Untranslatable
	}
	source, remote := p.Source(), p.Destination()
	m := n.lookup(p.Protocol(), source, remote, now)
	if m == nil {
		if !begins(p) {
			return NoSession
		}
		if m = n.create(p.Protocol(), source, remote, now); m == nil {
			return NoPort
		}
	}
	if !m.outbound(n, p, remote, now) {
		return NoSession
	}
	p.SetSource(m.external)
	return n.turn(remote.Addr())
}

// turn says where a translated outbound packet goes.
func (n *NAT) turn(destination netip.Addr) Verdict {
	switch {
	case !n.addresses[destination]:
		return Pass
	case n.cfg.Hairpinning:
		return Hairpin
	}
	return HairpinOff
}

// Inbound translates a packet that enters the site: its destination becomes
// internal.
func (n *NAT) Inbound(p *packet.Packet) Verdict {
	if !n.Translates(p.DestinationAddr()) {
		return Pass
	}
	if !n.addresses[p.DestinationAddr()] {
		return NoMapping
	}
	if p.IsFragment() {
		return Untranslatable
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	n.sweep(now)
	if p.IsICMPError() {
		return n.errorInbound(p, now)
	}
	if !translatable(p) {
		return Untranslatable
	}
	m := n.outside[outsideKey{p.Protocol(), p.Destination()}]
	if m == nil || m.expired(n, now) {
		return NoMapping
	}
	if v := m.inbound(n, p, p.Source(), now); v != Pass {
		return v
	}
	p.SetDestination(m.internal)
	return Pass
}

// translatable says whether the packet has something like a port to translate.
func translatable(p *packet.Packet) bool {
	switch p.Protocol() {
	case packet.UDP, packet.TCP:
		return true
	}
	return p.IsEchoRequest() || p.IsEchoReply()
}

// begins says whether an outbound packet may create a mapping: any but a TCP
// segment without SYN, and an answer to a query that never came in.
func begins(p *packet.Packet) bool {
	if p.Protocol() == packet.TCP {
		return p.TCPFlags()&(packet.SYN|packet.ACK|packet.RST) == packet.SYN
	}
	return !p.IsEchoReply()
}

func (n *NAT) lookup(protocol packet.Protocol, internal, remote netip.AddrPort, now time.Time) *mapping {
	m := n.inside[insideKey{protocol, internal, scope(n.cfg.Mapping, remote)}]
	if m != nil && m.expired(n, now) {
		n.remove(m)
		return nil
	}
	return m
}

// sweep removes what has expired, now and then, so that memory follows use.
func (n *NAT) sweep(now time.Time) {
	const period = 10 * time.Second
	if now.Sub(n.swept) < period {
		return
	}
	n.swept = now
	for _, m := range n.inside {
		if m.expired(n, now) {
			n.remove(m)
			continue
		}
		m.forget(n, now)
	}
}

func (n *NAT) remove(m *mapping) {
	delete(n.inside, m.key)
	delete(n.outside, outsideKey{m.key.protocol, m.external})
	if p := n.pairs[m.internal.Addr()]; p != nil {
		if p.mappings--; p.mappings == 0 {
			delete(n.pairs, m.internal.Addr())
		}
	}
}

// Mapping is one line of the translator's table.
type Mapping struct {
	Protocol           packet.Protocol
	Internal, External netip.AddrPort
}

// Mappings lists what is mapped now, by external endpoint.
func (n *NAT) Mappings() []Mapping {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	var out []Mapping
	for _, m := range n.inside {
		if !m.expired(n, now) {
			out = append(out, Mapping{m.key.protocol, m.internal, m.external})
		}
	}
	slices.SortFunc(out, func(a, b Mapping) int { return a.External.Compare(b.External) })
	return out
}
