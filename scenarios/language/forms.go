package language

import "fmt"

// The short forms of steps: a value that has one field may stand for the mapping.

// UnmarshalYAML reads "alice" or {by: alice}.
func (o *One) UnmarshalYAML(decode func(any) error) error {
	type full One
	return shortOr(decode, &o.By, (*full)(o), "a participant's name")
}

// UnmarshalYAML reads "bob" or {by: bob}.
func (a *Answer) UnmarshalYAML(decode func(any) error) error {
	type full Answer
	return shortOr(decode, &a.By, (*full)(a), "a participant's name")
}

// UnmarshalYAML reads "bob" or {by: bob, reason: busy}.
func (r *Reject) UnmarshalYAML(decode func(any) error) error {
	type full Reject
	return shortOr(decode, &r.By, (*full)(r), "a participant's name")
}

// UnmarshalYAML reads "10s", {within: 10s}, {} or nothing.
func (c *Connect) UnmarshalYAML(decode func(any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if value == nil {
		return nil
	}
	type full Connect
	return shortOr(decode, &c.Within, (*full)(c), "a time such as 10s, {}")
}

// UnmarshalYAML reads "3s" or {for: 3s}.
func (w *Wait) UnmarshalYAML(decode func(any) error) error {
	type full Wait
	return shortOr(decode, &w.For, (*full)(w), "a time such as 3s")
}

// shortOr decodes a single value into short, a mapping into full.
func shortOr(decode func(any) error, short, full any, wanted string) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	switch value.(type) {
	case map[string]any:
		return decode(full)
	case []any:
		return fmt.Errorf("found a list, wanted %s or a mapping", wanted)
	case nil:
		return fmt.Errorf("found nothing, wanted %s or a mapping", wanted)
	default:
		return decode(short)
	}
}
