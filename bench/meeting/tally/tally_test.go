package tally_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/bench/meeting/tally"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// play has packets from to, without those lost, come 20 ms apart and 5 ms after they were
// due.
func play(t *tally.Tally, s *tally.Stream, from, to int, lost func(int) bool) {
	for n := from; n < to; n++ {
		if lost != nil && lost(n) {
			continue
		}
		due := start.Add(time.Duration(n) * 20 * time.Millisecond)
		payload := make([]byte, 80)
		tally.Stamp{Due: due.UnixNano(), Sender: 3}.Put(payload)
		s.Packet(t, due.Add(5*time.Millisecond), uint16(n), uint32(n*960), payload)
	}
}

// RFC 3550, appendix A.3, for each interval.
func TestLossIsThatOfTheInterval(t *testing.T) {
	sum := tally.New()
	s := tally.NewStream(true, 48000)
	for i, c := range []struct {
		lost     func(int) bool
		expected uint64
		gone     uint64
	}{
		{nil, 50, 0},
		{func(n int) bool { return n%10 == 5 }, 50, 5},
		{nil, 50, 0},
	} {
		one := tally.New()
		play(one, s, 50*i, 50*i+50, c.lost)
		s.Interval(one, 30*time.Millisecond)
		if one.Expected != c.expected || one.Lost() != c.gone || one.Received != c.expected-c.gone {
			t.Errorf("interval %d: %d of %d, %d lost", i, one.Received, one.Expected, one.Lost())
		}
		sum.Add(one)
	}
	if sum.Lost() != 5 || sum.Loss() != 5.0/150 {
		t.Errorf("%d lost, %v", sum.Lost(), sum.Loss())
	}
	if p := tally.Of(sum.Latency); p.Count != 145 || p.P50 < 4*time.Millisecond || p.P50 > 6*time.Millisecond {
		t.Errorf("latency %+v, wanted 5 ms", p)
	}
	score, err := sum.Score("opus")
	if err != nil {
		t.Fatal(err)
	}
	// One interval of three is bad, and does not spoil the others.
	if score.Intervals != 3 || score.Min >= score.P50 || !strings.Contains(score.Worst, "loss 10.00 %") || !strings.Contains(score.Inputs, "loss 0.00 %") {
		t.Errorf("score %+v", score)
	}
}

// What comes late is taken back from what was lost before.
func TestLatePacketsAreNotLost(t *testing.T) {
	sum := tally.New()
	s := tally.NewStream(true, 48000)
	play(sum, s, 0, 50, func(n int) bool { return n == 49 || n == 40 })
	s.Interval(sum, 0)
	play(sum, s, 50, 51, nil)
	play(sum, s, 40, 41, nil)
	play(sum, s, 49, 50, nil)
	s.Interval(sum, 0)
	if sum.Lost() != 0 || sum.Expected != 51 {
		t.Errorf("%d lost of %d", sum.Lost(), sum.Expected)
	}
}

func TestBurstsOfLossAreWorseThanSingleLosses(t *testing.T) {
	scored := func(lost func(int) bool) float64 {
		sum := tally.New()
		s := tally.NewStream(true, 48000)
		play(sum, s, 0, 100, lost)
		s.Interval(sum, 0)
		score, err := sum.Score("opus")
		if err != nil {
			t.Fatal(err)
		}
		return score.P50
	}
	single, burst := scored(func(n int) bool { return n%10 == 5 }), scored(func(n int) bool { return n >= 50 && n < 60 })
	if burst >= single {
		t.Errorf("bursts score %.2f, single losses %.2f", burst, single)
	}
}

func TestNothingReceivedIsNoLossAndNoScore(t *testing.T) {
	sum := tally.New()
	s := tally.NewStream(true, 48000)
	s.Interval(sum, 0)
	if s.Begun() || s.Heard() || sum.Expected != 0 || sum.Loss() != 0 {
		t.Errorf("%+v", sum)
	}
	if score, err := sum.Score("opus"); score != nil || err != nil {
		t.Errorf("score %+v, %v", score, err)
	}
	if _, err := sum.Score("theora"); err == nil {
		t.Error("scored what is no voice")
	}
}

func TestVideoIsNotScored(t *testing.T) {
	sum := tally.New()
	s := tally.NewStream(false, 90000)
	play(sum, s, 0, 50, nil)
	s.Interval(sum, 0)
	if score, _ := sum.Score("opus"); score != nil {
		t.Errorf("score %+v", score)
	}
}

func TestHeardIsSinceItWasAskedLast(t *testing.T) {
	sum := tally.New()
	s := tally.NewStream(true, 48000)
	play(sum, s, 0, 1, nil)
	if !s.Begun() || !s.Heard() || s.Heard() {
		t.Error("heard is not once for what came")
	}
	if r, _ := s.Report(); r.Highest != 0 || r.Lost != 0 {
		t.Errorf("report %+v", r)
	}
}

// Streams of a tally that goes on are the same; those of another's are others.
func TestTalliesAreAdded(t *testing.T) {
	a, b := tally.New(), tally.New()
	a.Streams, b.Streams = 3, 4
	a.Sending(time.Millisecond, 100)
	b.Sending(time.Second, 100)
	b.Unsent, b.Unread, b.Stray, b.Retransmitted, b.KeyFrames = 1, 2, 3, 4, 5
	sum := tally.New()
	sum.Add(a)
	sum.Add(b)
	if sum.Streams != 4 || sum.Sent != 2 || sum.Bytes != 200 || sum.Unsent != 1 || sum.Unread != 2 || sum.Stray != 3 ||
		sum.Retransmitted != 4 || sum.KeyFrames != 5 || sum.Pacing.Count() != 2 {
		t.Errorf("%+v", sum)
	}
	sum.AddBeside(a)
	if sum.Streams != 7 {
		t.Errorf("%d streams", sum.Streams)
	}
}

func FuzzReadStamp(f *testing.F) {
	p := make([]byte, 20)
	tally.Stamp{Due: -1, Sender: 7}.Put(p)
	f.Add(p)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, p []byte) {
		s, ok := tally.ReadStamp(p)
		if !ok {
			return
		}
		again := append([]byte(nil), p...)
		s.Put(again)
		if string(again) != string(p) {
			t.Errorf("read %x as %+v", p, s)
		}
	})
}
