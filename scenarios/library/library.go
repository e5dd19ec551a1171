// Package library holds the scenario files that come with callpath: one for each
// documented topology, each variant of negotiation, each refusal that has to be
// one, and what can happen to a call. Each file says in its head what it shows and
// which document it follows.
//
// It knows nothing of what is in them; package language reads them.
package library

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names lists the scenarios, sorted.
func Names() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err) // the files are part of the program
	}
	names := make([]string, len(entries)) // ReadDir sorts
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}

// Read returns the YAML of a scenario. The error for an unknown name matches
// fs.ErrNotExist.
func Read(name string) ([]byte, error) {
	data, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no scenario %q in the library: %w", name, fs.ErrNotExist)
	}
	return data, nil
}
