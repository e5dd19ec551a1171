package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/bench"
	benchload "github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
	benchreport "github.com/callpath/callpath/bench/report"
	"github.com/callpath/callpath/bench/subject"
)

// benchFlags are the flags of the bench command, as given.
type benchFlags struct {
	bench.Options
	studies []string
	peers   []string
	list    bool
	json    bool
	html    string
	quiet   bool
}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure relays side by side under the same load",
		Long: `Measure this program's relay and others side by side: what a packet costs, the
most packets per second, how long packets take, and how that changes with the
number of flows; and what a media processor's packet costs by its receivers.

Every subject runs as a process of its own, on CPUs that are not the load
generator's where there are enough, and gets the same packets from the same
generator; in each round all subjects take their turn. Figures are medians over
the rounds, ratios are medians of the ratios within each round. Clients,
relay and peers have a network namespace each where root allows that, and
otherwise this machine's loopback; the results say which, and what that means for
whose time is counted. --quick takes less than a minute, the whole suite on two CPUs
less than twenty; it says at the start about how long, and then how far it is.

Exit codes are those of run; an interrupted benchmark prints what it has and
exits with 1.`,
		Example: `  callpath bench --quick
  callpath bench --peer coturn --report bench.html
  callpath bench --studies cost --loads spread,audio-5000 --subjects callpath,pion-v5 --peer coturn
  callpath bench --list`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A zero means the default to the benchmark, and a mistake to its user.
			for _, name := range []string{"rounds", "duration", "rate", "peak-rate"} {
				if flag := cmd.Flags().Lookup(name); flag.Changed && strings.Trim(flag.Value.String(), "0s") == "" {
					return input(fmt.Errorf("--%s %s: wanted more than 0", name, flag.Value))
				}
			}
			return runBench(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.Quick, "quick", false, "a short form, of less than a minute")
	flags.StringSliceVar(&f.Subjects, "subjects", nil, "what to measure, see --list")
	flags.StringSliceVar(&f.peers, "peer", nil, "measure this installed relay too: coturn")
	flags.StringSliceVar(&f.Loads, "loads", nil, "the loads, see --list")
	flags.StringSliceVar(&f.studies, "studies", nil, "cost, peak, latency, flows, fanout")
	flags.StringVar(&f.Against, "against", "", "the subject that ratios are to; without it coturn if measured, or else the first other than callpath")
	flags.IntVar(&f.Rounds, "rounds", 0, fmt.Sprintf("how often each measurement is made, 1 to %d", bench.MaxRounds))
	flags.DurationVar(&f.Duration, "duration", 0, fmt.Sprintf("how long one measurement takes, 50ms to %v", bench.MaxDuration))
	flags.IntSliceVar(&f.FlowCounts, "flow-counts", nil, fmt.Sprintf("numbers of flows of the study flows, 1 to %d", benchload.MaxFlows))
	flags.Float64Var(&f.Rate, "rate", 0, "the most packets/s of all loads but in the search for the peak")
	flags.Float64Var(&f.PeakRate, "peak-rate", 0, "the most packets/s that the search for the peak tries")
	flags.Uint64Var(&f.Seed, "seed", 1, "seed of when each flow begins")
	flags.BoolVar(&f.Shared, "shared-cpus", false, "server and loader both on all CPUs, instead of each on one half")
	flags.StringVar((*string)(&f.Network), "network", "", "loopback, or namespaces: three hosts joined by veth, which is the default where root allows it")
	flags.BoolVar(&f.Loose, "no-sink-gro", false, "the sink takes packets one by one, so that the relay pays for cutting its runs")
	flags.BoolVar(&f.list, "list", false, "list subjects and loads, and measure nothing")
	flags.BoolVar(&f.json, "json", false, "print the results as JSON")
	flags.StringVar(&f.html, "report", "", "write a self-contained HTML report to `FILE`")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	return cmd
}

// options are the benchmark's, or an error of the flags.
func (f benchFlags) options() (bench.Options, error) {
	o := f.Options
	for _, s := range f.studies {
		o.Studies = append(o.Studies, bench.Study(s))
	}
	for _, p := range f.peers {
		if p != "coturn" {
			return o, fmt.Errorf("--peer %q: wanted coturn", p)
		}
	}
	if len(f.peers) > 0 && len(o.Subjects) == 0 {
		o.Subjects = bench.DefaultSubjects(o.Quick)
	}
	for _, p := range f.peers {
		if !slices.Contains(o.Subjects, p) {
			o.Subjects = append(o.Subjects, p)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	o.Self = []string{self}
	return o, o.Check()
}

func runBench(ctx context.Context, out, errOut io.Writer, f benchFlags) error {
	if f.list {
		return listBench(out)
	}
	o, err := f.options()
	if err != nil {
		return input(err)
	}
	if took, err := o.Estimate(); err == nil && !f.quiet {
		fmt.Fprintf(errOut, "This takes about %v.\n", took.Round(roundTo(took)))
	}
	show := newStepProgress(errOut, f.quiet)
	o.OnProgress = func(s bench.Progress) { show.step(s.Done, s.Of, s.Doing, false) }
	report, err := bench.Run(ctx, o)
	show.close()
	if report == nil {
		return fault(err)
	}
	// What was measured before a fault is told too.
	if err := writeBench(out, f, report); err != nil {
		return fault(err)
	}
	switch {
	case err != nil:
		return fault(err)
	case ctx.Err() != nil:
		return &exitError{exitUnmet, errTold}
	}
	return nil
}

// roundTo is how exactly a duration that is an estimate is told.
func roundTo(d time.Duration) time.Duration {
	if d > 2*time.Minute {
		return time.Minute
	}
	return 5 * time.Second
}

func writeBench(out io.Writer, f benchFlags, report *bench.Report) error {
	if f.html != "" {
		if err := writeWhole(f.html, func(w io.Writer) error { return benchreport.HTML(w, report) }); err != nil {
			return err
		}
	}
	if f.json {
		return benchreport.JSON(out, report)
	}
	return benchreport.Text(out, report)
}

func listBench(out io.Writer) error {
	fmt.Fprintln(out, "subjects")
	for _, s := range subject.All() {
		state := s.Summary()
		if err := s.Available(); err != nil {
			state = err.Error()
		}
		fmt.Fprintf(out, "  %-18s %s\n", s.Name(), state)
	}
	fmt.Fprintln(out, "loads")
	for _, l := range benchload.Catalog() {
		fmt.Fprintf(out, "  %-18s %s\n", l.Name, l.Summary)
	}
	return nil
}

// newBenchSubject and newBenchLoader are what the benchmark starts.
func newBenchSubject() *cobra.Command {
	return &cobra.Command{
		Use: "bench-subject NAME", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return child(subject.Serve(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout()))
		},
	}
}

func newBenchLoader() *cobra.Command {
	return &cobra.Command{
		Use: "bench-loader", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return child(loader.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout()))
		},
	}
}

func child(err error) error {
	if err != nil {
		return fault(err)
	}
	return nil
}
