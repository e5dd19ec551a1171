package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/library"
	"github.com/callpath/callpath/topology/document"
)

// allScenarios stands for every scenario of the library on the command line.
const allScenarios = "all"

// load reads a scenario by a library name, or by a path to a file. A name that
// is neither is refused with the nearest name of the library.
func load(name string) (*language.Scenario, error) {
	if slices.Contains(library.Names(), name) {
		data, err := library.Read(name)
		if err != nil {
			return nil, err
		}
		return language.Parse(name+".yaml", data)
	}
	if !isPath(name) {
		text := fmt.Sprintf("no scenario %q in the library, and no file of that name", name)
		if near := document.Nearest(name, library.Names()); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, errors.New(text + " (callpath list shows the library)")
	}
	return language.Load(name)
}

// isPath tells a file from a misspelt name of the library.
func isPath(name string) bool {
	if strings.ContainsRune(name, filepath.Separator) || filepath.Ext(name) != "" {
		return true
	}
	_, err := os.Stat(name)
	return err == nil
}

// expand puts the library's names in the place of "all", each scenario once.
func expand(args []string) []string {
	var names []string
	for _, arg := range args {
		add := []string{arg}
		if arg == allScenarios {
			add = library.Names()
		}
		for _, name := range add {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

type listed struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Source string `json:"source,omitempty"`
}

func newList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the scenarios of the library",
		Example: "  callpath list\n  callpath list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []listed
			for _, name := range library.Names() {
				s, err := load(name)
				if err != nil {
					return fault(fmt.Errorf("library: %w", err))
				}
				all = append(all, listed{Name: name, Title: s.Title, Source: s.Source})
			}
			return printList(cmd.OutOrStdout(), all, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printList(w io.Writer, all []listed, asJSON bool) error {
	if asJSON {
		return printJSON(w, all)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range all {
		fmt.Fprintf(table, "%s\t%s\n", l.Name, l.Title)
	}
	return table.Flush()
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
