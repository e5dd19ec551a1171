package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchRefusesWhatItCannotMeasure(t *testing.T) {
	for want, args := range map[string][]string{
		`no subject "cotrun"`:    {"--subjects", "cotrun"},
		`no load "spraed"`:       {"--loads", "spraed"},
		`no study "price"`:       {"--studies", "price"},
		`--peer "eturnal"`:       {"--peer", "eturnal"},
		"rounds 51":              {"--rounds", "51"},
		"--rounds 0":             {"--rounds", "0"},
		"--duration 0s":          {"--duration", "0"},
		"duration 1h0m0s":        {"--duration", "1h"},
		"rate 1;":                {"--rate", "1"},
		"flow count 0":           {"--flow-counts", "0"},
		`against "pion-v3"`:      {"--subjects", "callpath", "--against", "pion-v3"},
		`unknown command "fast"`: {"fast"},
	} {
		code, out, errOut := callpath(t, append([]string{"bench"}, args...)...)
		if code != exitInput || out != "" || !strings.Contains(errOut, want) {
			t.Errorf("%q: exit code %d, %q; wanted 2 with %q", args, code, errOut, want)
		}
	}
}

func TestBenchListsSubjectsAndLoads(t *testing.T) {
	code, out, _ := callpath(t, "bench", "--list")
	if code != exitMet {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"callpath", "pion-v5", "coturn", "audio-5000"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list lacks %q:\n%s", want, out)
		}
	}
}

// Interrupted before it begins, it starts no process: package bench tests those, as
// this program is not itself under test.
func TestInterruptedBenchIsNotMet(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, flag := range []string{"--quiet", "--json"} {
		page := filepath.Join(t.TempDir(), "bench.html")
		var out, errOut strings.Builder
		code := execute(ctx, []string{"bench", "--studies", "cost", "--report", page, flag}, &out, &errOut)
		if code != exitUnmet || !strings.Contains(out.String(), "interrupted") || errOut.Len() > 0 && flag == "--quiet" {
			t.Errorf("%s: exit code %d, %s\n%s", flag, code, errOut.String(), out.String())
		}
		if _, err := os.Stat(page); err != nil {
			t.Error(err)
		}
	}
}

func TestHiddenProcessesSayWhatIsWrong(t *testing.T) {
	for _, args := range [][]string{{"bench-subject", "nobody"}, {"bench-loader"}} {
		root := newRoot(new(strings.Builder), new(strings.Builder))
		root.SetArgs(args)
		root.SetIn(strings.NewReader(""))
		if root.Execute() == nil {
			t.Errorf("%q ran on nothing", args)
		}
	}
}
