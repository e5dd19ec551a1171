package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/subject"
)

// Study is one question that the benchmark answers.
type Study string

// The studies.
const (
	Cost    Study = "cost"    // what a packet costs at a load's own rate
	Peak    Study = "peak"    // the most packets per second
	Latency Study = "latency" // how long packets take, up to the peak
	Flows   Study = "flows"   // what a packet costs by the number of flows
	FanOut  Study = "fanout"  // what a media processor's packet costs by the number of receivers
)

// Studies are all of them, in the order in which they run.
func Studies() []Study { return []Study{Cost, Peak, Latency, Flows, FanOut} }

// Network is what is between clients, relay and peers.
type Network string

// The networks.
const (
	// Loopback has all on this machine's loopback.
	Loopback Network = "loopback"
	// Namespaces has three hosts, each a network namespace, joined by veth.
	Namespaces Network = "namespaces"
)

// Options say what to measure. The zero value of a field means its default, which
// Quick shortens.
type Options struct {
	// Self is the command that is this program; a child gets it with
	// "bench-subject NAME" or "bench-loader". Environment is added to the child's.
	Self        []string
	Environment []string

	Subjects []string
	Loads    []string
	Studies  []Study
	// Against is the subject that ratios are to; default coturn where it is
	// measured, or else the first that is not ours.
	Against string
	Rounds  int
	// Duration is that of one measurement, without warm-up.
	Duration time.Duration
	// FlowCounts are those of the study Flows.
	FlowCounts []int
	// Rate bounds the packets per second of all loads but in Peak, PeakRate those
	// that Peak tries.
	Rate, PeakRate float64
	// Quick is a short form, of less than a minute.
	Quick bool
	// Shared has all processes use all CPUs, instead of the server one half and the
	// loader the other.
	Shared bool
	// Network is where it runs; default Namespaces where the system allows that, and
	// else Loopback.
	Network Network
	// Loose has the sink take packets one by one instead of in runs (UDP_GRO).
	Loose bool
	Seed  uint64

	// OnProgress is told what is being done, from one goroutine.
	OnProgress func(Progress)
}

// Progress is how far the benchmark is.
type Progress struct {
	Doing string
	// Done and Of count measurements.
	Done, Of int
	// Estimate is about how long the whole takes.
	Estimate time.Duration
}

// The bounds of options, and of the short form as a whole.
const (
	MaxRounds   = 50
	MaxDuration = time.Minute
	quickTime   = 55 * time.Second
)

// ours is the subject that this project makes, also with its path in the kernel.
const (
	ours         = "callpath"
	oursInKernel = "callpath-kernel"
)

// complete fills in defaults, and refuses what cannot be measured.
func (o Options) complete() (Options, error) {
	if len(o.Self) == 0 {
		return o, errors.New("self is empty: give the command that is this program")
	}
	defaults := defaultsOf(o.Quick)
	if len(o.Subjects) == 0 {
		o.Subjects = defaults.Subjects
	}
	if len(o.Loads) == 0 {
		o.Loads = defaults.Loads
	}
	if len(o.Studies) == 0 {
		o.Studies = Studies()
	}
	if o.Rounds == 0 {
		o.Rounds = defaults.Rounds
	}
	if o.Duration == 0 {
		o.Duration = defaults.Duration
	}
	if len(o.FlowCounts) == 0 {
		o.FlowCounts = defaults.FlowCounts
	}
	if o.Rate == 0 {
		o.Rate = defaults.Rate
	}
	if o.PeakRate == 0 {
		o.PeakRate = load.MaxRate
	}
	if o.Against == "" {
		o.Against = against(o.Subjects)
	}
	if o.OnProgress == nil {
		o.OnProgress = func(Progress) {}
	}
	return o, o.check()
}

// defaultsOf are the defaults of the whole suite and of the short form.
func defaultsOf(quick bool) Options {
	if quick {
		return Options{
			Subjects: []string{ours, "pion-v5", "forward-single", "forward-segmented"},
			Loads:    []string{"spread", "bursty"},
			Rounds:   2, Duration: 200 * time.Millisecond, FlowCounts: []int{10, 500}, Rate: 20_000,
		}
	}
	subjects := []string{ours, "pion-v5", "pion-v3", "forward-single", "forward-batched", "forward-segmented"}
	if s, err := subject.Named(oursInKernel); err == nil && s[0].Available() == nil {
		subjects = slices.Insert(subjects, 1, oursInKernel)
	}
	return Options{
		Subjects: subjects,
		Loads:    []string{"spread", "spread-60", "spread-1200", "audio", "bursty", "calls"},
		Rounds:   3, Duration: time.Second, FlowCounts: []int{1, 10, 100, 1000, 10_000}, Rate: load.MaxRate,
	}
}

// DefaultSubjects are those that are measured when none are given.
func DefaultSubjects(quick bool) []string { return defaultsOf(quick).Subjects }

// Check refuses what cannot be measured.
func (o Options) Check() error {
	_, err := o.complete()
	return err
}

// against is whom ratios are to when nothing else was said.
func against(subjects []string) string {
	if slices.Contains(subjects, "coturn") {
		return "coturn"
	}
	for _, s := range subjects {
		if s != ours && s != oursInKernel {
			return s
		}
	}
	return ours
}

func (o Options) check() error {
	switch {
	case o.Rounds < 1 || o.Rounds > MaxRounds:
		return fmt.Errorf("rounds %d; wanted 1 to %d", o.Rounds, MaxRounds)
	case o.Duration < 50*time.Millisecond || o.Duration > MaxDuration:
		return fmt.Errorf("duration %v; wanted 50ms to %v", o.Duration, MaxDuration)
	case !(o.Rate >= 100) || o.Rate > load.MaxRate:
		return fmt.Errorf("rate %.0f; wanted 100 to %d", o.Rate, load.MaxRate)
	case !(o.PeakRate >= 100) || o.PeakRate > load.MaxRate:
		return fmt.Errorf("peak rate %.0f; wanted 100 to %d", o.PeakRate, load.MaxRate)
	case !slices.Contains(o.Subjects, o.Against):
		return fmt.Errorf("ratios against %q, which is not measured; valid: %s", o.Against, strings.Join(o.Subjects, ", "))
	}
	for _, n := range o.FlowCounts {
		if n < 1 || n > load.MaxFlows {
			return fmt.Errorf("flow count %d; wanted 1 to %d", n, load.MaxFlows)
		}
	}
	for _, s := range o.Studies {
		if !slices.Contains(Studies(), s) {
			return fmt.Errorf("no study %q; valid: cost, peak, latency, flows, fanout", s)
		}
	}
	if o.Network != "" && o.Network != Loopback && o.Network != Namespaces {
		return fmt.Errorf("no network %q; valid: %s, %s", o.Network, Loopback, Namespaces)
	}
	for _, list := range [][]string{o.Subjects, o.Loads} {
		if twice := repeated(list); twice != "" {
			return fmt.Errorf("%s is given twice", twice)
		}
	}
	for _, name := range o.Loads {
		if _, err := load.Named(name); err != nil {
			return err
		}
	}
	subjects, err := subject.Named(o.Subjects...)
	if err != nil {
		return err
	}
	for _, s := range subjects {
		if err := s.Available(); err != nil {
			return fmt.Errorf("subject %s: %w", s.Name(), err)
		}
	}
	return nil
}

// repeated is the first name that a list has twice.
func repeated(list []string) string {
	for i, name := range list {
		if slices.Contains(list[:i], name) {
			return name
		}
	}
	return ""
}
