package inspect_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/callpath/callpath/relay/negotiation/inspect"
	"github.com/callpath/callpath/relay/negotiation/wire/ip"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// overTCP makes a call over UDP one over TCP: what each datagram held becomes a
// frame, and segments end wherever they happen to.
func overTCP(t *testing.T, packets []seen, size int) []seen {
	t.Helper()
	var all []seen
	var kept [2][]byte
	sequence := [2]uint32{1000, 4294967000} // the second one wraps
	side := map[bool]int{false: 0, true: 1}
	for i, p := range packets {
		s, err := ip.Parse(p.packet)
		if err != nil {
			t.Fatal(err)
		}
		at := side[p.outbound]
		if sequence[at] == []uint32{1000, 4294967000}[at] {
			all = append(all, seen{p.at, p.outbound, iptest.TCP(s.Source, s.Destination, sequence[at]-1, ip.SYN, nil)})
		}
		frame := append(bytes.Clone(s.Payload), make([]byte, -len(s.Payload)&3)...)
		kept[at] = append(kept[at], frame...)
		// Only what a later datagram answers has to be there before it.
		last := i == len(packets)-1 || packets[i+1].outbound != p.outbound
		for len(kept[at]) >= size || last && len(kept[at]) > 0 {
			n := min(size, len(kept[at]))
			all = append(all, seen{p.at, p.outbound, iptest.TCP(s.Source, s.Destination, sequence[at], 0, kept[at][:n])})
			sequence[at] += uint32(n)
			kept[at] = kept[at][n:]
		}
	}
	return all
}

func TestTURNOverTCP(t *testing.T) {
	c := recorded(t)
	for _, size := range []int{20, 333, 1400} {
		packets := overTCP(t, c.packets, size)
		packets = slices.Insert(packets, 9, packets[8]) // a repeated segment changes nothing
		l := only(t, read(t, pcap(t, layers.LinkTypeRaw, nil, packets), c.options()))
		if l.Verdict != c.want.Verdict {
			t.Errorf("segments of %d bytes: verdict %q, want %q", size, l.Verdict, c.want.Verdict)
		}
		if len(l.TURN) != 1 || l.TURN[0].Protocol != "tcp" || !l.DTLS[0].Peer.Matched {
			t.Errorf("segments of %d bytes: %+v", size, l.TURN)
		}
	}
}

// A connection that is no longer one of TURN is given up, and one that never was is
// not looked into.
func TestOtherTCP(t *testing.T) {
	c := recorded(t)
	packets := overTCP(t, c.packets[:4], 1400)
	client, server := addr(aliceName+":5647"), addr(relayName+":3478")
	packets = append(packets, timed(
		iptest.TCP(client, server, 5000, ip.SYN, nil),
		iptest.TCP(client, server, 5001, 0, []byte("GET / HTTP/1.1\r\n\r\n")),
		iptest.TCP(client, server, 5001, ip.RST, nil),
		iptest.TCP(client, server, 6000, 0, append(bytes.Clone(stunOf(t, c.packets[0])), 0xff, 0xff)),
		iptest.TCP(client, server, 6000, 0, nil),
	)...)
	l := only(t, read(t, pcap(t, layers.LinkTypeRaw, nil, packets), inspect.Options{}))
	if len(l.TURN) == 0 {
		t.Error("no allocation")
	}
	// Very many connections: the oldest are forgotten.
	packets = nil
	for i := range uint16(300) {
		request := bytes.Clone(stunOf(t, c.packets[0]))[:20] // without attributes
		binary.BigEndian.PutUint16(request[2:], 0)
		binary.BigEndian.PutUint16(request[8:], i) // a transaction of its own
		from := netip.AddrPortFrom(netip.MustParseAddr(aliceName), 2000+i)
		packets = append(packets, timed(iptest.TCP(from, server, 1, 0, request))...)
	}
	sameNames(t, read(t, pcap(t, layers.LinkTypeRaw, nil, packets), inspect.Options{}), aliceName)
}

// stunOf is what a datagram holds.
func stunOf(t *testing.T, p seen) []byte {
	t.Helper()
	s, err := ip.Parse(p.packet)
	if err != nil {
		t.Fatal(err)
	}
	return s.Payload
}
