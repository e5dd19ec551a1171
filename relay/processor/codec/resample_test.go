package codec_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/callpath/callpath/relay/processor/codec"
)

// resample does it in frames of 20 ms.
func resample(t testing.TB, from, to int, in []int16) (out []int16, delay float64) {
	t.Helper()
	r, err := codec.NewResampler(from, to)
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]int16, to/50)
	for size := from / 50; len(in) >= size; in = in[size:] {
		n := r.Process(buffer, in[:size])
		if n != to/50 {
			t.Fatalf("%d samples of %d", n, size)
		}
		out = append(out, buffer[:n]...)
	}
	return out, r.Delay()
}

// A tone that both rates can have comes out as the same tone, later by the delay.
func TestResamplerKeepsWhatBothRatesHave(t *testing.T) {
	for _, c := range []struct {
		from, to int
		hz       float64
	}{
		{8000, 48000, 300}, {8000, 48000, 1000}, {8000, 48000, 3000}, {16000, 48000, 1000}, {16000, 48000, 6000},
		{48000, 8000, 300}, {48000, 8000, 1000}, {48000, 8000, 3000}, {48000, 16000, 6000}, {48000, 48000, 15000},
	} {
		out, delay := resample(t, c.from, c.to, tone(c.from, c.hz, 0.5, c.from/2))
		seconds := delay / float64(max(c.from, c.to))
		want := make([]int16, len(out))
		for i := range want {
			want[i] = int16(math.Round(0.5 * 32767 * math.Sin(2*math.Pi*c.hz*(float64(i)/float64(c.to)-seconds))))
		}
		skip := c.to / 50
		if got := snr(out[skip:], want[skip:], 0); got < 45 {
			t.Errorf("%d to %d Hz, a tone of %v Hz: %.1f dB", c.from, c.to, c.hz, got)
		}
	}
}

// What the lower rate cannot have does not come out as something else: down, it does not
// fold, and up, there are no images.
func TestResamplerMakesNothingElse(t *testing.T) {
	out, _ := resample(t, 48000, 8000, tone(48000, 5000, 0.5, 24000))
	if got := power(out[400:], 8000, 3000); got > -60 {
		t.Errorf("5000 Hz folds to 3000 Hz with %.1f dB", got)
	}
	out, _ = resample(t, 8000, 48000, tone(8000, 3000, 0.5, 4000))
	for _, image := range []float64{5000, 11000, 13000, 19000} {
		if got := power(out[2400:], 48000, image); got > -60 {
			t.Errorf("3000 Hz has an image at %v Hz of %.1f dB", image, got)
		}
	}
	loud := make([]int16, 8000)
	for i := range loud {
		loud[i] = int16(32767 - 65535*(i/4%2))
	}
	out, _ = resample(t, 8000, 48000, loud)
	for i := 1; i < len(out); i++ {
		if int(out[i])-int(out[i-1]) > 40000 || int(out[i-1])-int(out[i]) > 40000 {
			t.Fatalf("it wraps: %d, %d", out[i-1], out[i])
		}
	}
}

func TestRatesThatAreNoMultiplesAreRefused(t *testing.T) {
	for _, c := range [][2]int{{44100, 48000}, {0, 48000}, {48000, 0}, {32000, 48000}} {
		if _, err := codec.NewResampler(c[0], c[1]); err == nil {
			t.Errorf("%v is taken", c)
		}
	}
}

func TestResamplerAllocatesNothing(t *testing.T) {
	for _, c := range [][2]int{{8000, 48000}, {48000, 16000}} {
		r, _ := codec.NewResampler(c[0], c[1])
		in, out := make([]int16, c[0]/50), make([]int16, c[1]/50)
		if n := testing.AllocsPerRun(100, func() { r.Process(out, in) }); n != 0 {
			t.Errorf("%v: %v allocations", c, n)
		}
	}
}

func BenchmarkResampler(b *testing.B) {
	for _, c := range [][2]int{{8000, 48000}, {48000, 8000}, {16000, 48000}, {48000, 16000}} {
		b.Run(fmt.Sprintf("%d-%d", c[0], c[1]), func(b *testing.B) {
			r, _ := codec.NewResampler(c[0], c[1])
			in, out := voice(c[0], c[0]/50), make([]int16, c[1]/50)
			for b.Loop() {
				r.Process(out, in)
			}
		})
	}
}
