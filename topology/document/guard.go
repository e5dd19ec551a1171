package document

import (
	"bytes"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

const (
	// maxDepth bounds nesting; the YAML library and the decoder recurse.
	maxDepth = 64
	// maxIndent bounds indentation in columns, and so the nesting of blocks.
	maxIndent = 200
	// maxTokens bounds memory: a token takes some 300 bytes.
	maxTokens = 200_000
)

// source checks the bytes, before anything interprets them, and returns them
// with line ends as "\n".
func (p *reader) source(data []byte) (string, *Error) {
	if len(data) > MaxSize {
		return "", p.at(1, 1, "the file is too large; wanted at most %d bytes", MaxSize)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	if len(bytes.TrimSpace(data)) == 0 {
		return "", p.at(1, 1, "the file is empty")
	}
	line, column, indent := 1, 1, true
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return "", p.at(line, column, "the byte 0x%02x is not UTF-8; save the file as UTF-8", data[i])
		case r == '\t':
			return "", p.at(line, column, "a tab; use spaces")
		case r < 0x20 && r != '\n', r >= 0x7f && r < 0xa0, r == 0xfeff, r == 0x2028, r == 0x2029:
			return "", p.at(line, column, "the control character U+%04X; remove it", r)
		}
		if indent && r != ' ' && r != '\n' && column > maxIndent {
			return "", p.at(line, column, "indented by %d columns; wanted at most %d", column-1, maxIndent)
		}
		i += size
		if r == '\n' {
			line, column, indent = line+1, 1, true
			continue
		}
		column++
		indent = indent && r == ' '
	}
	return string(data), nil
}

// refused are the kinds of token that the package does not accept.
func refused(t token.Type) string {
	switch t {
	case token.AnchorType:
		return "an anchor (&)"
	case token.AliasType:
		return "an alias (*); quote a value that begins with *"
	case token.TagType:
		return "a tag (!)"
	case token.DirectiveType:
		return "a directive (%)"
	case token.MergeKeyType:
		return "a merge key (<<)"
	case token.MappingKeyType:
		return "a complex key (?)"
	}
	return ""
}

// tokens refuses what is not accepted, and what would make the library's parser
// recurse without bound.
func (p *reader) tokens(tokens token.Tokens) *Error {
	if len(tokens) > maxTokens {
		return p.at(1, 1, "the file has %d YAML tokens; wanted at most %d", len(tokens), maxTokens)
	}
	flow, line, onLine := 0, 0, 0
	for _, t := range tokens {
		pos := t.Position
		if what := refused(t.Type); what != "" {
			return p.at(pos.Line, pos.Column, "%s is not accepted here", what)
		}
		if pos.Line != line {
			line, onLine = pos.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingValueType:
			// Blocks nest on one line too: "- - - a". In a flow, brackets
			// tell the depth.
			if flow <= 0 {
				onLine++
			}
		}
		if flow > maxDepth || onLine > maxDepth {
			return p.at(pos.Line, pos.Column, "nested deeper than %d levels", maxDepth)
		}
	}
	return nil
}
