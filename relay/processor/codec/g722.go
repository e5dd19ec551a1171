package codec

import (
	"fmt"
	"math"
)

// G.722 at 64 kbit/s (mode 1): two sub-bands, each adaptive differential PCM, the lower
// one with 6 bits and the higher one with 2. Blocks are named as in the Recommendation's
// section 6.2, which says bit by bit what each does.

// The quantizers, their inverses, and what moves their scale factors (tables 14 to 20).
var (
	// q6 are the decision levels of the lower sub-band.
	q6 = [...]int{
		0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858,
		940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
	}
	// out6, out4 and out2 are the output values of 6, 4 and 2 bits by their codewords.
	out6 = [...]int{
		-136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192,
		-10232, -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576,
		-3168, -2776, -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704,
		14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944,
		4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
	}
	out4 = [...]int{
		0, -20456, -12896, -8968, -6288, -4240, -2584, -1200,
		20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
	}
	out2 = [...]int{-7408, -1616, 7408, 1616}
	// wl and wh are the logarithmic multipliers, by the codeword.
	wl = [...]int{-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60}
	wh = [...]int{798, -214, 798, -214}
	// qmf are the coefficients of the filters that divide and join the bands (table 11).
	qmf = [...]int{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}
	ilb = inverseLogarithm()
)

const (
	nblMost = 18432
	nbhMost = 22528
	// qh is the only decision level of the higher sub-band.
	qh = 564
)

// inverseLogarithm makes table 16: 2048 times 2 to the power of i/32.
func inverseLogarithm() (table [32]int) {
	for i := range table {
		table[i] = int(math.Round(2048 * math.Exp2(float64(i)/32)))
	}
	return table
}

func sat16(v int) int { return min(max(v, math.MinInt16), math.MaxInt16) }

// band is the state of a sub-band's adaptive predictor and quantizer.
type band struct {
	s, sz int    // the predicted signal, and the zeros' part of it
	r     [2]int // reconstructed signals, newest first
	p     [2]int // partly reconstructed
	a     [2]int // coefficients of the poles
	b, d  [6]int // and of the zeros, with the last differences
	nb    int    // logarithmic scale factor
	det   int    // scale factor
}

// scale is LOGSCL and SCALEL, or LOGSCH and SCALEH: shift and most are what differs.
func (b *band) scale(multiplier, shift, most int) {
	b.nb = min(max(b.nb*127>>7+multiplier, 0), most)
	by := shift - b.nb>>11
	v := ilb[b.nb>>6&31]
	if by < 0 {
		v <<= -by
	} else {
		v >>= by
	}
	b.det = v << 2
}

// predict is block 4: it takes in the quantized difference, and predicts the next signal.
func (b *band) predict(difference int) {
	r := sat16(b.s + difference)
	p := sat16(b.sz + difference)
	sign, sign1, sign2 := p < 0, b.p[0] < 0, b.p[1] < 0

	// UPPOL2
	a2 := sat16(b.a[0] << 2)
	if sign == sign1 {
		a2 = -a2
	}
	a2 = min(a2, math.MaxInt16) >> 7
	if sign == sign2 {
		a2 += 128
	} else {
		a2 -= 128
	}
	a2 = min(max(a2+b.a[1]*32512>>15, -12288), 12288)

	// UPPOL1
	a1 := -192
	if sign == sign1 {
		a1 = 192
	}
	bound := sat16(15360 - a2)
	a1 = min(max(sat16(a1+b.a[0]*32640>>15), -bound), bound)

	// UPZERO, FILTEZ
	step := 128
	if difference == 0 {
		step = 0
	}
	last := difference
	b.sz = 0
	for i := range b.b {
		by := -step
		if (b.d[i] < 0) == (difference < 0) {
			by = step
		}
		b.b[i] = sat16(by + b.b[i]*32640>>15)
		b.d[i], last = last, b.d[i]
		b.sz += b.b[i] * sat16(2*b.d[i]) >> 15
	}
	b.sz = sat16(b.sz)

	// DELAYA, FILTEP, PREDIC
	b.a = [2]int{a1, a2}
	b.p = [2]int{p, b.p[0]}
	b.r = [2]int{r, b.r[0]}
	sp := sat16(a1*sat16(2*b.r[0])>>15 + a2*sat16(2*b.r[1])>>15)
	b.s = sat16(sp + b.sz)
}

// lower takes in the lower sub-band's codeword, of 6 bits: blocks 2L to 4L, which look at
// the upper 4 of them.
func (b *band) lower(code int) {
	difference := b.det * out4[code>>2] >> 15
	b.scale(wl[code>>2], 8, nblMost)
	b.predict(difference)
}

// higher takes in the higher sub-band's codeword: blocks 2H to 4H.
func (b *band) higher(code int) {
	difference := b.det * out2[code] >> 15
	b.scale(wh[code], 10, nbhMost)
	b.predict(difference)
}

// bands are both, with the past of the filter.
type bands struct {
	low, high band
	x         [24]int
}

func newBands() bands { return bands{low: band{det: 32}, high: band{det: 8}} }

// push moves two values into the filter, and returns the sums over its odd and even taps.
func (b *bands) push(first, second int) (odd, even int) {
	copy(b.x[:], b.x[2:])
	b.x[22], b.x[23] = first, second
	for i, c := range qmf {
		odd += b.x[2*i] * c
		even += b.x[2*i+1] * qmf[len(qmf)-1-i]
	}
	return odd, even
}

// g722Decoder decodes.
type g722Decoder struct {
	bands
	past past
}

func newG722Decoder() *g722Decoder { return &g722Decoder{newBands(), newPast(16000)} }

func (d *g722Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || 2*len(payload) > len(pcm) {
		return 0, fmt.Errorf("G.722 payload of %d bytes; valid: 1 to %d", len(payload), len(pcm)/2)
	}
	for i, octet := range payload {
		low, high := int(octet&0x3f), int(octet>>6)
		// Blocks 5L and 6L: the output has all 6 bits, the predictor's difference 4.
		rl := limit(d.low.s + d.low.det*out6[low]>>15)
		d.low.lower(low)
		rh := limit(d.high.s + d.high.det*out2[high]>>15)
		d.high.higher(high)
		odd, even := d.push(rl+rh, rl-rh)
		pcm[2*i], pcm[2*i+1] = int16(sat16(even>>11)), int16(sat16(odd>>11))
	}
	d.past.put(pcm[:2*len(payload)])
	return 2 * len(payload), nil
}

// limit is block 6: the sub-bands have 15 bits.
func limit(v int) int { return min(max(v, -16384), 16383) }

func (d *g722Decoder) Conceal(pcm []int16) { d.past.conceal(pcm) }

// g722Encoder encodes.
type g722Encoder struct{ bands }

func newG722Encoder() *g722Encoder { return &g722Encoder{newBands()} }

func (e *g722Encoder) Encode(payload []byte, pcm []int16) ([]byte, error) {
	if len(pcm)%2 != 0 {
		return payload, fmt.Errorf("%d samples for G.722; valid: an even number", len(pcm))
	}
	for i := 0; i < len(pcm); i += 2 {
		odd, even := e.push(int(pcm[i]), int(pcm[i+1]))
		low := e.low.quantizeLower((even + odd) >> 14)
		e.low.lower(low)
		high := e.high.quantizeHigher((even - odd) >> 14)
		e.high.higher(high)
		payload = append(payload, byte(high<<6|low))
	}
	return payload, nil
}

func (e *g722Encoder) Follow(other Encoder, _ []int16) error {
	o, ok := other.(*g722Encoder)
	if !ok {
		return fmt.Errorf("an encoder of G.722 cannot follow %T", other)
	}
	e.bands = o.bands
	return nil
}

// quantizeLower is block 1L.
func (b *band) quantizeLower(x int) int {
	difference := sat16(x - b.s)
	size, negative := difference, difference < 0
	if negative {
		size = -(difference + 1)
	}
	level := 1
	for level < len(q6) && size >= q6[level]*b.det>>12 {
		level++
	}
	switch {
	case !negative:
		return 62 - level // 61 for the lowest level, 32 for the highest
	case level == 1:
		return 63
	case level == 2:
		return 62
	}
	return 34 - level // 31 for the third level, 4 for the highest
}

// quantizeHigher is block 1H.
func (b *band) quantizeHigher(x int) int {
	difference := sat16(x - b.s)
	size, negative := difference, difference < 0
	if negative {
		size = -(difference + 1)
	}
	code := 3
	if size >= qh*b.det>>12 {
		code = 2
	}
	if negative {
		code -= 2
	}
	return code
}
