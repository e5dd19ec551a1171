package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/scenarios/language"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check scenario files without running them",
		Long: `Check scenario files without running them. Every error names file, line, column
and what would be valid. Exit code 2 when a file has errors.`,
		Example: "  callpath validate meeting.yaml\n  callpath validate all",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bad := false
			for _, name := range expand(args) {
				s, err := load(name)
				if err != nil {
					bad = true
					fmt.Fprintln(cmd.ErrOrStderr(), err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: valid, %d participants, %d steps\n",
					name, len(s.Participants), len(s.Steps))
			}
			if bad {
				return input(errTold)
			}
			return nil
		},
	}
}

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of scenario files",
		Example: "  callpath schema > scenario.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(language.Schema())
			return err
		},
	}
}
