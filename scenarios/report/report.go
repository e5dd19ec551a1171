// Package report shows runs to people and to machines: text, JSON, JUnit and HTML.
package report

import (
	"errors"
	"io"

	"github.com/callpath/callpath/scenarios/result"
)

// Options are those of Text.
type Options struct {
	// Width of the terminal in columns; zero is 100.
	Width int
	// Color uses ANSI colours.
	Color bool
	// Verbose adds candidates, checks, flights and legs.
	Verbose bool
}

var errStub = errors.New("not implemented")

// Text writes for people.
func Text(w io.Writer, runs []*result.Run, o Options) error { return errStub }

// JSON writes the runs as a JSON array.
func JSON(w io.Writer, runs []*result.Run) error { return errStub }

// JUnit writes a JUnit XML report.
func JUnit(w io.Writer, runs []*result.Run) error { return errStub }

// HTML writes one self-contained page.
func HTML(w io.Writer, runs []*result.Run) error { return errStub }
