package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Property describes one setting, for documentation and for whoever builds a form.
type Property struct {
	Name    string
	Valid   []string // the values as text; of a list, the words it may hold
	List    bool
	Default string // as text; "" is an empty list or, of an option, not set
	Doc     string
}

// property is a Property of T with the way to its field.
type property[T any] struct {
	Property
	form form
	get  func(*T) string
	set  func(*T, string) // the text is valid
}

// form is what a value looks like in JSON.
type form int

const (
	boolean  form = iota // true or false
	optional             // true, false or null
	word                 // one of the valid words
	maybe                // one of them, or null
	list                 // null, an array of words, or words with commas between them
)

var truths = []string{"true", "false"}

func flag[T any](name string, preset bool, doc string, at func(*T) *bool) property[T] {
	return property[T]{
		Property: Property{Name: name, Valid: truths, Default: strconv.FormatBool(preset), Doc: doc},
		form:     boolean,
		get:      func(t *T) string { return strconv.FormatBool(*at(t)) },
		set:      func(t *T, text string) { *at(t) = text == "true" },
	}
}

func choice[T any, S ~string](name string, preset S, doc string, valid []S, at func(*T) *S) property[T] {
	p := property[T]{
		Property: Property{Name: name, Valid: texts(valid), Default: string(preset), Doc: doc},
		form:     word,
		get:      func(t *T) string { return string(*at(t)) },
		set:      func(t *T, text string) { *at(t) = S(text) },
	}
	if preset == "" {
		p.form = maybe
	}
	return p
}

func optionalFlag[T any](name, doc string, at func(*T) **bool) property[T] {
	return property[T]{
		Property: Property{Name: name, Valid: truths, Doc: doc},
		form:     optional,
		get: func(t *T) string {
			if *at(t) == nil {
				return ""
			}
			return strconv.FormatBool(**at(t))
		},
		set: func(t *T, text string) {
			*at(t) = nil
			if text != "" {
				*at(t) = new(text == "true")
			}
		},
	}
}

func words[T any, S ~string](name, doc string, valid []S, at func(*T) *[]S) property[T] {
	return property[T]{
		Property: Property{Name: name, Valid: texts(valid), List: true, Doc: doc},
		form:     list,
		get:      func(t *T) string { return strings.Join(texts(*at(t)), ",") },
		set: func(t *T, text string) {
			*at(t) = nil
			for _, w := range split(text) {
				*at(t) = append(*at(t), S(w))
			}
		},
	}
}

func texts[S ~string](of []S) []string {
	out := make([]string, len(of))
	for i, s := range of {
		out[i] = string(s)
	}
	return out
}

// split takes "ACS, Teams" apart.
func split(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// Error is a setting that was refused.
type Error struct {
	Object  string // "meeting policy", "organisation's settings", "meeting options"
	Name    string // the property, as it was written
	Problem string
	Valid   []string // what would have been valid
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Object + ": ")
	if e.Name != "" {
		b.WriteString(e.Name + ": ")
	}
	b.WriteString(e.Problem)
	if len(e.Valid) > 0 {
		b.WriteString("; valid: " + strings.Join(e.Valid, ", "))
	}
	return b.String()
}

// table is every property of T.
type table[T any] struct {
	object string
	rows   []property[T]
}

func (t table[T]) preset() T {
	var v T
	for _, p := range t.rows {
		p.set(&v, p.Default)
	}
	return v
}

func (t table[T]) properties() []Property {
	out := make([]Property, len(t.rows))
	for i, p := range t.rows {
		out[i] = p.Property
		out[i].Valid = slices.Clone(p.Valid)
	}
	return out
}

func (t table[T]) row(name string) (property[T], error) {
	names := make([]string, len(t.rows))
	for i, p := range t.rows {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return property[T]{}, &Error{Object: t.object, Name: name, Problem: "there is no such setting", Valid: names}
}

// set gives one property a value that is written as text.
func (t table[T]) set(v *T, name, text string) error {
	p, err := t.row(name)
	if err != nil {
		return err
	}
	values := []string{text}
	switch p.form {
	case list:
		values = split(text)
	case optional, maybe:
		if text == "" {
			values = nil
		}
	}
	if err := t.check(p, values); err != nil {
		return err
	}
	p.set(v, text)
	return nil
}

func (t table[T]) check(p property[T], values []string) error {
	seen := map[string]bool{}
	for _, w := range values {
		switch {
		case !slices.Contains(p.Valid, w):
			return &Error{Object: t.object, Name: p.Name, Problem: fmt.Sprintf("%q is not a value of it", w), Valid: p.Valid}
		case seen[w]:
			return &Error{Object: t.object, Name: p.Name, Problem: fmt.Sprintf("%q stands twice", w), Valid: p.Valid}
		}
		seen[w] = true
	}
	return nil
}

// validate finds a value that no parser let in.
func (t table[T]) validate(v T) error {
	for _, p := range t.rows {
		if err := t.set(new(T), p.Name, p.get(&v)); err != nil {
			return err
		}
	}
	return nil
}

// parse reads a JSON object. What is absent keeps its default, unless the object
// must be complete: then it is a saved state, of which a lost part must not turn
// into a default that opens a door.
func (t table[T]) parse(data []byte, complete bool) (T, error) {
	v := t.preset()
	given, err := t.members(data)
	if err != nil {
		return *new(T), err
	}
	for _, m := range given {
		p, err := t.row(m.name)
		if err != nil {
			return *new(T), err
		}
		text, err := t.text(p, m.value)
		if err != nil {
			return *new(T), err
		}
		if err := t.set(&v, m.name, text); err != nil {
			return *new(T), err
		}
	}
	if !complete {
		return v, nil
	}
	for _, p := range t.rows {
		if !slices.ContainsFunc(given, func(m member) bool { return m.name == p.Name }) {
			return *new(T), &Error{Object: t.object, Name: p.Name, Problem: "is missing from the saved state", Valid: p.Valid}
		}
	}
	return v, nil
}

type member struct {
	name  string
	value any
}

// members reads exactly one object, in which no name stands twice (encoding/json
// alone would let the last one win).
func (t table[T]) members(data []byte) ([]member, error) {
	wrong := func(problem string) error { return &Error{Object: t.object, Problem: problem} }
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	start, err := d.Token()
	if err != nil {
		return nil, wrong("is not JSON: " + err.Error())
	}
	if start != json.Delim('{') {
		return nil, wrong("is not a JSON object")
	}
	var out []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, wrong("is not JSON: " + err.Error())
		}
		name := key.(string) // the decoder lets only a string stand here
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, wrong("is not JSON: " + err.Error())
		}
		if slices.ContainsFunc(out, func(m member) bool { return m.name == name }) {
			return nil, &Error{Object: t.object, Name: name, Problem: "stands twice"}
		}
		out = append(out, member{name, value})
	}
	if _, err := d.Token(); err != nil {
		return nil, wrong("is not JSON: " + err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, wrong("something stands behind the object")
	}
	return out, nil
}

// text brings a JSON value of the right type into the form that set takes.
func (t table[T]) text(p property[T], value any) (string, error) {
	switch v := value.(type) {
	case bool:
		if p.form == boolean || p.form == optional {
			return strconv.FormatBool(v), nil
		}
	case string:
		if v != "" && (p.form == word || p.form == maybe || p.form == list) {
			return v, nil
		}
	case nil:
		if p.form == optional || p.form == maybe || p.form == list {
			return "", nil
		}
	case []any:
		if p.form == list {
			parts := make([]string, len(v))
			for i, e := range v {
				s, ok := e.(string)
				if !ok || s == "" {
					return "", &Error{Object: t.object, Name: p.Name, Problem: fmt.Sprintf("%v in the list is not a word", e), Valid: p.Valid}
				}
				parts[i] = s
			}
			return strings.Join(parts, ","), nil
		}
	}
	return "", &Error{Object: t.object, Name: p.Name, Problem: fmt.Sprintf("%v is not a value of it", value), Valid: p.Valid}
}

// marshal writes every property under its name.
func (t table[T]) marshal(v T) ([]byte, error) {
	var b bytes.Buffer
	for i, p := range t.rows {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, "%q:", p.Name)
		text := p.get(&v)
		switch {
		case p.form == boolean, p.form == optional && text != "":
			b.WriteString(text)
		case text == "" && p.form != word:
			b.WriteString("null")
		default:
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", t.object, p.Name, err)
			}
			b.Write(quoted)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
