package quality

import (
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/relay/reception"
	"github.com/callpath/callpath/scenarios/result"
)

// Config describes one received stream.
type Config struct {
	// Kind is "audio" or "video".
	Kind string
	// Codec is a name of CodecOf; audio of another codec has no score.
	Codec string
	// ClockRate is that of the RTP timestamps, in hertz.
	ClockRate uint32
	// Start is the time that samples count from; Interval their distance, default
	// one second.
	Start    time.Time
	Interval time.Duration
	// Frame is how much audio one packet holds, default 20 ms.
	Frame time.Duration
}

// Sampler makes a stream's figures for each interval and for the whole. It is safe
// for concurrent use. Packets must be given in the order in which they arrived.
type Sampler struct {
	cfg   Config
	codec reception.Codec
	voice bool

	mu        sync.Mutex
	sequence  reception.Sequence
	jitter    *reception.Jitter
	freezes   Freezes
	last      time.Time // of the last packet
	intervals []interval

	rtt      time.Duration // the last one
	rttSum   time.Duration
	rttCount int
	bytes    uint64
	first    time.Time
}

// interval is what was counted in one interval.
type interval struct {
	received int
	// missing packets are counted where they should have come, so one that falls
	// between two arrivals may belong to several intervals in parts.
	missing float64
	// bursts are the gaps that the missing packets form.
	bursts float64
	bytes  uint64
	// rtt and jitter are the last ones of the interval.
	rtt, jitter time.Duration
}

// maxIntervals bounds what a stream with absurd times can make a Sampler hold.
const maxIntervals = 1 << 20

// NewSampler makes a Sampler. Its error names the field of cfg that is wrong.
func NewSampler(cfg Config) (*Sampler, error) {
	if cfg.Kind != "audio" && cfg.Kind != "video" {
		return nil, fmt.Errorf("quality: kind %q; valid: audio, video", cfg.Kind)
	}
	if cfg.ClockRate == 0 {
		return nil, fmt.Errorf("quality: clock rate of %s is 0", cfg.Codec)
	}
	if cfg.Start.IsZero() {
		return nil, fmt.Errorf("quality: start of %s is not set", cfg.Codec)
	}
	if cfg.Interval < 0 || cfg.Frame < 0 {
		return nil, fmt.Errorf("quality: interval %v, frame %v; valid: above 0", cfg.Interval, cfg.Frame)
	}
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.Frame == 0 {
		cfg.Frame = 20 * time.Millisecond
	}
	s := &Sampler{cfg: cfg, jitter: reception.NewJitter(cfg.ClockRate)}
	if cfg.Kind == "audio" {
		s.codec, s.voice = reception.CodecOf(cfg.Codec)
	}
	return s, nil
}

// Packet takes a received packet.
func (s *Sampler) Packet(at time.Time, header *rtp.Header, payload int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, missing := s.sequence.Received(header.SequenceNumber)
	if kind == reception.Jump {
		return
	}
	i := s.index(at)
	switch kind {
	case reception.Gap:
		s.spread(missing, s.last, at)
	case reception.Late:
		s.recover(i)
	}
	if s.first.IsZero() {
		s.first = at
	}
	s.last = at
	s.jitter.Received(at, header.Timestamp)
	now := &s.intervals[i]
	now.received++
	now.bytes += uint64(payload)
	now.jitter = s.jitter.Duration()
	now.rtt = s.rtt
	s.bytes += uint64(payload)
}

// RoundTrip takes a round-trip time that was measured at a time.
func (s *Sampler) RoundTrip(at time.Time, rtt time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rtt = rtt
	s.rttSum += rtt
	s.rttCount++
	now := &s.intervals[s.index(at)]
	now.rtt = rtt
	now.jitter = s.jitter.Duration()
}

// Frame takes the time at which a video frame was complete, as the time at which
// it was shown.
func (s *Sampler) Frame(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freezes.Frame(at)
}

// Pause says that the sender pauses (hold, mute): the video until its next frame is
// not frozen.
func (s *Sampler) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freezes.Pause()
}

// Report makes the stream's next receiver report figures; see Sequence.Report.
func (s *Sampler) Report() (reception.Report, uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sequence.Report(), s.jitter.Units()
}

// index returns the interval that a time is in, and makes it. Times before the
// start are in the first interval.
func (s *Sampler) index(at time.Time) int {
	i := int(min(max(0, at.Sub(s.cfg.Start)/s.cfg.Interval), maxIntervals-1))
	for len(s.intervals) <= i {
		s.intervals = append(s.intervals, interval{rtt: s.rtt})
	}
	return i
}

// spread counts packets missing between two arrivals in the intervals in which
// they should have come, as if evenly sent. An outage of seconds is thereby a loss
// of everything in those seconds, rather than of nothing in them and of a lot in
// the second in which the stream comes back.
func (s *Sampler) spread(missing int, from, to time.Time) {
	first, last := s.index(from), s.index(to)
	if first == last || !to.After(from) {
		s.intervals[last].missing += float64(missing)
		s.intervals[last].bursts++
		return
	}
	total := to.Sub(from)
	for i := first; i <= last; i++ {
		begin := s.cfg.Start.Add(time.Duration(i) * s.cfg.Interval)
		end := begin.Add(s.cfg.Interval)
		if i == first || begin.Before(from) {
			begin = from
		}
		if i == last {
			end = to
		}
		share := min(max(float64(end.Sub(begin))/float64(total), 0), 1)
		s.intervals[i].missing += share * float64(missing)
		s.intervals[i].bursts += share
	}
}

// recover takes back one missing packet, which came late, where one is missing. A
// duplicate would look the same, but SRTP's replay protection lets none through.
func (s *Sampler) recover(from int) {
	owed := 1.0
	for i := from; i >= 0 && owed > 0; i-- {
		n := &s.intervals[i]
		back := min(owed, n.missing)
		if n.missing -= back; n.missing == 0 {
			n.bursts = 0
		}
		owed -= back
	}
}

// loss is from 0 to 1.
func (i interval) loss() float64 {
	if i.missing <= 0 {
		return 0
	}
	return i.missing / (i.missing + float64(i.received))
}

// burstRatio is the mean length of gaps over what it would be if each packet were
// lost by chance (G.107, clause 7.5).
func (i interval) burstRatio() float64 {
	if i.bursts <= 0 {
		return 1
	}
	return i.missing / i.bursts * (1 - i.loss())
}

// silent is true when nothing came and nothing was missing, as before the call and
// on hold.
func (i interval) silent() bool { return i.received == 0 && i.missing == 0 }

func (s *Sampler) estimate(i interval) reception.Estimate {
	return reception.Voice{
		Codec:      s.codec,
		Delay:      reception.MouthToEar(i.rtt, s.cfg.Frame, i.jitter),
		Loss:       i.loss(),
		BurstRatio: i.burstRatio(),
	}.Estimate()
}

// Samples returns a sample for each interval that began before now; At is its end.
// Samples of the recent past may still change, when what came late or comes back
// shows what was lost. Intervals without media have no MOS.
func (s *Sampler) Samples(now time.Time) []result.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index(now)
	samples := make([]result.Sample, len(s.intervals))
	for n, i := range s.intervals {
		samples[n] = result.Sample{
			At:      result.Duration(time.Duration(n+1) * s.cfg.Interval),
			Loss:    i.loss(),
			RTT:     result.Duration(i.rtt),
			Jitter:  result.Duration(i.jitter),
			Bitrate: float64(8*i.bytes) / s.cfg.Interval.Seconds(),
		}
		if s.voice && !i.silent() {
			samples[n].MOS = s.estimate(i).MOS
		}
	}
	return samples
}

// Fill writes the figures of the whole stream into st: Received, Lost, LossRate,
// Jitter, RTT, Bitrate, Freezes, MOS and MOSInputs. The score is the mean of the
// intervals' scores, so that a bad minute counts as a minute. A stream of less than
// half an interval has no bitrate.
func (s *Sampler) Fill(st *result.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Received = s.sequence.ReceivedCount()
	st.Lost = uint64(max(0, s.sequence.Lost()))
	st.LossRate = 0
	if expected := s.sequence.Expected(); expected > 0 {
		st.LossRate = min(max(float64(st.Lost)/float64(expected), 0), 1)
	}
	st.Jitter = result.Duration(s.jitter.Duration())
	st.Freezes = s.freezes.Count()
	if s.rttCount > 0 {
		st.RTT = result.Duration(s.rttSum / time.Duration(s.rttCount))
	}
	// A picture's packets come all at once: a few of them say nothing of the rate.
	if took := s.last.Sub(s.first); took >= s.cfg.Interval/2 {
		st.Bitrate = float64(8*s.bytes) / took.Seconds()
	}
	s.score(st)
}

func (s *Sampler) score(st *result.Stream) {
	if !s.voice {
		return
	}
	sum, n, worst := 0.0, 0, reception.Estimate{MOS: 5}
	for _, i := range s.intervals {
		if i.silent() {
			continue
		}
		e := s.estimate(i)
		sum += e.MOS
		n++
		if e.MOS < worst.MOS {
			worst = e
		}
	}
	if n == 0 {
		return
	}
	st.MOS = sum / float64(n)
	st.MOSInputs = fmt.Sprintf("mean of %d intervals of %v; delay is half of the round trip, a frame of %v and twice the jitter; the worst, MOS %.2f: %s",
		n, s.cfg.Interval, s.cfg.Frame, worst.MOS, worst.Inputs)
}
