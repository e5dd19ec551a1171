package nat_test

import (
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/nat"
	"github.com/callpath/callpath/topology/sim/packet"
)

// step is one segment, and what the NAT says to it.
type step struct {
	out   bool
	flags packet.Flags
	want  nat.Verdict
}

const (
	syn    = packet.SYN
	synAck = packet.SYN | packet.ACK
	ack    = packet.ACK
	fin    = packet.FIN | packet.ACK
	rst    = packet.RST
)

// RFC 5382, with the state machine of RFC 6146, section 3.5.2. After the steps, the
// mapping lives for lives and not longer.
func TestTCP(t *testing.T) {
	const transitory, established = 4 * time.Minute, 2*time.Hour + 4*time.Minute
	open := []step{{true, syn, nat.Pass}, {false, synAck, nat.Pass}, {true, ack, nat.Pass}}
	then := func(more ...step) []step { return append(append([]step(nil), open...), more...) }
	for _, c := range []struct {
		name  string
		steps []step
		lives time.Duration
	}{
		{"half-open", []step{{true, syn, nat.Pass}}, transitory},
		{"established", open, established},
		{"simultaneous open (REQ-2)", []step{{true, syn, nat.Pass}, {false, syn, nat.Pass}, {true, synAck, nat.Pass}, {false, synAck, nat.Pass}}, established},
		{"one side has ended", then(step{true, fin, nat.Pass}), established},
		{"both have ended", then(step{true, fin, nat.Pass}, step{false, fin, nat.Pass}, step{true, ack, nat.Pass}), transitory},
		{"both have ended, outside first", then(step{false, fin, nat.Pass}, step{true, fin, nat.Pass}), transitory},
		{"reset", then(step{false, rst, nat.Pass}), transitory},
		{"a reset that was ignored", then(step{false, rst, nat.Pass}, step{true, ack, nat.Pass}), established},
		{"the ports are used again", then(step{true, fin, nat.Pass}, step{false, fin, nat.Pass}, step{true, syn, nat.Pass}, step{false, synAck, nat.Pass}), established},
		{"refused", []step{{true, syn, nat.Pass}, {false, rst | ack, nat.Pass}}, transitory},
	} {
		b := newBench(t, topology.NAT{Mapping: eim, Filtering: apm})
		outside := inside
		run := func(s step) nat.Verdict {
			if s.out {
				p, v := b.out(packet.NewTCP(inside, remote, s.flags, 1, 1, nil))
				if v == nat.Pass {
					outside = p.Source()
				}
				return v
			}
			_, v := b.in(packet.NewTCP(remote, outside, s.flags, 1, 1, nil))
			return v
		}
		for k, s := range c.steps {
			if got := run(s); got != s.want {
				t.Errorf("%s: step %d: %v, want %v", c.name, k, got, s.want)
			}
		}
		b.now = b.now.Add(c.lives - time.Second)
		if len(b.Mappings()) != 1 {
			t.Errorf("%s: the mapping is gone before %v", c.name, c.lives)
		}
		b.now = b.now.Add(time.Second)
		if len(b.Mappings()) != 0 {
			t.Errorf("%s: the mapping lives after %v", c.name, c.lives)
		}
		if got := run(step{true, ack, nat.NoSession}); got != nat.NoSession {
			t.Errorf("%s: a segment of the forgotten connection: %v, want %v", c.name, got, nat.NoSession)
		}
	}
}

func TestTCPWithoutConnection(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: eim})
	for name, flags := range map[string]packet.Flags{"ACK": ack, "SYN-ACK": synAck, "FIN": fin, "RST": rst} {
		if _, v := b.out(packet.NewTCP(inside, remote, flags, 1, 1, nil)); v != nat.NoSession {
			t.Errorf("%s from inside: %v, want %v", name, v, nat.NoSession)
		}
	}
}

// RFC 5382, REQ-3: an unsolicited SYN passes an endpoint-independent filter and
// begins a connection; others drop it in silence (REQ-4).
func TestUnsolicitedSYN(t *testing.T) {
	for _, c := range []struct {
		filtering topology.Behavior
		want      nat.Verdict
	}{{eim, nat.Pass}, {adm, nat.Filtered}, {apm, nat.Filtered}} {
		b := newBench(t, topology.NAT{Mapping: eim, Filtering: c.filtering})
		p, _ := b.out(packet.NewTCP(inside, remote, syn, 1, 0, nil))
		outside := p.Source()
		if _, v := b.in(packet.NewTCP(remoteOther, outside, syn, 1, 0, nil)); v != c.want {
			t.Errorf("filtering %s: %v, want %v", c.filtering, v, c.want)
		}
		if c.want != nat.Pass {
			continue
		}
		p, v := b.out(packet.NewTCP(inside, remoteOther, synAck, 1, 2, nil))
		if v != nat.Pass || p.Source() != outside {
			t.Errorf("the answer: %v from %v", v, p.Source())
		}
		for _, flags := range []packet.Flags{ack, synAck} {
			if _, v := b.in(packet.NewTCP(remoteOtherPort, outside, flags, 1, 1, nil)); v != nat.NoSession {
				t.Errorf("flags %b of no connection: %v, want %v", flags, v, nat.NoSession)
			}
		}
	}
}

// A connection outlives the time for which the filter remembers a sender.
func TestTCPFilterLastsAsLongAsTheConnection(t *testing.T) {
	b := newBench(t, topology.NAT{Mapping: eim, Filtering: apm, TCPTimeout: topology.Duration(time.Hour)})
	p, _ := b.out(packet.NewTCP(inside, remote, syn, 1, 0, nil))
	outside := p.Source()
	for range 10 {
		if _, v := b.in(packet.NewTCP(remote, outside, synAck, 1, 1, nil)); v != nat.Pass {
			t.Fatalf("after %v: %v", b.now, v)
		}
		b.now = b.now.Add(50 * time.Minute)
	}
}
