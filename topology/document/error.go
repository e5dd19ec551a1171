package document

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one finding about a document.
type Error struct {
	// File is its name; Line and Column, from 1, are where the value stands. A
	// finding about data that came from no file has neither.
	File         string
	Line, Column int
	// Path leads to the value, for example "steps[2].call.from"; empty for the
	// document.
	Path string
	// Problem says in words what is wrong, with the value.
	Problem string
	// Valid are the words that would be right, if they can be listed.
	Valid []string
	// Nearest is the one of Valid that was probably meant; empty if none.
	Nearest string
}

// maxListed bounds how many valid words a message lists.
const maxListed = 24

// Error is in one line: place, path, problem, valid words, the nearest one.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Problem)
	if len(e.Valid) > 0 {
		listed := e.Valid[:min(len(e.Valid), maxListed)]
		b.WriteString("; valid: " + strings.Join(listed, ", "))
		if more := len(e.Valid) - len(listed); more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
	}
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Nearest)
	}
	return b.String()
}

// Errors are all findings about a document, in the order of their places.
type Errors []*Error

// Error has one finding a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the findings, for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}

// Error makes a finding at path, or at its nearest existing ancestor. The problem
// says in words what is wrong and quotes the value; valid lists what would be
// right. The nearest right word is found from the first quoted word of the
// problem, else from the value at path. A nil Document makes a finding without a
// place.
func (d *Document) Error(path, problem string, valid ...string) *Error {
	e := &Error{Path: path, Problem: problem, Valid: valid}
	word := quoted(problem)
	if d != nil {
		e.File = d.file
		e.Line, e.Column = d.At(path)
		if word == "" {
			word, _ = d.Text(path)
		}
	}
	e.Nearest = Nearest(word, valid)
	return e
}

// quoted is the first piece of s in double quotes.
func quoted(s string) string {
	_, after, _ := strings.Cut(s, `"`)
	word, _, _ := strings.Cut(after, `"`)
	return word
}

// Nearest is the word of valid that was probably meant by word: one that differs
// by case or by a few letters (one for each three, changed, missing, added or
// swapped with the next); "" when none is that near, or word itself is valid.
func Nearest(word string, valid []string) string {
	const maxWord = 64 // the distance takes time by the product of lengths
	if word == "" || len(word) > maxWord || slices.Contains(valid, word) {
		return ""
	}
	near, least := "", len(word)/3+1
	from := plain(word)
	for _, v := range valid {
		if len(v) > maxWord {
			continue
		}
		if d := distance(from, plain(v)); d < least {
			near, least = v, d
		}
	}
	return near
}

// plain makes words comparable that differ in case or in their separator.
func plain(s string) string {
	return strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(s))
}

// distance is the optimal string alignment distance: insertions, deletions,
// changes and swaps of neighbours.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
