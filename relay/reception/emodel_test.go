package reception

import (
	"math"
	"strings"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, wanted, within float64) {
	t.Helper()
	if !(math.Abs(got-wanted) <= within) {
		t.Errorf("%s: wanted %g, got %g", what, wanted, got)
	}
}

// G.107, clause 7.7: "R = 93.2" with all parameters at their defaults.
func TestDefaultsOfG107Give93Point2(t *testing.T) {
	p := Defaults()
	r := p.Rate()
	near(t, "No", p.noise(), -61.179214, 1e-6)
	near(t, "Ro", r.Ro, 94.768822, 1e-6)
	near(t, "Is", r.Is, 1.413568, 1e-6)
	near(t, "Idte", r.Idte, 0, 0)
	near(t, "Idd", r.Idd, 0, 0)
	near(t, "Ie,eff", r.IeEff, 0, 0)
	near(t, "R", r.R, 93.2, 0.05)
	near(t, "MOS", r.MOS(), 4.41, 0.005)
	near(t, "sum of parts", r.R, r.Ro-r.Is-r.Id-r.IeEff+r.A, 1e-9)
}

// G.107, Annex B, table B.1: the limits of the classes of users' satisfaction.
func TestRatingsBecomeScoresByAnnexB(t *testing.T) {
	for _, c := range []struct{ r, mos float64 }{
		{-5, 1}, {0, 1}, {3, 1}, {50, 2.58}, {60, 3.10}, {70, 3.60}, {80, 4.03}, {90, 4.34}, {93.2, 4.41}, {100, 4.5}, {120, 4.5}, {math.NaN(), 1},
	} {
		near(t, "MOS", MOS(c.r), c.mos, 0.0065) // the table has 4.03 for 4.024
	}
	for r := 0.0; r < 100; r += 0.5 {
		if MOS(r+0.5) < MOS(r) {
			t.Errorf("MOS falls between R %g and %g", r, r+0.5)
		}
	}
}

// G.107, equations 7-18 to 7-28; a second implementation in another language gave
// the same values.
func TestDelayImpairs(t *testing.T) {
	for _, c := range []struct {
		name       string
		t, tr, ta  float64
		telr, stmr float64
		r          float64
	}{
		// Without echo (T = 0): the curve of G.114, figure 1.
		{"100 ms", 0, 0, 100, 65, 15, 93.2},
		{"200 ms", 0, 0, 200, 65, 15, 90.2},
		{"300 ms", 0, 0, 300, 65, 15, 78.4},
		{"400 ms", 0, 0, 400, 65, 15, 69.1},
		// With the echo of a digital path.
		{"50 ms and echo", 50, 100, 50, 65, 15, 91.8},
		{"150 ms and echo", 150, 300, 150, 65, 15, 89.5},
		{"150 ms and a bad echo", 150, 300, 150, 45, 15, 62.5},
		{"150 ms, no sidetone", 150, 300, 150, 65, 25, 86.1},
		{"150 ms, loud sidetone", 150, 300, 150, 65, 5, 85.9},
	} {
		p := Defaults()
		p.T, p.Tr, p.Ta, p.TELR, p.STMR = c.t, c.tr, c.ta, c.telr, c.stmr
		near(t, c.name, p.Rate().R, c.r, 0.05)
	}
}

// G.107, equation 7-29, with the values of G.113 Appendix I.
func TestLossImpairsByTheCodecsRobustness(t *testing.T) {
	for _, c := range []struct {
		codec        string
		percent      float64
		burst        float64
		ieEff        float64
		wantedSource string
	}{
		{"PCMU", 0, 1, 0, "G.711 with concealment"},
		{"PCMU", 1, 1, 95.0 / 26.1, "G.113"},
		{"PCMU", 2, 1, 95 * 2 / 27.1, "G.113"},
		{"pcma", 5, 1, 95 * 5 / 30.1, "G.113"},
		{"pcmu-plain", 2, 1, 95 * 2 / 6.3, "without concealment"},
		{"pcmu-plain", 2, 2, 95 * 2 / 5.3, "without concealment"},
		{"pcmu-plain", 2, 9, 95 * 2 / 5.3, "without concealment"}, // beyond what G.107 permits
		{"g729", 0, 1, 11, "G.729A"},
		{"g729", 3, 1, 11 + 84*3/22.0, "G.729A"},
		{"opus", 10, 1, 95 * 10 / 20.0, "G.113 has no value; assumed"},
		{"opus-fec", 10, 1, 95 * 10 / 30.0, "rtcscore"},
	} {
		codec, ok := CodecOf(c.codec)
		if !ok {
			t.Fatalf("no codec %s", c.codec)
		}
		e := Voice{Codec: codec, Loss: c.percent / 100, BurstRatio: c.burst}.Estimate()
		near(t, c.codec, e.IeEff, c.ieEff, 1e-9)
		near(t, c.codec+" score", e.MOS, MOS(93.206-c.ieEff), 0.001)
		if !strings.Contains(e.Inputs, c.wantedSource) {
			t.Errorf("%s: inputs %q do not say %q", c.codec, e.Inputs, c.wantedSource)
		}
	}
	for _, name := range []string{"vp8", "h264", ""} {
		if c, ok := CodecOf(name); ok {
			t.Errorf("%s is taken for the voice codec %+v", name, c)
		}
	}
}

func TestEstimateSaysWhatItWasMadeFrom(t *testing.T) {
	codec, _ := CodecOf("pcmu")
	delay := MouthToEar(160*time.Millisecond, 20*time.Millisecond, 25*time.Millisecond)
	if delay != 150*time.Millisecond {
		t.Errorf("delay from mouth to ear: wanted 150ms, got %v", delay)
	}
	e := Voice{Codec: codec, Delay: delay, Loss: 0.02, BurstRatio: 1.5}.Estimate()
	const wanted = "estimated by ITU-T G.107: R 82.4 of delay 150 ms, loss 2.00 %, burst ratio 1.50; " +
		"pcmu: Ie 0, Bpl 25.1 (ITU-T G.113 Appendix I, G.711 with concealment)"
	if e.Inputs != wanted {
		t.Errorf("wanted %q\n   got %q", wanted, e.Inputs)
	}
	near(t, "score", e.MOS, MOS(82.4), 0.005)
}

func FuzzEstimate(f *testing.F) {
	f.Add("opus", int64(0), 0.0, 1.0)
	f.Add("g729", int64(time.Hour), 1.0, 100.0)
	f.Add("pcmu", int64(-5), math.NaN(), math.Inf(-1))
	f.Fuzz(func(t *testing.T, name string, delay int64, loss, burst float64) {
		codec, ok := CodecOf(name)
		if !ok {
			codec, _ = CodecOf("opus")
		}
		e := Voice{Codec: codec, Delay: time.Duration(delay), Loss: loss, BurstRatio: burst}.Estimate()
		if !(e.MOS >= 1 && e.MOS <= 4.5) || math.IsNaN(e.R) {
			t.Fatalf("delay %v, loss %g, burst ratio %g: %+v", time.Duration(delay), loss, burst, e)
		}
	})
}
