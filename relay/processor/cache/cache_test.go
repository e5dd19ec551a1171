package cache_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/callpath/callpath/relay/processor/cache"
)

func packet(seq uint16, size int) []byte {
	p := bytes.Repeat([]byte{byte(seq), byte(seq >> 8)}, size/2+1)
	return p[:size]
}

func TestCacheKeepsTheLastPackets(t *testing.T) {
	c := cache.New(cache.Config{Packets: 8, Bytes: 1000})
	for seq := uint16(65530); seq != 6; seq++ {
		if !c.Put(seq, packet(seq, 12), packet(seq, 30)) {
			t.Fatalf("packet %d was not kept", seq)
		}
	}
	for seq := uint16(65528); seq != 8; seq++ {
		got := c.Get(seq)
		if kept := int16(seq-65534) >= 0 && int16(seq-6) < 0; !kept {
			if got != nil {
				t.Errorf("packet %d is there", seq)
			}
		} else if want := append(packet(seq, 12), packet(seq, 30)...); !bytes.Equal(got, want) {
			t.Errorf("packet %d: got %x, want %x", seq, got, want)
		}
	}
}

func TestCacheRefuses(t *testing.T) {
	c := cache.New(cache.Config{Packets: 4, Bytes: 70000})
	steps := []struct {
		name string
		seq  uint16
		size int
		want bool
	}{
		{"an empty packet", 10, 0, false},
		{"one larger than a packet can be", 10, 65536, false},
		{"not the first", 10, 65535, true},
		{"not a new one", 14, 100, true},
		{"a repeat", 14, 100, false},
		{"not one out of order", 12, 100, true},
		{"one older than the ring", 10, 100, false},
		{"not one after a jump", 14 + 30000, 100, true},
		{"nor one after a jump back", 5000, 100, true},
	}
	for _, s := range steps {
		if got := c.Put(s.seq, nil, make([]byte, s.size)); got != s.want {
			t.Errorf("%s (%d): kept is %v", s.name, s.seq, got)
		}
	}
	if c.Get(14) != nil {
		t.Error("a packet from before the jump is there")
	}
	if cache.New(cache.Config{Bytes: 10}).Put(1, nil, make([]byte, 11)) {
		t.Error("kept a packet larger than the memory")
	}
	if cache.New(cache.Config{}).Get(0) != nil {
		t.Error("an empty cache has packet 0")
	}
}

// Of whatever is put, a cache gives back only what is true, and always the newest packets
// that its memory has room for.
func TestCacheIsTrue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, cfg := range []cache.Config{{Packets: 16, Bytes: 1 << 20}, {Packets: 64, Bytes: 5000}, {Packets: 512, Bytes: 3000}} {
		t.Run(fmt.Sprintf("%d packets, %d bytes", cfg.Packets, cfg.Bytes), func(t *testing.T) {
			c := cache.New(cfg)
			seq, have := uint16(r.Uint32()), map[uint16]int{}
			for range 200_000 {
				at := seq
				switch r.IntN(20) {
				case 0:
					at -= uint16(r.IntN(30)) // late, or a repeat
				case 1:
					seq += uint16(r.IntN(5)) // lost
					at = seq
				}
				size := 1 + r.IntN(1200)
				cut := r.IntN(size)
				p := packet(at, size)
				if c.Put(at, p[:cut], p[cut:]) {
					have[at] = size
				}
				if got := c.Get(at); at == seq && !bytes.Equal(got, p) {
					t.Fatalf("packet %d, just put: got %d bytes, want %d", at, len(got), size)
				}
				past := seq - uint16(r.IntN(600))
				if got := c.Get(past); got != nil && !bytes.Equal(got, packet(past, have[past])) {
					t.Fatalf("packet %d: got %x", past, got)
				}
				seq++
			}
		})
	}
}

func TestCacheAllocatesNothing(t *testing.T) {
	c := cache.New(cache.Config{})
	header, payload, seq := make([]byte, 20), make([]byte, 1100), uint16(0)
	if n := testing.AllocsPerRun(2000, func() {
		c.Put(seq, header, payload)
		c.Get(seq - 100)
		seq++
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkCachePut(b *testing.B) {
	c := cache.New(cache.Config{})
	header, payload, seq := make([]byte, 20), make([]byte, 1100), uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		c.Put(seq, header, payload)
		seq++
	}
}
