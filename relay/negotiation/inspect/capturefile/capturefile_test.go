package capturefile_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/callpath/callpath/relay/negotiation/inspect/capturefile"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

var (
	at = time.Date(2026, 11, 24, 20, 0, 0, 123456789, time.UTC)
	a4 = netip.MustParseAddrPort("192.0.2.1:1000")
	b4 = netip.MustParseAddrPort("198.51.100.2:2000")
	a6 = netip.MustParseAddrPort("[2001:db8::1]:1000")
	b6 = netip.MustParseAddrPort("[2001:db8::2]:2000")
)

// file puts blocks, or anything else, one after the other.
func file(parts ...[]byte) []byte { return slices.Concat(parts...) }

// block frames a body of a pcapng block, in either byte order.
func block(order binary.AppendByteOrder, kind uint32, body ...[]byte) []byte {
	inside := slices.Concat(body...)
	for len(inside)%4 != 0 {
		inside = append(inside, 0)
	}
	length := uint32(len(inside) + 12)
	b := order.AppendUint32(order.AppendUint32(nil, kind), length)
	return order.AppendUint32(append(b, inside...), length)
}

func words(order binary.AppendByteOrder, all ...uint32) []byte {
	var b []byte
	for _, w := range all {
		b = order.AppendUint32(b, w)
	}
	return b
}

func halves(order binary.AppendByteOrder, all ...uint16) []byte {
	var b []byte
	for _, w := range all {
		b = order.AppendUint16(b, w)
	}
	return b
}

func option(order binary.AppendByteOrder, code uint16, value []byte) []byte {
	b := append(halves(order, code, uint16(len(value))), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

var ended = []byte{0, 0, 0, 0} // opt_endofopt, the same in both orders

func section(order binary.AppendByteOrder, minor uint16, options ...[]byte) []byte {
	return block(order, 0x0a0d0d0a, words(order, 0x1a2b3c4d), halves(order, 1, minor), words(order, math.MaxUint32, math.MaxUint32), slices.Concat(options...))
}

// onInterface describes an interface without a snap length.
func onInterface(order binary.AppendByteOrder, link uint16, options ...[]byte) []byte {
	return block(order, 1, halves(order, link, 0), words(order, 0), slices.Concat(options...))
}

func padded(b []byte) []byte { return append(slices.Clone(b), make([]byte, -len(b)&3)...) }

func enhanced(order binary.AppendByteOrder, on uint32, time uint64, packet []byte, options ...[]byte) []byte {
	return block(order, 6, words(order, on, uint32(time>>32), uint32(time), uint32(len(packet)), uint32(len(packet))), padded(packet), slices.Concat(options...))
}

// all reads a file to its end; the packets are copies.
func all(b []byte, onKeyLog func([]byte)) (packets []capturefile.Packet, err error) {
	r, err := capturefile.NewReader(bytes.NewReader(b), onKeyLog)
	if err != nil {
		return nil, err
	}
	for {
		p, err := r.Next()
		if err == io.EOF {
			return packets, nil
		}
		if err != nil {
			return packets, err
		}
		p.IP = bytes.Clone(p.IP)
		packets = append(packets, p)
	}
}

func mustRead(t *testing.T, b []byte) []capturefile.Packet {
	t.Helper()
	packets, err := all(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

func one(t *testing.T, b []byte) capturefile.Packet {
	t.Helper()
	packets := mustRead(t, b)
	if len(packets) != 1 {
		t.Fatalf("got %d packets, want 1", len(packets))
	}
	return packets[0]
}

// pcap writes one frame as a pcap file, truncated to cut bytes when that is not 0.
func pcap(t testing.TB, link layers.LinkType, nanoseconds bool, cut int, frame []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if nanoseconds {
		w = pcapgo.NewWriterNanos(&b)
	}
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(frame), Length: len(frame)}
	if cut > 0 {
		info.CaptureLength, frame = cut, frame[:cut]
	}
	if err := w.WritePacket(info, frame); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestIPPacketsOfEveryLinkType(t *testing.T) {
	v4, v6 := iptest.UDP(a4, b4, []byte("four")), iptest.UDP(a6, b6, []byte("six"))
	macs := make([]byte, 12)
	sll := func(kind byte, etherType ...byte) []byte {
		return append(append([]byte{0, kind}, make([]byte, 12)...), etherType...)
	}
	sll2 := func(kind byte, etherType ...byte) []byte {
		return append(append(etherType, 0, 0, 0, 0, 0, 2, 0, 1, kind, 6), make([]byte, 8)...)
	}
	for name, tt := range map[string]struct {
		link      layers.LinkType
		head      []byte
		packet    []byte
		direction capturefile.Direction
	}{
		"raw IPv4":                     {layers.LinkTypeRaw, nil, v4, 0},
		"raw IPv6":                     {layers.LinkTypeRaw, nil, v6, 0},
		"raw, as OpenBSD numbers it":   {14, nil, v4, 0},
		"IPv4":                         {layers.LinkTypeIPv4, nil, v4, 0},
		"IPv6":                         {layers.LinkTypeIPv6, nil, v6, 0},
		"Ethernet, IPv4":               {layers.LinkTypeEthernet, file(macs, []byte{8, 0}), v4, 0},
		"Ethernet, IPv6":               {layers.LinkTypeEthernet, file(macs, []byte{0x86, 0xdd}), v6, 0},
		"Ethernet with VLAN":           {layers.LinkTypeEthernet, file(macs, []byte{0x81, 0, 0, 7, 8, 0}), v4, 0},
		"Ethernet with two VLANs":      {layers.LinkTypeEthernet, file(macs, []byte{0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 0x86, 0xdd}), v6, 0},
		"cooked, received":             {layers.LinkTypeLinuxSLL, sll(0, 8, 0), v4, capturefile.Inbound},
		"cooked, sent":                 {layers.LinkTypeLinuxSLL, sll(4, 0x86, 0xdd), v6, capturefile.Outbound},
		"cooked, of another machine":   {layers.LinkTypeLinuxSLL, sll(3, 8, 0), v4, capturefile.Unknown},
		"cooked 2, received":           {layers.LinkTypeLinuxSLL2, sll2(0, 8, 0), v4, capturefile.Inbound},
		"cooked 2, sent":               {layers.LinkTypeLinuxSLL2, sll2(4, 0x86, 0xdd), v6, capturefile.Outbound},
		"loopback, little-endian":      {layers.LinkTypeNull, []byte{2, 0, 0, 0}, v4, 0},
		"loopback of macOS, IPv6":      {layers.LinkTypeNull, []byte{30, 0, 0, 0}, v6, 0},
		"loopback of OpenBSD":          {layers.LinkTypeLoop, []byte{0, 0, 0, 2}, v4, 0},
		"Ethernet, ARP":                {layers.LinkTypeEthernet, file(macs, []byte{8, 6}), nil, 0},
		"Ethernet, short":              {layers.LinkTypeEthernet, macs, nil, 0},
		"Ethernet, VLAN without end":   {layers.LinkTypeEthernet, file(macs, bytes.Repeat([]byte{0x81, 0, 0, 7}, 5)), nil, 0},
		"Ethernet, VLAN and no more":   {layers.LinkTypeEthernet, file(macs, []byte{0x81, 0, 0}), nil, 0},
		"cooked, short":                {layers.LinkTypeLinuxSLL, sll(0, 8), nil, 0},
		"cooked 2, short":              {layers.LinkTypeLinuxSLL2, sll2(0, 8, 0)[:19], nil, 0},
		"loopback, short":              {layers.LinkTypeNull, []byte{2, 0}, nil, 0},
		"raw, neither version":         {layers.LinkTypeRaw, []byte{0x55}, nil, 0},
		"a link type that is not read": {layers.LinkTypeIEEE802_11, []byte{1, 2, 3}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := one(t, pcap(t, tt.link, false, 0, file(tt.head, tt.packet)))
			if !bytes.Equal(p.IP, tt.packet) {
				t.Errorf("got %x, want %x", p.IP, tt.packet)
			}
			if p.Direction != tt.direction {
				t.Errorf("direction %v, want %v", p.Direction, tt.direction)
			}
			if want := tt.link != layers.LinkTypeIEEE802_11; p.Interface.Read != want {
				t.Errorf("Read is %t, want %t", p.Interface.Read, want)
			}
			if p.Cut {
				t.Error("a whole frame counts as cut")
			}
		})
	}
	if links := capturefile.Links(); !strings.Contains(links, "Ethernet") || strings.Count(links, "raw IP") != 1 {
		t.Errorf("Links: %s", links)
	}
}

func TestPcapInEitherOrderAndResolution(t *testing.T) {
	packet := iptest.UDP(a4, b4, []byte("x"))
	for name, tt := range map[string]struct {
		order binary.AppendByteOrder
		magic uint32
		part  uint32
		want  time.Time
	}{
		"microseconds, little-endian": {binary.LittleEndian, 0xa1b2c3d4, 123456, at.Truncate(time.Microsecond)},
		"microseconds, big-endian":    {binary.BigEndian, 0xa1b2c3d4, 123456, at.Truncate(time.Microsecond)},
		"nanoseconds, little-endian":  {binary.LittleEndian, 0xa1b23c4d, 123456789, at},
		"nanoseconds, big-endian":     {binary.BigEndian, 0xa1b23c4d, 123456789, at},
	} {
		t.Run(name, func(t *testing.T) {
			// The upper bits of the link type tell of a frame check sequence.
			head := file(words(tt.order, tt.magic), halves(tt.order, 2, 4), words(tt.order, 0, 0, 65535, 0x14000000|101))
			n := uint32(len(packet))
			p := one(t, file(head, words(tt.order, uint32(at.Unix()), tt.part, n, n), packet))
			if !p.Time.Equal(tt.want) || !bytes.Equal(p.IP, packet) {
				t.Errorf("got %v %x, want %v %x", p.Time, p.IP, tt.want, packet)
			}
		})
	}
}

func TestPcapngInEitherOrder(t *testing.T) {
	v4, v6 := iptest.UDP(a4, b4, []byte("four")), iptest.UDP(a6, b6, []byte("six"))
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		t.Run(name, func(t *testing.T) {
			flags := func(v uint32) []byte { return file(option(order, 2, words(order, v)), ended) }
			us, ns := uint64(at.UnixMicro()), uint64(at.UnixNano())
			packets := mustRead(t, file(
				section(order, 0, option(order, 4, []byte("somebody's")), ended),
				onInterface(order, 101, option(order, 2, []byte("eth0")), ended),
				onInterface(order, 101, option(order, 2, []byte("wlan0")), option(order, 9, []byte{9}), ended),
				block(order, 0x0bad, []byte("a block that nobody knows")),
				block(order, 4, []byte{0, 0, 0, 0}), // names of addresses
				enhanced(order, 0, us, v4, flags(1)),
				enhanced(order, 1, ns, v6, flags(2)),
				enhanced(order, 1, ns, v6, flags(0)),
				block(order, 2, halves(order, 1, 0), words(order, uint32(ns>>32), uint32(ns), uint32(len(v4)), uint32(len(v4))), padded(v4)),
				block(order, 3, words(order, uint32(len(v4))), padded(v4)),
				// A new section forgets the interfaces; 1.2 stands for 1.0.
				section(order, 2),
				onInterface(order, 101),
				enhanced(order, 0, us, v6),
			))
			want := []struct {
				name      string
				direction capturefile.Direction
				time      time.Time
				packet    []byte
			}{
				{"eth0", capturefile.Inbound, at.Truncate(time.Microsecond), v4},
				{"wlan0", capturefile.Outbound, at, v6},
				{"wlan0", capturefile.Unknown, at, v6},
				{"wlan0", capturefile.Unknown, at, v4},
				{"eth0", capturefile.Unknown, time.Time{}, v4},
				{"", capturefile.Unknown, at.Truncate(time.Microsecond), v6},
			}
			if len(packets) != len(want) {
				t.Fatalf("got %d packets, want %d", len(packets), len(want))
			}
			for i, p := range packets {
				if p.Interface.Name != want[i].name || p.Direction != want[i].direction || !p.Time.Equal(want[i].time) || !bytes.Equal(p.IP, want[i].packet) {
					t.Errorf("packet %d: got %s, direction %d, %v, %x, want %+v", i, p.Interface.Name, p.Direction, p.Time, p.IP, want[i])
				}
			}
			if packets[0].Interface.Application != "somebody's" || packets[5].Interface.Application != "" {
				t.Errorf("applications %q and %q", packets[0].Interface.Application, packets[5].Interface.Application)
			}
			if packets[1].Interface != packets[2].Interface {
				t.Error("one interface has two pointers")
			}
		})
	}
}

func TestGzip(t *testing.T) {
	packet := iptest.UDP(a4, b4, []byte("x"))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(pcap(t, layers.LinkTypeRaw, true, 0, packet)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if p := one(t, b.Bytes()); !bytes.Equal(p.IP, packet) || !p.Time.Equal(at) {
		t.Errorf("got %x at %v", p.IP, p.Time)
	}
	r, err := capturefile.NewReader(bytes.NewReader(b.Bytes()), nil)
	if err != nil || r.Format() != "pcap, gzip" {
		t.Errorf("format %q, error %v", r.Format(), err)
	}
	for n := range b.Len() {
		if packets, err := all(b.Bytes()[:n], nil); err == nil {
			t.Errorf("no error for the first %d bytes, with %d packets", n, len(packets))
		}
	}
	if _, err := all([]byte{0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, nil); err == nil || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("got %v, want an error about gzip", err)
	}
}

func TestPacketsThatWereCut(t *testing.T) {
	packet := iptest.UDP(a4, b4, make([]byte, 100))
	if p := one(t, pcap(t, layers.LinkTypeRaw, false, 60, packet)); !p.Cut || len(p.IP) != 60 {
		t.Errorf("Cut is %t with %d bytes, want true with 60", p.Cut, len(p.IP))
	}
	if p := one(t, pcap(t, layers.LinkTypeEthernet, false, 10, file(make([]byte, 12), []byte{8, 0}, packet))); !p.Cut || p.IP != nil {
		t.Errorf("Cut is %t with %d bytes, want true with none", p.Cut, len(p.IP))
	}
	if p := one(t, pcap(t, layers.LinkTypeRaw, false, 3, iptest.UDP(a6, b6, nil))); !p.Cut {
		t.Error("a packet without its length is not cut")
	}
	order := binary.LittleEndian
	simple := block(order, 3, words(order, uint32(len(packet))), packet[:60])
	if p := one(t, file(section(order, 0), onInterface(order, 101), simple)); !p.Cut || len(p.IP) != 60 {
		t.Errorf("a simple packet: Cut is %t with %d bytes, want true with 60", p.Cut, len(p.IP))
	}
}

func TestTimesBeyondWhatCanBeWritten(t *testing.T) {
	order := binary.LittleEndian
	packet := iptest.UDP(a4, b4, nil)
	p := one(t, file(section(order, 0), onInterface(order, 101, option(order, 9, []byte{0x80}), ended), enhanced(order, 0, math.MaxUint64/2, packet)))
	if !p.Time.IsZero() {
		t.Errorf("got %v, want none", p.Time)
	}
	if p := one(t, file(section(order, 0), onInterface(order, 101, option(order, 9, []byte{0x8a}), ended), enhanced(order, 0, 3<<10|512, packet))); p.Time.Round(time.Millisecond).UnixMilli() != 3500 {
		t.Errorf("got %v, want 3.5 s after the epoch", p.Time)
	}
}

func TestKeyLogInside(t *testing.T) {
	order := binary.LittleEndian
	secrets := func(kind uint32, length int, text string) []byte {
		return block(order, 10, words(order, kind, uint32(length)), []byte(text))
	}
	const tls, text = 0x544c534b, "CLIENT_RANDOM 00 11\n"
	var got []string
	_, err := all(file(section(order, 0),
		secrets(tls, len(text), text),
		secrets(tls, len(text)+99, text), // says more than there is
		secrets(0x57474b4c, len(text), text),
		block(order, 10, nil),
	), func(b []byte) { got = append(got, string(b)) })
	if err != nil || !slices.Equal(got, []string{text}) {
		t.Errorf("got %q, error %v, want the one key log", got, err)
	}
}
