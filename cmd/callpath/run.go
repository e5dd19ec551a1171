package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/scenarios/runner"
)

// runFlags are the flags of the run command, as given.
type runFlags struct {
	jobs      int
	repeat    int
	seed      uint64
	json      bool
	junit     string
	html      string
	pcap      string
	keyLog    string
	logFormat string
	logLevel  string
	verbose   bool
	quiet     bool
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run NAME|FILE…",
		Short: "Run scenarios and judge them by their expectations",
		Long: strings.TrimSpace(`
Run scenarios, from the library by name or from files, and print which path the
media took, why, and whether the expectations were met. "all" is the whole
library.

With several scenarios, --pcap and --keylog write a file for each, with the
scenario's name before the extension. A key log lets whoever has it decrypt the
capture; it is written with mode 0600, and only when asked for.`),
		Example: strings.Trim(`
  callpath run fig3-external-relayed
  callpath run --report report.html my-scenario.yaml
  callpath run --jobs 4 --junit results.xml all
  callpath run --pcap call.pcapng --keylog call.keylog fig4-external-direct
  callpath run --log-format json case2-stun 2> negotiation.log`, "\n"),
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("log-format") && !cmd.Flags().Changed("log-level") {
				f.logLevel = "info"
			}
			return runScenarios(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.IntVarP(&f.jobs, "jobs", "j", 1, "how many scenarios run side by side, 1 to 64")
	flags.IntVar(&f.repeat, "repeat", 1, "how many times each scenario runs, 1 to 1000")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of the network's chances; 0 takes the scenario's own")
	flags.BoolVar(&f.json, "json", false, "print the results as JSON")
	flags.StringVar(&f.junit, "junit", "", "write a JUnit report to `FILE`")
	flags.StringVar(&f.html, "report", "", "write a self-contained HTML report to `FILE`")
	flags.StringVar(&f.pcap, "pcap", "", "write each host's packets to `FILE` (pcapng)")
	flags.StringVar(&f.keyLog, "keylog", "", "write an NSS key log of the DTLS handshakes to `FILE`, mode 0600")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json; logs go to the standard error")
	flags.StringVar(&f.logLevel, "log-level", "off", "debug, info, warn, error or off; with --log-format alone it is info")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print candidates, checks, flights and legs too")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	return cmd
}

// check refuses flags that make no sense.
func (f runFlags) check() error {
	switch {
	case f.jobs < 1 || f.jobs > 64:
		return fmt.Errorf("--jobs %d: wanted 1 to 64", f.jobs)
	case f.repeat < 1 || f.repeat > 1000:
		return fmt.Errorf("--repeat %d: wanted 1 to 1000", f.repeat)
	case f.logFormat != "text" && f.logFormat != "json":
		return fmt.Errorf("--log-format %q: wanted text or json", f.logFormat)
	}
	return nil
}

// logger writes to w, as the flags say.
func (f runFlags) logger(w io.Writer) (*slog.Logger, error) {
	if f.logLevel == "off" {
		return slog.New(slog.DiscardHandler), nil
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: wanted debug, info, warn, error or off", f.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	if f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// job is one run to be made.
type job struct {
	scenario *language.Scenario
	name     string // tells it from the others, in progress and file names
}

func runScenarios(ctx context.Context, out, errOut io.Writer, f runFlags, args []string) error {
	if err := f.check(); err != nil {
		return input(err)
	}
	log, err := f.logger(errOut)
	if err != nil {
		return input(err)
	}
	// Everything is read before anything starts.
	jobs, err := loadJobs(errOut, expand(args), f.repeat)
	if err != nil {
		return err
	}
	if err := checkOutputs(f, jobs); err != nil {
		return input(err)
	}
	runs, err := runJobs(ctx, errOut, f, jobs, log)
	if err := errors.Join(err, writeReports(out, f, runs)); err != nil {
		return fault(err)
	}
	if left := len(jobs) - len(runs); left > 0 {
		fmt.Fprintf(errOut, "callpath: interrupted; %d of %d runs had not begun\n", left, len(jobs))
	}
	return verdict(runs, len(jobs))
}

// loadJobs reads the scenarios. Runs of the same name, of one that is repeated or of
// several files, are numbered.
func loadJobs(errOut io.Writer, names []string, repeat int) ([]job, error) {
	var jobs []job
	bad := false
	count := map[string]int{}
	for _, name := range names {
		s, err := load(name)
		if err != nil {
			bad = true
			fmt.Fprintln(errOut, err)
			continue
		}
		for range repeat {
			count[s.Name]++
			jobs = append(jobs, job{scenario: s, name: s.Name})
		}
	}
	if bad {
		return nil, input(errTold)
	}
	number := map[string]int{}
	for i, j := range jobs {
		if count[j.name] > 1 {
			number[j.name]++
			jobs[i].name = fmt.Sprintf("%s-%d", j.name, number[j.name])
		}
	}
	return jobs, nil
}

// runJobs makes the runs, at most f.jobs at once, and returns them in the order
// of jobs. An interrupted ctx leaves out those that had not begun; an error is about
// the files of a run, and comes with the runs that were made.
func runJobs(ctx context.Context, errOut io.Writer, f runFlags, jobs []job, log *slog.Logger) ([]*result.Run, error) {
	show := newProgress(errOut, len(jobs), f.quiet || f.logLevel != "off")
	defer show.close()
	runs := make([]*result.Run, len(jobs))
	var group errgroup.Group
	group.SetLimit(f.jobs)
	for i, j := range jobs {
		group.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			options := runner.Options{Seed: f.seed, Log: log}
			files, err := openFiles(f, j.name, len(jobs) > 1, &options)
			if err != nil {
				return err
			}
			bar := show.begin(j.name)
			options.OnProgress = bar.step
			runs[i] = runner.Run(ctx, j.scenario, options)
			bar.end(runs[i])
			return files.close()
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(runs, func(r *result.Run) bool { return r == nil }), err
}

// verdict is the exit code of the runs, of as many as were wanted.
func verdict(runs []*result.Run, wanted int) error {
	unmet := len(runs) < wanted
	for _, r := range runs {
		if r.Error != "" {
			return fault(errTold)
		}
		unmet = unmet || !r.Met()
	}
	if unmet {
		return &exitError{exitUnmet, errTold}
	}
	return nil
}
