package quality_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/quality"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/pion/rtp"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func sampler(t *testing.T, c quality.Config) *quality.Sampler {
	t.Helper()
	c.Start = start
	s, err := quality.NewSampler(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opus(t *testing.T) *quality.Sampler {
	return sampler(t, quality.Config{Kind: "audio", Codec: "opus", ClockRate: 48000})
}

// play gives a packet of 100 bytes each 20 ms from one time to another, except
// those that lost takes.
func play(s *quality.Sampler, from, to int, lost func(n int) bool) {
	for ms := from; ms < to; ms += 20 {
		n := ms / 20
		if lost == nil || !lost(n) {
			s.Packet(at(ms), &rtp.Header{SequenceNumber: uint16(n), Timestamp: uint32(960 * n)}, 100)
		}
	}
}

func losses(samples []result.Sample) string {
	var b strings.Builder
	for _, s := range samples {
		fmt.Fprintf(&b, "%.2f ", s.Loss)
	}
	return strings.TrimSpace(b.String())
}

func TestLossIsThatOfTheInterval(t *testing.T) {
	for _, c := range []struct {
		name string
		lost func(n int) bool
		want string
	}{
		{"none", nil, "0.00 0.00 0.00 0.00 0.00"},
		{"every tenth of the second second", func(n int) bool { return n/50 == 1 && n%10 == 5 }, "0.00 0.10 0.00 0.00 0.00"},
		{"an outage from 1.5 to 3.5 s", func(n int) bool { return n >= 75 && n < 175 }, "0.00 0.50 1.00 0.50 0.00"},
		{"an outage of exactly two intervals", func(n int) bool { return n/50 == 1 || n/50 == 2 }, "0.00 1.00 1.00 0.00 0.00"},
	} {
		s := opus(t)
		play(s, 0, 5000, c.lost)
		samples := s.Samples(at(4999))
		got := losses(samples)
		// An outage is as if lost evenly between the packets around it, so an
		// edge may differ by a packet or two in a hundred.
		if got != c.want {
			var a, b [5]float64
			fmt.Sscan(got, &a[0], &a[1], &a[2], &a[3], &a[4])
			fmt.Sscan(c.want, &b[0], &b[1], &b[2], &b[3], &b[4])
			for i := range a {
				if math.Abs(a[i]-b[i]) > 0.021 {
					t.Errorf("%s: wanted %s, got %s", c.name, c.want, got)
					break
				}
			}
		}
	}
}

func TestAScoreRecoversWithItsStream(t *testing.T) {
	s := opus(t)
	play(s, 0, 10000, func(n int) bool { return n/50 == 4 && n%5 != 0 })
	samples := s.Samples(at(9999))
	if len(samples) != 10 {
		t.Fatalf("wanted 10 samples, got %d", len(samples))
	}
	for i, sample := range samples {
		if sample.At != result.Duration(time.Duration(i+1)*time.Second) {
			t.Errorf("sample %d is at %v", i, time.Duration(sample.At))
		}
		if bad := i == 4; bad != (sample.MOS < 2) || !bad && sample.MOS < 4.3 {
			t.Errorf("second %d: MOS %.2f, loss %.2f", i, sample.MOS, sample.Loss)
		}
	}
	var st result.Stream
	s.Fill(&st)
	if st.MOS < 4 || st.MOS > 4.2 {
		t.Errorf("mean score: wanted nine good seconds and a bad one, got %.2f", st.MOS)
	}
	for _, said := range []string{"mean of 10 intervals of 1s", "the worst, MOS 1.", "G.113 has no value; assumed", "ITU-T G.107"} {
		if !strings.Contains(st.MOSInputs, said) {
			t.Errorf("inputs do not say %q: %s", said, st.MOSInputs)
		}
	}
}

// The packets of one picture within a millisecond are no 20 Mbit/s.
func TestAStreamThatHasHardlyBegunHasNoBitrate(t *testing.T) {
	s := opus(t)
	play(s, 0, 60, func(int) bool { return false })
	var st result.Stream
	s.Fill(&st)
	if st.Received == 0 || st.Bitrate != 0 {
		t.Errorf("received %d, bitrate %g; wanted packets and no bitrate", st.Received, st.Bitrate)
	}
}

func TestFiguresOfTheWholeStream(t *testing.T) {
	s := opus(t)
	play(s, 0, 2000, func(n int) bool { return n%10 == 5 })
	s.RoundTrip(at(500), 40*time.Millisecond)
	s.RoundTrip(at(1500), 60*time.Millisecond)
	st := result.Stream{Kind: "audio", Sent: 100}
	s.Fill(&st)
	if st.Received != 90 || st.Lost != 10 || st.LossRate != 0.1 || st.Sent != 100 {
		t.Errorf("received %d, lost %d, rate %g", st.Received, st.Lost, st.LossRate)
	}
	if st.RTT != result.Duration(50*time.Millisecond) || st.Jitter != 0 || st.Freezes != 0 {
		t.Errorf("rtt %v, jitter %v, freezes %d", time.Duration(st.RTT), time.Duration(st.Jitter), st.Freezes)
	}
	if want := 90 * 800 / 1.98; math.Abs(st.Bitrate-want) > 1 {
		t.Errorf("bitrate: wanted %g, got %g", want, st.Bitrate)
	}
	samples := s.Samples(at(1999))
	if samples[0].RTT != result.Duration(40*time.Millisecond) || samples[1].RTT != result.Duration(60*time.Millisecond) {
		t.Errorf("round trips of the samples: %v, %v", samples[0].RTT, samples[1].RTT)
	}
	if samples[0].Bitrate != 45*800 {
		t.Errorf("bitrate of the first second: %g", samples[0].Bitrate)
	}
	report, units := s.Report()
	if report.Lost != 10 || report.Fraction != 25 || units != 0 {
		t.Errorf("report %+v, jitter %d", report, units)
	}
}

func TestDelayCountsInTheScore(t *testing.T) {
	score := func(rtt time.Duration, late int) float64 {
		s := opus(t)
		s.RoundTrip(at(0), rtt)
		for n := range 100 {
			s.Packet(at(20*n+n%2*late), &rtp.Header{SequenceNumber: uint16(n), Timestamp: uint32(960 * n)}, 100)
		}
		var st result.Stream
		s.Fill(&st)
		return st.MOS
	}
	if near, far := score(20*time.Millisecond, 0), score(600*time.Millisecond, 0); near < 4.3 || far > near-0.4 {
		t.Errorf("round trips of 20 and 600 ms: MOS %.2f and %.2f", near, far)
	}
	if calm, rough := score(300*time.Millisecond, 0), score(300*time.Millisecond, 60); rough >= calm-0.05 {
		t.Errorf("jitter of 0 and 60 ms: MOS %.2f and %.2f", calm, rough)
	}
}

func TestSilenceIsNoLoss(t *testing.T) {
	s := opus(t)
	play(s, 0, 1000, nil)
	for n := 50; n < 100; n++ { // three seconds of hold; the numbers go on
		s.Packet(at(20*n+3000), &rtp.Header{SequenceNumber: uint16(n), Timestamp: uint32(960 * (n + 150))}, 100)
	}
	samples := s.Samples(at(4999))
	if got := losses(samples); got != "0.00 0.00 0.00 0.00 0.00" {
		t.Errorf("loss %s", got)
	}
	for i, sample := range samples {
		if quiet := i > 0 && i < 4; quiet != (sample.MOS == 0) {
			t.Errorf("second %d: MOS %.2f", i, sample.MOS)
		}
	}
}

func TestLatePacketsAreNotLost(t *testing.T) {
	s := opus(t)
	header := func(n int) *rtp.Header { return &rtp.Header{SequenceNumber: uint16(n), Timestamp: uint32(960 * n)} }
	for n := range 100 {
		if n != 10 && n != 49 {
			s.Packet(at(20*n), header(n), 100)
		}
		switch n {
		case 12:
			s.Packet(at(20*n+1), header(10), 100)
		case 60: // in the second after
			s.Packet(at(20*n+1), header(49), 100)
		}
	}
	var st result.Stream
	s.Fill(&st)
	if st.Lost != 0 || losses(s.Samples(at(1999))) != "0.00 0.00" {
		t.Errorf("lost %d, %s", st.Lost, losses(s.Samples(at(1999))))
	}
}

func TestStreamsThatJumpAreNotMiscounted(t *testing.T) {
	s := opus(t)
	play(s, 0, 1000, nil)
	s.Packet(at(1000), &rtp.Header{SequenceNumber: 40000}, 100)
	var st result.Stream
	s.Fill(&st)
	if st.Received != 50 || st.Lost != 0 {
		t.Errorf("one stray packet: received %d, lost %d", st.Received, st.Lost)
	}
}

func TestVideoHasFreezesAndNoScore(t *testing.T) {
	s := sampler(t, quality.Config{Kind: "video", Codec: "vp8", ClockRate: 90000, Interval: 500 * time.Millisecond})
	for n := range 60 {
		ms := 33 * n
		if n >= 30 {
			ms += 1000
		}
		s.Packet(at(ms), &rtp.Header{SequenceNumber: uint16(n), Timestamp: uint32(2970 * n)}, 1000)
		s.Frame(at(ms))
	}
	s.Pause()
	s.Frame(at(60000))
	var st result.Stream
	s.Fill(&st)
	if st.Freezes != 1 || st.MOS != 0 || st.MOSInputs != "" {
		t.Errorf("freezes %d, MOS %g %q", st.Freezes, st.MOS, st.MOSInputs)
	}
	samples := s.Samples(at(2999))
	if len(samples) != 6 || samples[0].MOS != 0 || samples[0].Bitrate != 16*8000*2 {
		t.Errorf("samples %+v", samples)
	}
}

func TestNothingReceivedGivesNothing(t *testing.T) {
	s := opus(t)
	var st result.Stream
	s.Fill(&st)
	if st != (result.Stream{}) {
		t.Errorf("got %+v", st)
	}
	if samples := s.Samples(start.Add(-time.Hour)); len(samples) != 1 || samples[0].MOS != 0 {
		t.Errorf("samples %+v", samples)
	}
}

func TestConfigErrorsNameTheField(t *testing.T) {
	for wanted, c := range map[string]quality.Config{
		`kind "text"; valid: audio, video`: {Kind: "text", ClockRate: 1, Start: start},
		"clock rate":                       {Kind: "audio", Start: start},
		"interval -1ns":                    {Kind: "audio", ClockRate: 1, Interval: -1, Start: start},
		"start of pcmu is not set":         {Kind: "audio", Codec: "pcmu", ClockRate: 8000},
	} {
		if _, err := quality.NewSampler(c); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("wanted an error with %q, got %v", wanted, err)
		}
	}
}
