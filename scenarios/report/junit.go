package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"github.com/callpath/callpath/scenarios/result"
)

// The elements of JUnit's report, as continuous-integration servers read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr,omitempty"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		Output     string          `xml:"system-out,omitempty"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string      `xml:"classname,attr"`
		Name    string      `xml:"name,attr"`
		File    string      `xml:"file,attr,omitempty"`
		Line    int         `xml:"line,attr,omitempty"`
		Time    string      `xml:"time,attr"`
		Failure *junitFault `xml:"failure,omitempty"`
		Error   *junitFault `xml:"error,omitempty"`
	}
	junitFault struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the runs as JUnit XML: a suite for each run, a case for each of its
// expectations. A run that could not be carried out, or was interrupted, has a case
// "run" with an error.
func JUnit(w io.Writer, runs []*result.Run) error {
	all := junitSuites{Name: "callpath"}
	var took result.Duration
	for _, r := range cleaned(runs) {
		s := suiteOf(r)
		all.Suites = append(all.Suites, s)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		took += r.Duration
	}
	all.Time = seconds(took)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d result.Duration) string { return fmt.Sprintf("%.3f", time.Duration(d).Seconds()) }

func suiteOf(r *result.Run) junitSuite {
	s := junitSuite{Name: r.Scenario, Time: seconds(r.Duration), Output: headline(r)}
	if !r.Started.IsZero() {
		s.Timestamp = r.Started.UTC().Format("2006-01-02T15:04:05")
	}
	s.Properties = []junitProperty{{"seed", fmt.Sprint(r.Seed)}, {"call", r.Call.State}, {"pairs", pathsOf(r)}, {"flows", flowsOf(r)}}
	for _, v := range r.Violations {
		s.Properties = append(s.Properties, junitProperty{"violation", v})
	}
	for _, c := range r.Checks {
		one := junitCase{Class: r.Scenario, Name: expected(c), File: r.File, Line: c.Line, Time: "0.000"}
		if !c.Met {
			s.Failures++
			text := fmt.Sprintf("wanted %s, seen %s", c.Wanted, c.Seen)
			one.Failure = &junitFault{Message: text, Type: "expectation", Text: text}
		}
		s.Cases = append(s.Cases, one)
	}
	run := junitCase{Class: r.Scenario, Name: "run", File: r.File, Time: seconds(r.Duration)}
	switch {
	case r.Error != "":
		run.Error = &junitFault{Message: r.Error, Type: "fault", Text: r.Error}
	case r.Interrupted:
		run.Error = &junitFault{Message: "the run was stopped before its end", Type: "interrupted"}
	}
	if run.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, run)
	s.Tests = len(s.Cases)
	return s
}
