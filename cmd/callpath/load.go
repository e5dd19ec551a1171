package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/bench/meeting"
	"github.com/callpath/callpath/bench/meeting/host"
	meetingreport "github.com/callpath/callpath/bench/meeting/report"
)

// loadFlags are the flags of the load command, as given.
type loadFlags struct {
	meeting.Options
	server    serverFlags
	kind      string
	transport string
	lossBound float64 // percent
	json      bool
	html      string
	quiet     bool
}

func newLoad() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Put synthetic participants on meetings, and say what that cost and who was the first to saturate",
		Long: strings.TrimSpace(`
Have synthetic participants join group calls, send and receive media for a time, and
leave. Without --server, the signaling controller and the media processor are started
for it on loopback, in a process of their own; nothing has to be configured.

Participants of kind light do real ICE with consent, DTLS and SRTP, answer requests for
packets and key frames as a publisher does, and receive without a decoder: hundreds run
on one CPU. Those of kind full are whole WebRTC peers, which can also go through the
transport relay (--transport relay-udp, relay-tcp, relay-tls).

The report has joins per second, the time of each stage of the way in, loss, jitter,
round trip and the estimated score of voice as percentiles, the server's CPU time and
memory, and CPU seconds for a million packets forwarded. It says which of the generator
and the server could not do more: the generator's own pacing error stands beside the
loss.

Exit codes are those of run: 1 when fewer have joined than were asked for, when a
criterion is not met, or after an interrupt, which prints what there is.`),
		Example: strings.Trim(`
  callpath load --participants 50 --senders 5
  callpath load --participants 200 --meetings 20 --senders 2 --report load.html
  callpath load --participants 10 --senders 2 --find-knee
  callpath load --kind full --transport relay-tls --participants 6
  callpath load --server https://127.0.0.1:8443 --application shop --secret-file shop.secret`, "\n"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(cmd)
			if err != nil {
				return input(err)
			}
			return runLoad(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVarP(&f.Participants, "participants", "n", 10, fmt.Sprintf("how many participants there are in all, 1 to %d", meeting.MostParticipants))
	flags.IntVarP(&f.Meetings, "meetings", "m", 1, "over how many meetings they are spread")
	flags.IntVar(&f.Senders, "senders", 0, "how many of each meeting's participants send video")
	flags.IntVar(&f.VideoBitrate, "video-bitrate", 1_000_000, "bits per second of each video")
	flags.IntVar(&f.Frames, "frames", 30, "pictures per second of each video")
	flags.BoolVar(&f.Audio, "audio", true, "all send voice")
	flags.IntVar(&f.AudioSlots, "audio-slots", 0, fmt.Sprintf("how many voices each can receive, with --video-slots up to %d; as many as there are others when 0", meeting.MostSlots))
	flags.IntVar(&f.VideoSlots, "video-slots", 0, "how many videos each can receive; as many as are sent when 0")
	flags.Float64Var(&f.Ramp, "ramp", 20, "how many join per second")
	flags.DurationVar(&f.WarmUp, "warm-up", 2*time.Second, "time between the last join and the measurement")
	flags.DurationVarP(&f.Duration, "duration", "d", 10*time.Second, "how long is measured")
	flags.StringVar(&f.kind, "kind", string(meeting.Light), "light or full")
	flags.StringVar(&f.transport, "transport", string(meeting.Direct), "how media goes to the media processor: udp, or for full participants through the transport relay by relay-udp, relay-tcp, relay-tls")
	flags.Float64Var(&f.lossBound, "max-loss", 0.1, "the most of the packets that may be lost, in percent")
	flags.DurationVar(&f.MaxLatency, "max-latency", 150*time.Millisecond, "the most that the 99th percentile of one-way latency may be")
	flags.BoolVar(&f.FindKnee, "find-knee", false, "raise the number of participants until a criterion breaks, and report where")
	flags.IntVar(&f.MaxParticipants, "max-participants", 0, "the most that --find-knee tries; 1000 when 0")
	flags.Float64Var(&f.ServerShare, "server-share", 1, "hold the load's own server to this share of the time, above 0 to 1")
	flags.Float64Var(&f.GeneratorShare, "generator-share", 1, "hold each thread of light participants to this share of the time, above 0 to 1")
	flags.Uint64Var(&f.Seed, "seed", 1, "seed of when in its period each participant sends")
	f.server.add(flags)
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	flags.StringVar(&f.html, "report", "", "write a self-contained HTML report to `FILE`")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	return cmd
}

// options are the load's, or an error of the flags.
func (f loadFlags) options(cmd *cobra.Command) (meeting.Options, error) {
	o := f.Options
	o.Kind, o.Transport, o.MaxLoss = meeting.Kind(f.kind), meeting.Transport(f.transport), f.lossBound/100
	// A zero means the default to the load, and a mistake to its user.
	for _, name := range []string{"participants", "meetings", "video-bitrate", "frames", "ramp", "duration", "max-latency", "server-share", "generator-share"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && strings.Trim(flag.Value.String(), "0.ms") == "" {
			return o, fmt.Errorf("--%s %s: wanted more than 0", name, flag.Value)
		}
	}
	if math.IsNaN(f.lossBound) || f.lossBound < 0 || f.lossBound > 100 {
		return o, fmt.Errorf("--max-loss %v: wanted 0 to 100", f.lossBound)
	}
	if cmd.Flags().Changed("max-participants") && !f.FindKnee {
		return o, errors.New("--max-participants is for --find-knee")
	}
	if f.html != "" {
		if err := probeWhole(f.html); err != nil {
			return o, fmt.Errorf("--report: %w", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	o.Self = []string{self, "load-server"}
	if o.Server, err = f.server.server(cmd.Context()); err != nil {
		return o, err
	}
	return o, o.Check()
}

func runLoad(ctx context.Context, out, errOut io.Writer, f loadFlags, o meeting.Options) error {
	show := newStepProgress(errOut, f.quiet)
	o.OnProgress = loadStep(show)
	report, err := meeting.Run(ctx, o)
	show.close()
	if report == nil {
		if ctx.Err() != nil {
			return &exitError{exitUnmet, ctx.Err()}
		}
		return fault(err)
	}
	// What was measured before a fault is told too.
	if err := writeLoad(out, f, report); err != nil {
		return fault(err)
	}
	switch {
	case err != nil:
		return fault(err)
	case !report.Met():
		return &exitError{exitUnmet, errTold}
	}
	return nil
}

func writeLoad(out io.Writer, f loadFlags, report *meeting.Report) error {
	if f.html != "" {
		if err := writeWhole(f.html, func(w io.Writer) error { return meetingreport.HTML(w, report) }); err != nil {
			return err
		}
	}
	if f.json {
		return meetingreport.JSON(out, report)
	}
	return meetingreport.Text(out, report)
}

// newLoadServer is what the load starts.
func newLoadServer() *cobra.Command {
	return &cobra.Command{
		Use: "load-server", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return child(host.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout()))
		},
	}
}

// loadStep is the load's OnProgress: what it does, with the figures of the last second.
func loadStep(show *stepProgress) func(meeting.Progress) {
	stage := ""
	return func(s meeting.Progress) {
		doing := s.Doing
		if l := s.Live; l != nil {
			doing += fmt.Sprintf(", sent %.0f/s, received %.0f/s, loss %.3g %%, latency p99 %v, pacing p99 %v",
				l.Sent, l.Received, 100*l.Loss, l.Latency.Round(10*time.Microsecond), l.Pacing.Round(10*time.Microsecond))
		}
		show.step(s.Done, s.Of, doing, s.Doing != stage)
		stage = s.Doing
	}
}
