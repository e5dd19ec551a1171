package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/expect"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
	"github.com/callpath/callpath/topology/sim/capture"
)

// Options are what the caller of a run chooses. The zero Options are usable.
type Options struct {
	// Seed takes the place of the scenario's own when it is not zero.
	Seed uint64
	// Capture, when set, gets each host's packets as a pcapng file. Run writes
	// it to its end and does not close it.
	Capture io.Writer
	// KeyLog, when set, gets an NSS key log of every DTLS handshake. Whoever
	// has it can decrypt the capture.
	KeyLog io.Writer
	// Log gets what happens as structured events; nil discards it.
	Log *slog.Logger
	// OnProgress is told when a step begins. It may be called from several
	// goroutines, one at a time.
	OnProgress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	// Done of Steps are behind; Doing is what begins now.
	Done, Steps int
	Doing       string
}

// settle lets the last packets of a call arrive, and the relay delete its
// allocations, before the run is looked at.
const settle = 300 * time.Millisecond

// closing bounds the end of a run whose own time is up.
const closing = 10 * time.Second

// defaultTimeout bounds a run of a scenario that sets no time.
const defaultTimeout = 60 * time.Second

// run is one execution of one scenario.
type run struct {
	scenario *language.Scenario
	options  Options
	log      *slog.Logger
	started  time.Time

	internet *sim.Internet
	services *services
	traffic  *traffic
	view     *negotiation.RelayView
	ledger   *media.Ledger
	capture  *capture.Writer
	// recorders and participants are by participant, in the file's order; they
	// do not change once the network runs.
	recorders    map[string]*negotiation.Recorder
	participants map[string]*participant.Participant

	mu    sync.Mutex
	steps []result.Step
	call  callProgress
	book  *book
}

// callProgress is what became of the call.
type callProgress struct {
	from, to  string
	invited   time.Time
	connected map[string]time.Time
	rejected  string
	failed    string
	notTaken  string
}

// Run carries out one scenario and returns what was seen, judged. It always
// returns a result: one with Error set when the run could not be carried out, one
// with Interrupted set when ctx ended first. It may be called from several
// goroutines at once; every goroutine that it started has ended when it returns.
func Run(ctx context.Context, s *language.Scenario, options Options) *result.Run {
	if options.Seed == 0 {
		options.Seed = max(s.Seed, 1)
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	view := negotiation.NewRelayView()
	r := &run{
		scenario:     s,
		options:      options,
		log:          options.Log.With(slog.String("scenario", s.Name)),
		started:      time.Now(),
		view:         view,
		ledger:       media.NewLedger(view.Needle),
		recorders:    map[string]*negotiation.Recorder{},
		participants: map[string]*participant.Participant{},
		call:         callProgress{connected: map[string]time.Time{}},
	}
	r.book = newBook(r.started)
	out := &result.Run{
		Scenario: s.Name,
		Title:    s.Title,
		File:     s.File,
		Seed:     options.Seed,
		Started:  r.started,
		Network:  s.Network,
	}
	// An interrupt that comes while the network is built is no fault of it.
	if err := r.execute(ctx, out); err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
		out.Error = err.Error()
		r.log.Error("run.failed", slog.String("error", err.Error()))
	}
	out.Interrupted = ctx.Err() != nil
	out.Duration = result.Duration(time.Since(r.started))
	out.Checks = expect.Check(s, out)
	return out
}

// execute builds, plays, gathers and takes down. Its error is a fault of the
// tool, never of the call.
func (r *run) execute(ctx context.Context, out *result.Run) (err error) {
	timeout := time.Duration(r.scenario.Timeout)
	if timeout == 0 {
		timeout = defaultTimeout
	}
	playing, stop := context.WithTimeout(ctx, timeout)
	defer stop()

	network := r.scenario.Network.Clone()
	if err := changeBefore(network, r.scenario.Before); err != nil {
		return fmt.Errorf("change before the run: %w", err)
	}
	out.Network = network
	if err := r.build(playing, network); err != nil {
		return errors.Join(err, r.close())
	}
	r.play(playing)
	// What was seen is gathered whole even when time or patience is over.
	ending, stopEnding := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer stopEnding()
	r.finish(ending, ctx.Err() != nil)
	r.gather(out)
	return r.close()
}

// build brings up the network, the services and the participants.
func (r *run) build(ctx context.Context, network *topology.Network) error {
	r.traffic = newTraffic(network)
	if r.options.Capture != nil {
		w, err := capture.New(r.options.Capture)
		if err != nil {
			return fmt.Errorf("capture: %w", err)
		}
		r.capture = w
	}
	observers := &observers{traffic: r.traffic, capture: r.capture, recorders: map[string]*negotiation.Recorder{}}
	for _, p := range r.scenario.Participants {
		recorder := negotiation.NewRecorder(negotiation.Config{Leg: p.Name, Log: r.log, Keys: true})
		r.recorders[p.Name] = recorder
		observers.recorders[p.Host] = recorder
	}
	var err error
	r.internet, err = sim.New(sim.Config{Network: network, Seed: r.options.Seed, Observer: observers, Log: r.log})
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	secret, err := randomText(32)
	if err != nil {
		return err
	}
	config := serviceConfig{
		scenario: r.scenario, internet: r.internet, traffic: r.traffic, view: r.view,
		secret: []byte(secret), onEvent: r.signaled, log: r.log,
	}
	passwords := map[string]string{}
	for _, p := range r.scenario.Participants {
		if passwords[p.Name], err = randomText(16); err != nil {
			return err
		}
		config.users = append(config.users, signaling.User{
			ID: p.Name, Name: p.Name, Client: clientOf(p), Secret: passwords[p.Name],
			Kind: policy.Kind(p.Person), Groups: groupsOf(r.scenario, p.Name),
		})
	}
	if config.policies, err = mergePolicies(signaling.Policies{}, r.scenario.Policies); err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	if r.services, err = startServices(ctx, config); err != nil {
		return err
	}
	for i, p := range r.scenario.Participants {
		one, err := participant.New(participant.Config{
			Spec:      p,
			Host:      r.internet.Host(p.Host),
			Signaling: signalingURL(network),
			RootCAs:   r.services.authority.Pool(),
			User:      p.Name,
			Secret:    passwords[p.Name],
			Recorder:  r.recorders[p.Name],
			Ledger:    r.ledger,
			KeyLog:    r.options.KeyLog,
			Seed:      r.options.Seed + uint64(i),
			Start:     r.started,
			OnStep:    r.stepped,

			Conference:     r.slots(p),
			OnNotification: func(n signaling.Notification) { r.notified(p.Name, n) },
			Log:            r.log.With(slog.String("participant", p.Name)),
		})
		if err != nil {
			return fmt.Errorf("participant %s: %w", p.Name, err)
		}
		r.participants[p.Name] = one
	}
	return nil
}

// close takes down what build brought up, in reverse.
func (r *run) close() error {
	var errs []error
	for _, p := range r.participants {
		errs = append(errs, p.Close())
	}
	if r.services != nil {
		errs = append(errs, r.services.close())
	}
	if r.internet != nil {
		errs = append(errs, r.internet.Close())
	}
	if r.capture != nil {
		errs = append(errs, r.capture.Close())
	}
	return errors.Join(errs...)
}

func randomText(bytes int) (string, error) {
	b := make([]byte, bytes)
	if _, err := io.ReadFull(rand.Reader, b); err != nil {
		return "", fmt.Errorf("random secret: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// clientOf is the kind of a participant's client, with the default filled in.
func clientOf(p language.Participant) string {
	if p.Client == "" {
		return "acs"
	}
	return p.Client
}
