package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func callpath(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

// file writes a file for one test and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func source(t *testing.T, name string) string {
	t.Helper()
	data, err := library.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestUnusableInputIsRefusedBeforeAnythingStarts(t *testing.T) {
	misspelt := strings.Replace(source(t, "fig2-intranet"), "answer: bob", "answer: bbo", 1)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"no scenario", []string{"run"}, []string{"requires at least 1 arg"}},
		{"a misspelt name", []string{"run", "fig3-external-relaid"}, []string{`"fig3-external-relaid"`, `did you mean "fig3-external-relayed"?`}},
		{"a missing file", []string{"run", "no-such.yaml"}, []string{"no-such.yaml"}},
		{"a name that points nowhere", []string{"validate", file(t, "mine.yaml", misspelt)}, []string{"mine.yaml:", "bbo", "bob"}},
		{"an empty file", []string{"run", file(t, "empty.yaml", "")}, []string{"empty.yaml", "empty"}},
		{"invalid UTF-8", []string{"run", file(t, "latin.yaml", "title: \xe9")}, []string{"latin.yaml:1:", "UTF-8"}},
		{"jobs", []string{"run", "--jobs", "0", "fig2-intranet"}, []string{"--jobs 0", "1 to 64"}},
		{"repeat", []string{"run", "--repeat", "0", "fig2-intranet"}, []string{"--repeat 0", "1 to 1000"}},
		{"log format", []string{"run", "--log-format", "xml", "fig2-intranet"}, []string{`"xml"`, "text or json"}},
		{"log level", []string{"run", "--log-level", "loud", "fig2-intranet"}, []string{`"loud"`, "debug"}},
		{"a flag", []string{"run", "--fast", "fig2-intranet"}, []string{"--fast"}},
		{"a command", []string{"rnu"}, []string{`"rnu"`, "run"}},
		{"a command about topologies", []string{"topology", "draw"}, []string{`"draw"`}},
		{"a drawing", []string{"topology", "show", "--format", "png", "fig2-intranet"}, []string{`"png"`, "svg"}},
		{"a topology", []string{"topology", "show", "fig2-internet"}, []string{"fig2-intranet"}},
		{"a topology's source", []string{"topology", "show", "--format", "yaml", "fig2-internet"}, []string{"fig2-intranet"}},
		{"a capture in no folder", []string{"run", "--pcap", filepath.Join(t.TempDir(), "no", "x.pcapng"), "call-rejected"}, []string{"x.pcapng"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errOut := callpath(t, c.args...)
			if code != exitInput {
				t.Errorf("got exit code %d, wanted %d; it printed %q", code, exitInput, out)
			}
			for _, want := range c.want {
				if !strings.Contains(errOut, want) {
					t.Errorf("the error has no %q: %s", want, errOut)
				}
			}
		})
	}
}

func TestListAndSchemaAndTopologies(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list"}, "fig3-external-relayed"},
		{[]string{"list", "--json"}, `"name": "wrong-fingerprint"`},
		{[]string{"schema"}, "https://json-schema.org/draft/2020-12/schema"},
		{[]string{"topology", "list"}, "fig7-vpn-external-direct"},
		{[]string{"topology", "list", "--json"}, `"source":`},
		{[]string{"topology", "show", "fig5-vpn-internal-relayed"}, "office-vpn"},
		{[]string{"topology", "show", "--format", "mermaid", "fig2-intranet"}, "flowchart"},
		{[]string{"topology", "show", "--format", "svg", "case2-stun"}, "</svg>"},
		{[]string{"topology", "show", "--format", "yaml", "case2-stun"}, "name: case2-stun"},
		{[]string{"run", "--help"}, "callpath run --jobs 4 --junit results.xml all"},
		{[]string{"validate", "fig2-intranet"}, "valid, 2 participants"},
	} {
		code, out, errOut := callpath(t, c.args...)
		if code != exitMet || !strings.Contains(out, c.want) {
			t.Errorf("callpath %s: exit code %d, wanted 0 and %q in: %s%s", strings.Join(c.args, " "), code, c.want, out, errOut)
		}
	}
}

func TestATopologyOfOnesOwnIsDrawn(t *testing.T) {
	data, err := topology.Source("case1-direct")
	if err != nil {
		t.Fatal(err)
	}
	code, out, errOut := callpath(t, "topology", "show", file(t, "mine.yaml", string(data)))
	if code != exitMet || !strings.Contains(out, "alice-pc") {
		t.Errorf("exit code %d, wanted 0 and a drawing: %s%s", code, out, errOut)
	}
	if code, _, errOut := callpath(t, "topology", "show", file(t, "bad.yaml", "name: x\nsites: 3\n")); code != exitInput || !strings.Contains(errOut, "bad.yaml:2:") {
		t.Errorf("exit code %d, wanted 2 and the line: %s", code, errOut)
	}
}

func TestEveryScenarioOfTheLibraryIsValid(t *testing.T) {
	code, out, errOut := callpath(t, "validate", "all")
	if code != exitMet {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	if got, want := strings.Count(out, "\n"), len(library.Names()); got != want {
		t.Errorf("got %d lines, wanted %d", got, want)
	}
}

func TestARunWritesItsReports(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	code, out, errOut := callpath(t, "run", "--json", "--jobs", "2", "--junit", in("r.xml"), "--report", in("r.html"),
		"--pcap", in("r.pcapng"), "--keylog", in("r.keylog"), "call-rejected", "dtls-role-active")
	if code != exitMet {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	var runs []result.Run
	if err := json.Unmarshal([]byte(out), &runs); err != nil || len(runs) != 2 {
		t.Fatalf("got %d runs, error %v; wanted 2 in JSON", len(runs), err)
	}
	if runs[0].Scenario != "call-rejected" || runs[1].Scenario != "dtls-role-active" {
		t.Errorf("got runs of %s and %s, wanted the order of the command line", runs[0].Scenario, runs[1].Scenario)
	}
	if !strings.Contains(errOut, "[2/2]") {
		t.Errorf("no progress in %q", errOut)
	}
	for name, want := range map[string]string{"r.xml": "<testsuite", "r.html": "</html>",
		"r-dtls-role-active.pcapng": "\x0a\x0d\x0d\x0a", "r-dtls-role-active.keylog": "CLIENT_RANDOM"} {
		data, err := os.ReadFile(in(name))
		if err != nil || !bytes.Contains(data, []byte(want)) {
			t.Errorf("%s: error %v, wanted %q in its %d bytes", name, err, want, len(data))
		}
		info, err := os.Stat(in(name))
		if err == nil && strings.HasSuffix(name, ".keylog") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, wanted 600", name, info.Mode().Perm())
		}
	}
	data, err := os.ReadFile(in("r.xml"))
	if err != nil || xml.Unmarshal(data, new(struct{})) != nil {
		t.Errorf("r.xml is no XML: %v", err)
	}
}

// The line that the issue asks for: what was wanted, what was seen, exit code 1.
func TestAnInvertedExpectationFailsTheRun(t *testing.T) {
	inverted := strings.Replace(source(t, "fig2-intranet"), "flows: [5]", "flows: [3]", 1)
	if inverted == source(t, "fig2-intranet") {
		t.Fatal("the library's file has no flows: [5] to invert")
	}
	code, out, errOut := callpath(t, "run", file(t, "inverted.yaml", inverted))
	if code != exitUnmet {
		t.Errorf("got exit code %d, wanted %d: %s%s", code, exitUnmet, out, errOut)
	}
	found := false
	for line := range strings.Lines(out) {
		found = found || strings.Contains(line, "flows") && strings.Contains(line, "3") && strings.Contains(line, "5")
	}
	if !found {
		t.Errorf("no line says that flow 3 was wanted and 5 seen:\n%s", out)
	}
}

func TestAnInterruptEndsRunsWithWhatTheyHave(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(1500*time.Millisecond, cancel)
	var out, errOut bytes.Buffer
	code := execute(ctx, []string{"run", "--json", "fig2-intranet", "mute"}, &out, &errOut)
	if code != exitUnmet {
		t.Errorf("got exit code %d, wanted %d: %s", code, exitUnmet, errOut.String())
	}
	var runs []result.Run
	if err := json.Unmarshal(out.Bytes(), &runs); err != nil || len(runs) != 1 || !runs[0].Interrupted {
		t.Errorf("got %d runs, error %v; wanted the one that was interrupted", len(runs), err)
	}
}
