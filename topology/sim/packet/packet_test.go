package packet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/callpath/callpath/topology/sim/packet"
)

func end(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	a4, b4 = end("10.1.0.10:5000"), end("198.51.100.10:3478")
	a6, b6 = end("[2001:db8:1::10]:5000"), end("[2001:db8:99::10]:3478")
	c4, c6 = end("192.0.2.77:61234"), end("[2001:db8:77::1]:61234")
)

// samples are packets of each kind that the package rewrites.
func samples() map[string][]byte {
	payload := []byte("an odd number of bytes.")
	all := map[string][]byte{}
	for _, c := range []struct {
		family      string
		from, to    netip.AddrPort
		embedded    []byte
		unreachable packet.Reason
	}{
		{"IPv4", a4, b4, packet.NewUDP(b4, a4, payload), packet.PortUnreachable},
		{"IPv6", a6, b6, packet.NewUDP(b6, a6, payload), packet.PortUnreachable},
	} {
		all["UDP over "+c.family] = packet.NewUDP(c.from, c.to, payload)
		all["TCP over "+c.family] = packet.NewTCP(c.from, c.to, packet.ACK|packet.PSH, 7, 9, payload)
		all["echo over "+c.family] = packet.NewEcho(c.from.Addr(), c.to.Addr(), false, 5000, 1, payload)
		all["echo reply over "+c.family] = packet.NewEcho(c.from.Addr(), c.to.Addr(), true, 3478, 1, payload)
		about, err := packet.Parse(c.embedded)
		if err != nil {
			panic(err)
		}
		all["ICMP error over "+c.family] = about.Error(c.unreachable, c.from.Addr(), 0)
	}
	return all
}

func parse(t testing.TB, data []byte) packet.Packet {
	t.Helper()
	p, err := packet.Parse(data)
	if err != nil {
		t.Fatalf("parse %x: %v", data, err)
	}
	return p
}

func TestRewritingKeepsChecksumsRight(t *testing.T) {
	for name, data := range samples() {
		t.Run(name, func(t *testing.T) {
			p := parse(t, data)
			if !p.ChecksumsRight() {
				t.Fatalf("checksums are wrong to begin with: %x", data)
			}
			to := c4
			if p.Version() == 6 {
				to = c6
			}
			hadSource, hadDestination := p.Source().Port() != 0, p.Destination().Port() != 0
			p.SetSource(to)
			p.SetDestination(netip.AddrPortFrom(to.Addr().Next(), 1))
			if !p.ChecksumsRight() {
				t.Errorf("checksums are wrong after rewriting: %x", data)
			}
			check := func(what string, got netip.AddrPort, addr netip.Addr, port uint16, had bool) {
				if !had {
					port = 0
				}
				if got != netip.AddrPortFrom(addr, port) {
					t.Errorf("%s is %v, want %v and port %d", what, got, addr, port)
				}
			}
			check("source", p.Source(), to.Addr(), to.Port(), hadSource)
			check("destination", p.Destination(), to.Addr().Next(), 1, hadDestination)
			if got := parse(t, p.Bytes()); got.Source() != p.Source() {
				t.Errorf("parsed again, the source is %v, want %v", got.Source(), p.Source())
			}
		})
	}
}

func TestEndpointsOfEachKind(t *testing.T) {
	for name, want := range map[string][2]netip.AddrPort{
		"UDP over IPv4":        {a4, b4},
		"TCP over IPv6":        {a6, b6},
		"echo over IPv4":       {a4, netip.AddrPortFrom(b4.Addr(), 0)},
		"echo reply over IPv4": {netip.AddrPortFrom(a4.Addr(), 0), b4},
		"echo over IPv6":       {a6, netip.AddrPortFrom(b6.Addr(), 0)},
		"ICMP error over IPv4": {netip.AddrPortFrom(a4.Addr(), 0), netip.AddrPortFrom(b4.Addr(), 0)},
	} {
		p := parse(t, samples()[name])
		if got := [2]netip.AddrPort{p.Source(), p.Destination()}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if !strings.Contains(p.String(), fmt.Sprint(want[0].Addr())) {
			t.Errorf("%s: string %q lacks the source", name, p.String())
		}
	}
}

func TestRewritingToTheOtherFamilyChangesNothing(t *testing.T) {
	data := packet.NewUDP(a4, b4, nil)
	was := bytes.Clone(data)
	p := parse(t, data)
	p.SetSource(a6)
	p.SetDestination(b6)
	six := packet.NewUDP(a6, b6, nil)
	was6 := bytes.Clone(six)
	q := parse(t, six)
	q.SetSource(a4)
	q.SetDestination(b4)
	if !bytes.Equal(data, was) || !bytes.Equal(six, was6) {
		t.Error("the packet was changed")
	}
}

// RFC 768: a checksum of zero means that there is none.
func TestUDPWithoutChecksumStaysWithout(t *testing.T) {
	data := packet.NewUDP(a4, b4, []byte("x"))
	data[26], data[27] = 0, 0
	p := parse(t, data)
	p.SetSource(c4)
	if data[26]|data[27] != 0 {
		t.Errorf("checksum %x, want none", data[26:28])
	}
	if !p.ChecksumsRight() {
		t.Error("no checksum counts as wrong")
	}
	six := packet.NewUDP(a6, b6, []byte("x"))
	six[46], six[47] = 0, 0
	if q := parse(t, six); q.ChecksumsRight() {
		t.Error("IPv6 without a UDP checksum counts as right")
	}
}

// A sum that comes out as zero is written as ffff (RFC 768).
func TestUDPChecksumIsNeverZero(t *testing.T) {
	data := packet.NewUDP(a4, b4, []byte("x"))
	p := parse(t, data)
	for port := range 65536 {
		p.SetSource(netip.AddrPortFrom(a4.Addr(), uint16(port)))
		if data[26]|data[27] == 0 {
			t.Fatalf("port %d: the checksum is zero", port)
		}
	}
	if !p.ChecksumsRight() {
		t.Error("after 65536 changes the checksum is wrong")
	}
}

func TestAge(t *testing.T) {
	for name, data := range samples() {
		p := parse(t, data)
		hops := 0
		for p.Age() {
			hops++
		}
		if hops != 63 || p.TTL() != 1 || !p.ChecksumsRight() {
			t.Errorf("%s: %d hops, TTL %d, checksums right: %v; want 63, 1, true", name, hops, p.TTL(), p.ChecksumsRight())
		}
	}
}

// with returns a copy of a packet with one byte changed.
func with(data []byte, at int, b byte) []byte {
	out := bytes.Clone(data)
	out[at] = b
	return out
}

// extended puts IPv6 extension headers in front of a UDP packet's transport.
func extended(first byte, headers ...byte) []byte {
	return extendedWith([]byte("payload"), first, headers...)
}

func extendedWith(payload []byte, first byte, headers ...byte) []byte {
	udp := packet.NewUDP(a6, b6, payload)
	out := append(bytes.Clone(udp[:40]), headers...)
	out = append(out, udp[40:]...)
	out[6] = first
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-40))
	return out
}

func TestParseRefuses(t *testing.T) {
	udp4, udp6 := packet.NewUDP(a4, b4, []byte("x")), packet.NewUDP(a6, b6, []byte("x"))
	tcp := packet.NewTCP(a4, b4, packet.SYN, 0, 0, nil)
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, packet.ErrTruncated},
		{"version 5", with(udp4, 0, 0x55), packet.ErrVersion},
		{"half an IPv4 header", udp4[:10], packet.ErrTruncated},
		{"IPv4 header length below 20", with(udp4, 0, 0x44), packet.ErrHeader},
		{"IPv4 length below its header", with(udp4, 3, 19), packet.ErrHeader},
		{"IPv4 cut short", udp4[:len(udp4)-1], packet.ErrTruncated},
		{"UDP header cut short", with(udp4[:25], 3, 25), packet.ErrTruncated},
		{"TCP header cut short", with(tcp[:39], 3, 39), packet.ErrTruncated},
		{"half an IPv6 header", udp6[:39], packet.ErrTruncated},
		{"IPv6 cut short", udp6[:len(udp6)-1], packet.ErrTruncated},
		{"extension header cut short", extended(0, 17)[:48], packet.ErrTruncated},
		{"extension header longer than the packet", extended(60, 17, 200, 0, 0, 0, 0, 0, 0), packet.ErrTruncated},
		{"two fragment headers", extended(44, 44, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 1), packet.ErrHeader},
	} {
		if _, err := packet.Parse(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestParseStepsOverExtensionHeaders(t *testing.T) {
	p := parse(t, extended(0, 60, 0, 0, 0, 0, 0, 0, 0, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	if p.Protocol() != packet.UDP || p.Source() != a6 || string(p.Payload()) != "payload" {
		t.Errorf("protocol %d from %v with %q", p.Protocol(), p.Source(), p.Payload())
	}
	padded := append(packet.NewUDP(a4, b4, []byte("x")), 0, 0, 0)
	if q := parse(t, padded); q.Len() != 29 || string(q.Payload()) != "x" {
		t.Errorf("padding: %d bytes with %q, want 29 with x", q.Len(), q.Payload())
	}
}

func TestPayloadAndFlags(t *testing.T) {
	p := parse(t, packet.NewTCP(a4, b4, packet.SYN|packet.ACK, 1, 2, []byte("data")))
	if string(p.Payload()) != "data" || p.TCPFlags() != packet.SYN|packet.ACK {
		t.Errorf("payload %q, flags %b", p.Payload(), p.TCPFlags())
	}
	broken := parse(t, with(p.Bytes(), 32, 0x10)) // data offset of 4 bytes
	if broken.Payload() != nil {
		t.Errorf("payload of a malformed segment: %q", broken.Payload())
	}
	u := parse(t, packet.NewUDP(a4, b4, nil))
	if u.TCPFlags() != 0 || u.DontFragment() || u.IsFragment() {
		t.Error("a UDP packet has TCP flags, DF, or is a fragment")
	}
	e := parse(t, packet.NewEcho(a4.Addr(), b4.Addr(), false, 1, 2, []byte("ping")))
	if len(e.Payload()) != 12 || !e.IsEchoRequest() || e.IsEchoReply() {
		t.Errorf("echo request: payload of %d bytes", len(e.Payload()))
	}
}
