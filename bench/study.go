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
	// quickTries are those of the short form.
	quickTries = 5
)

// flowRate is the packets per second of the study Flows, whatever the number.
const flowRate = 20_000

// studies makes all studies that were asked for.
func (r *runner) studies(ctx context.Context) error {
	for _, study := range Studies() {
		if !slices.Contains(r.Studies, study) {
			continue
		}
		make := map[Study]func(context.Context) error{Cost: r.cost, Peak: r.peak, Latency: r.latency, Flows: r.flows}[study]
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
		Latency: len(r.shares()) * len(r.subjects),
		Flows:   len(r.FlowCounts) * (len(r.subjects) + 1),
	}
	for study, c := range count {
		if slices.Contains(r.Studies, study) {
			n += r.rounds(study) * c
		}
	}
	return n
}

// rounds of a study. In the short form only the first has several.
func (r *runner) rounds(s Study) int {
	if r.Quick && s != Cost {
		return 1
	}
	return r.Rounds
}

// shares are those at which latency is measured.
func (r *runner) shares() []float64 {
	if r.Quick {
		return []float64{0.25, 0.5, 0.75}
	}
	return shares
}

// withDirect is the load alone and then all subjects: what one round measures.
func (r *runner) withDirect() []subject.Subject {
	return append([]subject.Subject{nil}, r.subjects...)
}

// cost measures each load at its own rate.
func (r *runner) cost(ctx context.Context) error {
	for _, l := range r.loads {
		l = l.Within(load.MaxFlows, r.Rate)
		if err := r.same(ctx, Cost, l); err != nil {
			return err
		}
	}
	return nil
}

// flows measures one load over different numbers of flows, at the same rate in all.
func (r *runner) flows(ctx context.Context) error {
	for _, n := range r.FlowCounts {
		if err := r.same(ctx, Flows, r.loads[0].Within(load.MaxFlows, min(flowRate, r.Rate)).Over(n)); err != nil {
			return err
		}
	}
	return nil
}

// same gives all subjects the same load in each round.
func (r *runner) same(ctx context.Context, study Study, l load.Load) error {
	for round := range r.rounds(study) {
		for _, s := range r.withDirect() {
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
			for _, s := range r.withDirect() {
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
	tries := peakTries
	if r.Quick {
		tries = quickTries
	}
	var best loader.Result
	end, err := search{from: min(peakFrom, r.PeakRate), to: r.PeakRate, tries: tries, close: peakClose}.run(func(rate float64) (outcome, error) {
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
		for _, s := range r.subjects {
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
