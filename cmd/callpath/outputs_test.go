package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callpath/callpath/scenarios/result"
)

func TestRepeatedRunsHaveNamesOfTheirOwn(t *testing.T) {
	jobs, err := loadJobs(&bytes.Buffer{}, []string{"case1-direct"}, 2)
	if err != nil || len(jobs) != 2 || jobs[0].name != "case1-direct-1" || jobs[1].name != "case1-direct-2" {
		t.Errorf("got %v, %v", jobs, err)
	}
}

func TestAFileIsWrittenWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "whole")
	err := writeWhole(path, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return os.ErrInvalid
	})
	if err == nil {
		t.Fatal("no error")
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Two scenarios of one name would write into the same capture.
func TestRunsOfTheSameNameAreNumbered(t *testing.T) {
	other := file(t, "other.yaml", source(t, "case1-direct"))
	jobs, err := loadJobs(&bytes.Buffer{}, []string{"case1-direct", "case2-stun", other}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, j := range jobs {
		names = append(names, j.name)
	}
	if got, want := strings.Join(names, " "), "case1-direct-1 case2-stun case1-direct-2"; got != want {
		t.Errorf("got the names %s, wanted %s", got, want)
	}
}

func TestOutputsThatCannotBeAreRefusedBeforeAnythingRuns(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("mine.yaml"), []byte(source(t, "case1-direct")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("open.keylog"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"a report in no folder", []string{"--report", in("no/r.html")}, "no such file"},
		{"a report that is a folder", []string{"--junit", dir}, "is a directory"},
		{"a capture that is a folder", []string{"--pcap", dir}, "is a directory"},
		{"a key log that others can read", []string{"--keylog", in("open.keylog")}, "0600"},
		{"a capture and a key log in one file", []string{"--pcap", in("x"), "--keylog", in("x")}, "--pcap too"},
		{"two reports in one file", []string{"--report", in("x"), "--junit", in(".") + "/x"}, "--junit too"},
		{"a report over the scenario", []string{"--report", in("mine.yaml")}, "the scenario case1-direct too"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errOut := callpath(t, append([]string{"run", in("mine.yaml")}, c.args...)...)
			if code != exitInput || out != "" || !strings.Contains(errOut, c.want) {
				t.Errorf("exit code %d, wanted %d, nothing printed, and %q in the error; got %q and %q", code, exitInput, c.want, out, errOut)
			}
		})
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("got %v (%v), wanted nothing beside the two files of before", left, err)
	}
}

func TestALinkToAReportKeepsItsPlace(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	if err := writeWhole(link, func(w io.Writer) error { _, err := w.Write([]byte("new")); return err }); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "new" {
		t.Errorf("the link's target holds %q, wanted the new report", got)
	}
}

// Runs that had not begun have met nothing.
func TestFewerRunsThanWantedAreNotMet(t *testing.T) {
	met := []*result.Run{{Scenario: "a"}}
	if err := verdict(met, 1); err != nil {
		t.Errorf("got %v for a run that was met", err)
	}
	if err := verdict(met, 2); err == nil || err.(*exitError).code != exitUnmet {
		t.Errorf("got %v for one run of two, wanted exit code %d", err, exitUnmet)
	}
}

// What was seen is printed though a file of it cannot be written.
func TestResultsArePrintedThoughAReportCannotBeWritten(t *testing.T) {
	var out bytes.Buffer
	err := writeReports(&out, runFlags{json: true, html: filepath.Join(t.TempDir(), "no", "r.html")}, []*result.Run{{Scenario: "a"}})
	if err == nil || !strings.Contains(out.String(), `"scenario": "a"`) {
		t.Errorf("error %v, printed %q; wanted an error and the run", err, out.String())
	}
}
