package dlp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Confidence says how sure it is that a value is what it seems, as Purview counts.
type Confidence int

// The confidences.
const (
	Low    Confidence = 65
	Medium Confidence = 75
	High   Confidence = 85
)

// confidences are the words of a policy file.
func confidences() map[string]Confidence {
	return map[string]Confidence{"low": Low, "medium": Medium, "high": High}
}

func (c Confidence) String() string {
	for word, known := range confidences() {
		if c == known {
			return word
		}
	}
	return fmt.Sprintf("Confidence(%d)", int(c))
}

// Bounds.
const (
	// MaxSize is the longest message that is checked, in bytes; Teams takes about 28
	// kilobytes.
	MaxSize = 32 << 10
	// DefaultWindow is how far evidence may be from a value, in characters, before or
	// after it; Purview's default.
	DefaultWindow = 300
	// maxGap is how many separators may stand between two characters of a value.
	maxGap = 3
)

// Finding is one value in a text. It holds the place, not the value.
type Finding struct {
	Type       Type
	Confidence Confidence
	// Evidence says whether one of the type's words stands near.
	Evidence bool
	// Start and End are the bytes of the text that hold the value.
	Start, End int
}

// match is a finding with what it takes to count and to mask it.
type match struct {
	Finding
	value      string // digits and letters only
	first, end int    // cells
}

// Scan finds the values of the types in a text, in order of their places; of all
// built-in types when none is named. Evidence counts within window characters. The
// text may be of any size: the time is in proportion to it.
func Scan(text string, window int, types ...Type) []Finding {
	matches := scan(cells(text), window, types)
	found := make([]Finding, len(matches))
	for i, m := range matches {
		found[i] = m.Finding
	}
	return found
}

func scan(text []cell, window int, types []Type) []match {
	var found []match
	words := wordsOf(text)
	for _, d := range detectors() {
		if len(types) > 0 && !slices.Contains(types, d.name) {
			continue
		}
		near := d.evidenceIn(words)
		last := 0
		for i, c := range text {
			if !c.value() || i > 0 && text[i-1].word() {
				continue
			}
			// A value that lies within the one before is part of it.
			if m, ok := d.at(text, i, near, window); ok && m.end > last {
				last = m.end
				found = append(found, m)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(a.first, b.first) })
	return found
}

// at looks for a value that begins at a cell. Of several it takes the greatest
// extent and the greatest confidence, so that a few digits behind a value don't
// hide it.
func (d *detector) at(text []cell, first int, near []span, window int) (match, bool) {
	best := match{first: first}
	var value []byte
	var layout []byte // the separators, each before the character at its place; 0 for none
	gap, wide := byte(0), 0
	for i := first; i < len(text) && len(value) < d.longest; i++ {
		c := text[i]
		if c.separator() {
			if wide++; wide > maxGap {
				break
			}
			gap = byte(c.r)
			continue
		}
		if !c.value() {
			break
		}
		if wide > 1 {
			gap = '?' // no usual layout
		}
		value, layout = append(value, byte(c.r)), append(layout, gap)
		gap, wide = 0, 0
		if len(value) < d.shortest || i+1 < len(text) && text[i+1].word() || !d.check(string(value)) {
			continue
		}
		evidence := isNear(near, first, i+1, window)
		confidence := d.confidence(layout, evidence)
		if confidence == 0 {
			continue
		}
		best.end = i + 1
		best.Start, best.End = text[first].start, c.end
		if confidence > best.Confidence {
			best.Confidence, best.value = confidence, string(value)
		}
		best.Evidence = evidence
	}
	best.Type = d.name
	return best, best.Confidence > 0
}

func (d *detector) confidence(separators []byte, evidence bool) Confidence {
	confidence := d.oddly
	if usual(separators, d.usual) {
		confidence = d.usually
	}
	if evidence {
		return confidence[1]
	}
	return confidence[0]
}

// usual says whether a value is in one piece or in one of the layouts.
func usual(separators []byte, layouts []layout) bool {
	var groups []int
	allowed := true
	size := 0
	for i, s := range separators {
		if s != 0 && i > 0 {
			groups = append(groups, size)
			size = 0
		}
		size++
	}
	groups = append(groups, size)
	if len(groups) == 1 {
		return true
	}
	return slices.ContainsFunc(layouts, func(l layout) bool {
		if !slices.Equal(l.groups, groups) {
			return false
		}
		allowed = true
		for i, s := range separators {
			allowed = allowed && (s == 0 || i == 0 || strings.IndexByte(l.separators, s) >= 0)
		}
		return allowed
	})
}

// span is a stretch of cells.
type span struct{ first, end int }

// word is a word of the text and where it stands.
type word struct {
	text string
	span
}

func wordsOf(text []cell) []word {
	var words []word
	var b strings.Builder
	for i, c := range text {
		if !c.word() {
			continue
		}
		b.WriteRune(c.r)
		if i+1 == len(text) || !text[i+1].word() {
			end := i + 1
			words = append(words, word{b.String(), span{end - len([]rune(b.String())), end}})
			b.Reset()
		}
	}
	return words
}

// evidenceIn returns where the detector's words and phrases stand, in order.
func (d *detector) evidenceIn(words []word) []span {
	phrases := make(map[string][][]string, len(d.evidence))
	for _, e := range d.evidence {
		parts := strings.Split(e, " ")
		phrases[parts[0]] = append(phrases[parts[0]], parts)
	}
	var found []span
	for i, w := range words {
		for _, parts := range phrases[w.text] {
			if i+len(parts) > len(words) {
				continue
			}
			same := true
			for k, part := range parts {
				same = same && words[i+k].text == part
			}
			if same {
				found = append(found, span{w.first, words[i+len(parts)-1].end})
			}
		}
	}
	return found
}

// isNear says whether one of the spans, which are in order, lies within window cells
// of the cells from first to end.
func isNear(spans []span, first, end, window int) bool {
	i, _ := slices.BinarySearchFunc(spans, first-window, func(s span, from int) int { return cmp.Compare(s.first, from) })
	// Phrases differ in length, so one that begins a little earlier may still reach in.
	const longestPhrase = 8
	for i = max(0, i-longestPhrase); i < len(spans) && spans[i].first <= end+window; i++ {
		if spans[i].end >= first-window {
			return true
		}
	}
	return false
}
