package simulcast_test

import (
	"testing"

	"github.com/pion/rtp/codecs"

	"github.com/callpath/callpath/relay/processor/simulcast"
)

func TestCodecOf(t *testing.T) {
	for name, want := range map[string]simulcast.Codec{
		"VP8": simulcast.VP8, "vp8": simulcast.VP8, "H264": simulcast.H264, "opus": simulcast.Opaque, "VP9": simulcast.Opaque,
	} {
		if got := simulcast.CodecOf(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got := simulcast.H264.String() + simulcast.Codec(9).String(); got != "H264invalid" {
		t.Errorf("got %q", got)
	}
}

func TestInspect(t *testing.T) {
	for _, c := range []struct {
		name    string
		codec   simulcast.Codec
		payload []byte
		key, ok bool
	}{
		{"VP8: the first packet of a key frame", simulcast.VP8, []byte{0x10, 0x50, 0x9d}, true, true},
		{"VP8: of another frame", simulcast.VP8, []byte{0x10, 0x51, 0x9d}, false, true},
		{"VP8: not the first packet", simulcast.VP8, []byte{0x00, 0x50, 0x9d}, false, true},
		{"VP8: another partition", simulcast.VP8, []byte{0x11, 0x50, 0x9d}, false, true},
		{"VP8: all of the descriptor", simulcast.VP8, []byte{0x90, 0xf0, 0x81, 0x02, 3, 4, 0x50}, true, true},
		{"VP8: nothing behind the descriptor", simulcast.VP8, []byte{0x90, 0xf0, 0x81, 0x02, 3, 4}, false, false},
		{"VP8: cut", simulcast.VP8, []byte{0x90, 0x80, 0x81}, false, false},
		{"H.264: a sequence parameter set", simulcast.H264, []byte{0x67, 1, 2}, true, true},
		{"H.264: a picture alone", simulcast.H264, []byte{0x65, 1, 2}, false, true},
		{"H.264: STAP-A that begins with one", simulcast.H264, []byte{0x78, 0, 2, 0x67, 1, 0, 1, 0x68}, true, true},
		{"H.264: STAP-A that has one", simulcast.H264, []byte{0x78, 0, 1, 0x09, 0, 2, 0x67, 1}, true, true},
		{"H.264: STAP-A without one", simulcast.H264, []byte{0x78, 0, 1, 0x41}, false, true},
		{"H.264: STAP-A that is cut", simulcast.H264, []byte{0x78, 0, 9, 0x67}, false, false},
		{"H.264: STAP-A of half a size", simulcast.H264, []byte{0x78, 0, 1, 0x67, 0}, false, false},
		{"H.264: STAP-A with an empty unit", simulcast.H264, []byte{0x78, 0, 0}, false, false},
		{"H.264: STAP-A of nothing", simulcast.H264, []byte{0x78}, false, false},
		{"H.264: FU-A where one starts", simulcast.H264, []byte{0x7c, 0x87, 1}, true, true},
		{"H.264: FU-A where it goes on", simulcast.H264, []byte{0x7c, 0x07, 1}, false, true},
		{"H.264: FU-A of a picture", simulcast.H264, []byte{0x7c, 0x85, 1}, false, true},
		{"H.264: FU-A of nothing", simulcast.H264, []byte{0x7c, 0x87}, false, false},
		{"H.264: interleaved", simulcast.H264, []byte{0x7d, 0x87, 1}, false, false},
		{"H.264: no type", simulcast.H264, []byte{0x60, 1}, false, false},
		{"another codec", simulcast.Opaque, []byte{0}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, ok := c.codec.Inspect(c.payload)
			if f.Key != c.key || ok != c.ok || f.Empty {
				t.Errorf("%x: key %v, ok %v, empty %v; want %v, %v", c.payload, f.Key, ok, f.Empty, c.key, c.ok)
			}
		})
	}
	if f, ok := simulcast.VP8.Inspect(nil); !f.Empty || f.Key || !ok {
		t.Errorf("an empty payload: %+v, %v", f, ok)
	}
}

// FuzzVP8: a descriptor is what another implementation reads, and patching it changes
// nothing but its numbers.
func FuzzVP8(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0x81, 0x02, 3, 0xa4, 0x50})
	f.Add([]byte{0x90, 0x80, 0x41, 0x50})
	f.Add([]byte{0x10, 0x51})
	f.Fuzz(func(t *testing.T, payload []byte) {
		frame, ok := simulcast.VP8.Inspect(payload)
		var theirs codecs.VP8Packet
		rest, err := theirs.Unmarshal(payload)
		if frame.Empty {
			return
		}
		if ok != (err == nil && len(rest) > 0) {
			t.Fatalf("%x: ok %v, theirs %v with %d bytes", payload, ok, err, len(rest))
		}
		if !ok {
			return
		}
		d := frame.VP8
		if int(d.Size) != len(payload)-len(rest) || d.PictureID != theirs.PictureID || d.TL0 != theirs.TL0PICIDX ||
			d.Temporal != theirs.TID || d.Sync != (theirs.Y == 1) || d.KeyIndex != theirs.KEYIDX ||
			d.Start != (theirs.S == 1) || d.Partition != theirs.PID || d.NonReference != (theirs.N == 1) {
			t.Fatalf("%x: %+v, theirs %+v", payload, d, theirs)
		}
		s := simulcast.NewStream(simulcast.StreamConfig{Codec: simulcast.VP8})
		s.Select(1, false)
		frame.Key = true
		n, ok := s.Map(&simulcast.Packet{SSRC: 1, Seq: 5, Frame: frame}, start)
		if !ok {
			t.Fatal("not mapped")
		}
		before := string(payload)
		n.Patch(payload)
		if string(payload) != before {
			t.Fatalf("%x became %x, though nothing was left out", before, payload)
		}
	})
}

// FuzzH264: a payload that is well-formed here is so for another implementation, and key
// only when a sequence parameter set comes out of it.
func FuzzH264(f *testing.F) {
	f.Add([]byte{0x67, 1, 2})
	f.Add([]byte{0x78, 0, 2, 0x67, 1, 0, 1, 0x68})
	f.Add([]byte{0x7c, 0x87, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		frame, ok := simulcast.H264.Inspect(payload)
		if !ok || frame.Empty || payload[0]&0x1f == 28 {
			return
		}
		theirs := codecs.H264Packet{IsAVC: true}
		out, err := theirs.Unmarshal(payload)
		if err != nil {
			t.Fatalf("%x: %v", payload, err)
		}
		sps := false
		for len(out) >= 5 {
			size := int(out[0])<<24 | int(out[1])<<16 | int(out[2])<<8 | int(out[3])
			sps = sps || out[4]&0x1f == 7
			out = out[4+size:]
		}
		if sps != frame.Key {
			t.Fatalf("%x: key %v, with a parameter set %v", payload, frame.Key, sps)
		}
	})
}

func BenchmarkInspectVP8(b *testing.B) {
	payload := []byte{0x90, 0xf0, 0x81, 0x02, 3, 4, 0x50, 0, 0, 0}
	b.ReportAllocs()
	for b.Loop() {
		simulcast.VP8.Inspect(payload)
	}
}
