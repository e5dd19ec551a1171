package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/diagram"
	"github.com/callpath/callpath/topology/document"
)

func newTopology() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topology",
		Short: "List and draw the documented topologies",
		// Without these, cobra takes a misspelt command for a wish for help.
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTopologyList(), newTopologyShow())
	return cmd
}

func newTopologyList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the catalogue of topologies",
		Example: "  callpath topology list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []listed
			for _, name := range topology.Catalog() {
				n, err := topology.Named(name)
				if err != nil {
					return fault(fmt.Errorf("catalogue: %w", err))
				}
				all = append(all, listed{Name: name, Title: n.Title, Source: n.Source})
			}
			return printList(cmd.OutOrStdout(), all, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// drawings are the formats of a diagram.
var drawings = map[string]func(*topology.Network, diagram.Options) string{
	"text":    diagram.Text,
	"mermaid": diagram.Mermaid,
	"svg":     diagram.SVG,
}

func newTopologyShow() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Draw a topology with its numbered flows",
		Example: strings.Trim(`
  callpath topology show fig3-external-relayed
  callpath topology show --format svg fig5-vpn-internal-relayed > fig5.svg
  callpath topology show --format yaml case2-stun > mine.yaml`, "\n"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format == "yaml" {
				return showSource(cmd, args[0])
			}
			draw, ok := drawings[format]
			if !ok {
				return input(fmt.Errorf("--format %q: wanted text, mermaid, svg or yaml", format))
			}
			n, err := loadTopology(args[0])
			if err != nil {
				return input(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(draw(n, diagram.Options{Flows: true}), "\n"))
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, mermaid, svg, or yaml (a catalogue entry's source)")
	return cmd
}

func showSource(cmd *cobra.Command, name string) error {
	if err := inCatalog(name); err != nil {
		return input(err)
	}
	data, err := topology.Source(name)
	if err != nil {
		return fault(err)
	}
	_, err = cmd.OutOrStdout().Write(data)
	return err
}

func loadTopology(name string) (*topology.Network, error) {
	if slices.Contains(topology.Catalog(), name) {
		return topology.Named(name)
	}
	if !isPath(name) {
		return nil, inCatalog(name)
	}
	data, err := document.Read(name)
	if err != nil {
		return nil, err
	}
	return topology.Parse(name, data)
}

func inCatalog(name string) error {
	if slices.Contains(topology.Catalog(), name) {
		return nil
	}
	text := fmt.Sprintf("no topology %q in the catalogue; valid: %s", name, strings.Join(topology.Catalog(), ", "))
	if near := document.Nearest(name, topology.Catalog()); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf("%s", text)
}
