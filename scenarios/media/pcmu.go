package media

import "math"

// µ-law of ITU-T G.711, on linear samples of 16 bits: the 14 bits of the
// recommendation's table 2a, shifted by two.
const (
	muLawBias = 33 << 2
	muLawClip = 8159<<2 - 1
)

// muLaw encodes one sample (G.711, table 2a): sign, three bits of segment, four
// of the step in it, all inverted.
func muLaw(sample int16) byte {
	sign := byte(0)
	magnitude := int(sample)
	if magnitude < 0 {
		sign = 0x80
		magnitude = -magnitude
	}
	magnitude = min(magnitude, muLawClip) + muLawBias
	segment := 0
	for magnitude>>(segment+8) > 0 {
		segment++
	}
	step := magnitude >> (segment + 3) & 0x0f
	return ^(sign | byte(segment)<<4 | byte(step))
}

// pcmuRate is G.711's sampling rate in hertz.
const pcmuRate = 8000

// voice computes µ-law of a signal that swells as syllables do: five harmonics of
// a gliding pitch. phase, from 0 to 1, makes voices differ; n is the first sample.
func voice(phase float64, n uint64, samples int) []byte {
	out := make([]byte, samples)
	for i := range out {
		t := float64(n+uint64(i))/pcmuRate + 20*phase
		pitch := 2 * math.Pi * (110 + 30*phase) * (t + 0.03*math.Sin(2*math.Pi*0.7*t))
		sum := 0.0
		for harmonic := 1.0; harmonic <= 5; harmonic++ {
			sum += math.Sin(harmonic*pitch) / harmonic
		}
		loudness := (0.55 + 0.45*math.Sin(2*math.Pi*4*t)) * (0.6 + 0.4*math.Sin(2*math.Pi*0.31*t))
		out[i] = muLaw(int16(9000 * loudness * sum))
	}
	return out
}

// pcmuSilence is the code of the value zero.
const pcmuSilence = 0xff
