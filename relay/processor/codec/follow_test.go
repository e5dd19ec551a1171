package codec_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/callpath/callpath/relay/processor/codec"
)

// An encoder that follows another one makes what that would have made, or, of Opus, what
// is as like the input to who has heard the other.
func TestAnEncoderFollowsAnother(t *testing.T) {
	for _, c := range codec.All() {
		size := c.Rate / 50
		in := voice(c.Rate, 60*size)
		whole, want := through(t, c, in)
		first, _ := c.NewEncoder()
		second, _ := c.NewEncoder()
		// It has encoded something else before.
		for range 5 {
			if _, err := second.Encode(nil, tone(c.Rate, 2000, 0.5, size)); err != nil {
				t.Fatal(err)
			}
		}
		var payloads [][]byte
		for i := 0; i < len(in); i += size {
			encoder := first
			if i >= 30*size {
				encoder = second
			}
			if i == 30*size {
				if err := second.Follow(first, in[i-5*size:i]); err != nil {
					t.Fatal(err)
				}
			}
			payload, err := encoder.Encode(nil, in[i:i+size])
			if err != nil {
				t.Fatal(err)
			}
			payloads = append(payloads, payload)
		}
		if c.Name != "opus" {
			if !slices.EqualFunc(payloads, whole, bytes.Equal) {
				t.Errorf("%s: the payloads differ", c.Name)
			}
			continue
		}
		got := decodeAll(t, c, payloads)
		for i := 30 * size; i < len(got); i += 5 * size {
			const delay = 312 // of the encoder
			followed, without := snr(got[i:i+5*size], in[i-delay:], 0), snr(want[i:i+5*size], in[i-delay:], 0)
			if followed < without-2 {
				t.Errorf("%s: %d ms after it: %.1f dB, without a seam %.1f dB", c.Name, (i-30*size)*20/size, followed, without)
			}
		}
	}
	g722, _ := find(t, "G722").NewEncoder()
	pcmu, _ := find(t, "PCMU").NewEncoder()
	if err := g722.Follow(pcmu, nil); err == nil {
		t.Error("G722 follows PCMU")
	}
}

func TestAResamplerFollowsAnother(t *testing.T) {
	for _, c := range [][2]int{{8000, 48000}, {48000, 8000}, {48000, 48000}} {
		first, _ := codec.NewResampler(c[0], c[1])
		second, _ := codec.NewResampler(c[0], c[1])
		in := voice(c[0], c[0]/10)
		half := len(in) / 2
		want, got := make([]int16, c[1]/10), make([]int16, c[1]/10)
		first.Process(want, in[:half])
		second.Follow(first)
		n := first.Process(want, in[half:])
		second.Process(got, in[half:])
		if n != c[1]/20 || !slices.Equal(got, want) {
			t.Errorf("%v: they differ", c)
		}
	}
}
