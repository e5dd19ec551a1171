package runner_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/scenarios/runner"
)

// Conferences of each sort are carried out as their scenarios say.
func TestConferencesOfTheLibrary(t *testing.T) {
	t.Parallel()
	// A run mostly waits, so that all go at once.
	runs := atOnce(t, func(t *testing.T, name string) *language.Scenario { return scenario(t, name) },
		"case4-group-tcp", "policy-change-in-mid-meeting", "chat-in-meeting", "failure-processor-hangs", "failure-signaling-dies")
	for name, r := range runs {
		t.Run(name, func(t *testing.T) {
			mustMeet(t, r)
			if len(r.Meetings) == 0 || len(r.Processors) == 0 {
				t.Errorf("%d meetings and %d media processors", len(r.Meetings), len(r.Processors))
			}
		})
	}
}

// atOnce runs scenarios beside each other.
func atOnce(t *testing.T, read func(*testing.T, string) *language.Scenario, names ...string) map[string]*result.Run {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	runs := map[string]*result.Run{}
	for _, name := range names {
		s := read(t, name)
		all.Go(func() {
			r := runner.Run(t.Context(), s, runner.Options{})
			mu.Lock()
			defer mu.Unlock()
			runs[name] = r
		})
	}
	all.Wait()
	return runs
}

// A step that cannot be taken ends a conference too, and is told.
func TestAConferenceThatStopsAtAStep(t *testing.T) {
	t.Parallel()
	steps := map[string]string{
		"leave: alice is in no meeting":          "- {meeting: {name: m, organizer: alice, media: false}}\n- {join: alice}\n- {leave: alice}\n- {leave: alice}",
		"edit: there is no message":              "- {meeting: {name: m, organizer: alice, options: {allowMeetingChat: disabled}, media: false}}\n- {join: alice}\n- {chat: {from: alice, text: x, name: x}}\n- {edit: {by: alice, message: x, text: y}}",
		"change: nothing runs on relay":          "- {meeting: {name: m, organizer: alice, media: false}}\n- {join: alice}\n- {change: {stop: relay}}\n- {change: {hang: relay}}",
		"policies: no signaling controller runs": "- {meeting: {name: m, organizer: alice, media: false}}\n- {join: alice}\n- {change: {stop: signaling}}\n- {policies: {global: {AutoAdmittedUsers: Everyone}}}",
	}
	runs := atOnce(t, func(t *testing.T, name string) *language.Scenario {
		text := "scenario: stops\ntitle: Stops\ntopology: fig9-group\nparticipants: {alice: {host: alice-pc, client: teams}}\nsteps:\n" + steps[name] +
			"\nexpect: {meetings: {m: {denied: []}}}\n"
		s, err := language.Parse("stops.yaml", []byte(text))
		if err != nil {
			// The language refuses this one; what runs must refuse it too.
			return hung(t)
		}
		return s
	}, slices.Collect(maps.Keys(steps))...)
	for name, r := range runs {
		t.Run(name, func(t *testing.T) {
			if r.Error != "" || r.Met() || !contains(r, name) {
				t.Errorf("met %v, not taken %q, error %q", r.Met(), r.NotTaken, r.Error)
			}
		})
	}
}

func contains(r *result.Run, what string) bool {
	return len(r.NotTaken) >= len(what) && r.NotTaken[:len(what)] == what
}

// hung is a scenario in which a relay ends twice, which no file may say.
func hung(t *testing.T) *language.Scenario {
	t.Helper()
	s := parsed(t, "stops", "scenario: stops\ntitle: Stops\ntopology: fig9-group\nparticipants: {alice: {host: alice-pc, client: teams}}\n"+
		"steps:\n- {meeting: {name: m, organizer: alice, media: false}}\n- {change: {stop: relay}}\nexpect: {meetings: {m: {denied: []}}}\n")
	s.Steps = append(s.Steps, language.Step{Change: &language.Change{Hang: &language.Service{Host: "relay"}}})
	return s
}

func TestAnInterruptedConferenceKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := runner.Run(ctx, scenario(t, "fig9-group"), runner.Options{OnProgress: func(p runner.Progress) {
		if p.Doing == "wait" {
			cancel()
		}
	}})
	if !r.Interrupted || r.Error != "" || len(r.Meetings) != 1 || len(r.Meetings[0].People) != 4 {
		t.Errorf("interrupted %v, error %q, meetings %+v", r.Interrupted, r.Error, r.Meetings)
	}
}
