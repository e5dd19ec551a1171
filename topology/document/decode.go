package document

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// Decode decodes the whole document into v, a pointer. An error is of type Errors
// and holds every finding.
func (d *Document) Decode(v any) error { return d.DecodeAt("", v) }

// DecodeAt decodes the value at path into v, a pointer. The paths of its errors
// begin with path.
func (d *Document) DecodeAt(path string, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decode %s into %T: wanted a pointer", d.file, v)
	}
	n, _, _, ok := d.find(path)
	if !ok {
		return Errors{d.Error(path, "is missing")}
	}
	dec := &decoder{file: d.file}
	dec.value(n, target.Elem(), path)
	if len(dec.errs) > 0 {
		return dec.errs.sorted()
	}
	return nil
}

// decoder collects the findings of one decoding.
type decoder struct {
	file string
	errs Errors
}

func (dec *decoder) report(n *node, path, format string, args ...any) *Error {
	e := &Error{File: dec.file, Line: n.line, Column: n.column, Path: path, Problem: fmt.Sprintf(format, args...)}
	dec.errs = append(dec.errs, e)
	return e
}

// mismatch reports a value of the wrong kind.
func (dec *decoder) mismatch(n *node, path, wanted string) {
	dec.report(n, path, "found %s, wanted %s", n.describe(), wanted)
}

// describe says what a node is, in words.
func (n *node) describe() string {
	switch n.kind {
	case mapping:
		return "a mapping"
	case sequence:
		return "a list"
	case integer, float:
		return "the number " + n.text
	case boolean:
		return "the boolean " + n.text
	case null:
		return "nothing"
	}
	const longest = 60
	if len(n.text) > longest {
		return strconv.Quote(strings.ToValidUTF8(n.text[:longest], "")) + "…"
	}
	return strconv.Quote(n.text)
}

func (n *node) scalar() bool { return n.kind != mapping && n.kind != sequence && n.kind != null }

// several is a type that reads more than one form (goccy/go-yaml's
// InterfaceUnmarshaler).
type several interface{ UnmarshalYAML(func(any) error) error }

// value decodes n into v, which can be set.
func (dec *decoder) value(n *node, v reflect.Value, path string) {
	if v.Kind() == reflect.Pointer {
		fresh := reflect.New(v.Type().Elem())
		dec.value(n, fresh.Elem(), path)
		v.Set(fresh)
		return
	}
	if v.CanAddr() {
		switch own := v.Addr().Interface().(type) {
		case several:
			dec.own(n, path, own.UnmarshalYAML(func(into any) error { return dec.nested(n, into, path) }))
			return
		case encoding.TextUnmarshaler:
			dec.text(n, own, path)
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		dec.structure(n, v, path)
	case reflect.Map:
		dec.dictionary(n, v, path)
	case reflect.Slice:
		dec.list(n, v, path)
	default:
		dec.single(n, v, path)
	}
}

// nested decodes for a type's own method, into errors of its own.
func (dec *decoder) nested(n *node, into any, path string) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decode into %T: wanted a pointer", into)
	}
	inner := &decoder{file: dec.file}
	inner.value(n, target.Elem(), path)
	if len(inner.errs) > 0 {
		return inner.errs
	}
	return nil
}

// own takes the error of a type's own method.
func (dec *decoder) own(n *node, path string, err error) {
	if err == nil {
		return
	}
	if placed, ok := errors.AsType[Errors](err); ok {
		dec.errs = append(dec.errs, placed...)
		return
	}
	one, ok := errors.AsType[*Error](err)
	if !ok {
		dec.report(n, path, "%s", err)
		return
	}
	// A type without a document knows the words but not the place.
	placed := *one
	placed.File = dec.file
	if placed.Line == 0 {
		placed.Line, placed.Column, placed.Path = n.line, n.column, path
	}
	dec.errs = append(dec.errs, &placed)
}

// text decodes a single value by its own method. The standard library's address
// types get better words than their own.
func (dec *decoder) text(n *node, into encoding.TextUnmarshaler, path string) {
	wanted := "a single value"
	switch into.(type) {
	case *netip.Addr:
		wanted = "an address such as 192.0.2.1 or 2001:db8::1"
	case *netip.AddrPort:
		wanted = "an address and port such as 192.0.2.1:443"
	case *netip.Prefix:
		wanted = "a prefix such as 192.0.2.0/24 or 2001:db8::/64"
	}
	if !n.scalar() {
		dec.mismatch(n, path, wanted)
		return
	}
	// An empty text would set the zero Addr or Prefix.
	err := into.UnmarshalText([]byte(n.text))
	switch {
	case wanted != "a single value" && (err != nil || n.text == ""):
		dec.mismatch(n, path, wanted)
	case err != nil:
		dec.own(n, path, err)
	}
}

func (dec *decoder) structure(n *node, v reflect.Value, path string) {
	fields := fieldsOf(v)
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	if n.kind != mapping {
		dec.mismatch(n, path, "a mapping with the keys "+strings.Join(names, ", "))
		return
	}
	for _, e := range n.entries {
		i := index(names, e.key)
		if i < 0 {
			err := dec.report(&node{line: e.line, column: e.column}, join(path, e.key), "unknown key %q", e.key)
			err.Valid, err.Nearest = names, Nearest(e.key, names)
			continue
		}
		dec.value(e.value, fields[i].value, join(path, e.key))
	}
}

func index(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// field is one that a document may set.
type field struct {
	name  string
	value reflect.Value
}

// fieldsOf lists the fields of a struct by their yaml tags, those of inlined
// structs among them.
func fieldsOf(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case strings.Contains(options, "inline") && f.Type.Kind() == reflect.Struct:
			all = append(all, fieldsOf(v.Field(i))...)
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			all = append(all, field{name, v.Field(i)})
		}
	}
	return all
}

func (dec *decoder) dictionary(n *node, v reflect.Value, path string) {
	if n.kind != mapping || v.Type().Key().Kind() != reflect.String {
		dec.mismatch(n, path, "a mapping")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	for _, e := range n.entries {
		value := reflect.New(v.Type().Elem()).Elem()
		dec.value(e.value, value, join(path, e.key))
		v.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), value)
	}
}

func (dec *decoder) list(n *node, v reflect.Value, path string) {
	if n.kind != sequence {
		wanted := "a list"
		if n.scalar() {
			wanted = fmt.Sprintf("a list, written [%s]", n.text)
		}
		dec.mismatch(n, path, wanted)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		dec.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

// single decodes a value of one of the language's own simple kinds.
func (dec *decoder) single(n *node, v reflect.Value, path string) {
	bits := 0
	if v.CanInt() || v.CanUint() || v.CanFloat() {
		bits = v.Type().Bits()
	}
	switch {
	case v.Kind() == reflect.String:
		if n.kind != text && n.kind != integer && n.kind != float {
			wanted := "text"
			if n.kind == boolean {
				wanted = fmt.Sprintf("text; if that is meant, write %q", n.text)
			}
			dec.mismatch(n, path, wanted)
			return
		}
		v.SetString(n.text)
	case v.Kind() == reflect.Bool:
		if n.kind != boolean {
			dec.mismatch(n, path, "true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.text, "true"))
	case v.CanInt():
		i, err := strconv.ParseInt(n.text, 10, bits)
		if n.kind != integer || err != nil {
			dec.mismatch(n, path, fmt.Sprintf("a whole number from %d to %d", -1<<(bits-1), uint64(1)<<(bits-1)-1))
			return
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(n.text, 10, bits)
		if n.kind != integer || err != nil {
			dec.mismatch(n, path, fmt.Sprintf("a whole number from 0 to %d", ^uint64(0)>>(64-bits)))
			return
		}
		v.SetUint(u)
	case v.CanFloat():
		f, err := strconv.ParseFloat(n.text, bits)
		if (n.kind != integer && n.kind != float) || err != nil {
			dec.mismatch(n, path, "a number")
			return
		}
		v.SetFloat(f)
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		if plain := n.plain(); plain != nil {
			v.Set(reflect.ValueOf(plain))
		}
	default:
		dec.report(n, path, "cannot be read into a %s", v.Type())
	}
}

// plain is a node as maps, slices and strings, for those who look at a document
// without a type, such as a schema's validator. Null is nil.
func (n *node) plain() any {
	switch n.kind {
	case mapping:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.key] = e.value.plain()
		}
		return m
	case sequence:
		s := make([]any, len(n.items))
		for i, item := range n.items {
			s[i] = item.plain()
		}
		return s
	case boolean:
		return strings.EqualFold(n.text, "true")
	case integer, float:
		if f, err := strconv.ParseFloat(n.text, 64); err == nil {
			return f
		}
		return n.text
	case null:
		return nil
	}
	return n.text
}
