package fanout_test

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/relay/forward/fanout"
)

func TestElement(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet []byte
		id     uint8
		want   []byte
	}{
		{"one-byte", withExtension(0xbede, 0x10, 7, 0x21, 8, 9, 0, 0, 0), 2, []byte{8, 9}},
		{"one-byte, after padding", withExtension(0xbede, 0, 0, 0x10, 7), 1, []byte{7}},
		{"one-byte, another's", withExtension(0xbede, 0x10, 7, 0, 0), 2, nil},
		{"one-byte: nothing is read after id 15", withExtension(0xbede, 0xf0, 8, 0x10, 9), 1, nil},
		{"one-byte: longer than the extension", withExtension(0xbede, 0, 0, 0, 0x11), 1, nil},
		{"two-byte", withExtension(0x1000, 5, 0, 9, 2, 1, 2, 0, 0), 9, []byte{1, 2}},
		{"two-byte, without data", withExtension(0x1000, 5, 0, 9, 0), 5, []byte{}},
		{"two-byte, longer than the extension", withExtension(0x1000, 5, 0, 9, 1), 9, nil},
		{"two-byte, half a header", withExtension(0x1000, 5, 1, 1, 9), 9, nil},
		{"id 0 is padding", withExtension(0x1000, 0, 0, 0, 0), 0, nil},
		{"another kind", withExtension(0x1234, 0x10, 7, 0, 0), 1, nil},
		{"cut", withExtension(0xbede, 0x10, 7, 0, 0)[:26], 1, nil},
		{"none", make([]byte, 12), 1, nil},
		{"short", []byte{0x90}, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := fanout.Element(c.packet, c.id)
			if !bytes.Equal(got, c.want) || (got == nil) != (c.want == nil) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

// FuzzElement: an element is what another parser finds.
func FuzzElement(f *testing.F) {
	f.Add(withExtension(0xbede, 0x10, 7, 0x21, 8, 8, 0, 0x30, 9), uint8(2))
	f.Add(withExtension(0x1000, 5, 0, 2, 1, 9, 0, 1, 1, 4, 200, 0, 0), uint8(1))
	f.Fuzz(func(t *testing.T, packet []byte, id uint8) {
		got := fanout.Element(packet, id)
		var header rtp.Header
		if _, err := header.Unmarshal(packet); err != nil || id == 0 {
			return
		}
		if header.ExtensionProfile != 0xbede && header.ExtensionProfile != 0x1000 {
			return // not elements to the other parser
		}
		if want := header.GetExtension(id); !bytes.Equal(got, want) {
			t.Fatalf("element %d of %x: got %x, want %x", id, packet, got, want)
		}
	})
}
