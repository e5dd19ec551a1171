package topology

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/callpath/callpath/topology/document"
)

// Parse reads a topology file. The result is validated and complete. An error is of
// type document.Errors and holds every finding.
func Parse(file string, data []byte) (*Network, error) {
	d, err := document.Parse(file, data)
	if err != nil {
		return nil, err
	}
	return FromDocument(d, "")
}

// FromDocument reads the topology that stands at path of a document, for example
// inline in a scenario; the empty path is the whole document. The result is
// validated and complete. An error is of type document.Errors.
func FromDocument(d *document.Document, path string) (*Network, error) {
	n := new(Network)
	if err := d.DecodeAt(path, n); err != nil {
		return nil, err
	}
	if err := n.complete(d, path); err != nil {
		return nil, err
	}
	return n, nil
}

//go:embed catalog/*.yaml
var catalog embed.FS

// Catalog returns the names of the documented topologies, sorted.
func Catalog() []string {
	entries, err := catalog.ReadDir("catalog")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	names := make([]string, len(entries)) // ReadDir sorts
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}

// Source returns the YAML of a documented topology. The error for an unknown name
// is a *document.Error.
func Source(name string) ([]byte, error) {
	for _, known := range Catalog() {
		if known == name {
			return catalog.ReadFile(path.Join("catalog", name+".yaml"))
		}
	}
	var anywhere *document.Document
	return nil, anywhere.Error("", fmt.Sprintf("no topology %q in the catalogue", name), Catalog()...)
}

// Named returns a fresh copy of a documented topology.
func Named(name string) (*Network, error) {
	data, err := Source(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".yaml", data)
}
