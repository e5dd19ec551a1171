package document_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/topology/document"
)

// level is a type with a text form.
type level int

func (l *level) UnmarshalText(b []byte) error {
	words := []string{"low", "high"}
	i := slices.Index(words, string(b))
	if i < 0 {
		var none *document.Document
		return none.Error("", fmt.Sprintf("no level %q", b), words...)
	}
	*l = level(i + 1)
	return nil
}

// who is a type with two forms: a name, or a mapping.
type who struct {
	Name string `yaml:"name"`
	Age  uint8  `yaml:"age,omitempty"`
}

func (w *who) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&w.Name) == nil {
		if w.Name == "nobody" {
			return errors.New(`"nobody" is not a name`)
		}
		return nil
	}
	type mapping who
	return unmarshal((*mapping)(w))
}

type base struct {
	Title string `yaml:"title"`
}

type sample struct {
	base    `yaml:"-"`
	Common  base           `yaml:",inline"`
	Level   level          `yaml:"level"`
	People  []who          `yaml:"people"`
	Sizes   map[string]int `yaml:"sizes"`
	Address netip.Addr     `yaml:"address"`
	Prefix  netip.Prefix   `yaml:"prefix"`
	Socket  netip.AddrPort `yaml:"socket"`
	On      *bool          `yaml:"on"`
	Ratio   float64        `yaml:"ratio"`
	Small   int8           `yaml:"small"`
	Any     any            `yaml:"any"`
	Hidden  string         `yaml:"-"`
	Plain   string
}

func parse(t *testing.T, source string) *document.Document {
	t.Helper()
	d, err := document.Parse("a.yaml", []byte(source))
	if err != nil {
		t.Fatalf("Parse(%q): %v", source, err)
	}
	return d
}

func TestDecodesEveryKindOfValue(t *testing.T) {
	d := parse(t, `# a comment
title: "Two: words"
level: high
people: [alice, {name: bob, age: 40}]
sizes:
  a.b: 1
  c: -2
address: 192.0.2.1
prefix: 2001:db8::/32
socket: "[2001:db8::1]:443"
on: false
ratio: 1
small: -128
any: {x: [1, two, true, null, 1.5]}
plain: 1.20
`)
	var got sample
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	off := false
	want := sample{
		Common: base{Title: "Two: words"}, Level: 2,
		People:  []who{{Name: "alice"}, {Name: "bob", Age: 40}},
		Sizes:   map[string]int{"a.b": 1, "c": -2},
		Address: netip.MustParseAddr("192.0.2.1"), Prefix: netip.MustParsePrefix("2001:db8::/32"),
		Socket: netip.MustParseAddrPort("[2001:db8::1]:443"), On: &off, Ratio: 1, Small: -128,
		Any:   map[string]any{"x": []any{1.0, "two", true, nil, 1.5}},
		Plain: "1.20",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestErrorsNamePlaceAndWhatIsValid(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"unknown key", "titel: x", `a.yaml:1:1: titel: unknown key "titel"; valid: title, level, people, sizes, address, prefix, socket, on, ratio, small, any, plain; did you mean "title"?`},
		{"unknown key inside", "people:\n  - nmae: x", `a.yaml:2:5: people[0].nmae: unknown key "nmae"; valid: name, age; did you mean "name"?`},
		{"hidden field", "hidden: x", `a.yaml:1:1: hidden: unknown key "hidden"; valid: title, level, people, sizes, address, prefix, socket, on, ratio, small, any, plain`},
		{"own word", "level: hihg", `a.yaml:1:8: level: no level "hihg"; valid: low, high; did you mean "high"?`},
		{"own word, wrong kind", "level: [low]", `a.yaml:1:8: level: found a list, wanted a single value`},
		{"own form", "people:\n- nobody", `a.yaml:2:3: people[0]: "nobody" is not a name`},
		{"own form, inner place", "people:\n- name: a\n  age: 300", `a.yaml:3:8: people[0].age: found the number 300, wanted a whole number from 0 to 255`},
		{"text for list", "people: alice", `a.yaml:1:9: people: found "alice", wanted a list, written [alice]`},
		{"mapping for list", "people: {a: b}", `a.yaml:1:10: people: found a mapping, wanted a list`},
		{"list for mapping", "sizes: [1]", `a.yaml:1:8: sizes: found a list, wanted a mapping`},
		{"text for number", "small: tall", `a.yaml:1:8: small: found "tall", wanted a whole number from -128 to 127`},
		{"fraction for whole number", "small: 1.5", `a.yaml:1:8: small: found the number 1.5, wanted a whole number from -128 to 127`},
		{"text for fraction", "ratio: '1'", `a.yaml:1:8: ratio: found "1", wanted a number`},
		{"boolean for text", "title: true", `a.yaml:1:8: title: found the boolean true, wanted text; if that is meant, write "true"`},
		{"text for boolean", "on: yes", `a.yaml:1:5: on: found "yes", wanted true or false`},
		{"nothing for text", "level: low\ntitle:\n", `a.yaml:2:1: title: found nothing, wanted text`},
		{"address", "address: 192.0.2.300", `a.yaml:1:10: address: found "192.0.2.300", wanted an address such as 192.0.2.1 or 2001:db8::1`},
		{"empty address", "address: ''", `a.yaml:1:10: address: found "", wanted an address such as 192.0.2.1 or 2001:db8::1`},
		{"prefix", "prefix: 192.0.2.0", `a.yaml:1:9: prefix: found "192.0.2.0", wanted a prefix such as 192.0.2.0/24 or 2001:db8::/64`},
		{"socket", "socket: 5", `a.yaml:1:9: socket: found the number 5, wanted an address and port such as 192.0.2.1:443`},
		{"not a mapping at all", "hello", `a.yaml:1:1: found "hello", wanted a mapping with the keys title, level, people, sizes, address, prefix, socket, on, ratio, small, any, plain`},
		{"all findings, by place", "small: x\nzzz: 1\nratio: y", "a.yaml:1:8: small: found \"x\", wanted a whole number from -128 to 127\n" +
			"a.yaml:2:1: zzz: unknown key \"zzz\"; valid: title, level, people, sizes, address, prefix, socket, on, ratio, small, any, plain\n" +
			`a.yaml:3:8: ratio: found "y", wanted a number`},
		{"long text is cut", "ratio: " + strings.Repeat("é", 100), `a.yaml:1:8: ratio: found "` + strings.Repeat("é", 30) + `"…, wanted a number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := parse(t, c.source).Decode(&sample{})
			if err == nil || err.Error() != c.want {
				t.Errorf("%s\ngot  %v\nwant %s", c.source, err, c.want)
			}
		})
	}
}

func TestRefusesBeforeDecoding(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"empty", "", "a.yaml:1:1: the file is empty"},
		{"only space", " \n\n", "a.yaml:1:1: the file is empty"},
		{"only comments", "# a\n# b\n", "a.yaml:1:1: the file is empty, or has nothing but comments"},
		{"too large", strings.Repeat("#", document.MaxSize+1), "a.yaml:1:1: the file is too large; wanted at most 1048576 bytes"},
		{"invalid UTF-8", "a: b\nc: é\xff\n", "a.yaml:2:5: the byte 0xff is not UTF-8; save the file as UTF-8"},
		{"tab", "a:\n\tb: c", "a.yaml:2:1: a tab; use spaces"},
		{"control character", "a: \x00", "a.yaml:1:4: the control character U+0000; remove it"},
		{"two documents", "a: b\n---\nc: d\n", "a.yaml:3:2: a second document begins here; wanted one document in a file"},
		{"duplicate key", "a: 1\nb: 2\na: 3\n", `a.yaml:3:1: a: key "a" stands twice; the first is on line 1`},
		{"duplicate key inside", "x:\n- {a: 1, a: 2}\n", `a.yaml:2:10: x[0].a: key "a" stands twice; the first is on line 2`},
		{"anchor", "a: &x [1]\n", "a.yaml:1:4: an anchor (&) is not accepted here"},
		{"alias", "a: *x\n", "a.yaml:1:4: an alias (*); quote a value that begins with * is not accepted here"},
		{"merge", "a:\n  <<: {b: c}\n", "a.yaml:2:3: a merge key (<<) is not accepted here"},
		{"tag", "a: !!str 1\n", "a.yaml:1:4: a tag (!) is not accepted here"},
		{"directive", "%YAML 1.2\n---\na: b\n", "a.yaml:1:1: a directive (%) is not accepted here"},
		{"complex key", "? [a]\n: b\n", "a.yaml:1:1: a complex key (?) is not accepted here"},
		{"deep flow", "a: " + strings.Repeat("[", 100), "a.yaml:1:68: nested deeper than 64 levels"},
		{"deep block on a line", strings.Repeat("- ", 100) + "a", "a.yaml:1:129: nested deeper than 64 levels"},
		{"deep indentation", "a:\n" + strings.Repeat(" ", 300) + "b: c", "a.yaml:2:301: indented by 300 columns; wanted at most 200"},
		{"too many values", strings.Repeat("- a\n", 100_001), "a.yaml:1:1: the file has 200002 YAML tokens; wanted at most 200000"},
		{"colon inside brackets", "a: {b: [10.0.0.0/8, 2001:db8::/64]}\n", "a.yaml:1:21: a.b[1]: a value with a colon inside brackets; write it in quotes, or a mapping in braces"},
		{"unclosed", "a: [1, 2\n", "a.yaml:1:4: sequence end token ']' not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := document.Parse("a.yaml", []byte(c.source))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if _, ok := errors.AsType[document.Errors](err); !ok {
				t.Errorf("error is a %T, wanted document.Errors", err)
			}
			if _, ok := errors.AsType[*document.Error](err); !ok {
				t.Errorf("no *document.Error within %T", err)
			}
		})
	}
}

func TestAcceptsByteOrderMarkAndWindowsLineEnds(t *testing.T) {
	d := parse(t, "\xef\xbb\xbftitle: x\r\npeople: [a]\r\n")
	var s sample
	if err := d.Decode(&s); err != nil || s.Common.Title != "x" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestPathsLeadToPlaces(t *testing.T) {
	d := parse(t, `title: x
steps:
  - call: {from: alice, to: bob}
  - wait: 3s
names:
  a.b:
    c: "1"
`)
	for _, c := range []struct {
		path         string
		line, column int
		has          bool
	}{
		{"", 1, 1, true},
		{"title", 1, 8, true},
		{"steps", 2, 1, true},
		{"steps[0]", 3, 5, true},
		{"steps[0].call", 3, 5, true},
		{"steps[0].call.to", 3, 29, true},
		{"steps[1].wait", 4, 11, true},
		{"steps[1].wait.for", 4, 11, false},
		{"steps[2]", 2, 1, false},
		{"steps[x]", 2, 1, false},
		{"steps[0].answer.by", 3, 5, false},
		{"names.a.b.c", 7, 8, true},
		{"names.a", 5, 1, false},
		{"title[0]", 1, 8, false},
		{"nothing", 1, 1, false},
	} {
		line, column := d.At(c.path)
		if line != c.line || column != c.column || d.Has(c.path) != c.has {
			t.Errorf("%q: got %d:%d, %v; want %d:%d, %v", c.path, line, column, d.Has(c.path), c.line, c.column, c.has)
		}
	}
	if got := d.Keys(""); !slices.Equal(got, []string{"title", "steps", "names"}) {
		t.Errorf("Keys: got %q", got)
	}
	if d.Keys("title") != nil || d.Len("steps") != 2 || d.Len("nothing") != 0 {
		t.Errorf("Keys(title) = %q, Len(steps) = %d, Len(nothing) = %d", d.Keys("title"), d.Len("steps"), d.Len("nothing"))
	}
	if got, ok := d.Text("names.a.b.c"); got != "1" || !ok {
		t.Errorf("Text: got %q, %v", got, ok)
	}
	if _, ok := d.Text("steps"); ok {
		t.Error("Text of a list: wanted none")
	}
}

func TestDecodesSubtree(t *testing.T) {
	d := parse(t, "x:\n- name: bob\n  age: old\n")
	var w who
	err := d.DecodeAt("x[0]", &w)
	if want := `a.yaml:3:8: x[0].age: found "old", wanted a whole number from 0 to 255`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	err = d.DecodeAt("x[3]", &w)
	if want := "a.yaml:1:1: x[3]: is missing"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := d.DecodeAt("x", w); err == nil {
		t.Error("decoding into no pointer: wanted an error")
	}
}

func TestErrorProposesTheNearestWord(t *testing.T) {
	d := parse(t, "from: alcie\nlist: [a]\n")
	for _, c := range []struct {
		path, problem string
		valid         []string
		want          string
	}{
		{"from", `no participant "alcie"`, []string{"alice", "bob"}, `a.yaml:1:7: from: no participant "alcie"; valid: alice, bob; did you mean "alice"?`},
		{"from", "not known", []string{"alice"}, `a.yaml:1:7: from: not known; valid: alice; did you mean "alice"?`},
		{"list", "too short", nil, "a.yaml:2:1: list: too short"},
	} {
		if got := d.Error(c.path, c.problem, c.valid...).Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	var none *document.Document
	if got, want := none.Error("a.b", `no "x"`).Error(), `a.b: no "x"`; got != want {
		t.Errorf("without a document: got %s, want %s", got, want)
	}
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprint("word", i)
	}
	if got := d.Error("from", "no", many...).Error(); !strings.HasSuffix(got, "word23 and 6 more") {
		t.Errorf("long list: got %s", got)
	}
}

func TestNearest(t *testing.T) {
	valid := []string{"alice", "bob", "port-restricted-cone", "udp"}
	for word, want := range map[string]string{
		"alcie": "alice", "Alice": "alice", "alic": "alice", "bobb": "bob",
		"port_restricted_cone": "port-restricted-cone", "port-restircted-cone": "port-restricted-cone",
		"udo": "udp", "tcp": "", "": "", "carol": "", "alice": "", "xyz": "", "d": "",
		strings.Repeat("a", 100): "",
	} {
		if got := document.Nearest(word, valid); got != want {
			t.Errorf("Nearest(%q): got %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a: b", "- a\n- {b: c, d: [e, 1, 2.5, true, null]}", "a: |\n  text\n  more\n", "a: >-\n  b\n",
		"title: \"\\u00e9\"\npeople: ['x']", "? a\n: b", "a: &x b\nc: *x", "---\na: b\n...\n", "a: b: c", "[", "{a", "'",
		"a:\n - b\n -c\n", "!!binary x", "%TAG ! x\n---\n", "\"a\": 1\n'b': 2\n1: 3\ntrue: 4\nnull: 5\n~: 6\n", "a: .inf\nb: .nan\nc: 0x1F\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := document.Parse("f.yaml", data)
		if err != nil {
			for _, e := range err.(document.Errors) {
				if e.Line < 1 || e.Column < 1 {
					t.Errorf("%v: no place", e)
				}
			}
			return
		}
		var s sample
		if err := d.Decode(&s); err != nil {
			for _, e := range err.(document.Errors) {
				if e.Line < 1 || e.Column < 1 {
					t.Errorf("%v: no place", e)
				}
			}
		}
		var anything any
		if err := d.Decode(&anything); err != nil {
			t.Errorf("decoding into anything: %v", err)
		}
	})
}

func TestReadTakesNoMoreThanADocumentMayHold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(file, make([]byte, 3*document.MaxSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := document.Read(file); err != nil || len(data) != document.MaxSize+1 {
		t.Errorf("got %d bytes and %v, wanted %d", len(data), err, document.MaxSize+1)
	}
}
