package runner_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/scenarios/runner"
	"github.com/callpath/callpath/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func scenario(t *testing.T, name string) *language.Scenario {
	t.Helper()
	data, err := library.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, name, string(data))
}

func parsed(t *testing.T, name, text string) *language.Scenario {
	t.Helper()
	s, err := language.Parse(name+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// timed are the expectations that depend on how fast the machine is. A run of the
// library judges them; under the race detector they say nothing.
var timed = []string{"setup-within", "loss", "rtt", "jitter", "mos", "bitrate", "freezes", "gap", "dtls-retransmissions"}

func mustMeet(t *testing.T, r *result.Run) {
	t.Helper()
	if r.Error != "" {
		t.Fatalf("run of %s: %s", r.Scenario, r.Error)
	}
	for _, c := range r.Checks {
		if !c.Met && !slices.Contains(timed, c.Key[strings.LastIndexByte(c.Key, '.')+1:]) {
			t.Errorf("%s, line %d: %s %s: wanted %s, seen %s", r.File, c.Line, c.Key, c.About, c.Wanted, c.Seen)
		}
	}
	if t.Failed() {
		text, _ := json.MarshalIndent(r, "", " ")
		t.Logf("%s", text)
	}
}

func TestARunLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	mustMeet(t, runner.Run(t.Context(), scenario(t, "fig3-external-relayed"), runner.Options{}))
	goleak.VerifyNone(t, before)
}

// The eight steps of "Call networking internals", in their order, with flows.
func TestTheDocumentedStepsAreSeen(t *testing.T) {
	t.Parallel()
	r := runner.Run(t.Context(), scenario(t, "fig3-external-relayed"), runner.Options{})
	mustMeet(t, r)
	last := result.Duration(0)
	for number := 1; number <= 8; number++ {
		i := slices.IndexFunc(r.Steps, func(s result.Step) bool { return s.Number == number })
		if i < 0 {
			t.Errorf("step %d was not seen", number)
			continue
		}
		if len(r.Steps[i].Flows) == 0 {
			t.Errorf("step %d (%s) has no flow", number, r.Steps[i].Name)
		}
		if r.Steps[i].At < last {
			t.Errorf("step %d (%s) came before its predecessor", number, r.Steps[i].Name)
		}
		last = r.Steps[i].At
	}
	if got, want := r.Steps[0].Carried, "signaling.callpath.test is 192.0.2.2"; got != want {
		t.Errorf("the first step carried %q, wanted %q", got, want)
	}
}

func TestAnInvertedExpectationIsNotMet(t *testing.T) {
	t.Parallel()
	data, err := library.Read("fig3-external-relayed")
	if err != nil {
		t.Fatal(err)
	}
	s := parsed(t, "inverted", string(data))
	s.Expect.Each.Flows = []topology.Flow{topology.Flow5}
	r := runner.Run(t.Context(), s, runner.Options{})
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	if r.Met() {
		t.Fatal("the run met flows: [5], though media went through the relay")
	}
	for _, c := range r.Checks {
		if !c.Met && strings.HasSuffix(c.Key, "flows") && (!strings.Contains(c.Wanted, "5") || !strings.Contains(c.Seen, "4")) {
			t.Errorf("wanted %q, seen %q: does not say what was wanted and seen", c.Wanted, c.Seen)
		}
	}
}

func TestARunThatIsInterruptedBeforeItsFirstStepIsNoFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := runner.Run(ctx, scenario(t, "fig2-intranet"), runner.Options{})
	if !r.Interrupted || r.Met() || r.Error != "" {
		t.Errorf("interrupted %v, met %v, error %q; wanted an interrupted run without a fault", r.Interrupted, r.Met(), r.Error)
	}
}

// A call that has media, and whose next step is impossible, has not done what the
// file says.
func TestARunThatStopsAtAStepIsNotMet(t *testing.T) {
	t.Parallel()
	s := scenario(t, "fig2-intranet")
	i := slices.IndexFunc(s.Steps, func(step language.Step) bool { return step.Wait != nil })
	s.Steps[i] = language.Step{Change: &language.Change{Move: &language.MoveChange{Host: "alice-pc", Site: "nowhere"}}}
	r := runner.Run(t.Context(), s, runner.Options{})
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	if r.Met() || r.Call.State != "connected" || !strings.Contains(r.NotTaken, "nowhere") {
		t.Errorf("met %v, call %s, not taken %q; wanted a connected call that stopped at the move", r.Met(), r.Call.State, r.NotTaken)
	}
}

func TestAnInterruptedRunKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := runner.Run(ctx, scenario(t, "fig2-intranet"), runner.Options{OnProgress: func(p runner.Progress) {
		if p.Doing == "wait" {
			time.AfterFunc(200*time.Millisecond, cancel)
		}
	}})
	if !r.Interrupted || r.Met() || r.Error != "" {
		t.Errorf("interrupted %v, met %v, error %q; wanted an interrupted run without a fault", r.Interrupted, r.Met(), r.Error)
	}
	if len(r.Participants) == 0 || len(r.Steps) == 0 {
		t.Errorf("got %d participants and %d steps, wanted what was seen so far", len(r.Participants), len(r.Steps))
	}
}
