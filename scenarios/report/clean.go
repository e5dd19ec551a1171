package report

import (
	"reflect"
	"strings"
	"unicode"

	"github.com/callpath/callpath/scenarios/result"
)

// plain replaces what could move a terminal's cursor, hide text or turn it round.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '·'
		}
		return r
	}, s)
}

// cleaned returns copies of the runs in which every text is plain, so that nothing
// that writes them has to think of it.
func cleaned(runs []*result.Run) []*result.Run {
	out := make([]*result.Run, len(runs))
	for i, r := range runs {
		out[i] = clean(reflect.ValueOf(r)).Interface().(*result.Run)
	}
	return out
}

// clean copies a value. What holds no text that it can reach, for example a time or
// an address, is shared with the original.
func clean(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		return reflect.ValueOf(plain(v.String())).Convert(v.Type())
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(clean(v.Elem()))
		return p
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			s.Index(i).Set(clean(v.Index(i)))
		}
		return s
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		m := reflect.MakeMapWithSize(v.Type(), v.Len())
		for entries := v.MapRange(); entries.Next(); {
			m.SetMapIndex(clean(entries.Key()), clean(entries.Value()))
		}
		return m
	case reflect.Array, reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		if v.Kind() == reflect.Array {
			for i := range v.Len() {
				c.Index(i).Set(clean(v.Index(i)))
			}
			return c
		}
		for i := range v.NumField() {
			if c.Field(i).CanSet() {
				c.Field(i).Set(clean(v.Field(i)))
			}
		}
		return c
	}
	return v
}
