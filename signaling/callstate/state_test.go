package callstate_test

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/callstate"
)

var update = flag.Bool("update", false, "write STATES.md from the table")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// grid is written by hand, apart from the product's table: for each state a line
// of "event role state" for all that is legal. Everything else must be refused.
const grid = `
idle: invite caller invited
invited: answer callee answered; reject callee ended; candidates caller invited; candidates callee invited; hangup caller ended; hangup callee ended; telemetry caller invited; telemetry callee invited; notified controller ringing; timeout controller ended; lost controller ended
ringing: answer callee answered; reject callee ended; candidates caller ringing; candidates callee ringing; hangup caller ended; hangup callee ended; telemetry caller ringing; telemetry callee ringing; timeout controller ended; lost controller ended
answered: candidates caller answered; candidates callee answered; offer caller caller-reoffer; offer callee callee-reoffer; hangup caller ended; hangup callee ended; telemetry caller answered; telemetry callee answered; confirmed controller connected; lost controller ended
connected: candidates caller connected; candidates callee connected; offer caller caller-reoffer; offer callee callee-reoffer; hangup caller ended; hangup callee ended; telemetry caller connected; telemetry callee connected; lost controller ended
caller-reoffer: candidates caller caller-reoffer; candidates callee caller-reoffer; reanswer callee connected; rollback caller connected; rollback callee connected; hangup caller ended; hangup callee ended; telemetry caller caller-reoffer; telemetry callee caller-reoffer; lost controller ended
callee-reoffer: candidates caller callee-reoffer; candidates callee callee-reoffer; reanswer caller connected; rollback caller connected; rollback callee connected; hangup caller ended; hangup callee ended; telemetry caller callee-reoffer; telemetry callee callee-reoffer; lost controller ended
ended: hangup caller ended; hangup callee ended; telemetry caller ended; telemetry callee ended
`

type key struct {
	state callstate.State
	event callstate.Event
	role  callstate.Role
}

func legal(t *testing.T) map[key]callstate.State {
	t.Helper()
	m := map[key]callstate.State{}
	for line := range strings.Lines(strings.TrimSpace(grid)) {
		state, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for entry := range strings.SplitSeq(rest, "; ") {
			f := strings.Fields(entry)
			if len(f) != 3 {
				t.Fatalf("bad entry %q", entry)
			}
			m[key{callstate.State(state), callstate.Event(f[0]), callstate.Role(f[1])}] = callstate.State(f[2])
		}
	}
	return m
}

func TestEveryEventInEveryStateByEveryRoleIsTakenOrRefused(t *testing.T) {
	want := legal(t)
	checked := 0
	for _, s := range callstate.States() {
		for _, e := range callstate.Events() {
			for _, r := range callstate.Roles() {
				got, err := callstate.Next(s, e, r)
				to, ok := want[key{s, e, r}]
				if ok {
					checked++
				}
				if ok != (err == nil) {
					t.Errorf("%s by %s in %s: error %v, wanted legal=%v", e, r, s, err, ok)
					continue
				}
				if ok {
					if got != to {
						t.Errorf("%s by %s in %s: got %s, wanted %s", e, r, s, got, to)
					}
					continue
				}
				var refusal *callstate.Refusal
				if !errors.As(err, &refusal) {
					t.Fatalf("%s by %s in %s: got %T, wanted a *Refusal", e, r, s, err)
				}
				if refusal.State != s || refusal.Event != e || refusal.Role != r {
					t.Errorf("refusal names %s %s %s, wanted %s %s %s", refusal.State, refusal.Event, refusal.Role, s, e, r)
				}
				for _, a := range refusal.Allowed {
					if _, ok := want[key{s, a, r}]; !ok {
						t.Errorf("refusal of %s by %s in %s allows %s, which is refused", e, r, s, a)
					}
				}
				if got != s {
					t.Errorf("refused %s in %s moved to %s", e, s, got)
				}
			}
		}
	}
	if checked != len(want) {
		t.Errorf("checked %d legal steps, wanted %d: the lists of states, events or roles are not complete", checked, len(want))
	}
}

// RFC 3261, section 14.1: an INVITE while one is outstanding gets 491.
func TestOnlyACrossingReofferIsGlare(t *testing.T) {
	for _, s := range callstate.States() {
		for _, e := range callstate.Events() {
			for _, r := range callstate.Roles() {
				_, err := callstate.Next(s, e, r)
				var refusal *callstate.Refusal
				got := errors.As(err, &refusal) && refusal.Glare()
				want := e == callstate.Offer &&
					(s == callstate.CallerReoffer && r == callstate.Callee || s == callstate.CalleeReoffer && r == callstate.Caller)
				if got != want {
					t.Errorf("%s by %s in %s: glare %v, wanted %v", e, r, s, got, want)
				}
			}
		}
	}
}

func TestARefusalNamesTheStateAndWhatIsAllowed(t *testing.T) {
	_, err := callstate.Next(callstate.Ringing, callstate.Answer, callstate.Caller)
	want := "answer by the caller is out of order while the call is ringing; allowed: candidates, telemetry, hangup"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = callstate.Next(callstate.Idle, callstate.Answer, callstate.Callee)
	if want := "allowed: nothing"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, wanted it to end in %q", err, want)
	}
}

func TestNoStateButEndedIsADeadEnd(t *testing.T) {
	for _, s := range callstate.States() {
		leaves := slices.ContainsFunc(callstate.Transitions(), func(tr callstate.Transition) bool {
			return tr.From == s && tr.To != s
		})
		if leaves == (s == callstate.Ended) {
			t.Errorf("%s: can be left %v", s, leaves)
		}
	}
}

func TestTheDiagramInTheDocumentIsDrawnFromTheTable(t *testing.T) {
	const file = "STATES.md"
	want := "# States of a call\n\nDrawn from the table in `table.go` by `go test ./signaling/callstate -update`.\n\n```mermaid\n" +
		callstate.Mermaid() + "```\n"
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the table; run the test with -update\ngot:\n%s\nwanted:\n%s", file, got, want)
	}
}
