package capturefile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/callpath/callpath/relay/negotiation/inspect/capturefile"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// What is wrong is told with its place, and what was before it is read.
func TestErrorsNameTheirPlace(t *testing.T) {
	order := binary.LittleEndian
	packet := padded(iptest.UDP(a4, b4, []byte("x")))
	sound := file(section(order, 0), onInterface(order, 101), enhanced(order, 0, 1, packet))
	n := int64(len(sound))
	small := pcap(t, layers.LinkTypeRaw, false, 0, packet)
	change := func(b []byte, at int, value byte) []byte { b = bytes.Clone(b); b[at] = value; return b }
	lie := func(b []byte, length uint32) []byte { b = bytes.Clone(b); order.PutUint32(b[4:], length); return b }
	for name, tt := range map[string]struct {
		file    []byte
		offset  int64
		packets int
		text    string
	}{
		"empty":                      {nil, 0, 0, "ends after 0 bytes"},
		"three bytes":                {[]byte{1, 2, 3}, 3, 0, "ends after 3 bytes"},
		"no capture":                 {[]byte("hello, world"), 0, 0, "68 65 6c 6c"},
		"pcap, a future version":     {change(small, 4, 3), 0, 0, "version 3"},
		"pcap, head cut":             {small[:20], 0, 0, "in the middle of the head"},
		"pcap, record's head cut":    {small[:30], 24, 0, "in the middle of a packet"},
		"pcap, only a record's head": {small[:40], 24, 0, "in the middle of a packet"},
		"pcap, record cut":           {small[:len(small)-1], 24, 0, "in the middle of a packet"},
		"pcap, garbage after":        {file(small, bytes.Repeat([]byte{0xee}, 99)), int64(len(small)), 1, "capture length"},
		"pcap, a packet too large": {file(words(order, 0xa1b2c3d4), halves(order, 2, 4), words(order, 0, 0, 1<<20, 101),
			words(order, 0, 0, 300<<10, 300<<10), make([]byte, 300<<10)), 24, 0, "307200 bytes"},
		"pcapng, wrong byte order mark": {change(sound, 9, 0), 0, 0, "byte order mark"},
		"pcapng, a future version":      {change(sound, 12, 3), 0, 0, "ersion"},
		"pcapng, no section first":      {sound[28:], 0, 0, "no capture begins"},
		"garbage after":                 {file(sound, bytes.Repeat([]byte{0xee}, 99)), n, 1, "length of"},
		"a few bytes after":             {file(sound, []byte{6, 0, 0}), n, 1, "in the middle of the block"},
		"a length of nothing":           {file(sound, lie(sound[28:48], 8)), n, 1, "length of 8"},
		"an odd length":                 {file(sound, lie(sound[28:48], 21)), n, 1, "length of 21"},
		"a length of a gigabyte":        {file(sound, lie(sound[28:48], 1<<30)), n, 1, "length of 1073741824"},
		"two different lengths":         {file(sound, change(sound[28:48], 16, 24)), n, 1, "ends with one of 24"},
		"an unknown block cut":          {file(sound, lie(block(order, 0x0bad, make([]byte, 40)), 400)), n, 1, "in the middle of the block"},
		"an enhanced packet too short":  {file(sound, block(order, 6, make([]byte, 16))), n, 1, "length of 28"},
		"more captured than there is":   {file(sound, change(enhanced(order, 0, 1, packet), 20, 200)), n, 1, "packet of 200 bytes"},
		"an interface that is not":      {file(sound, enhanced(order, 7, 1, packet)), n, 1, "7 not present"},
		"a simple packet too large":     {file(sound, block(order, 3, words(order, 300<<10), make([]byte, 300<<10))), n, 1, "packet of 307200"},
		"an option beyond the block":    {file(sound, enhanced(order, 0, 1, packet, halves(order, 5, 99))), n, 1, "option 5"},
		"a resolution beyond numbers":   {file(sound, onInterface(order, 101, option(order, 9, []byte{100}), ended)), n, 1, "too high"},
		"too many interfaces":           {file(section(order, 0), bytes.Repeat(onInterface(order, 101, option(order, 1, make([]byte, 60000)), ended), 20)), 28 + 17*60028, 0, "too many descriptions"},
	} {
		t.Run(name, func(t *testing.T) {
			packets, err := all(tt.file, nil)
			wrong, ok := errors.AsType[*capturefile.Error](err)
			if !ok {
				t.Fatalf("got %d packets and %v, want an *Error", len(packets), err)
			}
			if wrong.Offset != tt.offset || len(packets) != tt.packets || !strings.Contains(err.Error(), tt.text) || wrong.Valid == "" {
				t.Errorf("got %d packets and %v (valid %q), want %d packets and offset %d with %q", len(packets), err, wrong.Valid, tt.packets, tt.offset, tt.text)
			}
		})
	}
}

// A file that ends anywhere gives all packets before, and an error unless it ends
// between two packets.
func TestFilesThatEndAnywhere(t *testing.T) {
	order := binary.BigEndian
	packet := iptest.UDP(a4, b4, []byte("12345"))
	parts := [][]byte{section(order, 0), onInterface(order, 101), enhanced(order, 0, 1, packet), block(order, 99, make([]byte, 8)), enhanced(order, 0, 2, packet)}
	var ends []int
	length := 0
	for _, p := range parts {
		length += len(p)
		ends = append(ends, length)
	}
	whole := slices.Concat(parts...)
	for n := range len(whole) + 1 {
		packets, err := all(whole[:n], nil)
		want := 0
		if n >= ends[2] {
			want++
		}
		if n >= ends[4] {
			want++
		}
		if len(packets) != want {
			t.Errorf("%d bytes: got %d packets, want %d", n, len(packets), want)
		}
		wrong, _ := errors.AsType[*capturefile.Error](err)
		if between := slices.Contains(ends, n); between != (err == nil) || !between && !wrong.Truncated {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

var errDisk = errors.New("the disk is gone")

// failing fails after some bytes.
type failing struct{ rest []byte }

func (f *failing) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		return 0, errDisk
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func TestErrorsOfTheDiskAreKept(t *testing.T) {
	order := binary.LittleEndian
	for _, n := range []int{2, 28, 40} {
		r, err := capturefile.NewReader(&failing{file(section(order, 0), onInterface(order, 101))[:n]}, nil)
		if err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("after %d bytes: got %v", n, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	order := binary.BigEndian
	packet := iptest.UDP(a4, b4, []byte("seed"))
	f.Add(pcap(f, layers.LinkTypeEthernet, false, 0, file(make([]byte, 12), []byte{8, 0}, packet)))
	f.Add(pcap(f, layers.LinkTypeLinuxSLL2, true, 30, file([]byte{8, 0}, make([]byte, 18), packet)))
	f.Add(file(section(order, 0, option(order, 4, []byte("a")), ended), onInterface(order, 1, option(order, 9, []byte{9}), ended),
		enhanced(order, 0, 1, packet, option(order, 2, words(order, 2)), ended), block(order, 3, words(order, 44), packet)))
	f.Add(file(section(binary.LittleEndian, 2), onInterface(binary.LittleEndian, 113), block(binary.LittleEndian, 10, words(binary.LittleEndian, 0x544c534b, 1), []byte("x"))))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, err := all(b, func([]byte) {})
		if wrong, ok := errors.AsType[*capturefile.Error](err); ok && wrong.Offset < 0 {
			t.Errorf("offset %d", wrong.Offset)
		}
		for _, p := range packets {
			if p.Interface == nil || len(p.IP) > capturefile.MaxPacket || p.Time.Year() > 9999 {
				t.Errorf("packet %+v", p)
			}
			if _, err := p.Time.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
	})
}
