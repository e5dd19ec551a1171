package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/callpath/callpath/scenarios/report"
	"github.com/callpath/callpath/scenarios/result"
)

// What does not fit into its column goes on below; a name or value that is cut
// tells nobody anything.
func TestNothingOfATableIsCut(t *testing.T) {
	wanted := "resolve, allocate-caller, invite, notify, allocate-callee, answer, checks, telemetry"
	run := &result.Run{
		Scenario: "s",
		Steps:    []result.Step{{Name: "a-step-of-a-long-name", From: "alice", To: "relay.callpath.test", Carried: "relayed address 20.202.0.10 port 54321"}},
		Checks:   []result.Expectation{{Key: "expect.participants.alice.signaling-flows", Wanted: wanted, Seen: wanted, Met: true}},
	}
	failed := *run
	failed.Scenario, failed.Interrupted = "a-scenario-whose-name-is-long-and-matters", true
	for _, width := range []int{40, 60, 80, 100} {
		var out bytes.Buffer
		if err := report.Text(&out, []*result.Run{run, run, &failed}, report.Options{Width: width}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "…") {
			t.Errorf("something is cut at %d columns:\n%s", width, out.String())
		}
		for _, word := range []string{"interrupted", "telemetry"} {
			if width >= 60 && !strings.Contains(out.String(), word) {
				t.Errorf("%q is broken at %d columns:\n%s", word, width, out.String())
			}
		}
		if !strings.Contains(out.String(), "54321") {
			t.Errorf("the end of a long cell is missing at %d columns:\n%s", width, out.String())
		}
	}
}
