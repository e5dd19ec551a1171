package packet_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/callpath/callpath/topology/sim/packet"
)

// Types and codes: RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.
func TestErrorsOfEachReason(t *testing.T) {
	for _, c := range []struct {
		name         string
		reason       packet.Reason
		type4, code4 byte
		type6, code6 byte
	}{
		{"time exceeded", packet.TimeExceeded, 11, 0, 3, 0},
		{"no route", packet.NoRoute, 3, 0, 1, 0},
		{"host unreachable", packet.HostUnreachable, 3, 1, 1, 3},
		{"port unreachable", packet.PortUnreachable, 3, 3, 1, 4},
		{"prohibited", packet.AdminProhibited, 3, 13, 1, 1},
		{"too big", packet.TooBig, 3, 4, 2, 0},
	} {
		for _, f := range []struct {
			from, to   netip.AddrPort
			kind, code byte
			header     int
			mtu        func([]byte) int
		}{
			{a4, b4, c.type4, c.code4, 20, func(b []byte) int { return int(binary.BigEndian.Uint16(b[6:])) }},
			{a6, b6, c.type6, c.code6, 40, func(b []byte) int { return int(binary.BigEndian.Uint32(b[4:])) }},
		} {
			about := parse(t, packet.NewUDP(f.from, f.to, make([]byte, 1400)))
			data := about.Error(c.reason, f.to.Addr().Next(), 1280)
			e := parse(t, data)
			body := data[f.header:]
			if !e.IsICMPError() || body[0] != f.kind || body[1] != f.code || !e.ChecksumsRight() {
				t.Errorf("%s: %x, want type %d code %d", c.name, data[:f.header+8], f.kind, f.code)
			}
			if want := map[bool]int{true: 1280}[c.reason == packet.TooBig]; f.mtu(body) != want {
				t.Errorf("%s: MTU field %d, want %d", c.name, f.mtu(body), want)
			}
			if e.DestinationAddr() != f.from.Addr() || len(data) > 1280 || f.header == 20 && len(data) != 576 {
				t.Errorf("%s: %d bytes to %v", c.name, len(data), e.DestinationAddr())
			}
			inside, ok := e.Embedded()
			if !ok || inside.Source() != f.from || inside.Destination() != f.to {
				t.Errorf("%s: embedded %v", c.name, inside)
			}
		}
	}
}

// RFC 1122, section 3.2.2, and RFC 4443, section 2.4 e.
func TestWhatIsNeverAnswered(t *testing.T) {
	about := parse(t, packet.NewUDP(a4, b4, nil))
	later := packet.NewUDP(a4, b4, make([]byte, 100))
	binary.BigEndian.PutUint16(later[6:], 1)
	for name, data := range map[string][]byte{
		"an ICMP error":    about.Error(packet.NoRoute, c4.Addr(), 0),
		"a later fragment": later,
		"to a group":       packet.NewUDP(a4, end("224.0.0.251:5353"), nil),
		"to IPv6's group":  packet.NewUDP(a6, end("[ff02::fb]:5353"), nil),
		"to everyone":      packet.NewUDP(a4, end("255.255.255.255:67"), nil),
		"from nobody":      packet.NewUDP(end("0.0.0.0:68"), b4, nil),
		"from itself":      packet.NewUDP(end("127.0.0.1:68"), b4, nil),
		"from a group":     packet.NewUDP(end("224.0.0.1:68"), b4, nil),
	} {
		p := parse(t, data)
		if got := p.Error(packet.TimeExceeded, c4.Addr(), 0); got != nil && p.Version() == 4 {
			t.Errorf("%s is answered with %x", name, got)
		}
		if p.Answerable() {
			t.Errorf("%s is answerable", name)
		}
	}
	if about.Error(packet.NoRoute, c6.Addr(), 0) != nil {
		t.Error("IPv4 is answered from an IPv6 address")
	}
	if about.Error(0, c4.Addr(), 0) != nil {
		t.Error("no reason is answered")
	}
	if _, ok := about.Embedded(); ok || about.RewriteEmbedded(c4, c4) {
		t.Error("UDP has an embedded packet")
	}
}

func TestRewriteEmbedded(t *testing.T) {
	for _, c := range []struct {
		name               string
		about              []byte
		router             netip.Addr
		source, dest, want netip.AddrPort
	}{
		{"UDP", packet.NewUDP(c4, b4, make([]byte, 700)), b4.Addr(), a4, netip.AddrPort{}, a4},
		{"TCP", packet.NewTCP(c4, b4, packet.SYN, 1, 0, nil), b4.Addr(), a4, netip.AddrPort{}, a4},
		{"echo", packet.NewEcho(c4.Addr(), b4.Addr(), false, 9, 1, nil), b4.Addr(), a4, netip.AddrPort{}, a4},
		{"IPv6", packet.NewUDP(c6, b6, make([]byte, 1400)), b6.Addr(), a6, netip.AddrPort{}, a6},
		{"destination", packet.NewUDP(b4, a4, nil), a4.Addr(), netip.AddrPort{}, c4, b4},
	} {
		about := parse(t, c.about)
		e := parse(t, about.Error(packet.PortUnreachable, c.router, 0))
		if !e.RewriteEmbedded(c.source, c.dest) {
			t.Errorf("%s: not rewritten", c.name)
			continue
		}
		inside, _ := e.Embedded()
		if inside.Source() != c.want || c.dest.IsValid() && inside.Destination() != c.dest || !e.ChecksumsRight() {
			t.Errorf("%s: embedded %v, checksums right: %v", c.name, inside.String(), e.ChecksumsRight())
		}
	}
}

// RFC 792 lets an error hold the IP header and 8 bytes: TCP's checksum is then not
// there to rewrite.
func TestRewriteEmbeddedThatIsCutShort(t *testing.T) {
	about := parse(t, packet.NewTCP(c4, b4, packet.SYN, 1, 0, nil))
	long := about.Error(packet.TimeExceeded, b4.Addr(), 0)
	short := bytes.Clone(long[:20+8+28])
	binary.BigEndian.PutUint16(short[2:], uint16(len(short)))
	packet.Finish(short)
	e := parse(t, short)
	if !e.RewriteEmbedded(a4, netip.AddrPort{}) || !e.ChecksumsRight() {
		t.Fatalf("not rewritten: %x", short)
	}
	if inside, ok := e.Embedded(); !ok || inside.Source() != a4 {
		t.Errorf("embedded source %v, want %v", inside.Source(), a4)
	}
}

// RFC 9293, section 3.5.2.
func TestReset(t *testing.T) {
	for _, c := range []struct {
		name     string
		flags    packet.Flags
		want     packet.Flags
		seq, ack uint32
	}{
		{"SYN", packet.SYN, packet.RST | packet.ACK, 0, 101 + 4},
		{"FIN", packet.FIN, packet.RST | packet.ACK, 0, 101 + 4},
		{"segment with ACK", packet.ACK, packet.RST, 200, 0},
	} {
		p := parse(t, packet.NewTCP(a4, b4, c.flags, 100, 200, []byte("data")))
		r := parse(t, p.Reset())
		seq, ack := binary.BigEndian.Uint32(r.Bytes()[24:]), binary.BigEndian.Uint32(r.Bytes()[28:])
		if r.TCPFlags() != c.want || seq != c.seq || ack != c.ack || r.Source() != b4 || r.Destination() != a4 || !r.ChecksumsRight() {
			t.Errorf("%s: flags %b, seq %d, ack %d, %v; want %b, %d, %d", c.name, r.TCPFlags(), seq, ack, r.String(), c.want, c.seq, c.ack)
		}
	}
	for name, data := range map[string][]byte{
		"UDP":   packet.NewUDP(a4, b4, nil),
		"reset": packet.NewTCP(a4, b4, packet.RST, 1, 0, nil),
	} {
		if p := parse(t, data); p.Reset() != nil {
			t.Errorf("%s is answered with a reset", name)
		}
	}
}

// syn makes a SYN with options.
func syn(from, to netip.AddrPort, options ...byte) []byte {
	data := packet.NewTCP(from, to, packet.SYN, 1, 0, options)
	at := 32
	if from.Addr().Is6() {
		at = 52
	}
	data[at] = byte(20+len(options)) / 4 << 4
	packet.Finish(data)
	return data
}

func TestClampMSS(t *testing.T) {
	for _, c := range []struct {
		name    string
		data    []byte
		mtu     int
		at      int // of the MSS in the options
		want    uint16
		changed bool
	}{
		{"IPv4", syn(a4, b4, 2, 4, 0x05, 0xb4), 1300, 2, 1260, true},
		{"IPv6", syn(a6, b6, 2, 4, 0x05, 0xa0), 1300, 2, 1240, true},
		{"small enough", syn(a4, b4, 2, 4, 0x02, 0x18), 1300, 2, 536, false},
		{"behind others", syn(a4, b4, 4, 2, 1, 1, 2, 4, 0x05, 0xb4, 0, 0), 1300, 6, 1260, true},
		{"at an odd place", syn(a4, b4, 1, 2, 4, 0x05, 0xb4, 0, 0, 0), 1300, 3, 1260, true},
		{"malformed", syn(a4, b4, 8, 0, 2, 4, 0x05, 0xb4, 0, 0), 1300, 4, 1460, false},
		{"behind the end", syn(a4, b4, 0, 0, 2, 4, 0x05, 0xb4, 0, 0), 1300, 4, 1460, false},
		{"absurd MTU", syn(a4, b4, 2, 4, 0x05, 0xb4), 40, 2, 1460, false},
	} {
		p := parse(t, c.data)
		changed := p.ClampMSS(c.mtu)
		options := c.data[len(c.data)-len(p.Bytes()):]
		at := 40 + c.at
		if p.Version() == 6 {
			at = 60 + c.at
		}
		if got := binary.BigEndian.Uint16(options[at:]); got != c.want || changed != c.changed || !p.ChecksumsRight() {
			t.Errorf("%s: MSS %d, changed %v, checksums right %v; want %d, %v", c.name, got, changed, p.ChecksumsRight(), c.want, c.changed)
		}
	}
	other := parse(t, packet.NewTCP(a4, b4, packet.ACK, 1, 0, nil))
	if other.ClampMSS(500) {
		t.Error("a segment without SYN was changed")
	}
}
