package bench

import (
	"context"
	"slices"
	"time"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/subject"
)

// shares are the parts of the common peak at which the study Latency measures. The
// common peak is the lowest of all subjects', so that all get the same packets.
var shares = []float64{0.1, 0.25, 0.5, 0.75, 0.9}

// The study Peak looks for the most packets per second with no more than this loss,
// in so many tries of half a measurement's duration each.
const (
	peakLoss  = 0.001
	peakTries = 10
	peakClose = 1.05
	peakFrom  = 20_000
	// peakAgain is how often a rate is tried before it counts as lost: one stall
	// of a shared machine is not the relay's limit.
	peakAgain = 2
	// peakRounds are the most rounds of searches.
	peakRounds = 2
	// quickTries are those of the short form.
	quickTries = 4
)

// flowRate is the packets per second of the study Flows, whatever the number.
const flowRate = 20_000

// studies makes all studies that were asked for.
func (r *runner) studies(ctx context.Context) error {
	for _, study := range Studies() {
		if !slices.Contains(r.Studies, study) {
			continue
		}
		make := map[Study]func(context.Context) error{Cost: r.cost, Peak: r.peak, Latency: r.latency, Flows: r.flows, FanOut: r.fanOut}[study]
		if err := make(ctx); err != nil {
			return err
		}
	}
	return nil
}

// plan is how many measurements there will be; a search counts as one.
func (r *runner) plan() (n int) {
	count := map[Study]int{
		Cost:    len(r.loads) * (len(r.subjects) + 1),
		Peak:    len(r.peakLoads()) * (len(r.subjects) + 1),
		Latency: len(r.shares()) * len(r.relays()),
		Flows:   len(r.FlowCounts) * (len(r.relays()) + 1),
		FanOut:  len(fanLoads) * len(r.receivers()),
	}
	for study, c := range count {
		if slices.Contains(r.Studies, study) {
			n += r.rounds(study) * c
		}
	}
	return n
}

// estimate is about how long all studies take.
func (r *runner) estimate() time.Duration {
	// start is about what the processes of a session take to begin and to end, and flow
	// what a flow takes to be made.
	const start, flow = 600 * time.Millisecond, 400 * time.Microsecond
	step := func(d time.Duration) time.Duration {
		s := r.step(0, d)
		return s.WarmUp + s.Duration + 250*time.Millisecond
	}
	session := func(flows int) time.Duration { return start + time.Duration(flows)*flow }
	times := func(n int, d time.Duration) time.Duration { return time.Duration(n) * d }
	took := make(map[Study]time.Duration)
	for _, l := range r.loads {
		took[Cost] += times(len(r.subjects)+1, session(l.Flows)+step(r.Duration))
	}
	for _, l := range r.peakLoads() {
		took[Peak] += times(len(r.subjects)+1, session(l.Flows)+times(r.tries()*4/3, step(r.Duration/2)))
	}
	took[Latency] = times(len(r.relays()), session(r.loads[0].Flows)+times(len(r.shares()), step(r.Duration)))
	for _, n := range r.FlowCounts {
		took[Flows] += times(len(r.relays())+1, session(n)+step(r.Duration))
	}
	took[FanOut] = times(len(fanLoads)*len(r.receivers()), r.fanDuration()+10*time.Millisecond)
	var sum time.Duration
	for _, study := range r.Studies {
		sum += times(r.rounds(study), took[study])
	}
	return sum
}

// relays are the subjects without the bare forwarders, which are the floor of what a
// packet costs, and nobody's choice among relays. If there are no others, they are all.
func (r *runner) relays() []subject.Subject {
	relays := slices.DeleteFunc(slices.Clone(r.subjects), func(s subject.Subject) bool { return s.Scheme() != loader.TURN })
	if len(relays) == 0 {
		return r.subjects
	}
	return relays
}

// rounds of a study. In the short form only the first has several, and a search, which
// is many measurements, has two at most.
func (r *runner) rounds(s Study) int {
	switch {
	case r.Quick && s != Cost:
		return 1
	case s == Peak:
		return min(r.Rounds, peakRounds)
	}
	return r.Rounds
}

// tries of a search.
func (r *runner) tries() int {
	if r.Quick {
		return quickTries
	}
	return peakTries
}

// shares are those at which latency is measured.
func (r *runner) shares() []float64 {
	if r.Quick {
		return []float64{0.25, 0.5, 0.75}
	}
	return shares
}

// withDirect is the load alone and then subjects: what one round measures.
func withDirect(subjects []subject.Subject) []subject.Subject {
	return append([]subject.Subject{nil}, subjects...)
}

// cost measures each load at its own rate.
func (r *runner) cost(ctx context.Context) error {
	for _, l := range r.loads {
		l = l.Within(load.MaxFlows, r.Rate)
		if err := r.same(ctx, Cost, l, r.subjects); err != nil {
			return err
		}
	}
	return nil
}

// flows measures one load over different numbers of flows, at the same rate in all.
func (r *runner) flows(ctx context.Context) error {
	for _, n := range r.FlowCounts {
		if err := r.same(ctx, Flows, r.loads[0].Within(load.MaxFlows, min(flowRate, r.Rate)).Over(n), r.relays()); err != nil {
			return err
		}
	}
	return nil
}

// same gives subjects the same load in each round.
func (r *runner) same(ctx context.Context, study Study, l load.Load, subjects []subject.Subject) error {
	for round := range r.rounds(study) {
		for _, s := range withDirect(subjects) {
			r.progress("%s: %s, %d flows, %s, round %d", study, l.Name, l.Flows, name(s), round+1)
			err := r.within(ctx, s, l, func(run *session) error {
				result, err := run.step(ctx, r.step(l.Rate(), r.Duration))
				if err != nil {
					return err
				}
				r.keep(Sample{Study: study, Load: l.Name, Subject: name(s), Round: round, Flows: l.Flows, Ready: run.Ready, Result: result})
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// keep adds a sample.
func (r *runner) keep(s Sample) {
	r.report.Samples = append(r.report.Samples, s)
	r.done++
}

// peakLoads are the loads whose peak is looked for: one of each kind, or what there is.
func (r *runner) peakLoads() []load.Load {
	var all []load.Load
	for _, l := range r.loads {
		if l.Name == "spread" || l.Name == "bursty" {
			all = append(all, l)
		}
	}
	if len(all) == 0 || r.Quick {
		all = r.loads[:1]
	}
	return all
}

// peak looks for the most packets per second of each subject, and of the generator
// and the sink without any.
//
// Here the relay's host handles what it receives on the server's CPUs. What a packet
// costs is measured without, so that the cost is in the account of who has caused it.
func (r *runner) peak(ctx context.Context) error {
	if n := r.place.network; n != nil {
		if err := n.steer(r.place.serverCPUs); err != nil {
			return err
		}
		defer func() { _ = n.steer(nil) }() // only the latency is measured after it
	}
	for _, l := range r.peakLoads() {
		for round := range r.rounds(Peak) {
			for _, s := range withDirect(r.subjects) {
				err := r.within(ctx, s, l, func(run *session) error { return r.climb(ctx, run, l, s, round) })
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// climb is one search.
func (r *runner) climb(ctx context.Context, run *session, l load.Load, s subject.Subject, round int) error {
	duration := max(r.Duration/2, 50*time.Millisecond)
	var best loader.Result
	end, err := search{from: min(peakFrom, r.PeakRate), to: r.PeakRate, tries: r.tries(), close: peakClose}.run(func(rate float64) (outcome, error) {
		var verdict outcome
		for range peakAgain {
			r.progress("peak: %s, %s, round %d, trying %.0f packets/s", l.Name, name(s), round+1, rate)
			result, err := run.step(ctx, r.step(rate, duration))
			if err != nil {
				return lost, err
			}
			if verdict = judge(result); verdict == carried {
				best = result
				return carried, nil
			}
		}
		return verdict, nil
	})
	if err != nil {
		return err
	}
	if end.Rate == 0 {
		best = loader.Result{Duration: duration, Latency: loader.NewHistogram(), Pacing: loader.NewHistogram()}
		best.Spent.Processes = make([]time.Duration, 2)
	}
	r.keep(Sample{Study: Peak, Load: l.Name, Subject: name(s), Round: round, Flows: l.Flows, Ready: run.Ready, Result: best, Limit: end.Limit})
	return nil
}

// judge says what a try of a search shows.
func judge(r loader.Result) outcome {
	switch {
	case r.Saturated() != "":
		return held
	case r.Loss() > peakLoss:
		return lost
	}
	return carried
}

// latency measures the first load at shares of the common peak.
func (r *runner) latency(ctx context.Context) error {
	l := r.loads[0]
	peak := r.commonPeak(l)
	for round := range r.rounds(Latency) {
		for _, s := range r.relays() {
			err := r.within(ctx, s, l, func(run *session) error {
				for _, share := range r.shares() {
					r.progress("latency: %s, %s, round %d, %.0f %% of %.0f packets/s", l.Name, s.Name(), round+1, 100*share, peak)
					result, err := run.step(ctx, r.step(share*peak, r.Duration))
					if err != nil {
						return err
					}
					r.keep(Sample{Study: Latency, Load: l.Name, Subject: s.Name(), Round: round, Flows: l.Flows, Share: share, Ready: run.Ready, Result: result})
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// commonPeak is the lowest of the subjects' peaks under a load, or the load's own
// rate where none was found.
func (r *runner) commonPeak(l load.Load) float64 {
	lowest := 0.0
	for _, row := range summarize(r.report.Samples, r.Against) {
		if row.Study == Peak && row.Subject != direct && row.Load == l.Name && row.Carried.Median > 0 && (lowest == 0 || row.Carried.Median < lowest) {
			lowest = row.Carried.Median
		}
	}
	if lowest == 0 {
		return min(l.Rate(), r.Rate)
	}
	return lowest
}
