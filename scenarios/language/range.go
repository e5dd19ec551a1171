package language

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Range is a bound, or two: in a file a mapping of "min" and "max", or one of
// the forms "<= 150ms", ">= 3.5", "10ms..80ms", "0". Values carry the unit of
// their key: times are held in milliseconds, rates in bits per second,
// fractions as such.
type Range struct {
	// Min and Max are inclusive; nil is no bound.
	Min, Max *float64

	// raw is what the file holds, until the loader, which knows the key and so
	// the unit, has read it.
	raw any
}

// UnmarshalYAML keeps the value for later.
func (r *Range) UnmarshalYAML(decode func(any) error) error { return decode(&r.raw) }

// Contains is true when v is within the bounds.
func (r Range) Contains(v float64) bool {
	return !math.IsNaN(v) && (r.Min == nil || v >= *r.Min) && (r.Max == nil || v <= *r.Max)
}

// Text writes the range in the unit of its key, for example "<= 150 ms".
func (r Range) Text(u Unit) string {
	switch {
	case r.Min == nil && r.Max == nil:
		return "anything"
	case r.Min == nil:
		return "<= " + u.Text(*r.Max)
	case r.Max == nil:
		return ">= " + u.Text(*r.Min)
	case *r.Min == *r.Max:
		return u.Text(*r.Min)
	default:
		return u.Text(*r.Min) + " to " + u.Text(*r.Max)
	}
}

// Unit is what the numbers of a Range mean.
type Unit uint8

// The units.
const (
	Count         Unit = iota // a plain number
	Fraction                  // from 0 to 1, shown in per cent
	Milliseconds              // a time
	BitsPerSecond             // a rate
)

// UnitOf is the unit of an expectation's key, for example Milliseconds for "rtt".
// A key without one is a Count.
func UnitOf(key string) Unit { return unitOfKey[key] }

var unitOfKey = map[string]Unit{
	"loss": Fraction, "rtt": Milliseconds, "jitter": Milliseconds, "gap": Milliseconds, "bitrate": BitsPerSecond,
}

// unitForms describes how each unit is written and read.
var unitForms = [...]struct {
	suffixes map[string]float64 // what a suffix multiplies by; "" allows none
	examples []string
}{
	Count:         {map[string]float64{"": 1}, []string{`">= 3.5"`, `"1..3"`, `"0"`, "{min: 1, max: 3}"}},
	Fraction:      {map[string]float64{"": 1, "%": 0.01}, []string{`"<= 2%"`, `"1%..5%"`, `"0"`, "{min: 1%, max: 5%}"}},
	Milliseconds:  {map[string]float64{"us": 1e-3, "µs": 1e-3, "ms": 1, "s": 1e3, "m": 60e3}, []string{`"<= 150ms"`, `"10ms..80ms"`, `"0"`, "{min: 10ms, max: 80ms}"}},
	BitsPerSecond: {map[string]float64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}, []string{`">= 30kbit"`, `"300kbit..2mbit"`, `"0"`, "{min: 300kbit, max: 2mbit}"}},
}

// Text writes a value, for example "12.5 ms", "2 %" or "40 kbit/s".
func (u Unit) Text(v float64) string {
	number := func(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }
	switch u {
	case Fraction:
		return number(v*100) + " %"
	case Milliseconds:
		return number(v) + " ms"
	case BitsPerSecond:
		if v >= 1e6 {
			return number(v/1e6) + " Mbit/s"
		}
		return number(v/1e3) + " kbit/s"
	default:
		return number(v)
	}
}

// parse reads one quantity, for example "150ms".
func (u Unit) parse(text string) (float64, error) {
	text = strings.TrimSpace(text)
	digits := strings.TrimRight(text, "%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZµ ")
	suffix := strings.TrimSpace(text[len(digits):])
	if strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	if v == 0 && suffix == "" {
		return 0, nil
	}
	scale, ok := unitForms[u].suffixes[suffix]
	switch {
	case !ok && suffix == "":
		return 0, fmt.Errorf("%q has no unit", text)
	case !ok:
		return 0, fmt.Errorf("%q has a unit that does not fit here", text)
	}
	if v *= scale; u == Fraction && v > 1 {
		return 0, fmt.Errorf("%q is more than the whole", text)
	}
	return v, nil
}

// read turns what the file holds into bounds in the unit of the key.
func (r *Range) read(u Unit) error {
	raw := r.raw
	r.raw = nil
	switch raw := raw.(type) {
	case nil:
		return fmt.Errorf("no value")
	case map[string]any:
		return r.readBounds(u, raw)
	case string, int, int64, uint64, float64:
		return r.readForm(u, fmt.Sprint(raw))
	default:
		return fmt.Errorf("%v is not a range", raw)
	}
}

func (r *Range) readForm(u Unit, text string) error {
	text = strings.TrimSpace(text)
	if low, high, ok := strings.Cut(text, ".."); ok {
		return r.set(u, &low, &high)
	}
	if high, ok := strings.CutPrefix(text, "<="); ok {
		return r.set(u, nil, &high)
	}
	if low, ok := strings.CutPrefix(text, ">="); ok {
		return r.set(u, &low, nil)
	}
	return r.set(u, &text, &text)
}

func (r *Range) readBounds(u Unit, bounds map[string]any) error {
	var low, high *string
	for key, value := range bounds {
		text := fmt.Sprint(value)
		switch key {
		case "min":
			low = &text
		case "max":
			high = &text
		default:
			return fmt.Errorf("a range has no key %q", key)
		}
	}
	if low == nil && high == nil {
		return fmt.Errorf("a range without bounds")
	}
	return r.set(u, low, high)
}

func (r *Range) set(u Unit, low, high *string) error {
	for _, bound := range []struct {
		text *string
		to   **float64
	}{{low, &r.Min}, {high, &r.Max}} {
		if bound.text == nil {
			continue
		}
		v, err := u.parse(*bound.text)
		if err != nil {
			return err
		}
		*bound.to = &v
	}
	if r.Min != nil && r.Max != nil && *r.Min > *r.Max {
		return fmt.Errorf("%s is more than %s", u.Text(*r.Min), u.Text(*r.Max))
	}
	return nil
}
