package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/process"
	"github.com/callpath/callpath/bench/subject"
)

// runner is a benchmark under way.
type runner struct {
	Options
	place    place
	subjects []subject.Subject
	loads    []load.Load
	report   *Report
	done     int
	of       int
}

// processMark is set in the environment of every process of a benchmark, so that one that
// does not know its command, and begins anew, does not go on for ever.
const processMark = "CALLPATH_BENCH_PROCESS"

// What the report says of the networks.
const (
	onLoopback   = "loopback"
	inNamespaces = "three network namespaces joined by veth"
)

// errTime is why the short form ends when its time is over.
var errTime = errors.New("the time of the short form was over")

// Run measures what the options say. When ctx ends first, or the time of the short
// form does, the report holds what was measured until then, and says so in Cut. An
// error is one of the options or of a subject that could not be measured.
func Run(ctx context.Context, o Options) (*Report, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if os.Getenv(processMark) != "" {
		return nil, errors.New("bench: this is a process of a benchmark, which cannot make another: the command given as self is not this program's")
	}
	o.Environment = append(slices.Clone(o.Environment), processMark+"=1")
	r, err := newRunner(o)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := r.begin(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if r.place.network != nil {
		defer r.place.network.close()
	}
	limited := ctx
	if o.Quick {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, quickTime)
		defer cancel()
	}
	err = r.studies(limited)
	r.end()
	if limited.Err() != nil {
		r.report.Cut = "interrupted"
		if ctx.Err() == nil {
			r.report.Cut = errTime.Error()
		}
		return r.report, nil
	}
	if err != nil {
		return r.report, fmt.Errorf("bench: %w", err)
	}
	return r.report, nil
}

// newRunner takes complete options.
func newRunner(o Options) (*runner, error) {
	r := &runner{Options: o}
	var err error
	if r.subjects, err = subject.Named(o.Subjects...); err != nil {
		return nil, err
	}
	for _, name := range o.Loads {
		l, err := load.Named(name)
		if err != nil {
			return nil, err
		}
		r.loads = append(r.loads, l)
	}
	return r, nil
}

// Estimate is about how long Run takes with the options, on a machine that has nothing
// else to do.
func (o Options) Estimate() (time.Duration, error) {
	o, err := o.complete()
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	r, err := newRunner(o)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return r.estimate(), nil
}

// begin says where the benchmark runs.
func (r *runner) begin() error {
	cpus := process.CPUs()
	server, load := divide(cpus, r.Shared)
	r.place = newPlace(server, load)
	where := onLoopback
	if r.Network != Loopback {
		switch n, err := newNetwork(); {
		case err == nil:
			r.place = r.place.in(n)
			where = inNamespaces
		case r.Network == Namespaces:
			return fmt.Errorf("network %s: %w", Namespaces, err)
		}
	}
	r.report = &Report{
		Started: time.Now(), Against: r.Against, Rounds: r.Rounds, Duration: r.Duration,
		Machine: Machine{
			System: runtime.GOOS + "/" + runtime.GOARCH, Kernel: kernel(), Go: runtime.Version(), CPUs: len(cpus),
			ServerCPUs: server, LoaderCPUs: load, Network: where,
		},
	}
	for _, s := range r.subjects {
		r.report.Subjects = append(r.report.Subjects, Measure{s.Name(), s.Summary()})
	}
	r.of = r.plan()
	return nil
}

// divide gives the server one half of the CPUs and the loader the other, or both all.
func divide(cpus []int, share bool) (server, load []int) {
	if share || len(cpus) < 2 {
		return cpus, cpus
	}
	return cpus[:len(cpus)/2], cpus[len(cpus)/2:]
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// end makes the figures of what was measured.
func (r *runner) end() {
	p := r.report
	p.Took = time.Since(p.Started)
	p.Rows = summarize(p.Samples, p.Against)
	others := shared(p.Samples)
	p.Machine.Others, p.Machine.OthersMost = others.Median, others.High
	p.Notes = p.notes()
}

// progress tells what is being done.
func (r *runner) progress(format string, a ...any) {
	r.OnProgress(Progress{Doing: fmt.Sprintf(format, a...), Done: r.done, Of: max(r.of, r.done), Estimate: r.estimate()})
}

// step is a measurement after a warm-up.
func (r *runner) step(rate float64, d time.Duration) loader.Step {
	return loader.Step{Rate: rate, WarmUp: min(max(d/5, 50*time.Millisecond), time.Second), Duration: d}
}

// within opens a session, has do measure, and closes it.
func (r *runner) within(ctx context.Context, s subject.Subject, l load.Load, do func(*session) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	run, err := r.open(ctx, r.place, s, l)
	if err != nil {
		return fmt.Errorf("%s, load %s: %w", name(s), l.Name, err)
	}
	defer run.close()
	if err := do(run); err != nil {
		return fmt.Errorf("%s, load %s: %w", name(s), l.Name, err)
	}
	return nil
}

// name of a subject, of which nil is the load alone.
func name(s subject.Subject) string {
	if s == nil {
		return direct
	}
	return s.Name()
}
