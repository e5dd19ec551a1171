package fanout_test

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/relay/forward/fanout"
)

// withExtension is an RTP header with two CSRCs and an extension.
func withExtension(kind uint16, elements ...byte) []byte {
	h := append([]byte{0x92, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 1, 1, 1, 2, 2, 2, 2},
		byte(kind>>8), byte(kind), 0, byte(len(elements)/4))
	return append(h, elements...)
}

func TestExtensions(t *testing.T) {
	x := fanout.Extensions{1: 5, 2: 0, 3: 14, 4: 15, 5: 200, 200: 1}
	for _, c := range []struct {
		name     string
		kind     uint16
		in, want []byte
	}{
		{"one-byte: translated, taken away, padding kept", 0xbede,
			[]byte{0x10, 7, 0x21, 8, 8, 0, 0x30, 9}, []byte{0x50, 7, 0, 0, 0, 0, 0xe0, 9}},
		{"one-byte: ids that it cannot hold", 0xbede,
			[]byte{0x40, 7, 0x50, 8, 0x60, 9, 0x10, 7}, []byte{0, 0, 0, 0, 0, 0, 0x50, 7}},
		{"one-byte: nothing is read after id 15", 0xbede,
			[]byte{0x10, 7, 0xf0, 8, 0x10, 9, 0, 0}, []byte{0x50, 7, 0, 0, 0, 0, 0, 0}},
		{"one-byte: id 0 with a length", 0xbede,
			[]byte{0x01, 7, 7, 0x10}, []byte{0, 0, 0, 0}},
		{"one-byte: longer than the extension", 0xbede,
			[]byte{0x10, 7, 0x1f, 8}, []byte{0x50, 7, 0, 0}},
		{"two-byte: translated, taken away, empty, padding", 0x1000,
			[]byte{5, 0, 2, 1, 9, 0, 1, 1, 4, 200, 0, 0}, []byte{200, 0, 0, 0, 0, 0, 5, 1, 4, 1, 0, 0}},
		{"two-byte: with the application's bits", 0x100f,
			[]byte{3, 1, 9, 0}, []byte{14, 1, 9, 0}},
		{"two-byte: longer than the extension", 0x1000,
			[]byte{1, 0, 3, 1}, []byte{5, 0, 0, 0}},
		{"two-byte: half a header", 0x1000,
			[]byte{1, 1, 9, 3}, []byte{5, 1, 9, 0}},
		{"another kind", 0x1234, []byte{0x10, 7, 0x20, 8}, []byte{0x10, 7, 0x20, 8}},
		{"empty", 0xbede, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := withExtension(c.kind, c.in...), withExtension(c.kind, c.want...)
			x.Rewrite(got)
			if !bytes.Equal(got, want) {
				t.Errorf("\n got %x\nwant %x", got, want)
			}
		})
	}
	none := []byte{0x82, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x10, 0x10, 0x10, 2, 2, 2, 2}
	for _, h := range [][]byte{none, withExtension(0xbede)[:22], none[:11], nil} {
		got := bytes.Clone(h)
		x.Rewrite(got)
		if !bytes.Equal(got, h) {
			t.Errorf("\n got %x\nwant %x", got, h)
		}
	}
}

// FuzzExtensions: what another parser reads in a rewritten header is what it read
// before, with other ids.
func FuzzExtensions(f *testing.F) {
	f.Add(withExtension(0xbede, 0x10, 7, 0x21, 8, 8, 0, 0x30, 9))
	f.Add(withExtension(0x1000, 5, 0, 2, 1, 9, 0, 1, 1, 4, 200, 0, 0))
	f.Add([]byte{0x90, 0, 0, 0})
	var x fanout.Extensions
	for id := 2; id < len(x); id++ {
		x[id] = uint8(id) ^ 1 // each id is another's, and 1 is taken away
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		var before, after rtp.Header
		_, errBefore := before.Unmarshal(packet)
		got := append(bytes.Clone(packet), "canary"...)
		x.Rewrite(got[:len(packet)])
		if !bytes.HasSuffix(got, []byte("canary")) {
			t.Fatalf("wrote behind %x", packet)
		}
		if errBefore != nil {
			return
		}
		n, err := after.Unmarshal(got[:len(packet)])
		if err != nil {
			t.Fatalf("%x became %x: %v", packet, got[:n], err)
		}
		seen := map[uint8]bool{}
		for _, id := range before.GetExtensionIDs() {
			if before.ExtensionProfile != 0xbede && before.ExtensionProfile != 0x1000 || seen[id] {
				return // the other parser knows no elements, or has one of several
			}
			seen[id] = true
		}
		for _, id := range after.GetExtensionIDs() {
			from := uint8(0)
			for i, to := range x {
				if to == id {
					from = uint8(i)
				}
			}
			if !seen[from] || !bytes.Equal(after.GetExtension(id), before.GetExtension(from)) {
				t.Fatalf("%x became %x: id %d", packet, got[:len(packet)], id)
			}
		}
	})
}
