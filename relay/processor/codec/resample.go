package codec

import (
	"fmt"
	"math"
)

// Resampler changes the rate of one stream of samples, up or down by a whole factor, with
// a low-pass filter that lets through what both rates can have: a sinc with a Kaiser
// window, 60 dB down in the stop band. It delays by Delay.
type Resampler struct {
	up, down int
	// taps are the filter's at the higher rate: for up, a row of coefficients for each
	// phase; for down, one row.
	taps [][]float32
	// past are the last samples of before, and in front of those to come.
	past []float32
	keep int
}

const (
	// tapsHalf is half of the filter's length, in samples of the lower rate.
	tapsHalf = 16
	// kaiserBeta is the window's, for 60 dB.
	kaiserBeta = 5.65
)

// NewResampler makes a Resampler from a rate to another (Hz), one of which must be a
// multiple of the other.
func NewResampler(from, to int) (*Resampler, error) {
	if from <= 0 || to <= 0 || from%to != 0 && to%from != 0 {
		return nil, fmt.Errorf("resampling from %d to %d Hz; valid: one is a multiple of the other", from, to)
	}
	r := &Resampler{up: max(to/from, 1), down: max(from/to, 1)}
	factor := max(r.up, r.down)
	if factor == 1 {
		return r, nil
	}
	taps := lowPass(factor)
	if r.down > 1 {
		for i := range taps {
			taps[i] /= float32(factor)
		}
		r.taps = [][]float32{taps}
	} else {
		for phase := range factor {
			row := make([]float32, 0, 2*tapsHalf)
			// The newest sample is the last one, and has the first coefficient.
			for i := 2*tapsHalf - 1; i >= 0; i-- {
				row = append(row, taps[i*factor+phase])
			}
			r.taps = append(r.taps, row)
		}
	}
	r.keep = len(r.taps[0]) - 1
	if r.down > 1 {
		r.keep++ // so that frames of whole blocks end at a whole one
	}
	longest := from * Longest / 1000
	r.past = make([]float32, r.keep, r.keep+longest)
	return r, nil
}

// lowPass returns a filter for a factor, of gain factor. Its edge is a little under half
// of the lower rate, so that the stop band begins there.
func lowPass(factor int) []float32 {
	n := 2 * tapsHalf * factor
	middle := float64(n-1) / 2
	edge := 0.9 / float64(factor) // in parts of half of the higher rate
	taps := make([]float32, n)
	for i := range taps {
		x := float64(i) - middle
		sinc := edge
		if x != 0 {
			sinc = math.Sin(math.Pi*edge*x) / (math.Pi * x)
		}
		in := 2*float64(i)/float64(n-1) - 1
		window := bessel(kaiserBeta*math.Sqrt(max(1-in*in, 0))) / bessel(kaiserBeta)
		taps[i] = float32(sinc * window * float64(factor))
	}
	return taps
}

// bessel is the modified Bessel function of the first kind, of order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

// Process resamples in, which is a whole multiple of the factor down, and at most Longest,
// to the beginning of out, and returns how many samples that are.
func (r *Resampler) Process(out, in []int16) int {
	if r.taps == nil {
		return copy(out, in)
	}
	x := r.past[:r.keep]
	for _, s := range in {
		x = append(x, float32(s))
	}
	n := 0
	if r.up > 1 {
		for i := range in {
			at := x[i : i+len(r.taps[0])]
			for _, row := range r.taps {
				out[n] = toInt16(dot(row, at))
				n++
			}
		}
	} else {
		row := r.taps[0]
		for i := r.down; i <= len(in); i += r.down {
			out[n] = toInt16(dot(row, x[i:i+len(row)]))
			n++
		}
	}
	copy(r.past[:r.keep], x[len(x)-r.keep:])
	return n
}

// Follow takes over from another Resampler between the same rates.
func (r *Resampler) Follow(other *Resampler) {
	if r.up == other.up && r.down == other.down {
		copy(r.past, other.past)
	}
}

// Delay returns by how many samples of the higher rate the output is late.
func (r *Resampler) Delay() float64 {
	if r.taps == nil {
		return 0
	}
	factor := max(r.up, r.down)
	delay := float64(2*tapsHalf*factor-1) / 2
	if r.down > 1 {
		delay -= float64(factor - 1) // it looks at the last of each block
	}
	return delay
}

// dot is the sum of products; b is at least as long as a, which has a multiple of four.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	return s0 + s1 + s2 + s3
}

func toInt16(v float32) int16 {
	switch {
	case v >= math.MaxInt16:
		return math.MaxInt16
	case v <= math.MinInt16:
		return math.MinInt16
	case v >= 0:
		return int16(v + 0.5)
	}
	return int16(v - 0.5)
}
