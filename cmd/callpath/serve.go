package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/cmd/callpath/server"
	"github.com/callpath/callpath/relay/turn"
)

func newServe() *cobra.Command {
	var check, printConfig bool
	load := func(*cobra.Command) (*server.Config, error) { return nil, nil }
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve real clients: transport relay, media processor, signaling and an admin endpoint",
		Long: strings.TrimSpace(`
Serve real clients with the transport relay (STUN and TURN over UDP, TCP, TLS and
DTLS), the media processor of meetings and group calls (UDP), the signaling
controller with chats (HTTPS) and an admin endpoint (health, metrics).

Nothing has to be configured: certificates and secrets are made on first start and
kept, with two users and their passwords, and only this machine can reach the
server. Each flag is also a key of the configuration file and a variable
(--relay-udp is relay.udp and CALLPATH_RELAY_UDP); flags win over variables,
variables over the file. --print-config prints a file with every key, its default
and what it means.

SIGHUP reads certificates, secrets, users, rules and policies again. SIGTERM and
Ctrl-C take no new allocations and meetings and wait for the end of those that
live, at most for --drain; a second one ends that waiting.`),
		Example: strings.Trim(`
  callpath serve
  callpath serve --listen 0.0.0.0,:: --public turn.example.org --config callpath.yaml
  callpath serve --check --config callpath.yaml
  callpath serve --print-config > callpath.yaml`, "\n"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if printConfig {
				_, err := cmd.OutOrStdout().Write(server.DefaultFile())
				return err
			}
			cfg, err := load(cmd)
			if err != nil {
				return input(err)
			}
			log, err := serveLogger(cfg, cmd.ErrOrStderr())
			if err != nil {
				return input(err)
			}
			for _, line := range cfg.Strange() {
				log.Warn(line)
			}
			if check {
				if err := cfg.Check(log); err != nil {
					return input(err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), "the configuration is valid")
				return nil
			}
			return serve(cmd.Context(), cmd.OutOrStdout(), cfg, log)
		},
	}
	load = configFlags(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "check the configuration and the files that it names, and start nothing")
	cmd.Flags().BoolVar(&printConfig, "print-config", false, "print a configuration file with every key and its default")
	return cmd
}

// configFlags adds a flag for each setting, and returns what loads the
// configuration from them.
func configFlags(cmd *cobra.Command) func(*cobra.Command) (*server.Config, error) {
	flags := cmd.Flags()
	flags.SortFlags = false
	file := flags.String("config", "", "configuration `FILE`; also "+server.FileVariable)
	for _, s := range server.Settings() {
		flags.String(s.Flag(), "", s.Usage)
		if s.Switch {
			flags.Lookup(s.Flag()).NoOptDefVal = "true"
		}
	}
	return func(*cobra.Command) (*server.Config, error) {
		from := server.Source{File: *file, Environment: os.Environ(), Flags: map[string]string{}}
		if from.File == "" {
			from.File = os.Getenv(server.FileVariable)
		}
		for _, s := range server.Settings() {
			if f := flags.Lookup(s.Flag()); f.Changed {
				from.Flags[s.Flag()] = f.Value.String()
			}
		}
		return server.Load(from)
	}
}

func serveLogger(cfg *server.Config, w io.Writer) (*slog.Logger, error) {
	return runFlags{logFormat: cfg.Log.Format, logLevel: cfg.Log.Level}.logger(w)
}

// serve runs until ctx ends, which is what SIGTERM and Ctrl-C do.
func serve(ctx context.Context, out io.Writer, cfg *server.Config, log *slog.Logger) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	hurry, stop := secondSignal(ctx)
	defer stop()
	turn.TuneCollector()
	s, err := server.New(ctx, cfg, log)
	if err != nil {
		return fault(err)
	}
	s.Welcome(out)
	report, err := s.Run(ctx, server.Signals{Reload: hangups, Hurry: hurry})
	if err != nil {
		return fault(err)
	}
	fmt.Fprintln(out, report)
	return nil
}

// sameSignal is how close two signals are one: timeout(1) and some supervisors send
// it to the process and to its group.
const sameSignal = time.Second

// secondSignal returns what closes when a signal comes after the one that ended ctx.
func secondSignal(ctx context.Context) (<-chan struct{}, func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	hurry, done := make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-ctx.Done():
		case <-done:
			return
		}
		begun := time.Now()
		for {
			select {
			case <-signals:
				if time.Since(begun) > sameSignal {
					close(hurry)
					return
				}
			case <-done:
				return
			}
		}
	})
	return hurry, func() {
		signal.Stop(signals)
		close(done)
		running.Wait()
	}
}
