package firewall_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/firewall"
	"github.com/callpath/callpath/topology/sim/packet"
)

func end(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	alice = end("10.1.0.10:5000")
	bob   = end("10.1.0.11:5000")
	relay = end("20.202.0.10:3478")
	peer  = end("192.0.2.2:6000")
	six   = end("[2001:db8:1::1]:5000")
	six2  = end("[2001:db8:2::1]:443")
)

// names resolves the names that rules here use.
func names(name string) ([]netip.Prefix, error) {
	switch name {
	case "alice":
		return []netip.Prefix{netip.PrefixFrom(alice.Addr(), 32)}, nil
	case "services":
		return []netip.Prefix{netip.MustParsePrefix("20.202.0.0/16"), netip.MustParsePrefix("2001:db8:2::/48")}, nil
	case "nothing":
		return nil, nil
	}
	return nil, errors.New("no such name")
}

// bench is a firewall with a clock in hand.
type bench struct {
	*firewall.Firewall
	t   *testing.T
	now time.Time
}

func newBench(t *testing.T, cfg *topology.Firewall) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	b.Firewall, err = firewall.New(firewall.Config{Firewall: cfg, Prefixes: names, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) check(d topology.Direction, data []byte) firewall.Verdict {
	b.t.Helper()
	p, err := packet.Parse(data)
	if err != nil {
		b.t.Fatalf("parse %x: %v", data, err)
	}
	return b.Check(d, &p)
}

func (b *bench) want(d topology.Direction, data []byte, action topology.Action, rule string) {
	b.t.Helper()
	if got := b.check(d, data); got.Action != action || got.Rule != rule {
		p, _ := packet.Parse(data)
		b.t.Errorf("%s %v: %s by %q, want %s by %q", d, p.String(), got.Action, got.Rule, action, rule)
	}
}

func udp(from, to netip.AddrPort) []byte { return packet.NewUDP(from, to, []byte("x")) }
func tcp(from, to netip.AddrPort, flags packet.Flags) []byte {
	return packet.NewTCP(from, to, flags, 1, 1, nil)
}
func port(a netip.AddrPort, p uint16) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), p) }

const (
	in, out             = topology.Inbound, topology.Outbound
	allow, deny, reject = topology.Allow, topology.Deny, topology.Reject
)

func TestTheFirstRuleThatFitsDecides(t *testing.T) {
	cfg := &topology.Firewall{
		Inbound: deny,
		Rules: []topology.Rule{
			{Name: "alice's STUN", Direction: out, Protocol: topology.UDP, From: []string{"alice"}, To: []string{"services"},
				Ports: []topology.PortRange{{First: 3478, Last: 3481}}, Action: allow},
			{Name: "no UDP", Direction: out, Protocol: topology.UDP, Action: deny},
			{Name: "no mail", Direction: out, Protocol: topology.TCP, Ports: []topology.PortRange{{First: 25, Last: 25}, {First: 587, Last: 587}}, Action: reject},
			{Name: "no pings", Direction: out, Protocol: topology.ICMP, Action: reject},
			{Name: "low ports", Direction: in, Ports: []topology.PortRange{{First: 80, Last: 443}}, Action: allow},
			{Name: "anything from the services", Direction: in, Protocol: topology.AnyProtocol, From: []string{"services"}, Action: allow},
		},
	}
	for _, c := range []struct {
		direction topology.Direction
		data      []byte
		action    topology.Action
		rule      string
	}{
		{out, udp(alice, relay), allow, "alice's STUN"},
		{out, udp(alice, port(relay, 3481)), allow, "alice's STUN"},
		{out, udp(alice, port(relay, 3482)), deny, "no UDP"},
		{out, udp(alice, port(relay, 3477)), deny, "no UDP"},
		{out, udp(bob, relay), deny, "no UDP"},
		{out, udp(alice, peer), deny, "no UDP"},
		{out, udp(six, six2), deny, "no UDP"},
		{out, tcp(alice, port(peer, 25), packet.SYN), reject, "no mail"},
		{out, tcp(alice, port(peer, 587), packet.SYN), reject, "no mail"},
		{out, tcp(alice, port(peer, 443), packet.SYN), allow, "default"},
		{out, packet.NewEcho(alice.Addr(), peer.Addr(), false, 1, 1, nil), reject, "no pings"},
		{out, packet.NewEcho(six.Addr(), six2.Addr(), false, 1, 1, nil), reject, "no pings"},
		{in, tcp(peer, port(alice, 443), packet.SYN), allow, "low ports"},
		{in, udp(peer, port(alice, 80)), allow, "low ports"},
		{in, packet.NewEcho(peer.Addr(), alice.Addr(), false, 80, 1, nil), deny, "default"},
		{in, udp(peer, alice), deny, "default"},
		{in, udp(relay, alice), allow, "anything from the services"},
		{in, udp(six2, six), allow, "anything from the services"},
	} {
		newBench(t, cfg).want(c.direction, c.data, c.action, c.rule) // a new one each: no state
	}
}

func TestNoFirewallLetsEverythingPass(t *testing.T) {
	for _, cfg := range []*topology.Firewall{nil, {}} {
		b := newBench(t, cfg)
		b.want(in, udp(peer, alice), allow, firewall.DefaultRule)
		b.want(out, tcp(alice, peer, packet.SYN), allow, firewall.DefaultRule)
	}
}

func TestAnswersPass(t *testing.T) {
	for name, c := range map[string]struct{ sent, answer []byte }{
		"UDP":  {udp(alice, relay), udp(relay, alice)},
		"TCP":  {tcp(alice, relay, packet.SYN), tcp(relay, alice, packet.SYN|packet.ACK)},
		"IPv6": {udp(six, six2), udp(six2, six)},
		"echo": {packet.NewEcho(alice.Addr(), peer.Addr(), false, 9, 1, nil), packet.NewEcho(peer.Addr(), alice.Addr(), true, 9, 1, nil)},
	} {
		outward := newBench(t, &topology.Firewall{Inbound: deny})
		if got := outward.check(in, c.answer); got.Action != deny {
			t.Errorf("%s: an answer to nothing: %v", name, got)
		}
		outward.check(out, c.sent)
		if got := outward.check(in, c.answer); got.Action != allow {
			t.Errorf("%s: the answer: %v", name, got)
		}
		inward := newBench(t, &topology.Firewall{Outbound: deny})
		inward.check(in, c.sent)
		if got := inward.check(out, c.answer); got.Action != allow {
			t.Errorf("%s: the answer outwards: %v", name, got)
		}
	}
}

func TestOnlyTheAnswersPass(t *testing.T) {
	b := newBench(t, &topology.Firewall{Inbound: deny})
	b.want(out, udp(alice, relay), allow, "default")
	b.want(in, udp(port(relay, 3479), alice), deny, "default")
	b.want(in, udp(peer, alice), deny, "default")
	b.want(in, udp(relay, port(alice, 5001)), deny, "default")
	b.want(in, tcp(relay, alice, packet.SYN), deny, "default")
}

func TestErrorsAboutAllowedFlowsPass(t *testing.T) {
	about := func(data []byte, router string) []byte {
		p, err := packet.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return p.Error(packet.HostUnreachable, netip.MustParseAddr(router), 0)
	}
	b := newBench(t, &topology.Firewall{Inbound: deny, Outbound: deny, Rules: []topology.Rule{
		{Name: "udp", Direction: out, Protocol: topology.UDP, Action: allow},
	}})
	fromOutside, fromInside := about(udp(alice, relay), "203.0.113.1"), about(udp(relay, alice), "10.1.0.10")
	b.want(in, fromOutside, deny, "default")
	b.want(out, fromInside, deny, "default")
	b.want(out, udp(alice, relay), allow, "udp")
	b.want(in, fromOutside, allow, "udp")
	b.want(out, fromInside, allow, "udp")
	b.now = b.now.Add(time.Hour)
	b.want(in, fromOutside, deny, "default")
}

func TestFlowsAreForgotten(t *testing.T) {
	pair := func(flags packet.Flags) [][]byte { return [][]byte{tcp(alice, relay, flags), tcp(relay, alice, flags)} }
	open := append(pair(packet.SYN), pair(packet.ACK)...)
	for name, c := range map[string]struct {
		packets [][]byte // from inside and outside by turns
		lives   time.Duration
	}{
		"UDP":        {[][]byte{udp(alice, relay), udp(relay, alice)}, 5 * time.Minute},
		"TCP":        {open, 2*time.Hour + 4*time.Minute},
		"TCP ended":  {append(open, pair(packet.FIN|packet.ACK)...), 4 * time.Minute},
		"TCP broken": {append(open, pair(packet.RST)...), 4 * time.Minute},
		"echo": {[][]byte{packet.NewEcho(alice.Addr(), relay.Addr(), false, 9, 1, nil),
			packet.NewEcho(relay.Addr(), alice.Addr(), true, 9, 1, nil)}, time.Minute},
	} {
		for wait, want := range map[time.Duration]topology.Action{c.lives - time.Second: allow, c.lives: deny} {
			b := newBench(t, &topology.Firewall{Inbound: deny})
			for k, data := range c.packets {
				if got := b.check([]topology.Direction{out, in}[k%2], data); got.Action != allow {
					t.Errorf("%s: packet %d: %v", name, k, got)
				}
			}
			b.now = b.now.Add(wait)
			if got := b.check(in, c.packets[len(c.packets)-1]); got.Action != want {
				t.Errorf("%s: after %v: %v, want %v", name, wait, got.Action, want)
			}
		}
	}
}

// A host may use the ports of a connection that has ended for another, which is
// judged anew.
func TestEndedConnectionDoesNotOpenTheWayForAnother(t *testing.T) {
	b := newBench(t, &topology.Firewall{Inbound: deny})
	b.want(out, tcp(alice, relay, packet.SYN), allow, "default")
	b.want(in, tcp(relay, alice, packet.RST), allow, "default")
	b.want(in, tcp(relay, alice, packet.SYN), deny, "default")
	b.want(out, tcp(alice, relay, packet.SYN), allow, "default")
	b.want(in, tcp(relay, alice, packet.SYN|packet.ACK), allow, "default")
}

func TestSetJudgesFlowsAgain(t *testing.T) {
	noUDP := func(d topology.Direction) *topology.Firewall {
		return &topology.Firewall{Rules: []topology.Rule{{Name: "no UDP", Direction: d, Protocol: topology.UDP, Action: deny}}}
	}
	for _, c := range []struct {
		name   string
		opened topology.Direction
		rules  *topology.Firewall
		cut    bool
	}{
		{"opened outbound, outbound denied", out, noUDP(out), true},
		{"opened outbound, inbound denied", out, noUDP(in), false},
		{"opened inbound, inbound denied", in, noUDP(in), true},
		{"opened inbound, outbound denied", in, noUDP(out), false},
	} {
		b := newBench(t, nil)
		if c.opened == out {
			b.check(out, udp(alice, peer))
		} else {
			b.check(in, udp(peer, alice))
		}
		if err := b.Set(c.rules); err != nil {
			t.Fatal(err)
		}
		want := map[bool]topology.Action{true: deny, false: allow}[c.cut]
		for range 2 {
			if got := b.check(in, udp(peer, alice)); got.Action != want {
				t.Errorf("%s: inbound: %v, want %v", c.name, got, want)
			}
			if got := b.check(out, udp(alice, peer)); got.Action != want {
				t.Errorf("%s: outbound: %v, want %v", c.name, got, want)
			}
		}
		if err := b.Set(nil); err != nil {
			t.Fatal(err)
		}
		b.want(in, udp(peer, alice), allow, "default")
		b.want(out, udp(alice, peer), allow, "default")
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	rule := func(edit func(*topology.Rule)) *topology.Firewall {
		r := topology.Rule{Name: "suspect", Direction: in, Action: deny}
		edit(&r)
		return &topology.Firewall{Rules: []topology.Rule{r}}
	}
	good := newBench(t, &topology.Firewall{Inbound: deny})
	for word, cfg := range map[string]*topology.Firewall{
		`"perhaps"`:               {Inbound: "perhaps"},
		`default for outbound`:    {Outbound: "maybe"},
		`no direction "up"`:       rule(func(r *topology.Rule) { r.Direction = "up" }),
		`no action "drop"`:        rule(func(r *topology.Rule) { r.Action = "drop" }),
		`no protocol "sctp"`:      rule(func(r *topology.Rule) { r.Protocol = "sctp" }),
		`from: no such name`:      rule(func(r *topology.Rule) { r.From = []string{"nobody"} }),
		`to: no such name`:        rule(func(r *topology.Rule) { r.To = []string{"nobody"} }),
		`stand for no address`:    rule(func(r *topology.Rule) { r.To = []string{"nothing"} }),
		`firewall rule "suspect"`: rule(func(r *topology.Rule) { r.Action = "" }),
	} {
		if _, err := firewall.New(firewall.Config{Firewall: cfg, Prefixes: names}); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v, want one with %s", err, word)
		}
		if err := good.Set(cfg); err == nil {
			t.Errorf("%s: set without an error", word)
		}
	}
	good.want(in, udp(peer, alice), deny, "default") // the old rules are still there
	if _, err := firewall.New(firewall.Config{Firewall: rule(func(r *topology.Rule) { r.To = []string{"alice"} })}); err == nil {
		t.Error("names without a way to resolve them: no error")
	}
}
