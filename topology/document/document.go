package document

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxSize is the largest document in bytes.
const MaxSize = 1 << 20

// Document is a parsed document. It does not change; its methods are safe for
// concurrent use.
type Document struct {
	file string
	root *node
}

// kind is what a node is.
type kind uint8

const (
	mapping kind = iota
	sequence
	text // quoted, or plain and nothing of the following
	integer
	float
	boolean
	null
)

// node is one value and its place. Lines and columns count from 1, columns in
// characters.
type node struct {
	kind         kind
	line, column int
	entries      []entry // of a mapping, in the file's order
	items        []*node // of a sequence
	text         string  // of the others; numbers as they were written
}

// entry is one key of a mapping, its place and its value.
type entry struct {
	key          string
	line, column int
	value        *node
}

// Read reads a file that is to be parsed. It takes no more than one byte over MaxSize
// into memory, which is enough for Parse to refuse it.
func Read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}

// Parse reads data, which came from file; the name is only for messages. An error
// is of type Errors.
func Parse(file string, data []byte) (*Document, error) {
	p := &reader{file: file}
	source, err := p.source(data)
	if err != nil {
		return nil, Errors{err}
	}
	root, err := p.parse(source)
	if err != nil {
		return nil, Errors{err}
	}
	if len(p.errs) > 0 {
		return nil, p.errs.sorted()
	}
	return &Document{file: file, root: root}, nil
}

// reader turns bytes into nodes.
type reader struct {
	file string
	errs Errors
}

func (p *reader) at(line, column int, format string, args ...any) *Error {
	return &Error{File: p.file, Line: max(line, 1), Column: max(column, 1), Problem: fmt.Sprintf(format, args...)}
}

// parse reads the source, which has passed the guards on bytes.
func (p *reader) parse(source string) (root *node, err *Error) {
	// The YAML library has panicked on odd input before; that input is at fault,
	// not the program.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, p.at(1, 1, "this is not YAML that can be understood (%v)", r)
		}
	}()
	tokens := lexer.Tokenize(source)
	if err := p.tokens(tokens); err != nil {
		return nil, err
	}
	// Keys that stand twice are found below, all of them and in linear time.
	file, failure := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if failure != nil {
		return nil, p.syntax(failure)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			pos := doc.Body.GetToken().Position
			return nil, p.at(pos.Line, pos.Column, "a second document begins here; wanted one document in a file")
		}
		body = doc.Body
	}
	if body == nil {
		return nil, p.at(1, 1, "the file is empty, or has nothing but comments")
	}
	return p.node(body, ""), nil
}

// syntax words an error of the YAML library, whose own text quotes the source
// over several lines.
func (p *reader) syntax(err error) *Error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		pos := e.GetToken().Position
		return p.at(pos.Line, pos.Column, "%s", e.GetMessage())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return p.at(1, 1, "%s", first)
}

// node converts a tree of the library. What has no place in a document is
// reported, and stands as null.
func (p *reader) node(from ast.Node, path string) *node {
	pos := from.GetToken().Position
	n := &node{kind: null, line: max(pos.Line, 1), column: max(pos.Column, 1)}
	switch from := from.(type) {
	case *ast.MappingNode:
		p.mapping(n, from.Values, path)
	case *ast.MappingValueNode:
		p.mapping(n, []*ast.MappingValueNode{from}, path)
	case *ast.SequenceNode:
		n.kind = sequence
		for i, v := range from.Values {
			item := p.node(v, fmt.Sprintf("%s[%d]", path, i))
			if from.IsFlowStyle && item.kind == mapping && v.GetToken().Type != token.MappingStartType {
				// YAML reads [a: b] as [{a: b}], and the library even
				// [2001:db8::1] inside braces.
				e := p.at(item.line, item.column, "a value with a colon inside brackets; write it in quotes, or a mapping in braces")
				e.Path = fmt.Sprintf("%s[%d]", path, i)
				p.errs = append(p.errs, e)
			}
			n.items = append(n.items, item)
		}
	case *ast.StringNode:
		n.kind, n.text = text, from.Value
	case *ast.LiteralNode:
		n.kind, n.text = text, from.Value.Value
	case *ast.IntegerNode:
		n.kind, n.text = integer, from.Token.Value
	case *ast.FloatNode:
		n.kind, n.text = float, from.Token.Value
	case *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = text, from.GetToken().Value
	case *ast.BoolNode:
		n.kind, n.text = boolean, from.Token.Value
	case *ast.NullNode:
		n.text = "null"
	default:
		e := p.at(n.line, n.column, "%s has no place in this file", strings.ToLower(from.Type().YAMLName()))
		e.Path = path
		p.errs = append(p.errs, e)
	}
	return n
}

func (p *reader) mapping(n *node, values []*ast.MappingValueNode, path string) {
	n.kind = mapping
	lines := make(map[string]int, len(values))
	for i, v := range values {
		token := v.Key.GetToken()
		e := entry{key: token.Value, line: max(token.Position.Line, 1), column: max(token.Position.Column, 1)}
		if i == 0 {
			// The library places a mapping at its first colon or brace.
			n.line, n.column = e.line, e.column
		}
		at := join(path, e.key)
		if first, twice := lines[e.key]; twice {
			err := p.at(e.line, e.column, "key %q stands twice; the first is on line %d", e.key, first)
			err.Path = at
			p.errs = append(p.errs, err)
			continue
		}
		lines[e.key] = e.line
		e.value = p.node(v.Value, at)
		if e.value.kind == null {
			e.value.line, e.value.column = e.line, e.column
		}
		n.entries = append(n.entries, e)
	}
}

// join makes the path of a key.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
