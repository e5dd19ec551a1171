package library_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/topology"
)

func TestEveryFileOfTheFolderIsInTheLibrary(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			want = append(want, name)
		}
	}
	if got := library.Names(); !slices.Equal(got, want) || len(got) < 35 {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAnUnknownNameIsNamed(t *testing.T) {
	for _, name := range []string{"fig10", "", "../library/mute", "mute.yaml"} {
		if _, err := library.Read(name); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func scenarios(t *testing.T) []*language.Scenario {
	t.Helper()
	var all []*language.Scenario
	for _, name := range library.Names() {
		data, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := language.Parse(name+".yaml", data)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name || s.Source == "" || !strings.HasPrefix(string(data), "# ") {
			t.Errorf("%s: wanted its own name, a source, and a comment on what it shows; the name is %q, the source %q", name, s.Name, s.Source)
		}
		all = append(all, s)
	}
	return all
}

// The library is run as a whole, so each scenario has to be short.
func TestEachScenarioIsShortAndExpectsAnOutcome(t *testing.T) {
	for _, s := range scenarios(t) {
		var waits time.Duration
		for _, step := range s.Steps {
			if step.Wait != nil {
				waits += time.Duration(step.Wait.For)
			}
		}
		if waits > 6*time.Second {
			t.Errorf("%s waits for %s", s.Name, waits)
		}
		if s.Expect.Call == "" && s.Expect.Meetings == nil && s.Expect.Messages == nil {
			t.Errorf("%s does not say how the call ends up", s.Name)
		}
		if s.Expect.Call == language.CallConnected && !saysThePath(s) {
			t.Errorf("%s does not say which path media takes", s.Name)
		}
		// What goes wrong must not go wrong in silence.
		if s.Conference() && s.Expect.Call == language.CallConnected && !saysWhoHearsWhom(s) {
			t.Errorf("%s does not say who hears whom", s.Name)
		}
		if s.Expect.Call != "" && s.Expect.Call != language.CallConnected && (s.Expect.Reason == "" || s.Expect.Violations == nil || s.Expect.RelayUnused == nil) {
			t.Errorf("%s expects a call that fails, without a reason, violations and what the relay carried", s.Name)
		}
	}
}

// saysThePath is true when each participant's path is said, or in a conference that
// of somebody.
func saysThePath(s *language.Scenario) bool {
	if s.Expect.Each.Flows != nil || s.Expect.Each.Pair != nil {
		return true
	}
	for _, p := range s.Expect.Participants {
		if s.Conference() && p.Flows != nil {
			return true
		}
	}
	return false
}

func saysWhoHearsWhom(s *language.Scenario) bool {
	for _, p := range s.Expect.Participants {
		if p.Hears != nil {
			return true
		}
	}
	return s.Expect.Each.Hears != nil
}

// Each topology of the catalogue is the topology of the scenario of its name.
func TestEachDocumentedTopologyHasItsScenario(t *testing.T) {
	all := scenarios(t)
	for _, name := range topology.Catalog() {
		i := slices.IndexFunc(all, func(s *language.Scenario) bool { return s.Name == name })
		if i < 0 {
			t.Errorf("no scenario for %s", name)
			continue
		}
		s := all[i]
		if s.Conference() {
			for _, p := range s.Participants {
				if s.Network.Name != name || s.Expect.Participants[p.Name].Flows == nil {
					t.Errorf("%s: wanted its own topology, and the flows of %s", name, p.Name)
				}
			}
			continue
		}
		if s.Network.Name != name || len(s.Expect.Each.Flows) == 0 || len(s.Expect.Steps) != 8 {
			t.Errorf("%s: wanted its own topology, the flows and the eight steps", name)
		}
	}
}
