package webclient

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestAChangedAssetChangesThePathsOfAll(t *testing.T) {
	tree := func(style string) fstest.MapFS {
		return fstest.MapFS{
			"static/index.html": {Data: []byte(`<link href="assets/@version@/style.css">`)},
			"static/style.css":  {Data: []byte(style)},
			"static/main.js":    {Data: []byte("same")},
		}
	}
	paths := func(style string) map[string]bool {
		s, err := load(tree(style))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]bool{}
		for p := range s {
			all[p] = true
		}
		if page := string(s["/"].body); strings.Contains(page, version) {
			t.Errorf("the page still has %s: %s", version, page)
		}
		return all
	}
	before, after := paths("a"), paths("b")
	for p := range before {
		if p != "/" && after[p] {
			t.Errorf("%s stays although an asset has changed", p)
		}
	}
	if again := paths("a"); len(before) != 3 || len(again) != 3 {
		t.Errorf("got %v and %v, wanted the page and two assets", before, again)
	}
	for p := range paths("a") {
		if !before[p] {
			t.Errorf("%s is new although nothing has changed", p)
		}
	}
}

func TestFilesThatCannotBeServedAreRefused(t *testing.T) {
	for name, tree := range map[string]fstest.MapFS{
		"no page":          {"static/main.js": {}},
		"no known type":    {"static/index.html": {}, "static/notes.txt": {}},
		"no static folder": {},
	} {
		if _, err := load(tree); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
