package speaker

import (
	"math"
	"slices"
	"time"
)

// Config is how a Detector judges. A field that is 0 has its default.
type Config struct {
	// Interval is the unit of time over which levels are gathered; 20 ms by default.
	Interval time.Duration
	// Silence is after how long without a packet a speaker counts as silent; 100 ms by
	// default.
	Silence time.Duration
	// Hold is how long a dominant speaker is at least that, unless it leaves; 1 s by
	// default.
	Hold time.Duration
}

// The three scales of time: a unit, mediumUnits of them, and longBlocks of those, which
// with units of 20 ms are 20 ms, 100 ms and 1 s.
const (
	mediumUnits = 5
	longBlocks  = 10
	memory      = mediumUnits * longBlocks
)

// How much more active than the dominant speaker a challenger must be on each scale: the
// logarithm of the ratio of their scores (C1, C2 and C3 in the paper).
const (
	immediateLead = 3
	mediumLead    = 2
	longLead      = 0
)

// Detector knows the speakers of one conference.
type Detector struct {
	cfg     Config
	begun   time.Time // units are counted from it
	started bool
	silence int64   // in units
	share   float64 // of a unit in the average loudness
	rise    float64 // of a floor, in a unit
	// The scores of each count, for the three scales.
	immediate, medium, long []float64

	dominant *Speaker
	changed  time.Time
	// recent are all, the one first who was dominant last; ranking are all by loudness.
	recent, ranking []*Speaker
}

// New makes a Detector of a conference in which nobody is.
func New(cfg Config) *Detector {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&cfg.Interval, 20 * time.Millisecond}, {&cfg.Silence, 100 * time.Millisecond}, {&cfg.Hold, time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return &Detector{
		cfg:       cfg,
		silence:   int64(cfg.Silence / cfg.Interval),
		share:     1 - math.Exp(-cfg.Interval.Seconds()/smoothing.Seconds()),
		rise:      floorRise * cfg.Interval.Seconds(),
		immediate: scores(mostSteps, 0.78),
		medium:    scores(mediumUnits, 24),
		long:      scores(longBlocks, 47),
	}
}

// scores returns, for each count of n, how much likelier it is of somebody who speaks
// than of somebody who does not: the logarithm of the ratio of a binomial distribution
// (of voice) and an exponential one with parameter rate (of silence), and hardly more
// than 0 where silence is likelier. The rates are the paper's.
func scores(n int, rate float64) []float64 {
	s := make([]float64, n+1)
	for count := range s {
		choose, _ := math.Lgamma(float64(n + 1))
		one, _ := math.Lgamma(float64(count + 1))
		other, _ := math.Lgamma(float64(n - count + 1))
		s[count] = max(1e-10, choose-one-other-float64(n)*math.Ln2-math.Log(rate)+rate*float64(count))
	}
	return s
}

// unitOf returns the unit of a time.
func (d *Detector) unitOf(now time.Time) int64 {
	if !d.started {
		d.begun, d.started = now, true
	}
	return int64(now.Sub(d.begun) / d.cfg.Interval)
}

// Add makes a Speaker, who has been silent so far.
func (d *Detector) Add(name string) *Speaker {
	s := &Speaker{Name: name, d: d, floor: quietest, since: -1 << 32}
	d.recent = append(d.recent, s)
	d.ranking = append(d.ranking, s)
	return s
}

// Remove takes a Speaker away. It must not be used any more then. The next Update may
// find another dominant one.
func (d *Detector) Remove(s *Speaker) {
	is := func(other *Speaker) bool { return other == s }
	d.recent = slices.DeleteFunc(d.recent, is)
	d.ranking = slices.DeleteFunc(d.ranking, is)
	if d.dominant == s {
		d.dominant, d.changed = nil, time.Time{}
	}
}

// Update judges. It is called at least every 300 ms, and as often as changes should be
// seen; every 100 ms is right. dominant is nil when nobody has spoken yet; changed says
// that it is another one than at the call before.
func (d *Detector) Update(now time.Time) (dominant *Speaker, changed bool) {
	unit := d.unitOf(now)
	for _, s := range d.recent {
		s.advance(unit)
	}
	d.rank()
	if d.dominant != nil && now.Sub(d.changed) < d.cfg.Hold {
		return d.dominant, false
	}
	next := d.challenger()
	if next == nil {
		return d.dominant, false
	}
	d.dominant, d.changed = next, now
	at := slices.Index(d.recent, next)
	copy(d.recent[1:at+1], d.recent[:at])
	d.recent[0] = next
	return next, true
}

// challenger returns who is to be dominant instead, or nil.
func (d *Detector) challenger() *Speaker {
	immediate, medium, long := d.immediate[0], d.medium[0], d.long[0]
	if d.dominant != nil {
		immediate, medium, long = d.immediate[d.dominant.now], d.medium[d.dominant.medium()], d.long[d.dominant.long()]
	}
	var best *Speaker
	var lead float64
	for _, s := range d.recent {
		if s == d.dominant {
			continue
		}
		leads := [3]float64{
			math.Log(d.immediate[s.now] / immediate),
			math.Log(d.medium[s.medium()] / medium),
			math.Log(d.long[s.long()] / long),
		}
		if leads[0] > immediateLead && leads[1] > mediumLead && leads[2] > longLead &&
			(best == nil || leads[1] > lead || leads[1] == lead && s.loudness > best.loudness) {
			best, lead = s, leads[1]
		}
	}
	return best
}

// rank brings the ranking up to date: who is clearly louder than the one in front passes.
// It is sorted but for a few, so that this takes one round.
func (d *Detector) rank() {
	for i := 1; i < len(d.ranking); i++ {
		s, at := d.ranking[i], i
		for at > 0 && s.passes(d.ranking[at-1]) {
			d.ranking[at] = d.ranking[at-1]
			at--
		}
		d.ranking[at] = s
	}
}

// passes says whether s is so much louder than another that it takes its place.
func (s *Speaker) passes(other *Speaker) bool {
	const faint = 0.5 // steps: what is softer is silent
	return s.loudness > faint && s.loudness > 1.5*other.loudness
}

// Dominant returns the dominant speaker as of the last Update; nil when there is none.
func (d *Detector) Dominant() *Speaker { return d.dominant }

// Loudest appends the n speakers who should be heard, as of the last Update. Who was
// among them stays there until somebody is clearly louder, so that slots do not change
// with each word, and that is so for every n; those who are silent come behind those who
// are not.
func (d *Detector) Loudest(to []*Speaker, n int) []*Speaker {
	return append(to, d.ranking[:min(max(n, 0), len(d.ranking))]...)
}

// Recent appends all speakers, the one first who was dominant last, then who was before,
// and so on: the order in which they get the slots for video.
func (d *Detector) Recent(to []*Speaker) []*Speaker { return append(to, d.recent...) }
