// Package language is the scenario file: its data model, its loader, and its
// published JSON Schema. It runs nothing; package runner does, and package expect
// compares the outcome.
//
// A scenario is one YAML mapping: the topology, the participants on its hosts, the
// steps that they take, and what must be true of the run. The loader refuses
// everything that cannot mean anything before anything starts: unknown keys, names
// that point nowhere, steps out of order, values out of bounds, and expectations
// that contradict the steps, the participants or each other. It reports all that
// it finds at once, each finding with file, line, column, path, what would be
// valid and the nearest right word; package document does the wording.
//
// The schema, for editors, is written by hand. It knows the shapes but not where
// names point; a test holds its keys to those of the model.
//
// A scenario holds a call between two, or conferences: meetings and group calls.
//
// Start reading at Scenario, then Parse; meetings.go has the steps and expectations of
// conferences.
package language
