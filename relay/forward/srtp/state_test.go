package srtp

import (
	"crypto/aes"
	"math/rand/v2"
	"testing"
)

func TestIndexIsTheOneNextToTheHighest(t *testing.T) {
	const none = ^uint64(0)
	for _, c := range []struct {
		name string
		top  uint64 // none: no packet yet
		roc  uint32
		seq  uint16
		want uint64
		err  error
	}{
		{name: "first packet", top: none, seq: 0xf000, want: 0xf000},
		{name: "first packet of a stream joined late", top: none, roc: 7, seq: 5, want: 0x70005},
		{name: "next", top: 0x10005, seq: 6, want: 0x10006},
		{name: "the same", top: 0x10005, seq: 5, want: 0x10005},
		{name: "late", top: 0x10005, seq: 4, want: 0x10004},
		{name: "late, from before the rollover", top: 0x10005, seq: 0xfffe, want: 0xfffe},
		{name: "rollover", top: 0x1fffe, seq: 2, want: 0x20002},
		{name: "most ahead", top: 0x10005, seq: 0x8004, want: 0x18004},
		{name: "most behind", top: 0x1fffe, seq: 0x7fff, want: 0x17fff},
		{name: "half the numbers from a low one", top: 0x10005, seq: 0x8005, want: 0x18005},
		{name: "half the numbers from a high one", top: 0x18005, seq: 0x0005, want: 0x10005},
		{name: "one more than half from a low one", top: 0x10005, seq: 0x8006, want: 0x8006},
		{name: "one more than half from a high one", top: 0x18005, seq: 0x0004, want: 0x20004},
		{name: "older than the stream", top: 5, seq: 0xfffe, want: 0xfffe},
		{name: "last of all", top: maxIndex - 1, seq: 0xffff, want: maxIndex},
		{name: "beyond the last", top: maxIndex, seq: 0, err: ErrExhausted},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stream{roc: c.roc}
			if c.top != none {
				s.seen.mark(c.top)
			}
			if got, err := s.index(c.seq); got != c.want || err != c.err {
				t.Errorf("got %#x, %v; want %#x, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	var w window
	steps := []struct {
		index uint64
		want  error
	}{
		{0, nil}, {0, ErrReplayed}, {1, nil}, {1, ErrReplayed},
		{Window, nil}, {0, ErrStale}, {1, ErrReplayed}, {2, nil}, {2, ErrReplayed},
		{Window + 2, nil}, {2, ErrStale}, {3, nil}, {63, nil}, {64, nil}, {Window, ErrReplayed},
		{10 * Window, nil}, {9*Window + 1, nil}, {9 * Window, ErrStale},
		{maxIndex, nil}, {maxIndex, ErrReplayed}, {maxIndex - Window + 1, nil}, {maxIndex - Window, ErrStale},
	}
	for i, s := range steps {
		got := w.check(s.index)
		if got != s.want {
			t.Fatalf("step %d, index %d: got %v, want %v", i, s.index, got, s.want)
		}
		if got == nil {
			w.mark(s.index)
		}
	}
}

// A window answers as a set that forgets nothing but what is too old.
func TestWindowAgainstSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 711))
	for round := range 20 {
		var w window
		seen, top, any := map[uint64]bool{}, r.Uint64N(1<<20), false
		for range 20000 {
			index := top + r.Uint64N(8)
			switch r.IntN(50) {
			case 0:
				index += r.Uint64N(3 * Window)
			default:
				index -= min(index, r.Uint64N(Window+20))
			}
			want := error(nil)
			if any && index+Window <= top {
				want = ErrStale
			} else if seen[index] {
				want = ErrReplayed
			}
			if got := w.check(index); got != want {
				t.Fatalf("round %d, top %d, index %d: got %v, want %v", round, top, index, got, want)
			}
			if want == nil && r.IntN(10) > 0 { // the tenth is not authentic
				w.mark(index)
				seen[index] = true
				if !any || index > top {
					top, any = index, true
				}
			}
		}
	}
}

// The counter must not depend on the standard library having the fields that it looks
// for.
func TestCounterWithoutTheStandardLibrarysFields(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	c := newCounter(block)
	if c.stream == nil {
		t.Error("this toolchain's stream cannot be set: AES_CM_128_HMAC_SHA1_80 allocates for each packet")
	}
	for _, names := range [][3]string{{"ivhi", "ivlo", "absent"}, {"ivhi", "ivlo", "b"}} {
		if c.find(names) {
			t.Errorf("fields %v found", names)
		}
	}
	wrong := newCounter(block)
	if wrong.stream != nil {
		if !wrong.find([3]string{"ivlo", "ivhi", "offset"}) || wrong.works() {
			t.Error("a stream with other meanings of its fields passes the trial")
		}
	}
	plain := counter{block: block}
	for _, low := range []uint64{0, 77, ^uint64(0)} {
		got, want := make([]byte, 333), make([]byte, 333)
		c.xor(got, got, 9, low)
		plain.xor(want, want, 9, low)
		equal(t, "key stream", got, want)
	}
}
