package codec_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/pion/opus"

	"github.com/callpath/callpath/relay/processor/codec"
)

// tone is a sine of so many samples, loud from 0 to 1.
func tone(rate int, hz, loud float64, samples int) []int16 {
	pcm := make([]int16, samples)
	for i := range pcm {
		pcm[i] = int16(math.Round(loud * 32767 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

// voice is something like one: a fundamental that wanders, its harmonics, and noise.
func voice(rate, samples int) []int16 {
	r := rand.New(rand.NewPCG(7, 7))
	pcm := make([]int16, samples)
	phase := 0.0
	for i := range pcm {
		at := float64(i) / float64(rate)
		phase += 2 * math.Pi * (140 + 30*math.Sin(2*math.Pi*1.3*at)) / float64(rate)
		loud := 0.5 + 0.5*math.Sin(2*math.Pi*2.5*at)
		v := 0.0
		for k := 1.0; k <= 12; k++ {
			v += math.Sin(k*phase) / k
		}
		pcm[i] = int16(6000*loud*v + 300*r.NormFloat64())
	}
	return pcm
}

// snr is how much stronger want is than what got has else, in dB, when got is later by
// delay samples (which need not be whole for a low frequency).
func snr(got, want []int16, delay int) float64 {
	var signal, noise float64
	for i := delay; i < len(got) && i-delay < len(want); i++ {
		w, g := float64(want[i-delay]), float64(got[i])
		signal += w * w
		noise += (g - w) * (g - w)
	}
	return 10 * math.Log10(signal/max(noise, 1e-9))
}

// power is that of one frequency in dB over full scale, by Goertzel's algorithm.
func power(pcm []int16, rate int, hz float64) float64 {
	coefficient := 2 * math.Cos(2*math.Pi*hz/float64(rate))
	var s1, s2 float64
	for i, v := range pcm {
		window := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(pcm)))
		s1, s2 = float64(v)/32768*window+coefficient*s1-s2, s1
	}
	n := float64(len(pcm)) / 4
	return 10 * math.Log10(max((s1*s1+s2*s2-coefficient*s1*s2)/(n*n), 1e-15))
}

// through encodes and decodes frame by frame.
func through(t *testing.T, c codec.Codec, pcm []int16) (payloads [][]byte, out []int16) {
	t.Helper()
	encoder, err := c.NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := c.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	size := c.Rate / 50
	buffer := make([]int16, c.Rate*codec.Longest/1000)
	for ; len(pcm) >= size; pcm = pcm[size:] {
		payload, err := encoder.Encode(nil, pcm[:size])
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, payload)
		n, err := decoder.Decode(buffer, payload)
		if err != nil || n != size {
			t.Fatalf("%s: %d samples, %v", c.Name, n, err)
		}
		out = append(out, buffer[:n]...)
	}
	return payloads, out
}

func find(t testing.TB, name string) codec.Codec {
	t.Helper()
	for _, c := range codec.All() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no codec %s", name)
	return codec.Codec{}
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name  string
		clock int
		want  string
	}{
		{"OPUS", 48000, "opus"}, {"g722", 8000, "G722"}, {"pcmu", 8000, "PCMU"}, {"PCMA", 8000, "PCMA"},
		{"G722", 16000, ""}, {"PCMU", 16000, ""}, {"G729", 8000, ""},
	} {
		got, ok := codec.Find(c.name, c.clock)
		if got.Name != c.want || ok != (c.want != "") {
			t.Errorf("%s/%d: got %q, %v", c.name, c.clock, got.Name, ok)
		}
	}
}

// A voice comes out as it went in, as far as the codec's bits allow.
func TestCodecsKeepAVoice(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay int // of the codec, in samples
		least float64
	}{
		{"PCMU", 0, 35}, {"PCMA", 0, 35}, {"G722", 22, 17},
	} {
		f := find(t, c.name)
		in := voice(f.Rate, f.Rate*2)
		payloads, out := through(t, f, in)
		if got := snr(out, in, c.delay); got < c.least {
			t.Errorf("%s: %.1f dB, want %v", c.name, got, c.least)
		}
		if got := len(payloads[0]); got != 160 {
			t.Errorf("%s: %d bytes", c.name, got)
		}
	}
}

// Opus changes the waveform, not what is heard: a tone comes out with its loudness, and
// little else does. Another implementation hears the same.
func TestOpusKeepsATone(t *testing.T) {
	c := find(t, "opus")
	const hz = 700
	payloads, out := through(t, c, tone(c.Rate, hz, 0.3, c.Rate))
	other, err := opus.NewDecoderWithOutput(c.Rate, 1)
	if err != nil {
		t.Fatal(err)
	}
	var theirs []int16
	buffer := make([]int16, 5760)
	for _, p := range payloads {
		n, err := other.DecodeToInt16(p, buffer)
		if err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, buffer[:n]...)
	}
	want := 20 * math.Log10(0.3)
	for name, pcm := range map[string][]int16{"gopus": out, "pion/opus": theirs} {
		pcm = pcm[c.Rate/2:]
		if got := power(pcm, c.Rate, hz); math.Abs(got-want) > 1 {
			t.Errorf("%s: the tone has %.1f dB, want %.1f", name, got, want)
		}
		for _, else_ := range []float64{200, 1100, 2100, 5000} {
			if got := power(pcm, c.Rate, else_); got > want-35 {
				t.Errorf("%s: %.1f dB at %v Hz", name, got, else_)
			}
		}
	}
	if got := len(payloads[20]); got > 200 {
		t.Errorf("%d bytes for a frame", got)
	}
	if got := snr(theirs[c.Rate/2:], out[c.Rate/2:], 0); got < 30 {
		t.Errorf("the two decoders differ: %.1f dB", got)
	}
}

func TestConcealment(t *testing.T) {
	for _, c := range codec.All() {
		const hz = 300
		encoder, _ := c.NewEncoder()
		decoder, _ := c.NewDecoder()
		size := c.Rate / 50
		in, buffer := tone(c.Rate, hz, 0.3, c.Rate), make([]int16, c.Rate*codec.Longest/1000)
		for i := 0; i < c.Rate/2; i += size {
			payload, err := encoder.Encode(nil, in[i:i+size])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decoder.Decode(buffer, payload); err != nil {
				t.Fatal(err)
			}
		}
		var missing []int16
		for range 15 {
			decoder.Conceal(buffer[:size])
			missing = append(missing, buffer[:size]...)
		}
		before := 20 * math.Log10(0.3)
		if got := power(missing[:2*size], c.Rate, hz); got < before-9 || got > before+1 {
			t.Errorf("%s: the tone goes on with %.1f dB after %.1f", c.Name, got, before)
		}
		if got := power(missing[12*size:], c.Rate, hz); got > before-15 {
			t.Errorf("%s: a quarter second later it still has %.1f dB", c.Name, got)
		}
		// And it goes on when packets come again.
		payload, _ := encoder.Encode(nil, in[:size])
		if n, err := decoder.Decode(buffer, payload); err != nil || n != size {
			t.Errorf("%s: %d, %v", c.Name, n, err)
		}
	}
}

func TestPayloadsOfAWrongSizeAreRefused(t *testing.T) {
	for _, c := range codec.All() {
		decoder, _ := c.NewDecoder()
		buffer := make([]int16, c.Rate*codec.Longest/1000)
		for _, size := range []int{0, len(buffer) + 1} {
			if _, err := decoder.Decode(buffer, make([]byte, size)); err == nil {
				t.Errorf("%s: %d bytes decode", c.Name, size)
			}
		}
	}
	encoder, _ := find(t, "G722").NewEncoder()
	if _, err := encoder.Encode(nil, make([]int16, 3)); err == nil {
		t.Error("G722: three samples encode")
	}
	encoder, _ = find(t, "opus").NewEncoder()
	if _, err := encoder.Encode(nil, make([]int16, 7)); err == nil {
		t.Error("opus: seven samples encode")
	}
}

// FuzzDecoders: whatever comes from the network, decoders return what fits, or an error, and
// go on.
func FuzzDecoders(f *testing.F) {
	var good [][]byte
	var decoders []codec.Decoder
	for _, c := range codec.All() {
		encoder, err := c.NewEncoder()
		if err != nil {
			f.Fatal(err)
		}
		decoder, err := c.NewDecoder()
		if err != nil {
			f.Fatal(err)
		}
		payload, err := encoder.Encode(nil, voice(c.Rate, c.Rate/50))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload, byte(0))
		good, decoders = append(good, payload), append(decoders, decoder)
	}
	for config := range 32 {
		f.Add([]byte{byte(config << 3), 1, 2, 3, 4, 5, 6, 7, 8}, byte(1))
		f.Add([]byte{byte(config<<3 | 7), 0x83, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, byte(2))
	}
	f.Fuzz(func(t *testing.T, payload []byte, missing byte) {
		for i, c := range codec.All() {
			buffer := make([]int16, c.Rate*codec.Longest/1000+1)
			pcm := buffer[:len(buffer)-1]
			for range missing % 4 {
				decoders[i].Conceal(pcm[:c.Rate/50])
			}
			n, err := decoders[i].Decode(pcm, payload)
			if n < 0 || n > len(pcm) || err == nil && n == 0 || buffer[len(pcm)] != 0 {
				t.Fatalf("%s: %d samples, %v", c.Name, n, err)
			}
			if n, err := decoders[i].Decode(pcm, good[i]); err != nil || n != c.Rate/50 {
				t.Fatalf("%s: after it a good packet: %d, %v", c.Name, n, err)
			}
		}
	})
}

func TestCodecsAllocateNothing(t *testing.T) {
	for _, c := range codec.All() {
		encoder, _ := c.NewEncoder()
		decoder, _ := c.NewDecoder()
		in, buffer, payload := voice(c.Rate, c.Rate/50), make([]int16, c.Rate*codec.Longest/1000), make([]byte, 0, 1500)
		frame := func() {
			payload, _ = encoder.Encode(payload[:0], in)
			if _, err := decoder.Decode(buffer, payload); err != nil {
				t.Fatal(err)
			}
			if c.Name != "opus" { // whose library allocates where packets are missing
				decoder.Conceal(buffer[:c.Rate/50])
			}
		}
		for range 20 {
			frame()
		}
		if n := testing.AllocsPerRun(100, frame); n != 0 {
			t.Errorf("%s: %v allocations a frame", c.Name, n)
		}
	}
}

func BenchmarkCodecs(b *testing.B) {
	for _, c := range codec.All() {
		encoder, _ := c.NewEncoder()
		decoder, _ := c.NewDecoder()
		in, buffer, payload := voice(c.Rate, c.Rate/50), make([]int16, c.Rate*codec.Longest/1000), make([]byte, 0, 1500)
		b.Run("encode/"+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				payload, _ = encoder.Encode(payload[:0], in)
			}
		})
		b.Run("decode/"+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decoder.Decode(buffer, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
