//go:build linux

package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/subject"
)

// child in the environment has this test be a process of the benchmark.
const child = "CALLPATH_BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	var err error
	switch args := os.Args[1:]; args[0] {
	case "bench-subject":
		err = subject.Serve(context.Background(), args[1], os.Stdin, os.Stdout)
	case "bench-loader":
		err = loader.Serve(context.Background(), os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("no process %q", args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tiny measures next to nothing.
func tiny(t *testing.T) bench.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		Self: []string{self},
		// The race detector's processes otherwise sleep for a second when they end.
		Environment: []string{child + "=1", "GORACE=atexit_sleep_ms=0"},
		Subjects:    []string{"callpath"}, Loads: []string{"spread"}, Studies: []bench.Study{bench.Cost},
		Rounds: 1, Duration: 50 * time.Millisecond, Rate: 2000, PeakRate: 3000, FlowCounts: []int{20}, Seed: 1,
	}
}

// available are the subjects that can run here.
func available(t *testing.T) (names []string) {
	for _, s := range subject.All() {
		if err := s.Available(); err != nil {
			t.Logf("%s: %v", s.Name(), err)
			continue
		}
		names = append(names, s.Name())
	}
	return names
}

func TestEverySubjectCarriesCalls(t *testing.T) {
	o := tiny(t)
	o.Subjects, o.Loads = available(t), []string{"calls"} // package subject tests them with runs
	o.Duration = 400 * time.Millisecond                   // a server may not get a processor for a while
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(o.Loads) * (len(o.Subjects) + 1); len(report.Rows) != want || len(report.Samples) != want || report.Cut != "" {
		t.Errorf("%d rows of %d samples, wanted %d (%s)", len(report.Rows), len(report.Samples), want, report.Cut)
	}
	for _, s := range report.Samples {
		r := s.Result
		// A busy machine may lose packets; a subject that does not relay loses all.
		if r.Sent == 0 || r.Received == 0 || r.Stray > 0 {
			t.Errorf("%s, %s: of %d sent, %d arrived, %d strange", s.Subject, s.Load, r.Sent, r.Received, r.Stray)
		}
		if s.Subject != "direct" && r.Spent.Processes[0] <= 0 {
			t.Errorf("%s, %s: the server did nothing", s.Subject, s.Load)
		}
	}
	for _, row := range report.Rows {
		if row.Subject == report.Against && row.Ratios.Server.Median != 1 {
			t.Errorf("ratio of %s to itself is %v", row.Subject, row.Ratios.Server)
		}
	}
	if _, err := json.Marshal(report); err != nil {
		t.Error(err)
	}
}

func TestEveryStudyHasItsRows(t *testing.T) {
	o := tiny(t)
	o.Studies = nil // all
	done := 0
	o.OnProgress = func(p bench.Progress) {
		if p.Done > p.Of || p.Done < done || p.Doing == "" || p.Estimate <= 0 {
			t.Errorf("progress %+v after %d", p, done)
		}
		done = p.Done
	}
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[bench.Study]int)
	for _, r := range report.Rows {
		count[r.Study]++
		if r.Study == bench.Peak && len(r.Limits) != 1 {
			t.Errorf("%s: the search was ended by %q", r.Subject, r.Limits)
		}
	}
	for study, want := range map[bench.Study]int{bench.Cost: 2, bench.Peak: 2, bench.Latency: 5, bench.Flows: 2, bench.FanOut: 2 * 2 * 9} {
		if count[study] != want {
			t.Errorf("%s: %d rows, wanted %d", study, count[study], want)
		}
	}
}

func TestInterruptedBenchmarkReportsWhatItHas(t *testing.T) {
	o := tiny(t)
	o.Rounds = 50
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.OnProgress = func(p bench.Progress) {
		if p.Done == 2 {
			cancel()
		}
	}
	report, err := bench.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Cut != "interrupted" || len(report.Rows) != 2 {
		t.Errorf("cut %q, %d rows", report.Cut, len(report.Rows))
	}
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	for want, change := range map[string]func(*bench.Options){
		`no subject "cotrun"`:     func(o *bench.Options) { o.Subjects = []string{"cotrun"} },
		`no load "spraed"`:        func(o *bench.Options) { o.Loads = []string{"spraed"} },
		`no study "price"`:        func(o *bench.Options) { o.Studies = []bench.Study{"price"} },
		"rounds 51":               func(o *bench.Options) { o.Rounds = 51 },
		"rounds -1":               func(o *bench.Options) { o.Rounds = -1 },
		"duration 1ms":            func(o *bench.Options) { o.Duration = time.Millisecond },
		"duration 1h":             func(o *bench.Options) { o.Duration = time.Hour },
		"rate 1;":                 func(o *bench.Options) { o.Rate = 1 },
		"peak rate 1;":            func(o *bench.Options) { o.PeakRate = 1 },
		"flow count 20000":        func(o *bench.Options) { o.FlowCounts = []int{20_000} },
		"spread is given twice":   func(o *bench.Options) { o.Loads = []string{"spread", "spread"} },
		`against "pion-v3"`:       func(o *bench.Options) { o.Against = "pion-v3" },
		"self is empty":           func(o *bench.Options) { o.Self = nil },
		"callpath is given twice": func(o *bench.Options) { o.Subjects = []string{"callpath", "callpath"} },
	} {
		o := tiny(t)
		change(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wanted an error with %q, got %v", want, err)
		}
		if _, err := bench.Run(t.Context(), o); err == nil {
			t.Errorf("ran in spite of %s", want)
		}
	}
}

// The whole suite is for a coffee break, the short form for a minute.
func TestDefaultsTakeTheTimeThatIsPromised(t *testing.T) {
	for quick, most := range map[bool]time.Duration{true: time.Minute, false: 20 * time.Minute} {
		o := bench.Options{Self: []string{"callpath"}, Quick: quick, Subjects: bench.DefaultSubjects(quick)}
		if err := (subject.All()[len(subject.All())-1]).Available(); err == nil && !quick {
			o.Subjects = append(o.Subjects, "coturn")
		}
		took, err := o.Estimate()
		if err != nil {
			t.Fatal(err)
		}
		if took <= 0 || took > most {
			t.Errorf("quick %t: estimated %v, wanted at most %v", quick, took, most)
		}
	}
}

func TestDefaultsCanBeMeasured(t *testing.T) {
	for _, quick := range []bool{false, true} {
		o := bench.Options{Self: []string{"callpath"}, Quick: quick}
		if err := o.Check(); err != nil {
			t.Errorf("quick %t: %v", quick, err)
		}
		if !slices.Contains(bench.DefaultSubjects(quick), "callpath") {
			t.Errorf("quick %t: ours is not measured", quick)
		}
	}
}

func TestBenchmarkWithinABenchmarkIsRefused(t *testing.T) {
	t.Setenv("CALLPATH_BENCH_PROCESS", "1")
	if _, err := bench.Run(t.Context(), tiny(t)); err == nil {
		t.Error("a process of a benchmark made another")
	}
}

func TestServerThatDoesNotStartIsAnError(t *testing.T) {
	o := tiny(t)
	o.Environment = nil
	o.Self = []string{"/bin/false"}
	if _, err := bench.Run(t.Context(), o); err == nil {
		t.Error("measured a program that does nothing")
	}
}

// The report says which network was measured, and one that cannot be had is an error
// when it was asked for, and else loopback.
func TestTheNetworkIsTheOneThatTheReportNames(t *testing.T) {
	for asked, wanted := range map[bench.Network][]string{
		bench.Loopback:   {"loopback"},
		bench.Namespaces: {"three network namespaces joined by veth"},
		"":               {"three network namespaces joined by veth", "loopback"},
	} {
		o := tiny(t)
		o.Network = asked
		report, err := bench.Run(t.Context(), o)
		switch {
		case err == nil && !slices.Contains(wanted, report.Machine.Network):
			t.Errorf("network %q: measured on %q, wanted one of %q", asked, report.Machine.Network, wanted)
		case err != nil && asked == bench.Namespaces && errors.Is(err, os.ErrPermission):
			t.Logf("network %q: %v", asked, err)
		case err != nil:
			t.Errorf("network %q: %v", asked, err)
		}
	}
	o := tiny(t)
	o.Network = "internet"
	if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "valid: loopback, namespaces") {
		t.Errorf("network internet: %v", err)
	}
}
