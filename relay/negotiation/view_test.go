package negotiation_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
)

// noise is a payload that looks encrypted.
func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestRelayViewCountsKinds(t *testing.T) {
	v := negotiation.NewRelayView()
	dtls := append([]byte{22, 0xfe, 0xfd}, make([]byte, 20)...)
	for _, p := range [][]byte{allocateRequest, dtls, rtpPacket(1, 1, 20), rtpPacket(1, 2, 20), {0x80, 200, 0, 1, 0, 0, 0, 1},
		{0x40, 0, 0, 0}, []byte("hello"), nil} {
		v.Payload(p)
	}
	payloads, searched, plaintext := v.Counts()
	want := map[string]uint64{"stun": 1, "dtls": 1, "srtp": 2, "srtcp": 1, "other": 3}
	if !maps.Equal(payloads, want) {
		t.Errorf("payloads: got %v, want %v", payloads, want)
	}
	equal(t, "searched, without anything to look for", searched, 0)
	equal(t, "plaintext", plaintext, 0)
}

// A piece of media is found wherever it stands in a payload.
func TestRelayViewFindsPlaintext(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	media := noise(random, 160)
	for at := range 40 {
		v := negotiation.NewRelayView()
		v.Needle(media)
		v.Payload(append(noise(random, at), media...))
		v.Payload(append(append(noise(random, at), media[80:96]...), noise(random, 5)...))
		v.Payload(noise(random, 200))
		v.Payload(append(noise(random, at), media[80:95]...))
		_, searched, plaintext := v.Counts()
		equal(t, "searched", searched, 4)
		if plaintext != 2 {
			t.Errorf("at %d: found in %d payloads, want 2", at, plaintext)
		}
	}
}

// Silence is in many packets and proves nothing; the telling part of a piece that
// begins with it does.
func TestRelayViewPassesOverSilence(t *testing.T) {
	v := negotiation.NewRelayView()
	v.Needle(make([]byte, 160))
	v.Needle([]byte("short"))
	v.Payload(make([]byte, 160))
	if _, searched, _ := v.Counts(); searched != 0 {
		t.Errorf("searched %d payloads for silence", searched)
	}
	random := rand.New(rand.NewPCG(1, 2))
	mixed := append(make([]byte, 64), noise(random, 64)...)
	v.Needle(mixed)
	v.Payload(make([]byte, 160))
	v.Payload(mixed)
	_, searched, plaintext := v.Counts()
	equal(t, "searched", searched, 2)
	equal(t, "plaintext", plaintext, 1)
}

// Old pieces make room for new ones.
func TestRelayViewKeepsTheLatestPieces(t *testing.T) {
	v := negotiation.NewRelayView()
	piece := func(n int) []byte { return noise(rand.New(rand.NewPCG(uint64(n), 7)), 16) }
	const kept = 1 << 15
	for n := range kept + 1000 {
		v.Needle(piece(n))
		v.Needle(piece(n)) // the same again costs nothing
	}
	found := func(n int) bool {
		_, _, before := v.Counts()
		v.Payload(append([]byte{0, 0, 0, 0, 0, 0, 0}, piece(n)...))
		_, _, after := v.Counts()
		return after > before
	}
	for _, n := range []int{0, 500, 999} {
		if found(n) {
			t.Errorf("piece %d is still looked for", n)
		}
	}
	for _, n := range []int{1000, 5000, kept, kept + 999} {
		if !found(n) {
			t.Errorf("piece %d was not found", n)
		}
	}
}

// Of pieces with a header in common the latest are found.
func TestRelayViewPiecesWithACommonBeginning(t *testing.T) {
	v := negotiation.NewRelayView()
	piece := func(n int) []byte { return fmt.Appendf(nil, "header12%08d", n) }
	for n := range 1000 {
		v.Needle(piece(n))
	}
	for n := 990; n < 1000; n++ {
		v.Payload(piece(n))
	}
	v.Payload([]byte("header1200001000"))
	_, searched, plaintext := v.Counts()
	equal(t, "searched", searched, 11)
	equal(t, "plaintext", plaintext, 10)
}

func TestRelayViewFromSeveralGoroutines(t *testing.T) {
	v := negotiation.NewRelayView()
	v.Needle([]byte("0123456789abcdef"))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for range 100 {
				v.Needle(noise(random, 100))
				v.Payload([]byte("0123456789abcdef"))
				v.Counts()
			}
		})
	}
	wg.Wait()
	_, searched, plaintext := v.Counts()
	equal(t, "searched", searched, 400)
	equal(t, "plaintext", plaintext, 400)
}

// FuzzRelayView compares the search with a plain one.
func FuzzRelayView(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("xx0123456789abcdefxx"))
	f.Fuzz(func(t *testing.T, piece, payload []byte) {
		v := negotiation.NewRelayView()
		v.Needle(piece)
		v.Payload(payload)
		v.Payload(append([]byte("abc"), piece...))
		_, searched, plaintext := v.Counts()
		if searched == 2 && plaintext == 0 {
			t.Fatal("a piece was not found in itself")
		}
	})
}

func BenchmarkRelayViewPayload(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, needles := range []int{100, 20000} {
		b.Run(fmt.Sprintf("%d pieces", needles), func(b *testing.B) {
			v := negotiation.NewRelayView()
			for range needles {
				v.Needle(noise(random, 16))
			}
			payload := noise(random, 1200)
			b.SetBytes(1200)
			b.ReportAllocs()
			for b.Loop() {
				v.Payload(payload)
			}
		})
	}
}
