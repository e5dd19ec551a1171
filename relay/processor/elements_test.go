package processor

import (
	"bytes"
	"testing"

	"github.com/callpath/callpath/relay/processor/description"
)

var testIDs = description.Extensions{description.Mid: 3, description.RID: 4, description.RepairedRID: 5, description.TransportCC: 2, description.AudioLevel: 1}

// header makes an RTP header with an extension (RFC 8285).
func header(profile uint16, elements ...byte) []byte {
	for len(elements)%4 != 0 {
		elements = append(elements, 0)
	}
	b := append([]byte{0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, byte(profile >> 8), byte(profile), 0, byte(len(elements) / 4)}, elements...)
	return b
}

func TestExtensionElementsAreRead(t *testing.T) {
	const all = 1<<description.TransportCC | 1<<description.AudioLevel
	for _, tt := range []struct {
		name   string
		header []byte
		want   elements
	}{
		{"one-byte headers (4.2)", header(0xbede, 0x10, 0x85, 0x21, 0x12, 0x34, 0x30, '7', 0x41, 'h', 'i'),
			elements{has: all, level: 0x85, transport: 0x1234, mid: []byte("7"), rid: []byte("hi")}},
		{"two-byte headers (4.3)", header(0x1000, 1, 1, 5, 0, 2, 2, 0x12, 0x34, 5, 1, 'q'),
			elements{has: all, level: 5, transport: 0x1234, repaired: []byte("q")}},
		{"padding between elements", header(0xbede, 0, 0, 0x10, 7, 0, 0x30, 'x'), elements{has: 1 << description.AudioLevel, level: 7, mid: []byte("x")}},
		{"id 15 ends them", header(0xbede, 0xf0, 7, 0x10, 7), elements{}},
		{"id 0 with a length, which is none of those that were not offered", header(0xbede, 0x01, 7, 7, 0x10, 8), elements{}},
		{"one that is cut", header(0xbede, 0x10, 7, 0x3f, 'x'), elements{has: 1 << description.AudioLevel, level: 7}},
		{"one that is too short for what it is", header(0xbede, 0x20, 7), elements{}},
		{"ids that nobody knows", header(0xbede, 0x90, 7, 0x10, 8), elements{has: 1 << description.AudioLevel, level: 8}},
		{"another profile", header(0x1234, 0x10, 7), elements{}},
		{"no extension", []byte{0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}, elements{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := scan(tt.header, &testIDs)
			if got.has != tt.want.has || got.level != tt.want.level || got.transport != tt.want.transport ||
				!bytes.Equal(got.mid, tt.want.mid) || !bytes.Equal(got.rid, tt.want.rid) || !bytes.Equal(got.repaired, tt.want.repaired) {
				t.Errorf("got %+v, wanted %+v of % x", got, tt.want, tt.header)
			}
		})
	}
}

// FuzzScan: of no header more is read than there is.
func FuzzScan(f *testing.F) {
	f.Add(header(0xbede, 0x10, 0x85, 0x21, 0x12, 0x34, 0x30, '7'))
	f.Add(header(0x1000, 1, 1, 5, 0, 2, 2, 0x12, 0x34))
	f.Add([]byte{0x9f, 96, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 12 {
			return
		}
		n := headerSize(b)
		if n == 0 {
			return
		}
		e := scan(b[:n:n], &testIDs)
		if len(e.mid)+len(e.rid)+len(e.repaired) > n {
			t.Fatalf("%+v of % x", e, b)
		}
	})
}

// FuzzRecords: what counts as whole DTLS records can be read to its end, and only such a
// datagram begins a handshake.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		for rest := b; whole(b) && len(rest) > 0; {
			n := 13 + int(rest[11])<<8 + int(rest[12])
			size, rest = size+n, rest[n:]
		}
		if whole(b) && size != len(b) {
			t.Fatalf("% x", b)
		}
		if len(b) > 0 && hello(b) && b[0] != 22 {
			t.Fatalf("a handshake begins with % x", b)
		}
	})
}
