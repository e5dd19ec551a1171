package nat_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/nat"
	"github.com/callpath/callpath/topology/sim/packet"
)

func end(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
func addr(s string) netip.Addr    { return netip.MustParseAddr(s) }

const (
	eim = topology.EndpointIndependent
	adm = topology.AddressDependent
	apm = topology.AddressAndPortDependent
)

var (
	inside    = end("10.1.0.10:5000")
	neighbour = end("10.1.0.11:5000")
	external  = addr("192.0.2.1")

	remote          = end("198.51.100.10:3478")
	remoteOtherPort = end("198.51.100.10:3479")
	remoteOther     = end("198.51.100.20:3478")
)

// bench is a NAT with a clock in hand.
type bench struct {
	*nat.NAT
	t   *testing.T
	now time.Time
}

func newBench(t *testing.T, cfg topology.NAT) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []netip.Addr{external}
	}
	var err error
	b.NAT, err = nat.New(nat.Config{NAT: cfg, Now: func() time.Time { return b.now }, Random: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// out and in translate a packet, and return what became of it.
func (b *bench) out(data []byte) (packet.Packet, nat.Verdict) { return b.pass(data, b.Outbound) }
func (b *bench) in(data []byte) (packet.Packet, nat.Verdict)  { return b.pass(data, b.Inbound) }

func (b *bench) pass(data []byte, through func(*packet.Packet) nat.Verdict) (packet.Packet, nat.Verdict) {
	b.t.Helper()
	p, err := packet.Parse(data)
	if err != nil {
		b.t.Fatalf("parse %x: %v", data, err)
	}
	v := through(&p)
	if !p.ChecksumsRight() {
		b.t.Errorf("checksums are wrong after translation: %x", p.Bytes())
	}
	return p, v
}

// mapped sends UDP out and returns the external endpoint.
func (b *bench) mapped(from, to netip.AddrPort) netip.AddrPort {
	b.t.Helper()
	p, v := b.out(packet.NewUDP(from, to, nil))
	if v != nat.Pass {
		b.t.Fatalf("%v to %v: %v", from, to, v)
	}
	return p.Source()
}

// RFC 4787, section 4.1: which remote endpoints share a mapping.
func TestMappingBehaviours(t *testing.T) {
	for _, c := range []struct {
		mapping              topology.Behavior
		otherPort, otherAddr bool // keep the external endpoint
	}{
		{eim, true, true},
		{adm, true, false},
		{apm, false, false},
	} {
		b := newBench(t, topology.NAT{Mapping: c.mapping, Filtering: eim})
		first := b.mapped(inside, remote)
		if first.Addr() != external {
			t.Errorf("%s: external address %v", c.mapping, first)
		}
		if again := b.mapped(inside, remote); again != first {
			t.Errorf("%s: the same remote endpoint sees %v, then %v", c.mapping, first, again)
		}
		if same := b.mapped(inside, remoteOtherPort) == first; same != c.otherPort {
			t.Errorf("%s: another port keeps the mapping: %v", c.mapping, same)
		}
		if same := b.mapped(inside, remoteOther) == first; same != c.otherAddr {
			t.Errorf("%s: another address keeps the mapping: %v", c.mapping, same)
		}
		if other := b.mapped(neighbour, remote); other == first {
			t.Errorf("%s: two internal endpoints share %v (no port overloading, REQ-3)", c.mapping, other)
		}
	}
}

// RFC 4787, section 5: who may send to a mapping.
func TestFilteringBehaviours(t *testing.T) {
	for _, mapping := range []topology.Behavior{eim, adm, apm} {
		for _, c := range []struct {
			filtering            topology.Behavior
			otherPort, otherAddr nat.Verdict
		}{
			{eim, nat.Pass, nat.Pass},
			{adm, nat.Pass, nat.Filtered},
			{apm, nat.Filtered, nat.Filtered},
		} {
			b := newBench(t, topology.NAT{Mapping: mapping, Filtering: c.filtering})
			outside := b.mapped(inside, remote)
			for _, s := range []struct {
				from netip.AddrPort
				want nat.Verdict
			}{{remote, nat.Pass}, {remoteOtherPort, c.otherPort}, {remoteOther, c.otherAddr}} {
				p, v := b.in(packet.NewUDP(s.from, outside, []byte("hi")))
				if v != s.want {
					t.Errorf("mapping %s, filtering %s: from %v: %v, want %v", mapping, c.filtering, s.from, v, s.want)
				}
				if want := map[bool]netip.AddrPort{true: inside, false: outside}[v == nat.Pass]; p.Destination() != want {
					t.Errorf("filtering %s: goes to %v, want %v", c.filtering, p.Destination(), want)
				}
			}
		}
	}
}

func TestInboundToNothing(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim})
	for _, to := range []string{"192.0.2.1:5000", "192.0.2.99:5000"} {
		if _, v := b.in(packet.NewUDP(remote, end(to), nil)); v != nat.NoMapping {
			t.Errorf("to %s: %v, want %v", to, v, nat.NoMapping)
		}
	}
	if _, v := b.in(packet.NewEcho(remote.Addr(), external, false, 1, 1, nil)); v != nat.NoMapping {
		t.Errorf("echo request: %v, want %v", v, nat.NoMapping)
	}
}

func TestPortPreservation(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim, PortPreservation: true})
	if got := b.mapped(inside, remote); got.Port() != inside.Port() {
		t.Errorf("external port %d, want the internal %d", got.Port(), inside.Port())
	}
	if got := b.mapped(neighbour, remote); got.Port() == inside.Port() || got.Port() < 1024 {
		t.Errorf("a taken port is given again, or one of the system's: %d", got.Port())
	}
	// RFC 4787, REQ-3 a: the range is kept, where the port is not.
	random := newBench(t, topology.NAT{Mapping: eim, Filtering: eim})
	if got := random.mapped(end("10.1.0.10:500"), remote); got.Port() >= 1024 {
		t.Errorf("system port 500 is mapped to %d", got.Port())
	}
}

// RFC 4787, REQ-2: paired pooling.
func TestPairedPooling(t *testing.T) {
	pool := []netip.Addr{external, addr("192.0.2.2"), addr("192.0.2.3")}
	b := newBench(t, topology.NAT{Mapping: apm, Filtering: apm, Addresses: pool})
	seen := map[netip.Addr]bool{}
	for host := range 3 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(10 + host)}), 4000)
		first := b.mapped(from, remote)
		seen[first.Addr()] = true
		for port := range 20 {
			to := netip.AddrPortFrom(remote.Addr(), uint16(100+port))
			if got := b.mapped(netip.AddrPortFrom(from.Addr(), uint16(4000+port)), to); got.Addr() != first.Addr() {
				t.Errorf("host %v is %v and %v", from.Addr(), first.Addr(), got.Addr())
			}
		}
	}
	if len(seen) != len(pool) {
		t.Errorf("three hosts use %d of three addresses", len(seen))
	}
}

// RFC 4787, REQ-9.
func TestHairpin(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim, Hairpinning: true})
	mine, theirs := b.mapped(inside, remote), b.mapped(neighbour, remote)
	p, v := b.out(packet.NewUDP(inside, theirs, nil))
	if v != nat.Hairpin || p.Source() != mine {
		t.Fatalf("out: %v from %v, want %v from %v", v, p.Source(), nat.Hairpin, mine)
	}
	if v := b.Inbound(&p); v != nat.Pass || p.Destination() != neighbour || p.Source() != mine {
		t.Errorf("in again: %v, %v; want external source and internal destination (REQ-9 a)", v, p.String())
	}
	off := newBench(t, topology.NAT{Mapping: eim, Filtering: eim})
	theirs = off.mapped(neighbour, remote)
	if _, v := off.out(packet.NewUDP(inside, theirs, nil)); v != nat.HairpinOff {
		t.Errorf("without hairpinning: %v, want %v", v, nat.HairpinOff)
	}
}

// RFC 4787, REQ-5 and REQ-6.
func TestUDPTimeout(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: apm, UDPTimeout: topology.Duration(30 * time.Second)})
	outside := b.mapped(inside, remote)
	from := func(r netip.AddrPort) nat.Verdict {
		_, v := b.in(packet.NewUDP(r, outside, nil))
		return v
	}
	b.now = b.now.Add(29 * time.Second)
	if v := from(remote); v != nat.Pass {
		t.Errorf("after 29 s: %v", v)
	}
	// Outbound traffic refreshes the mapping, but only its own remote's filter.
	if got := b.mapped(inside, remoteOther); got != outside {
		t.Errorf("after 29 s the mapping is %v, want %v", got, outside)
	}
	b.now = b.now.Add(2 * time.Second)
	if v := from(remoteOther); v != nat.Pass {
		t.Errorf("refreshed: %v", v)
	}
	if v := from(remote); v != nat.Filtered {
		t.Errorf("a remote endpoint of 31 s ago: %v, want %v", v, nat.Filtered)
	}
	// Inbound traffic alone does not keep it.
	b.now = b.now.Add(28 * time.Second)
	if v := from(remoteOther); v != nat.NoMapping {
		t.Errorf("after 30 s without outbound traffic: %v, want %v", v, nat.NoMapping)
	}
	if len(b.Mappings()) != 0 {
		t.Errorf("mappings %v", b.Mappings())
	}
}

func TestMappingsAreListedAndSwept(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: apm, Filtering: adm})
	for port := range 100 {
		b.mapped(inside, netip.AddrPortFrom(remote.Addr(), uint16(1+port)))
	}
	all := b.Mappings()
	if len(all) != 100 || all[0].Internal != inside || all[0].Protocol != packet.UDP ||
		!slices.IsSortedFunc(all, func(a, b nat.Mapping) int { return a.External.Compare(b.External) }) {
		t.Errorf("%d mappings, first %v", len(all), all[0])
	}
	b.now = b.now.Add(4 * time.Minute)
	b.mapped(neighbour, remote)
	b.now = b.now.Add(2 * time.Minute)
	b.mapped(neighbour, remote)
	if got := b.Mappings(); len(got) != 1 || got[0].Internal != neighbour {
		t.Errorf("mappings after 5 minutes of silence: %v", got)
	}
}

func TestNoPortIsLeft(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: apm, Filtering: adm})
	from := end("10.1.0.10:500") // a system port, of which there are fewest
	for n := range 1023 {
		b.mapped(from, netip.AddrPortFrom(remote.Addr(), uint16(1+n)))
	}
	if _, v := b.out(packet.NewUDP(from, remoteOther, nil)); v != nat.NoPort {
		t.Errorf("after 1023 mappings: %v, want %v", v, nat.NoPort)
	}
	b.now = b.now.Add(5 * time.Minute)
	b.mapped(from, remoteOther)
}

func TestOtherFamilyPasses(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: apm})
	a, c := end("[2001:db8:1::10]:5000"), end("[2001:db8:99::10]:7000")
	if p, v := b.out(packet.NewUDP(a, c, nil)); v != nat.Pass || p.Source() != a {
		t.Errorf("out: %v, %v", v, p.String())
	}
	if p, v := b.in(packet.NewUDP(c, a, nil)); v != nat.Pass || p.Destination() != a {
		t.Errorf("in: %v, %v", v, p.String())
	}
	if b.Translates(a.Addr()) || !b.Translates(inside.Addr()) || !b.Owns(external) || b.Owns(remote.Addr()) {
		t.Error("what is translated and owned is wrong")
	}
	six := newBench(t, topology.NAT{Mapping: eim, Filtering: apm, Addresses: []netip.Addr{addr("2001:db8:2::1")}})
	if got := six.mapped(end("[fd00::1]:5000"), c); got.Addr() != addr("2001:db8:2::1") {
		t.Errorf("IPv6 to IPv6: %v", got)
	}
}

func TestWhatCannotBeTranslated(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim})
	outside := b.mapped(inside, remote)
	gre := func(from, to netip.AddrPort) []byte {
		data := packet.NewUDP(from, to, nil)
		data[9] = 47
		packet.Finish(data)
		return data
	}
	fragment := func(from, to netip.AddrPort) []byte {
		data := packet.NewUDP(from, to, make([]byte, 8))
		data[6] = 0x20
		data[10], data[11] = 0, 0
		packet.Finish(data)
		return data
	}
	for name, made := range map[string]func(from, to netip.AddrPort) []byte{"another protocol": gre, "a fragment": fragment} {
		if _, v := b.out(made(inside, remote)); v != nat.Untranslatable {
			t.Errorf("%s out: %v, want %v", name, v, nat.Untranslatable)
		}
		if _, v := b.in(made(remote, outside)); v != nat.Untranslatable {
			t.Errorf("%s in: %v, want %v", name, v, nat.Untranslatable)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	one := []netip.Addr{external}
	for name, cfg := range map[string]topology.NAT{
		"no address":        {Mapping: eim, Filtering: eim},
		"mapping missing":   {Filtering: eim, Addresses: one},
		"filtering unknown": {Mapping: eim, Filtering: "open", Addresses: one},
	} {
		if _, err := nat.New(nat.Config{NAT: cfg}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := nat.New(nat.Config{NAT: topology.NAT{Mapping: eim, Filtering: eim, Addresses: one}}); err != nil {
		t.Errorf("without clock and randomness: %v", err)
	}
}

func TestVerdictsInWords(t *testing.T) {
	seen := map[string]bool{}
	for v := nat.Pass; v <= nat.Untranslatable+1; v++ {
		if s := v.String(); s == "" || seen[s] {
			t.Errorf("verdict %d is %q", v, s)
		} else {
			seen[s] = true
		}
	}
}
