// Package firewall is a stateful packet filter: its rules judge the packet that
// opens a flow, and what belongs to a flow that was let through passes in both
// directions, with the ICMP errors about it.
//
// It stands on the inner side of a NAT and so sees internal addresses. It does not
// answer what it rejects; whoever asks it does (packet.Error and packet.Reset). It
// takes whole packets only: fragments are put together before they get here. A TCP
// segment of a connection that it has not seen begin is judged by the rules like
// any first packet, so that a firewall can be put into a running network.
//
// Start reading at Firewall.Check. The rules are topology.Firewall's.
package firewall

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/packet"
)

// How long an idle flow is remembered (RFC 4787, REQ-5; RFC 5382, REQ-5; RFC 5508,
// REQ-2).
const (
	udpTimeout    = 5 * time.Minute
	tcpTimeout    = 2*time.Hour + 4*time.Minute
	closedTimeout = 4 * time.Minute // TCP after a reset or both FINs
	otherTimeout  = time.Minute
)

// DefaultRule is the name of the rule that decides when no other fits.
const DefaultRule = "default"

// Config says what a firewall does.
type Config struct {
	// Firewall holds the rules; nil lets everything pass, and still remembers the
	// flows, so that rules that come later can judge them.
	Firewall *topology.Firewall
	// Prefixes resolves the names in rules. It may be nil when no rule has From or
	// To.
	Prefixes func(name string) ([]netip.Prefix, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Verdict is what the firewall decided, and which rule did.
type Verdict struct {
	// Action is Allow, Deny or Reject.
	Action topology.Action
	// Rule is a rule's name, or DefaultRule.
	Rule string
}

// Firewall is one packet filter. It is safe for concurrent use.
type Firewall struct {
	prefixes func(string) ([]netip.Prefix, error)
	now      func() time.Time

	mu    sync.Mutex
	rules rules
	flows map[flowKey]*flow
	swept time.Time
}

// flowKey is a flow as seen from the site, whatever way a packet goes.
type flowKey struct {
	protocol        packet.Protocol
	inside, outside netip.AddrPort
}

// flow is what is known of a flow.
type flow struct {
	opened  topology.Direction // which way the first packet went
	verdict Verdict            // on the first packet, by the rules as they are now
	seen    time.Time
	fin     [2]bool // from inside, from outside
	reset   bool
}

// New makes a firewall without flows.
func New(cfg Config) (*Firewall, error) {
	f := &Firewall{prefixes: cfg.Prefixes, now: cfg.Now, flows: make(map[flowKey]*flow)}
	if f.now == nil {
		f.now = time.Now
	}
	var err error
	f.rules, err = compile(cfg.Firewall, f.prefixes)
	return f, err
}

// Set replaces the rules, and judges each flow again by them: a flow that they do
// not let begin is stopped in both directions, even where a packet of the other
// direction could have opened it. On an error the old rules stay.
func (f *Firewall) Set(cfg *topology.Firewall) error {
	rules, err := compile(cfg, f.prefixes)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = rules
	for key, one := range f.flows {
		source, destination := key.inside, key.outside
		if one.opened == topology.Inbound {
			source, destination = destination, source
		}
		one.verdict = rules.judge(one.opened, key.protocol, source, destination)
	}
	return nil
}

// Check decides on a packet that goes out of or into the site.
func (f *Firewall) Check(direction topology.Direction, p *packet.Packet) Verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	f.sweep(now)

	if about, ok := p.Embedded(); ok {
		// An error goes against the direction of what it is about.
		key := flowKey{about.Protocol(), about.Source(), about.Destination()}
		if direction == topology.Outbound {
			key.inside, key.outside = key.outside, key.inside
		}
		if one := f.flows[key]; one != nil && !one.expired(key.protocol, now) && one.verdict.Action == topology.Allow {
			return one.verdict
		}
		return f.rules.judge(direction, p.Protocol(), p.Source(), p.Destination())
	}

	key := flowKey{p.Protocol(), p.Source(), p.Destination()}
	if direction == topology.Inbound {
		key.inside, key.outside = key.outside, key.inside
	}
	one := f.flows[key]
	if one != nil && (one.expired(key.protocol, now) || one.closed() && p.TCPFlags()&packet.SYN != 0) {
		delete(f.flows, key)
		one = nil
	}
	if one == nil {
		verdict := f.rules.judge(direction, p.Protocol(), p.Source(), p.Destination())
		if verdict.Action != topology.Allow {
			return verdict
		}
		one = &flow{opened: direction, verdict: verdict}
		f.flows[key] = one
	}
	one.seen = now
	one.note(direction, p.TCPFlags())
	return one.verdict
}

// sweep forgets what has expired, now and then, so that memory follows use.
func (f *Firewall) sweep(now time.Time) {
	const period = 10 * time.Second
	if now.Sub(f.swept) < period {
		return
	}
	f.swept = now
	for key, one := range f.flows {
		if one.expired(key.protocol, now) {
			delete(f.flows, key)
		}
	}
}

func (f *flow) note(direction topology.Direction, flags packet.Flags) {
	if flags&packet.RST != 0 {
		f.reset = true
	}
	if flags&packet.FIN != 0 {
		side := 0
		if direction == topology.Inbound {
			side = 1
		}
		f.fin[side] = true
	}
}

func (f *flow) closed() bool { return f.reset || f.fin[0] && f.fin[1] }

func (f *flow) expired(protocol packet.Protocol, now time.Time) bool {
	timeout := otherTimeout
	switch {
	case protocol == packet.UDP:
		timeout = udpTimeout
	case protocol == packet.TCP && f.closed():
		timeout = closedTimeout
	case protocol == packet.TCP:
		timeout = tcpTimeout
	}
	return now.Sub(f.seen) >= timeout
}

// rules are a topology.Firewall with its names resolved.
type rules struct {
	inbound, outbound topology.Action
	list              []rule
}

type rule struct {
	topology.Rule
	from, to []netip.Prefix // empty is anywhere
}

func compile(cfg *topology.Firewall, prefixes func(string) ([]netip.Prefix, error)) (rules, error) {
	r := rules{inbound: topology.Allow, outbound: topology.Allow}
	if cfg == nil {
		return r, nil
	}
	for _, d := range []struct {
		field string
		from  topology.Action
		to    *topology.Action
	}{{"inbound", cfg.Inbound, &r.inbound}, {"outbound", cfg.Outbound, &r.outbound}} {
		if d.from == "" {
			continue
		}
		if !known(d.from) {
			return r, fmt.Errorf("firewall's default for %s: no action %q; valid: allow, deny, reject", d.field, d.from)
		}
		*d.to = d.from
	}
	for _, one := range cfg.Rules {
		c := rule{Rule: one}
		if one.Direction != topology.Inbound && one.Direction != topology.Outbound {
			return r, fmt.Errorf("firewall rule %q: no direction %q; valid: inbound, outbound", one.Name, one.Direction)
		}
		if !known(one.Action) {
			return r, fmt.Errorf("firewall rule %q: no action %q; valid: allow, deny, reject", one.Name, one.Action)
		}
		switch one.Protocol {
		case "", topology.AnyProtocol, topology.UDP, topology.TCP, topology.ICMP:
		default:
			return r, fmt.Errorf("firewall rule %q: no protocol %q; valid: any, udp, tcp, icmp", one.Name, one.Protocol)
		}
		var err error
		if c.from, err = resolve(one.From, prefixes); err != nil {
			return r, fmt.Errorf("firewall rule %q: from: %w", one.Name, err)
		}
		if c.to, err = resolve(one.To, prefixes); err != nil {
			return r, fmt.Errorf("firewall rule %q: to: %w", one.Name, err)
		}
		r.list = append(r.list, c)
	}
	return r, nil
}

func known(a topology.Action) bool {
	return a == topology.Allow || a == topology.Deny || a == topology.Reject
}

func resolve(names []string, prefixes func(string) ([]netip.Prefix, error)) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, name := range names {
		if prefixes == nil {
			return nil, fmt.Errorf("%q cannot be resolved", name)
		}
		p, err := prefixes(name)
		if err != nil {
			return nil, err
		}
		out = append(out, p...)
	}
	if len(names) > 0 && len(out) == 0 {
		// An empty list would mean anywhere, which is never what was written.
		return nil, fmt.Errorf("%q stand for no address", names)
	}
	return out, nil
}

// judge finds the first rule that fits a packet that opens a flow.
func (r *rules) judge(direction topology.Direction, protocol packet.Protocol, source, destination netip.AddrPort) Verdict {
	for i := range r.list {
		if one := &r.list[i]; one.fits(direction, protocol, source, destination) {
			return Verdict{one.Action, one.Name}
		}
	}
	if direction == topology.Inbound {
		return Verdict{r.inbound, DefaultRule}
	}
	return Verdict{r.outbound, DefaultRule}
}

func (r *rule) fits(direction topology.Direction, protocol packet.Protocol, source, destination netip.AddrPort) bool {
	return r.Direction == direction &&
		covers(r.Protocol, protocol) &&
		within(r.Ports, protocol, destination.Port()) &&
		contains(r.from, source.Addr()) &&
		contains(r.to, destination.Addr())
}

func covers(named topology.Protocol, p packet.Protocol) bool {
	switch named {
	case topology.UDP:
		return p == packet.UDP
	case topology.TCP:
		return p == packet.TCP
	case topology.ICMP:
		return p == packet.ICMP || p == packet.ICMPv6
	}
	return true
}

func within(ports []topology.PortRange, p packet.Protocol, port uint16) bool {
	if len(ports) == 0 {
		return true
	}
	if p != packet.UDP && p != packet.TCP {
		return false
	}
	for _, r := range ports {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return false
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	if len(prefixes) == 0 {
		return true
	}
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
