package nat_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/nat"
	"github.com/callpath/callpath/topology/sim/packet"
)

// about makes an ICMP error about a packet.
func about(t *testing.T, data []byte, router netip.Addr) []byte {
	t.Helper()
	p, err := packet.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return p.Error(packet.PortUnreachable, router, 0)
}

// RFC 5508, section 3: queries have mappings by identifier.
func TestEcho(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: adm})
	p, v := b.out(packet.NewEcho(inside.Addr(), remote.Addr(), false, 77, 1, []byte("ping")))
	if v != nat.Pass || p.Source().Addr() != external {
		t.Fatalf("request: %v, %v", v, p.String())
	}
	id := p.Source().Port()
	q, v := b.in(packet.NewEcho(remote.Addr(), external, true, id, 1, []byte("ping")))
	if v != nat.Pass || q.Destination() != netip.AddrPortFrom(inside.Addr(), 77) {
		t.Errorf("reply: %v, %v", v, q.String())
	}
	if _, v := b.in(packet.NewEcho(remoteOther.Addr(), external, true, id, 1, nil)); v != nat.Filtered {
		t.Errorf("reply of another host: %v, want %v", v, nat.Filtered)
	}
	if _, v := b.out(packet.NewEcho(inside.Addr(), remote.Addr(), true, 78, 1, nil)); v != nat.NoSession {
		t.Errorf("reply to no request: %v, want %v", v, nat.NoSession)
	}
	b.now = b.now.Add(time.Minute) // REQ-2
	if _, v := b.in(packet.NewEcho(remote.Addr(), external, true, id, 1, nil)); v != nat.NoMapping {
		t.Errorf("reply after a minute: %v, want %v", v, nat.NoMapping)
	}
}

// RFC 5508, REQ-4: an error from outside goes to the host that it is about, and
// shows it its own packet.
func TestErrorFromOutside(t *testing.T) {
	router := addr("203.0.113.1")
	for name, made := range map[string]func(from, to netip.AddrPort) []byte{
		"UDP": func(from, to netip.AddrPort) []byte { return packet.NewUDP(from, to, []byte("payload")) },
		"TCP": func(from, to netip.AddrPort) []byte { return packet.NewTCP(from, to, syn, 1, 0, nil) },
		"echo": func(from, to netip.AddrPort) []byte {
			return packet.NewEcho(from.Addr(), to.Addr(), false, from.Port(), 1, nil)
		},
	} {
		b := newBench(t, topology.NAT{Mapping: eim, Filtering: apm})
		original := made(inside, remote)
		sent, v := b.out(bytes.Clone(original))
		if v != nat.Pass {
			t.Fatalf("%s: %v", name, v)
		}
		e, v := b.in(about(t, sent.Bytes(), router))
		if v != nat.Pass || e.DestinationAddr() != inside.Addr() || e.SourceAddr() != router {
			t.Errorf("%s: %v, %v", name, v, e.String())
		}
		inner, _ := e.Embedded()
		if !bytes.Equal(inner.Bytes(), original) {
			t.Errorf("%s: the error shows\n%x, want\n%x", name, inner.Bytes(), original)
		}
		// Nothing was sent to another host, so that nothing can be wrong with it.
		never := made(sent.Source(), remoteOther)
		if _, v := b.in(about(t, never, router)); v != nat.Filtered {
			t.Errorf("%s: about what was never sent: %v, want %v", name, v, nat.Filtered)
		}
		unknown := made(netip.AddrPortFrom(external, 1), remote)
		if _, v := b.in(about(t, unknown, router)); v != nat.NoMapping {
			t.Errorf("%s: about no mapping: %v, want %v", name, v, nat.NoMapping)
		}
	}
}

// RFC 5508, REQ-5: an error from inside shows the outside its own packet.
func TestErrorFromInside(t *testing.T) {
	for _, sender := range []netip.Addr{inside.Addr(), addr("10.1.0.1")} { // the host, or a router
		b := newBench(t, topology.NAT{Mapping: eim, Filtering: apm})
		outside := b.mapped(inside, remote)
		original := packet.NewUDP(remote, outside, []byte("payload"))
		received, v := b.in(bytes.Clone(original))
		if v != nat.Pass {
			t.Fatal(v)
		}
		e, v := b.out(about(t, received.Bytes(), sender))
		if v != nat.Pass || e.SourceAddr() != external || e.DestinationAddr() != remote.Addr() {
			t.Errorf("from %v: %v, %v", sender, v, e.String())
		}
		inner, _ := e.Embedded()
		if !bytes.Equal(inner.Bytes(), original) {
			t.Errorf("from %v: the error shows\n%x, want\n%x", sender, inner.Bytes(), original)
		}
		b.now = b.now.Add(time.Hour)
		if _, v := b.out(about(t, packet.NewUDP(remote, inside, nil), sender)); v != nat.NoMapping {
			t.Errorf("about no mapping: %v, want %v", v, nat.NoMapping)
		}
	}
}

// RFC 5508, REQ-7: between two hosts behind the NAT.
func TestErrorHairpins(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim, Hairpinning: true})
	theirs := b.mapped(neighbour, remote)
	p, v := b.out(packet.NewUDP(inside, theirs, nil))
	if v != nat.Hairpin || b.Inbound(&p) != nat.Pass {
		t.Fatalf("hairpin: %v", v)
	}
	e, v := b.out(about(t, p.Bytes(), neighbour.Addr()))
	if v != nat.Hairpin {
		t.Fatalf("error: %v", v)
	}
	if v := b.Inbound(&e); v != nat.Pass || e.DestinationAddr() != inside.Addr() || !e.ChecksumsRight() {
		t.Errorf("error in again: %v, %v", v, e.String())
	}
	if inner, _ := e.Embedded(); inner.Source() != inside || inner.Destination() != theirs {
		t.Errorf("the error shows %v, want %v to %v", inner.String(), inside, theirs)
	}
}

// An error whose packet was not sent by whom it goes to is made up.
func TestErrorAboutAnotherHostsPacket(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim})
	b.mapped(inside, remote)
	e := about(t, packet.NewUDP(remoteOther, inside, nil), inside.Addr())
	p, err := packet.Parse(e)
	if err != nil {
		t.Fatal(err)
	}
	p.SetDestination(remote)
	if v := b.Outbound(&p); v != nat.Untranslatable {
		t.Errorf("%v, want %v", v, nat.Untranslatable)
	}
	q, err := packet.Parse(about(t, packet.NewUDP(remoteOther, inside, nil), remote.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	q.SetDestination(netip.AddrPortFrom(external, 0))
	if v := b.Inbound(&q); v != nat.Untranslatable {
		t.Errorf("%v, want %v", v, nat.Untranslatable)
	}
}

// FuzzNAT sends arbitrary bytes both ways: nothing panics, what is passed is
// well-formed, and checksums that were right stay right.
func FuzzNAT(f *testing.F) {
	to := netip.AddrPortFrom(external, 5000)
	f.Add(packet.NewUDP(remote, to, []byte("x")))
	f.Add(packet.NewTCP(remote, to, syn, 1, 0, nil))
	f.Add(packet.NewEcho(remote.Addr(), external, true, 5000, 1, nil))
	p, err := packet.Parse(packet.NewUDP(to, remote, nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Error(packet.TimeExceeded, addr("203.0.113.1"), 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim, PortPreservation: true, Hairpinning: true})
		b.mapped(inside, remote)
		b.out(packet.NewTCP(inside, remote, syn, 1, 0, nil))
		b.out(packet.NewEcho(inside.Addr(), remote.Addr(), false, inside.Port(), 1, nil))
		for _, through := range []func(*packet.Packet) nat.Verdict{b.Inbound, b.Outbound} {
			p, err := packet.Parse(bytes.Clone(data))
			if err != nil {
				return
			}
			right := p.ChecksumsRight()
			if through(&p) > nat.Hairpin {
				continue
			}
			if _, err := packet.Parse(p.Bytes()); err != nil {
				t.Errorf("translated to %x: %v", p.Bytes(), err)
			}
			if right && !p.ChecksumsRight() {
				t.Errorf("checksums are wrong after translation: %x", p.Bytes())
			}
		}
	})
}
