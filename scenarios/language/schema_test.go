package language

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/topology/document"
)

// plain reads YAML as the values of JSON.
func plain(t *testing.T, file string, data []byte) any {
	t.Helper()
	d, err := document.Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	content, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("scenario.json", content); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("scenario.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemaAcceptsTheLibrary(t *testing.T) {
	s := compiled(t)
	for _, name := range library.Names() {
		data, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(plain(t, name, data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Both accept what is good, and the schema refuses each of the bad files whose
// fault a schema can see.
func TestSchemaAndLoaderAgree(t *testing.T) {
	s := compiled(t)
	for _, file := range files(t, "good") {
		if err := s.Validate(plain(t, file, read(t, file))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, file := range files(t, "bad") {
		base := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if !slices.Contains(seenBySchema, base) {
			continue
		}
		if s.Validate(plain(t, file, read(t, file))) == nil {
			t.Errorf("the schema accepts %s", file)
		}
	}
}

// seenBySchema are the bad files in which the shape itself is wrong; in the
// others something points nowhere or contradicts.
var seenBySchema = []string{
	"words", "shapes", "ranges", "missing", "unknown-keys", "two-in-one", "inline-topology", "limits",
}

// The model and the schema have the same keys, everywhere.
func TestSchemaHasTheKeysOfTheModel(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	c := &comparison{t: t, root: root, seen: map[string]bool{}}
	c.structure(reflect.TypeFor[form](), root, "")
	if len(c.seen) < 20 {
		t.Errorf("only %d structures were compared", len(c.seen))
	}
}

type comparison struct {
	t    *testing.T
	root map[string]any
	seen map[string]bool
}

// structure compares a struct's keys with the properties of a schema.
func (c *comparison) structure(typ reflect.Type, schema map[string]any, path string) {
	object := c.object(schema)
	if object == nil {
		c.t.Errorf("%s: the schema has no object for %s", path, typ)
		return
	}
	if object["additionalProperties"] != false {
		c.t.Errorf("%s: the schema is not closed", path)
	}
	properties, _ := object["properties"].(map[string]any)
	fields := map[string]reflect.Type{}
	fieldsOf(typ, fields)
	for _, key := range sorted(fields) {
		property, ok := properties[key].(map[string]any)
		if !ok {
			c.t.Errorf("%s.%s is in %s, not in the schema", path, key, typ)
			continue
		}
		if c.description(property) == "" {
			c.t.Errorf("%s.%s has no description in the schema", path, key)
		}
		c.value(fields[key], property, path+"."+key)
	}
	for _, key := range sorted(properties) {
		if _, ok := fields[key]; !ok {
			c.t.Errorf("%s.%s is in the schema, not in %s", path, key, typ)
		}
	}
	c.seen[typ.String()] = true
}

// value follows a field's type down to the structs in it.
func (c *comparison) value(typ reflect.Type, schema map[string]any, path string) {
	switch typ.Name() {
	case "Who", "Course", "Settings":
		return // forms of their own
	}
	switch typ.Kind() {
	case reflect.Pointer:
		c.value(typ.Elem(), schema, path)
	case reflect.Slice:
		items, ok := c.resolve(schema)["items"].(map[string]any)
		if !ok {
			c.t.Errorf("%s: the schema has no items for %s", path, typ)
			return
		}
		c.value(typ.Elem(), items, path+"[]")
	case reflect.Map:
		values, ok := c.resolve(schema)["additionalProperties"].(map[string]any)
		if !ok {
			c.t.Errorf("%s: the schema has no values for %s", path, typ)
			return
		}
		c.value(typ.Elem(), values, path+".*")
	case reflect.Struct:
		if typ.PkgPath() == "net/netip" || typ.Name() == "PortRange" || typ.Name() == "Range" {
			return // single values, or forms of their own
		}
		c.structure(typ, schema, path)
	case reflect.Interface:
		// The inline topology.
		c.structure(networkType, schema, path)
	}
}

// resolve follows all references.
func (c *comparison) resolve(schema map[string]any) map[string]any {
	for next := c.follow(schema); next != nil; next = c.follow(schema) {
		schema = next
	}
	return schema
}

// follow follows one reference; it returns nil when there is none.
func (c *comparison) follow(schema map[string]any) map[string]any {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return nil
	}
	at := any(c.root)
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	next, ok := at.(map[string]any)
	if !ok {
		c.t.Fatalf("the reference %s leads nowhere", ref)
	}
	return next
}

// object finds the alternative of a schema that is a mapping.
func (c *comparison) object(schema map[string]any) map[string]any {
	schema = c.resolve(schema)
	if _, ok := schema["properties"]; ok {
		return schema
	}
	alternatives, _ := schema["anyOf"].([]any)
	for _, a := range alternatives {
		if o := c.object(a.(map[string]any)); o != nil {
			return o
		}
	}
	return nil
}

func (c *comparison) description(schema map[string]any) string {
	for {
		if text, ok := schema["description"].(string); ok {
			return text
		}
		next := c.follow(schema)
		if next == nil {
			return ""
		}
		schema = next
	}
}

// fieldsOf collects the yaml keys of a struct, those of inlined ones among them.
func fieldsOf(typ reflect.Type, into map[string]reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case strings.Contains(options, "inline"):
			fieldsOf(f.Type, into)
		default:
			into[name] = f.Type
		}
	}
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no files in testdata/%s: %v", folder, err)
	}
	return found
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
