package library_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/scenarios/expect"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/scenarios/runner"
	"github.com/callpath/callpath/topology"
)

// few are the scenarios of which each expectation is inverted in every test run: short
// ones, of each kind. CALLPATH_LIBRARY=all inverts the whole library.
var few = []string{
	"call-rejected", "fig2-intranet", "case4-group-udp", "policy-auto-admitted-users", "policy-designated-presenter-role-mode",
	"chat-data-loss-prevention", "chat-customer-key", "region-of-the-first-participant",
}

// Each expectation of a scenario decides something: the run that meets it does not
// meet the opposite.
func TestAnInvertedExpectationIsNeverMet(t *testing.T) {
	names := few
	if os.Getenv("CALLPATH_LIBRARY") == "all" {
		names = library.Names()
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := library.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			parse := func() *language.Scenario {
				s, err := language.Parse(name+".yaml", data)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			r := runner.Run(context.Background(), parse(), runner.Options{})
			if r.Error != "" {
				t.Fatal(r.Error)
			}
			stated := 0
			for _, c := range r.Checks {
				if !strings.HasPrefix(c.Key, "always.") {
					stated++
				}
				if !c.Met && !timed(c.Key) {
					t.Errorf("as it stands: %s %s: wanted %s, seen %s", c.Key, c.About, c.Wanted, c.Seen)
				}
			}
			inverted := 0
			for path := range inversions(parse(), nil) {
				s := parse()
				inversions(s, func(at string) bool { return at == path })
				if met := metAt(expect.Check(s, r), path); met != "" {
					t.Errorf("%s inverted is met: %s", path, met)
				}
				inverted++
			}
			if inverted == 0 || stated == 0 {
				t.Errorf("%d expectations were inverted of %d", inverted, stated)
			}
		})
	}
}

// timed is true for what depends on how fast the machine is.
func timed(key string) bool {
	last := key[strings.LastIndexByte(key, '.')+1:]
	return slices.Contains([]string{"setup-within", "loss", "rtt", "jitter", "mos", "bitrate", "freezes", "gap", "dtls-retransmissions"}, last)
}

// metAt is what was seen at a path, when every check there is met or there is none.
func metAt(checks []result.Expectation, path string) string {
	seen := "there is no check of it"
	for _, c := range checks {
		if c.Key != path {
			continue
		}
		if !c.Met {
			return ""
		}
		seen = c.Seen
	}
	return seen
}

// inversions finds the paths of what a scenario expects, and inverts those that change
// says.
func inversions(s *language.Scenario, change func(path string) bool) map[string]bool {
	paths := map[string]bool{}
	walk(reflect.ValueOf(&s.Expect).Elem(), "expect", func(v reflect.Value, path string) {
		if opposite, ok := invert(v, path); ok {
			paths[path] = true
			if change != nil && change(path) {
				v.Set(opposite)
			}
		}
	})
	return paths
}

// walk visits each value that is stated, by its path in the file.
func walk(v reflect.Value, path string, visit func(reflect.Value, string)) {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[language.Range]():
		for i := range v.NumField() {
			name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			at := path + "." + name
			if strings.Contains(options, "inline") {
				at = path
			}
			walk(v.Field(i), at, visit)
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() != reflect.Interface:
		for _, key := range slices.SortedFunc(maps.Keys(keysOf(v)), strings.Compare) {
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(reflect.ValueOf(key)))
			walk(element, path+"."+key, visit)
			v.SetMapIndex(reflect.ValueOf(key), element)
		}
	case !v.IsZero():
		visit(v, path)
	}
}

func keysOf(v reflect.Value) map[string]bool {
	keys := map[string]bool{}
	for _, k := range v.MapKeys() {
		keys[k.String()] = true
	}
	return keys
}

// invert is the opposite of a value, or one that no run can have; it is false for what
// has none, because it allows and does not demand.
func invert(v reflect.Value, path string) (reflect.Value, bool) {
	switch value := v.Interface().(type) {
	case string:
		return reflect.ValueOf(value + "-not"), true
	case *bool:
		if strings.HasSuffix(path, ".intact") {
			return v, false // false allows; it does not demand
		}
		opposite := !*value
		return reflect.ValueOf(&opposite), true
	case *int:
		other := *value + 1
		return reflect.ValueOf(&other), true
	case *language.Range:
		never := 1e15
		return reflect.ValueOf(&language.Range{Min: &never}), true
	case uint16:
		return reflect.ValueOf(value + 1), true
	case language.Duration:
		return reflect.ValueOf(language.Duration(1)), true
	case []topology.Flow:
		return reflect.ValueOf(append(slices.Clone(value), "9")), true
	case []string:
		if strings.HasSuffix(path, ".pair") {
			return reflect.ValueOf([]string{"no-" + value[0], value[1]}), true
		}
		return reflect.ValueOf(append(slices.Clone(value), "nobody-of-this-name")), true
	case language.Course:
		return reflect.ValueOf(append(slices.Clone(value), language.Stay{Place: "elsewhere"})), true
	}
	panic(fmt.Sprintf("%s: nothing says how %T is inverted", path, v.Interface()))
}
