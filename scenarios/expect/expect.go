// Package expect compares a run with what its scenario expects of it. It decides
// nothing else: what was seen is package result's, what is wanted package
// language's.
//
// Every kind of expectation is one row of a table: its key, how what is wanted is
// read from the scenario, how what was seen is read from the run, and how the two
// are compared. A value that was not measured is never met, so that a run that
// saw nothing cannot pass.
//
// Start reading at Check, then the tables runRows and participantRows.
package expect

import (
	"cmp"
	"slices"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
)

// Check evaluates every expectation of s against r: first those that the file
// states, in its order, then those that hold for every call that is expected to
// connect, whose keys begin with "always.". It changes neither.
func Check(s *language.Scenario, r *result.Run) []result.Expectation {
	var checks []result.Expectation
	line := func(path string) int { return s.Lines[path] }
	for _, row := range runRows {
		if o, ok := row.check(&s.Expect, r); ok {
			path := "expect." + row.key
			checks = append(checks, o.expectation(path, "", line(path)))
		}
	}
	checks = append(checks, conference(s, r)...)
	for _, p := range s.Participants {
		own := s.Expect.Participants[p.Name]
		seen := find(r, p.Name)
		for _, row := range participantRows {
			path := "expect.participants." + p.Name + "." + row.key
			o, ok := row.check(&own, seen)
			if !ok {
				// What the file says of each holds where it says nothing of one.
				path = "expect." + row.key
				o, ok = row.check(&s.Expect.Each, seen)
			}
			if ok {
				checks = append(checks, o.expectation(path, p.Name, line(path)))
			}
		}
	}
	slices.SortStableFunc(checks, func(a, b result.Expectation) int { return cmp.Compare(a.Line, b.Line) })
	return append(checks, always(s, r)...)
}

// find returns what was seen of a participant; of one that the run does not know,
// nothing.
func find(r *result.Run, name string) *result.Participant {
	for i := range r.Participants {
		if r.Participants[i].Name == name {
			return &r.Participants[i]
		}
	}
	return &result.Participant{}
}

// outcome is one comparison.
type outcome struct {
	wanted, seen string
	met          bool
}

func (o outcome) expectation(key, about string, line int) result.Expectation {
	return result.Expectation{Key: key, About: about, Wanted: o.wanted, Seen: o.seen, Met: o.met, Line: line}
}

// nothing is the outcome of a value that was not measured.
func nothing(wanted string) outcome { return outcome{wanted: wanted, seen: "nothing seen"} }
