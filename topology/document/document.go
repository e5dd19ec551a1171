// Package document reads one YAML document strictly and knows where each value
// stands, so that an error can name file, line and column.
package document

import "errors"

// MaxSize is the largest document in bytes.
const MaxSize = 1 << 20

// Document is a parsed document.
type Document struct{ file string }

var errStub = errors.New("not implemented")

// Parse reads data, which came from file.
func Parse(file string, data []byte) (*Document, error) { return nil, errStub }

// Decode decodes the whole document into v.
func (d *Document) Decode(v any) error { return errStub }

// DecodeAt decodes the subtree at path into v.
func (d *Document) DecodeAt(path string, v any) error { return errStub }

// Has says whether path exists.
func (d *Document) Has(path string) bool { return false }

// At is where path, or its nearest existing ancestor, stands.
func (d *Document) At(path string) (line, column int) { return 0, 0 }

// Error is a finding at path.
func (d *Document) Error(path, problem string, valid ...string) *Error {
	return &Error{File: d.file, Path: path, Problem: problem, Valid: valid, Nearest: Nearest(problem, valid)}
}

// Error is one finding.
type Error struct {
	File          string
	Line, Column  int
	Path, Problem string
	Valid         []string
	Nearest       string
}

func (e *Error) Error() string { return e.Problem }

// Errors are several findings.
type Errors []*Error

func (e Errors) Error() string { return "" }

// Unwrap returns the findings.
func (e Errors) Unwrap() []error { return nil }

// Nearest is the word of valid that is nearest to word; "" when none is near.
func Nearest(word string, valid []string) string { return "" }
