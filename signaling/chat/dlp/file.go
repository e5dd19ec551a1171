package dlp

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Error is one finding about a policy.
type Error struct {
	// File is the name that Parse was given; Line and Column, from 1, are where the
	// value stands. A policy that came from no file has neither.
	File         string
	Line, Column int
	// Path leads to the value, for example "rules[2].action".
	Path string
	// Problem says what is wrong, with the value and what would be valid.
	Problem string
}

// Error is in one line.
func (e *Error) Error() string {
	s := e.Problem
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, s)
	}
	return s
}

// Errors are all findings about a policy.
type Errors []*Error

// Error has one finding a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// maxFile bounds a policy file, in bytes, and maxNesting its nesting: a policy has
// seven levels.
const (
	maxFile    = 1 << 20
	maxNesting = 16
)

// keysAt are the keys of the mappings of a policy file.
var keysAt = map[string][]string{
	"":                  {"name", "window", "rules"},
	"rules[]":           {"name", "content", "all", "external", "action", "override", "notice"},
	"rules[].content[]": {"type", "count", "confidence"},
}

// Parse reads a policy file: YAML, of which JSON is a part; see Policy for its keys.
// It is strict: a key that isn't known, or stands twice, is an error, since a rule
// that is skipped lets through what it should hold. The file's name is for messages.
// An error is of type Errors and holds every finding, or the first one when the file
// can't be read as YAML at all.
func Parse(file string, data []byte) (*Policy, error) {
	r := &reader{file: file, places: map[string]*token.Position{}}
	p := r.read(data)
	if len(r.errs) > 0 {
		slices.SortStableFunc(r.errs, func(a, b *Error) int { return a.Line - b.Line })
		return nil, r.errs
	}
	return p, nil
}

// reader reads one file.
type reader struct {
	file   string
	places map[string]*token.Position // by path
	errs   Errors
}

// report adds a finding, at the place of the value or of what it stands in.
func (r *reader) report(path, format string, args ...any) {
	e := &Error{File: r.file, Line: 1, Column: 1, Path: path, Problem: fmt.Sprintf(format, args...)}
	for at := path; ; {
		if p := r.places[at]; p != nil {
			e.Line, e.Column = max(p.Line, 1), max(p.Column, 1)
			break
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	r.errs = append(r.errs, e)
}

// fail adds a finding at a token.
func (r *reader) fail(t *token.Token, format string, args ...any) {
	e := &Error{File: r.file, Line: 1, Column: 1, Problem: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		e.Line, e.Column = max(t.Position.Line, 1), max(t.Position.Column, 1)
	}
	r.errs = append(r.errs, e)
}

func (r *reader) read(data []byte) (p *Policy) {
	// The YAML library has panicked on odd input before; that input is at fault, not
	// the program.
	defer func() {
		if caught := recover(); caught != nil {
			p = nil
			r.fail(nil, "this is not YAML that can be understood (%v)", caught)
		}
	}()
	if len(data) > maxFile {
		r.fail(nil, "the file has %d bytes, wanted at most %d", len(data), maxFile)
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if r.tokens(tokens); len(r.errs) > 0 {
		return nil
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		r.library(err)
		return nil
	}
	body := r.body(file)
	if body == nil {
		return nil
	}
	if r.keys(body, "", ""); len(r.errs) > 0 {
		return nil
	}
	var form policyForm
	if err := yaml.NodeToValue(body, &form, yaml.Strict()); err != nil {
		r.library(err)
		return nil
	}
	p = form.policy(r)
	p.check(r.report)
	return p
}

// tokens refuses what the format does not need, and what makes the library recurse.
func (r *reader) tokens(all token.Tokens) {
	nested, line, onLine := 0, 0, 0
	for _, t := range all {
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.DirectiveType, token.MergeKeyType, token.MappingKeyType:
			r.fail(t, "%q is not accepted here: no anchors, aliases, tags, directives, merges and complex keys", t.Value)
			return
		case token.MappingStartType, token.SequenceStartType:
			nested++
		case token.MappingEndType, token.SequenceEndType:
			nested--
		case token.SequenceEntryType:
			onLine++
		}
		if nested > maxNesting || onLine > maxNesting || t.Position.Column > 4096 {
			r.fail(t, "nested deeper than %d levels, or a line that is too long", maxNesting)
			return
		}
	}
}

// library words an error of the YAML library, whose own text quotes the file.
func (r *reader) library(err error) {
	if e, ok := errors.AsType[yaml.Error](err); ok {
		r.fail(e.GetToken(), "%s", e.GetMessage())
		return
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	r.fail(nil, "%s", first)
}

func (r *reader) body(file *ast.File) (body ast.Node) {
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			r.fail(d.Body.GetToken(), "a second document begins here, wanted one in a file")
			return nil
		}
		body = d.Body
	}
	switch body.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return body
	case nil:
		r.fail(nil, "the file is empty, wanted a policy: %s", strings.Join(keysAt[""], ", "))
	default:
		r.fail(body.GetToken(), "this is no policy, wanted the keys %s", strings.Join(keysAt[""], ", "))
	}
	return nil
}

// keys notes where each value stands, and reports keys that aren't known. shape is the
// path without the numbers.
func (r *reader) keys(n ast.Node, path, shape string) {
	r.places[path] = n.GetToken().Position
	switch n := n.(type) {
	case *ast.MappingValueNode:
		r.key(n, path, shape)
	case *ast.MappingNode:
		for _, v := range n.Values {
			r.key(v, path, shape)
		}
	case *ast.SequenceNode:
		for i, v := range n.Values {
			r.keys(v, fmt.Sprintf("%s[%d]", path, i), shape+"[]")
		}
	}
}

func (r *reader) key(v *ast.MappingValueNode, path, shape string) {
	key := v.Key.GetToken()
	at, form := key.Value, key.Value
	if path != "" {
		at, form = path+"."+at, shape+"."+form
	}
	if known := keysAt[shape]; known != nil && !slices.Contains(known, key.Value) {
		r.places[at] = key.Position
		r.report(at, "unknown key %.80q; valid: %s", key.Value, strings.Join(known, ", "))
		return
	}
	r.keys(v.Value, at, form)
}
