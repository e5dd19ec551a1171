package reception

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Codec is what the E-model has to know of a codec.
type Codec struct {
	// Name is lower case, as in an SDP's rtpmap.
	Name string
	// Ie is the impairment without loss, Bpl the robustness against loss.
	Ie, Bpl float64
	// Source says where the values are from, in words for people.
	Source string
}

const (
	g113    = "ITU-T G.113 Appendix I"
	assumed = "G.113 has no value; assumed: no worse than G.711 without loss on G.107's narrow-band scale"
)

// codecs: the values of G.113 hold for receivers with the loss concealment that the
// codec's standard describes. Opus is not in it. Its 10 and 20 are what the open
// project rtcscore (github.com/ggarber/rtcscore) assumes without and with forward
// error correction; 10 is also the lowest value of any concealing codec in G.113
// (GSM EFR), so the estimate errs to the bad side.
var codecs = map[string]Codec{
	"pcmu":       {"pcmu", 0, 25.1, g113 + ", G.711 with concealment"},
	"pcma":       {"pcma", 0, 25.1, g113 + ", G.711 with concealment"},
	"pcmu-plain": {"pcmu-plain", 0, 4.3, g113 + ", G.711 without concealment"},
	"g729":       {"g729", 11, 19, g113 + ", G.729A with voice activity detection"},
	"g723":       {"g723", 15, 16.1, g113 + ", G.723.1 at 6.3 kbit/s"},
	"gsm-efr":    {"gsm-efr", 5, 10, g113 + ", GSM EFR"},
	"opus":       {"opus", 0, 10, assumed + ", Bpl as rtcscore assumes"},
	"opus-fec":   {"opus-fec", 0, 20, assumed + ", Bpl as rtcscore assumes with forward error correction"},
}

// CodecOf returns the codec of that name; names are those of rtpmap, and
// "pcmu-plain" and "opus-fec" for the variants. ok is false for what is no voice
// codec or has no values.
func CodecOf(name string) (c Codec, ok bool) {
	c, ok = codecs[strings.ToLower(name)]
	return c, ok
}

// Voice is what was measured of a voice stream over some time.
type Voice struct {
	Codec Codec
	// Delay is one-way from mouth to ear; see MouthToEar.
	Delay time.Duration
	// Loss is from 0 to 1.
	Loss float64
	// BurstRatio is 1 for random loss and more for bursts; 0 means 1.
	BurstRatio float64
}

// Estimate is a score with what it was made from.
type Estimate struct {
	Rating
	// MOS is from 1 to 4.5.
	MOS float64
	// Inputs are the figures and their sources, in words for people.
	Inputs string
}

// maxBurstRatio is the end of the range for which G.107, Table 2 permits BurstR.
const maxBurstRatio = 2

// Estimate computes the score. Everything that was not measured has G.107's
// default. The whole path is digital, so the echo, if there is one, takes the same
// way as the voice: T = Ta and Tr = 2 Ta (G.107, clause 7.4).
func (v Voice) Estimate() Estimate {
	p := Defaults()
	ms := max(0, float64(v.Delay)/float64(time.Millisecond))
	p.T, p.Ta, p.Tr = ms, ms, 2*ms
	p.Ie, p.Bpl = v.Codec.Ie, v.Codec.Bpl
	p.Ppl = 100 * clamp(v.Loss, 0, 1)
	p.BurstR = clamp(v.BurstRatio, 1, maxBurstRatio)
	r := p.Rate()
	return Estimate{
		Rating: r,
		MOS:    r.MOS(),
		Inputs: fmt.Sprintf("estimated by ITU-T G.107: R %.1f of delay %.0f ms, loss %.2f %%, burst ratio %.2f; %s: Ie %g, Bpl %g (%s)",
			r.R, ms, p.Ppl, p.BurstR, v.Codec.Name, p.Ie, p.Bpl, v.Codec.Source),
	}
}

// MouthToEar estimates the one-way delay of voice: half of the round trip, the
// frame that the sender has to fill first, and a jitter buffer of twice the jitter.
// The last is an assumption, as each client has a jitter buffer of its own design.
func MouthToEar(roundTrip, frame, jitter time.Duration) time.Duration {
	return roundTrip/2 + frame + 2*jitter
}

func clamp(x, low, high float64) float64 {
	if math.IsNaN(x) {
		return low
	}
	return min(max(x, low), high)
}
