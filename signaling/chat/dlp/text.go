package dlp

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// cell is one character as a detector sees it: an ASCII digit or capital letter,
// ' ' for any space, '-' for any dash, else the rune itself in its plain form.
type cell struct {
	r rune
	// start and end are the bytes of the message that it comes from. Cells of a
	// character that has several plain ones (such as ½) share them.
	start, end int
}

func (c cell) digit() bool { return '0' <= c.r && c.r <= '9' }

// word says whether c is part of a word or number, so that no value begins or ends
// beside it.
func (c cell) word() bool { return c.digit() || unicode.IsLetter(c.r) }

// value says whether c can be part of a value.
func (c cell) value() bool { return c.digit() || 'A' <= c.r && c.r <= 'Z' }

func (c cell) separator() bool {
	switch c.r {
	case ' ', '-', '.', '/', ',', ':', '_':
		return true
	}
	return false
}

// cells reads a text. Marks and invisible characters give no cell: accents, joiners,
// soft hyphens, variation selectors.
func cells(text string) []cell {
	all := make([]cell, 0, len(text))
	var buf []byte
	for i, r := range text {
		if r < utf8.RuneSelf {
			all = append(all, cell{plain(r), i, i + 1})
			continue
		}
		end := i + utf8.RuneLen(r)
		// Character by character: nothing is composed, so the places stay exact.
		buf = norm.NFKD.AppendString(buf[:0], text[i:end])
		for _, part := range string(buf) {
			if !unicode.In(part, unicode.M, unicode.Cf) && !filler(part) {
				all = append(all, cell{plain(part), i, end})
			}
		}
	}
	return all
}

// filler says whether r is a letter by its class and nothing to the eye.
func filler(r rune) bool {
	return r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0'
}

func plain(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case r <= ' ' || unicode.IsSpace(r):
		return ' '
	case r < utf8.RuneSelf:
		return r
	case unicode.Is(unicode.Pd, r) || r == '−' || r == '⁃':
		return '-'
	case unicode.Is(unicode.Nd, r):
		return '0' + digitValue(r)
	}
	return unicode.ToUpper(r)
}

// digitValue relies on Unicode's rule that the decimal digits of a script stand
// together, in order, from zero.
func digitValue(r rune) rune {
	for _, in := range unicode.Nd.R16 {
		if rune(in.Lo) <= r && r <= rune(in.Hi) {
			return (r - rune(in.Lo)) % 10
		}
	}
	for _, in := range unicode.Nd.R32 {
		if rune(in.Lo) <= r && r <= rune(in.Hi) {
			return (r - rune(in.Lo)) % 10
		}
	}
	return 0
}
