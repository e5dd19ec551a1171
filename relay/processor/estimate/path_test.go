package estimate_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/callpath/callpath/relay/processor/estimate"
)

// path is a simulated one, in virtual time: a sender with media of some bitrate, a queue in
// front of a link, loss behind it, and a receiver that reports every 50 ms.
type path struct {
	t        testing.TB
	r        *rand.Rand
	s        *estimate.Sender
	recorder *estimate.Recorder
	now      time.Time

	capacity float64 // bit/s
	delay    time.Duration
	jitter   time.Duration
	queue    time.Duration // the longest
	loss     float64
	mute     bool // no feedback
	// media says at what bitrate is sent, given the estimate.
	media func(estimate uint64) float64

	free     time.Time // when the link is
	last     time.Time // when the last packet arrived
	flight   []flying
	reports  []report
	credit   float64 // bits that may be sent
	probe    float64 // bits of a probe that are to be sent
	probeEnd time.Time
	dropped  int
	sent     int
	longest  time.Duration // the longest time in the queue
}

type flying struct {
	seq uint16
	at  time.Time
}

type report struct {
	packets []rtcp.Packet
	at      time.Time
}

const packetSize = 1000

func newPath(t testing.TB, capacity float64) *path {
	return &path{
		t: t, r: rand.New(rand.NewPCG(5, 6)), s: estimate.NewSender(estimate.Config{}), recorder: estimate.NewRecorder(9),
		now: begin, capacity: capacity, delay: 30 * time.Millisecond, queue: 300 * time.Millisecond,
		media: func(e uint64) float64 { return float64(e) },
	}
}

func (p *path) send(size int, probe bool) {
	seq := p.s.Next(size, probe, p.now)
	p.sent++
	if p.free.Before(p.now) {
		p.free = p.now
	}
	wait := p.free.Sub(p.now)
	p.longest = max(p.longest, wait)
	if wait > p.queue || p.r.Float64() < p.loss {
		p.dropped++
		return
	}
	p.free = p.free.Add(time.Duration(float64(8*size) / p.capacity * 1e9))
	at := p.free.Add(p.delay)
	if p.jitter > 0 {
		at = at.Add(time.Duration(p.r.Int64N(int64(p.jitter))))
	}
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	p.flight = append(p.flight, flying{seq, at})
}

// pass lets time pass, in steps of 5 ms.
func (p *path) pass(d time.Duration) {
	const step = 5 * time.Millisecond
	for end := p.now.Add(d); p.now.Before(end); p.now = p.now.Add(step) {
		p.credit += p.media(p.s.Bitrate(p.now)) * step.Seconds()
		for ; p.credit >= 8*packetSize; p.credit -= 8 * packetSize {
			p.send(packetSize, false)
		}
		if probe, ok := p.s.Probe(p.now); ok {
			p.probe, p.probeEnd = float64(8*probe.Bytes), p.now.Add(probe.Duration)
		}
		for steps := p.probeEnd.Sub(p.now) / step; p.probe > 0; {
			if share := p.probe / float64(steps+1); share < 8*200 && steps > 0 {
				break
			}
			p.send(200, true)
			p.probe -= 8 * 200
			if p.r.IntN(2) == 0 && steps > 0 && p.probe/float64(steps) < 8*1000 {
				break
			}
		}
		for len(p.flight) > 0 && !p.flight[0].at.After(p.now) {
			p.recorder.Record(77, p.flight[0].seq, p.flight[0].at)
			p.flight = p.flight[1:]
		}
		if p.now.Sub(begin)%(50*time.Millisecond) == 0 && !p.mute {
			p.reports = append(p.reports, report{p.recorder.Build(nil), p.now.Add(p.delay)})
		}
		for len(p.reports) > 0 && !p.reports[0].at.After(p.now) {
			for _, packet := range p.reports[0].packets {
				raw, err := packet.Marshal()
				if err != nil {
					p.t.Fatal(err)
				}
				if err := p.s.Feedback(raw, p.now); err != nil {
					p.t.Fatal(err)
				}
			}
			p.reports = p.reports[1:]
		}
	}
}

// want fails unless the estimate is within bounds.
func (p *path) want(least, most float64) {
	p.t.Helper()
	if got := float64(p.s.Bitrate(p.now)); got < least || got > most {
		p.t.Errorf("after %v: %.0f bit/s, want %.0f to %.0f; %+v", p.now.Sub(begin), got, least, most, p.s.Stats())
	}
}

func TestTheEstimateFindsWhatThePathCarries(t *testing.T) {
	for _, capacity := range []float64{300e3, 1e6, 3e6, 8e6} {
		p := newPath(t, capacity)
		p.s.Want(20e6)
		p.pass(60 * time.Second)
		least, most, sum, n := 1e12, 0.0, 0.0, 0.0
		for range 200 {
			p.pass(100 * time.Millisecond)
			got := float64(p.s.Bitrate(p.now))
			least, most, sum, n = min(least, got), max(most, got), sum+got, n+1
		}
		t.Logf("%.0f bit/s: %.0f to %.0f, on average %.0f; %+v; lost %d of %d, longest in queue %v", capacity, least, most, sum/n, p.s.Stats(), p.dropped, p.sent, p.longest)
		if average := sum / n; average < 0.65*capacity || average > 1.05*capacity {
			t.Errorf("%.0f bit/s: on average %.0f", capacity, average)
		}
		if p.dropped > p.sent/50 {
			t.Errorf("%.0f bit/s: %d of %d packets were dropped", capacity, p.dropped, p.sent)
		}
	}
}

func TestTheEstimateFollowsThePathDownAndUp(t *testing.T) {
	p := newPath(t, 3e6)
	p.s.Want(3e6)
	p.pass(30 * time.Second)
	p.want(1.8e6, 3.3e6)
	p.capacity = 500e3
	p.pass(5 * time.Second)
	p.want(200e3, 600e3)
	p.pass(10 * time.Second)
	p.want(300e3, 600e3)
	p.capacity = 3e6
	p.pass(40 * time.Second)
	p.want(1.8e6, 3.6e6)
}

// Loss without a queue, as of a radio link, is no congestion until there is much of it.
func TestALittleLossChangesLittle(t *testing.T) {
	for _, c := range []struct {
		loss        float64
		least, most float64
	}{
		{0.01, 1.5e6, 3.3e6}, {0.05, 250e3, 3.3e6}, {0.3, 30e3, 200e3},
	} {
		p := newPath(t, 3e6)
		p.s.Want(3e6)
		p.loss = c.loss
		p.pass(40 * time.Second)
		p.want(c.least, c.most)
		if got := p.s.Stats().Lost; got < c.loss/4 || got > c.loss*3 {
			t.Errorf("loss of %v: seen as %v", c.loss, got)
		}
	}
}

func TestJitterIsNoCongestion(t *testing.T) {
	p := newPath(t, 3e6)
	p.s.Want(3e6)
	p.jitter = 15 * time.Millisecond
	p.pass(40 * time.Second)
	p.want(1.2e6, 3.6e6)
}

// A receiver that gets a low layer of 150 kbit/s only must come to the high one of 1.8
// Mbit/s if its path carries it, and must not if it does not.
func TestProbesFindWhatTheMediaDoNotUse(t *testing.T) {
	low := func(uint64) float64 { return 150e3 }
	for _, c := range []struct {
		name        string
		capacity    float64
		want        uint64
		least, most float64
	}{
		{"a wide path", 5e6, 1_800_000, 1.8e6, 4e6},
		{"a narrow one", 300e3, 1_800_000, 150e3, 450e3},
		{"nothing better is wanted", 5e6, 150_000, 150e3, 360e3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPath(t, c.capacity)
			p.media = low
			p.s.Want(c.want)
			p.pass(20 * time.Second)
			p.want(c.least, c.most)
			s := p.s.Stats()
			t.Logf("%+v, dropped %d of %d", s, p.dropped, p.sent)
			if (s.Probes > 0) != (c.want > 150_000) || (s.ProbeBytes > 0) != (s.Probes > 0) {
				t.Errorf("%d probes, %d bytes", s.Probes, s.ProbeBytes)
			}
			if s.Probes > 12 {
				t.Errorf("%d probes in 20 s", s.Probes)
			}
		})
	}
}

func TestNothingIsProbedForWithoutFeedback(t *testing.T) {
	p := newPath(t, 5e6)
	p.mute = true
	p.media = func(uint64) float64 { return 150e3 }
	p.s.Want(2e6)
	p.pass(10 * time.Second)
	p.want(300e3, 300e3)
	if got := p.s.Stats().Probes; got != 0 {
		t.Errorf("%d probes", got)
	}
}

func TestTheRoundTripTime(t *testing.T) {
	p := newPath(t, 3e6)
	p.media = func(uint64) float64 { return 150e3 }
	p.pass(5 * time.Second)
	// 60 ms, and up to 50 ms until the report.
	if got := p.s.RTT(); got < 60*time.Millisecond || got > 130*time.Millisecond {
		t.Errorf("got %v", got)
	}
}

// A long pause, over which all numbers wrap in the end, is no congestion.
func TestPausesAndRollovers(t *testing.T) {
	p := newPath(t, 3e6)
	p.s.Want(2e6)
	p.media = func(e uint64) float64 { return min(float64(e), 2e6) }
	for range 4 {
		p.pass(80 * time.Second) // 20000 packets
		p.want(1.5e6, 3.3e6)
		media := p.media
		p.media = func(uint64) float64 { return 0 }
		p.pass(30 * time.Second)
		p.media = media
		p.pass(5 * time.Second)
		p.want(1e6, 3.3e6)
	}
	if s := p.s.Stats(); s.Unknown != 0 {
		t.Errorf("%+v", s)
	}
}

func TestREMBAndLossBoundWhoReportsNothingElse(t *testing.T) {
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * 1e9)) }
	s := estimate.NewSender(estimate.Config{})
	rate := func(when, want float64) {
		t.Helper()
		if got := float64(s.Bitrate(at(when))); got < 0.99*want || got > 1.01*want {
			t.Errorf("at %v s: got %.0f, want %.0f", when, got, want)
		}
	}
	rate(0, 300_000)
	s.REMB(2_000_000, at(1))
	rate(1, 2_000_000)
	rate(5.9, 2_000_000)
	rate(6.1, 300_000) // it does not hold for ever
	s.REMB(10, at(7))
	rate(7, 30_000) // the least

	// A quarter lost: an eighth less with each report. Nothing lost: more, up to what is
	// wanted and a fifth.
	s = estimate.NewSender(estimate.Config{Initial: 1_000_000})
	s.Want(1_000_000)
	for i := range 3 {
		s.Loss(64, at(float64(i)))
	}
	rate(3, 669_922)
	s.REMB(5_000_000, at(3))
	rate(3, 669_922) // with so much lost the receiver's word is not enough
	for i := range 20 {
		s.Loss(0, at(float64(4+i)))
	}
	rate(30, 1_200_000)
}

// Reports count only where there is no better feedback.
func TestReceiverReportsDoNotCountBesideFeedback(t *testing.T) {
	p := newPath(t, 3e6)
	p.s.Want(3e6)
	p.pass(20 * time.Second)
	for range 50 {
		p.s.Loss(128, p.now)
	}
	p.want(1.5e6, 3.6e6)
	p.s.REMB(400_000, p.now)
	p.want(400e3, 400e3)
}

func TestConfigBounds(t *testing.T) {
	s := estimate.NewSender(estimate.Config{Initial: 5, Min: 1000, Max: 10})
	if got := s.Bitrate(begin); got != 1000 {
		t.Errorf("got %d", got)
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	s, r := estimate.NewSender(estimate.Config{}), estimate.NewRecorder(1)
	now, seq := begin, uint16(0)
	for range 1000 {
		s.Next(1000, false, now)
	}
	feedback := unhex(t, wellFormed)
	record := func() {
		now = now.Add(time.Millisecond)
		seq = s.Next(1000, false, now)
		r.Record(5, seq, now)
		if seq%50 == 0 {
			r.Build(nil)
		}
		if err := s.Feedback(feedback, now); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		record()
	}
	if n := testing.AllocsPerRun(40, func() {
		now = now.Add(time.Millisecond)
		s.Next(1000, false, now)
		if err := s.Feedback(feedback, now); err != nil {
			t.Fatal(err)
		}
		s.Bitrate(now)
		s.Probe(now)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkNext(b *testing.B) {
	s := estimate.NewSender(estimate.Config{})
	now := begin
	b.ReportAllocs()
	for b.Loop() {
		s.Next(1000, false, now)
		now = now.Add(time.Millisecond)
	}
}
