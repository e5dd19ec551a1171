package ip_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/callpath/callpath/relay/negotiation/wire/ip"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

var (
	a4 = netip.MustParseAddrPort("192.0.2.1:1000")
	b4 = netip.MustParseAddrPort("198.51.100.2:2000")
	a6 = netip.MustParseAddrPort("[2001:db8::1]:1000")
	b6 = netip.MustParseAddrPort("[2001:db8::2]:2000")
)

func TestParse(t *testing.T) {
	payload := []byte("payload")
	for name, tt := range map[string]struct {
		packet   []byte
		from, to netip.AddrPort
		protocol uint8
	}{
		"UDP over IPv4": {iptest.UDP(a4, b4, payload), a4, b4, ip.UDP},
		"UDP over IPv6": {iptest.UDP(a6, b6, payload), a6, b6, ip.UDP},
		"TCP over IPv4": {iptest.TCP(a4, b4, 77, ip.SYN, payload), a4, b4, ip.TCP},
		"TCP over IPv6": {iptest.TCP(a6, b6, 77, ip.SYN, payload), a6, b6, ip.TCP},
		// RFC 8200, section 4: extension headers before UDP.
		"UDP after hop-by-hop and destination options": {
			extend(iptest.UDP(a6, b6, payload), 0, []byte{60, 0, 1, 4, 0, 0, 0, 0}, []byte{17, 0, 1, 4, 0, 0, 0, 0}), a6, b6, ip.UDP},
		"UDP in an atomic fragment": {extend(iptest.UDP(a6, b6, payload), 44, []byte{17, 0, 0, 0, 1, 2, 3, 4}), a6, b6, ip.UDP},
		"UDP before padding":        {append(iptest.UDP(a4, b4, payload), 0, 0, 0), a4, b4, ip.UDP},
	} {
		s, err := ip.Parse(tt.packet)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Source != tt.from || s.Destination != tt.to || s.Protocol != tt.protocol || string(s.Payload) != "payload" {
			t.Errorf("%s: got %+v", name, s)
		}
		if tt.protocol == ip.TCP && (s.Sequence != 77 || s.Flags != ip.SYN) {
			t.Errorf("%s: sequence %d, flags %#x", name, s.Sequence, s.Flags)
		}
	}
}

// extend puts extension headers, the first of kind first, into an IPv6 packet.
func extend(packet []byte, first byte, headers ...[]byte) []byte {
	all := slices.Concat(headers...)
	packet = slices.Insert(packet, 40, all...)
	packet[6] = first
	packet[5] += byte(len(all))
	return packet
}

func TestParseRefuses(t *testing.T) {
	change := func(p []byte, at int, value byte) []byte { p = slices.Clone(p); p[at] = value; return p }
	udp4, udp6, tcp4 := iptest.UDP(a4, b4, nil), iptest.UDP(a6, b6, nil), iptest.TCP(a4, b4, 1, 0, nil)
	for name, tt := range map[string]struct {
		packet []byte
		want   error
	}{
		"empty":                       {nil, ip.ErrMalformed},
		"version 5":                   {change(udp4, 0, 0x55), ip.ErrMalformed},
		"short IPv4 header":           {udp4[:19], ip.ErrMalformed},
		"IPv4 header length below 20": {change(udp4, 0, 0x44), ip.ErrMalformed},
		"IPv4 length above packet":    {change(udp4, 3, 200), ip.ErrMalformed},
		"IPv4 more fragments":         {change(udp4, 6, 0x20), ip.ErrFragment},
		"IPv4 fragment offset":        {change(udp4, 7, 1), ip.ErrFragment},
		"ICMP":                        {iptest.IP(a4.Addr(), b4.Addr(), 1, make([]byte, 8)), ip.ErrProtocol},
		"short IPv6 header":           {udp6[:39], ip.ErrMalformed},
		"IPv6 length above packet":    {change(udp6, 4, 1), ip.ErrMalformed},
		"IPv6 fragment":               {extend(udp6, 44, []byte{17, 0, 0, 9, 1, 2, 3, 4}), ip.ErrFragment},
		"short fragment header":       {iptest.IP(a6.Addr(), b6.Addr(), 44, make([]byte, 7)), ip.ErrMalformed},
		"extension above packet":      {iptest.IP(a6.Addr(), b6.Addr(), 0, []byte{17, 9, 0, 0, 0, 0, 0, 0}), ip.ErrMalformed},
		"endless extensions":          {iptest.IP(a6.Addr(), b6.Addr(), 60, slices.Repeat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 20)), ip.ErrMalformed},
		"short UDP":                   {iptest.IP(a4.Addr(), b4.Addr(), 17, make([]byte, 7)), ip.ErrMalformed},
		"UDP length below 8":          {change(udp4, 25, 7), ip.ErrMalformed},
		"UDP length above packet":     {change(udp4, 25, 9), ip.ErrMalformed},
		"short TCP":                   {iptest.IP(a4.Addr(), b4.Addr(), 6, make([]byte, 19)), ip.ErrMalformed},
		"TCP header above packet":     {change(tcp4, 32, 0x60), ip.ErrMalformed},
	} {
		if s, err := ip.Parse(tt.packet); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %+v, %v, want %v", name, s, err, tt.want)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	packet := iptest.UDP(a6, b6, make([]byte, 1200))
	if n := testing.AllocsPerRun(100, func() { _, _ = ip.Parse(packet) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(iptest.UDP(a4, b4, []byte("x")))
	f.Add(iptest.TCP(a6, b6, 1, ip.SYN, []byte("x")))
	f.Add(extend(iptest.UDP(a6, b6, nil), 44, []byte{17, 0, 0, 0, 1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		s, err := ip.Parse(packet)
		if err == nil && (len(s.Payload) > len(packet) || !s.Source.IsValid()) {
			t.Fatalf("%+v", s)
		}
	})
}
