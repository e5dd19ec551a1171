package expect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/topology"
)

// A row is one kind of expectation: E is the part of the scenario that states it,
// S the part of the run that it is about.
type row[E, S any] struct {
	// key is the last part of its key in the file.
	key string
	// check compares. It is false when the scenario does not state the
	// expectation.
	check func(*E, *S) (outcome, bool)
}

// word wants the very word. An empty word was not measured.
func word[E, S any](key string, wanted func(*E) string, seen func(*S) string) row[E, S] {
	return named(key, wanted, seen, func(s string) string { return s })
}

// named is word for names that have more than one form; canonical gives the one
// that they are compared in, and shown in.
func named[E, S any](key string, wanted func(*E) string, seen func(*S) string, canonical func(string) string) row[E, S] {
	return row[E, S]{key, func(e *E, s *S) (outcome, bool) {
		w := wanted(e)
		if w == "" {
			return outcome{}, false
		}
		w = canonical(w)
		v := canonical(seen(s))
		if v == "" {
			return nothing(w), true
		}
		return outcome{wanted: w, seen: v, met: v == w}, true
	}}
}

// piece wants a piece of one of several texts, in any case of letters.
func piece[E, S any](key string, wanted func(*E) string, seen func(*S) []string) row[E, S] {
	return row[E, S]{key, func(e *E, s *S) (outcome, bool) {
		w := wanted(e)
		if w == "" {
			return outcome{}, false
		}
		texts := slices.DeleteFunc(slices.Clone(seen(s)), func(t string) bool { return t == "" })
		shown := fmt.Sprintf("something with %q", w)
		if len(texts) == 0 {
			return nothing(shown), true
		}
		met := slices.ContainsFunc(texts, func(t string) bool {
			return strings.Contains(strings.ToLower(t), strings.ToLower(w))
		})
		return outcome{wanted: shown, seen: strings.Join(texts, "; "), met: met}, true
	}}
}

// fact is what truth looks at: known is false when it was not measured, why says
// more than yes or no.
type fact struct {
	known, is bool
	why       string
}

// truth wants a fact to be so, or not to be so.
func truth[E, S any](key string, wanted func(*E) *bool, seen func(*S) fact) row[E, S] {
	return row[E, S]{key, func(e *E, s *S) (outcome, bool) {
		w := wanted(e)
		if w == nil {
			return outcome{}, false
		}
		f := seen(s)
		if !f.known {
			return nothing(yesNo(*w)), true
		}
		text := yesNo(f.is)
		if f.why != "" {
			text += " (" + f.why + ")"
		}
		return outcome{wanted: yesNo(*w), seen: text, met: f.is == *w}, true
	}}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// figure is a value that was measured, or not.
type figure struct {
	of    string // the stream that it belongs to, when there are several
	value float64
	known bool
}

// bounds wants each of several figures within a range.
func bounds[E, S any](key string, wanted func(*E) *language.Range, seen func(*S) []figure) row[E, S] {
	unit := language.UnitOf(key)
	return row[E, S]{key, func(e *E, s *S) (outcome, bool) {
		w := wanted(e)
		if w == nil {
			return outcome{}, false
		}
		figures := seen(s)
		if !slices.ContainsFunc(figures, func(f figure) bool { return f.known }) {
			return nothing(w.Text(unit)), true
		}
		o := outcome{wanted: w.Text(unit), met: true}
		var texts []string
		for _, f := range figures {
			text := "nothing seen"
			if f.known {
				text = unit.Text(f.value)
			}
			if f.of != "" {
				text = f.of + " " + text
			}
			texts = append(texts, text)
			o.met = o.met && f.known && w.Contains(f.value)
		}
		o.seen = strings.Join(texts, ", ")
		return o, true
	}}
}

// flowSet wants the same flows, in any order: no more and no fewer. An empty list
// wants none.
func flowSet[E, S any](key string, wanted func(*E) []topology.Flow, seen func(*S) []topology.Flow) row[E, S] {
	return row[E, S]{key, func(e *E, s *S) (outcome, bool) {
		w := wanted(e)
		if w == nil {
			return outcome{}, false
		}
		v := seen(s)
		if len(v) == 0 && len(w) > 0 {
			return nothing(flowText(w)), true
		}
		return outcome{wanted: flowText(w), seen: flowText(v), met: flowText(w) == flowText(v)}, true
	}}
}

// nameSet wants the same names, in any order: no more and no fewer. An empty list
// wants nobody, which only a participant that is known can meet.
func nameSet(key string, wanted func(*one) []string, saw func(*seen) []string) row[one, seen] {
	return row[one, seen]{key, func(e *one, p *seen) (outcome, bool) {
		w := wanted(e)
		if w == nil {
			return outcome{}, false
		}
		if p.Name == "" {
			return nothing(nameText(w)), true
		}
		v := saw(p)
		return outcome{wanted: nameText(w), seen: nameText(v), met: nameText(w) == nameText(v)}, true
	}}
}

// nameText writes a set of names in a fixed order.
func nameText(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(names))), ", ")
}

// flowText writes a set of flows in a fixed order.
func flowText(flows []topology.Flow) string {
	if len(flows) == 0 {
		return "none"
	}
	words := make([]string, len(flows))
	for i, f := range flows {
		words[i] = string(f)
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ", ")
}

// milliseconds is a figure from a duration; zero was not measured.
func milliseconds(of string, d time.Duration) figure {
	return figure{of: of, value: float64(d) / float64(time.Millisecond), known: d > 0}
}
