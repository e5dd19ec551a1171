// Package library holds the scenario files that come with callpath.
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
	matches, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil // the pattern is well formed
	}
	names := make([]string, len(matches))
	for i, m := range matches {
		names[i] = strings.TrimSuffix(m, ".yaml")
	}
	return names
}

// Read returns the YAML of one scenario.
func Read(name string) ([]byte, error) {
	data, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no scenario %q in the library", name)
	}
	return data, nil
}
