package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/participant"
	"github.com/callpath/callpath/scenarios/result"
)

// defaultConnect is how long a connect step waits for media.
const defaultConnect = 15 * time.Second

// play signs everybody in and carries out the steps. A step that cannot be taken
// is an outcome of the call, not a fault: it ends the play.
func (r *run) play(ctx context.Context) {
	r.progress(0, "sign in")
	if err := r.signIn(ctx); err != nil {
		r.halt(err)
		return
	}
	watching, stop := context.WithCancel(ctx)
	w := &watch{run: r}
	defer w.wait()
	defer stop()
	for i, step := range r.scenario.Steps {
		r.progress(i, step.Kind())
		if err := r.step(ctx, watching, w, step); err != nil {
			if ctx.Err() == nil {
				r.halt(fmt.Errorf("%s: %w", step.Kind(), err))
			} else if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				r.halt(fmt.Errorf("%s: the run's time of %s was over", step.Kind(), r.timeout()))
			}
			return
		}
	}
	r.progress(len(r.scenario.Steps), "gather")
}

func (r *run) timeout() time.Duration {
	if t := time.Duration(r.scenario.Timeout); t != 0 {
		return t
	}
	return defaultTimeout
}

func (r *run) signIn(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for name, p := range r.participants {
		group.Go(func() error {
			if err := p.SignIn(ctx); err != nil {
				return fmt.Errorf("sign in as %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// step carries out one step. Media is watched on a context of its own, so that it
// goes on while later steps run.
func (r *run) step(ctx, watching context.Context, w *watch, step language.Step) error {
	by := func(one *language.One, do func(*participant.Participant) error) error {
		if err := do(r.participants[one.By]); err != nil {
			return fmt.Errorf("by %s: %w", one.By, err)
		}
		r.own(step.Kind(), one.By, "")
		return nil
	}
	if handled, err := r.conferenceStep(ctx, step); handled {
		return err
	}
	switch {
	case step.Call != nil:
		r.mu.Lock()
		r.call.from, r.call.to = step.Call.From, step.Call.To
		r.mu.Unlock()
		return r.participants[step.Call.From].Call(ctx, step.Call.To)
	case step.Answer != nil:
		p := r.participants[step.Answer.By]
		if err := p.AwaitInvite(ctx); err != nil {
			return err
		}
		if err := p.Answer(ctx); err != nil {
			return err
		}
		w.begin(watching)
		return nil
	case step.Reject != nil:
		p := r.participants[step.Reject.By]
		if err := p.AwaitInvite(ctx); err != nil {
			return err
		}
		return r.reject(ctx, p, step.Reject)
	case step.Connect != nil:
		within := time.Duration(step.Connect.Within)
		if within == 0 {
			within = defaultConnect
		}
		// A call without media is an outcome, and later steps may mend it.
		if err := w.connected(ctx, within); err != nil && ctx.Err() == nil {
			r.fail(err)
		}
		return ctx.Err()
	case step.Hold != nil:
		return by(step.Hold, func(p *participant.Participant) error { return p.Hold(ctx) })
	case step.Resume != nil:
		return by(step.Resume, func(p *participant.Participant) error { return p.Resume(ctx) })
	case step.Mute != nil:
		return by(step.Mute, func(p *participant.Participant) error { p.Mute(); return nil })
	case step.Unmute != nil:
		return by(step.Unmute, func(p *participant.Participant) error { p.Unmute(); return nil })
	case step.Hangup != nil:
		return by(step.Hangup, func(p *participant.Participant) error { return p.Hangup(ctx, "hang-up") })
	case step.Restart != nil:
		return by(step.Restart, func(p *participant.Participant) error { return p.RestartICE(ctx) })
	case step.Wait != nil:
		return sleep(ctx, time.Duration(step.Wait.For))
	case step.Change != nil:
		return r.change(ctx, *step.Change)
	}
	return fmt.Errorf("step in line %d does nothing", step.Line)
}

func (r *run) reject(ctx context.Context, p *participant.Participant, step *language.Reject) error {
	if err := p.Reject(ctx, step.Reason); err != nil {
		return err
	}
	r.own("reject", step.By, step.Reason)
	r.mu.Lock()
	r.call.rejected = step.Reason
	if step.Reason == "" {
		r.call.rejected = "rejected by " + step.By
	}
	caller := r.call.from
	r.mu.Unlock()
	// The caller has to be told, or the rejection did not happen.
	for {
		if ended, _ := r.participants[caller].Ended(); ended {
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("%s was not told of the rejection: %w", caller, err)
		}
	}
}

// watch waits for media at every participant, beside the steps.
type watch struct {
	run   *run
	group errgroup.Group
	done  chan struct{} // closed when media was seen at each, or given up
	err   error         // why it was given up; read after done
}

// begin starts to watch, once.
func (w *watch) begin(ctx context.Context) {
	if w.done != nil {
		return
	}
	w.done = make(chan struct{})
	w.group.Go(func() error {
		defer close(w.done)
		group, ctx := errgroup.WithContext(ctx)
		for name, p := range w.run.participants {
			group.Go(func() error {
				if err := p.AwaitMedia(ctx); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				w.run.mu.Lock()
				w.run.call.connected[name] = time.Now()
				w.run.mu.Unlock()
				return nil
			})
		}
		w.err = group.Wait()
		return nil
	})
}

func (w *watch) connected(ctx context.Context, within time.Duration) error {
	if w.done == nil {
		return errors.New("nobody has answered yet")
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-w.done:
		return w.err
	case <-timer.C:
		return fmt.Errorf("no media on both sides within %s: %s", within, w.run.standstill())
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *watch) wait() { _ = w.group.Wait() }

// standstill says how far each side came, for a call without media.
func (r *run) standstill() string {
	text := ""
	for _, p := range r.scenario.Participants {
		if text != "" {
			text += "; "
		}
		text += p.Name + ": " + r.recorders[p.Name].Record().Verdict
	}
	return text
}

// finish hangs up what is still up and sends the telemetry (step 8).
func (r *run) finish(ctx context.Context, interrupted bool) {
	r.mu.Lock()
	from := r.call.from
	r.mu.Unlock()
	if r.scenario.Conference() {
		r.book.close()
		r.leaveAll(ctx)
		if !interrupted {
			_ = sleep(ctx, settle)
		}
		return
	}
	if from == "" {
		return
	}
	if ended, _ := r.participants[from].Ended(); !ended {
		if err := r.participants[from].Hangup(ctx, "end of the scenario"); err != nil {
			r.log.Warn("call.hangup_failed", slog.String("error", err.Error()))
		}
	}
	for name, p := range r.participants {
		if err := p.Telemetry(ctx); err != nil {
			r.log.Warn("call.telemetry_failed", slog.String("participant", name), slog.String("error", err.Error()))
		}
	}
	if !interrupted {
		_ = sleep(ctx, settle)
	}
}

// halt records the step at which the play ended.
func (r *run) halt(err error) {
	r.mu.Lock()
	r.call.notTaken = err.Error()
	r.mu.Unlock()
	r.fail(err)
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.call.failed == "" {
		r.call.failed = err.Error()
	}
	r.log.Info("call.failed", slog.String("reason", err.Error()))
}

// own records a step of the scenario's.
func (r *run) own(name, from, carried string) {
	r.stepped(result.Step{Name: name, At: result.Duration(time.Since(r.started)), From: from, Carried: carried})
}

func (r *run) stepped(s result.Step) {
	s.Number = result.Number(s.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, s)
}

func (r *run) progress(done int, doing string) {
	r.log.Debug("run.step", slog.String("step", doing))
	if r.options.OnProgress != nil {
		r.options.OnProgress(Progress{Done: done, Steps: len(r.scenario.Steps), Doing: doing})
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
