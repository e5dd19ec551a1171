package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newRoot(out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "callpath",
		Short: "Run the call flows of Teams and Azure Communication Services on one machine",
		Long: strings.TrimSpace(`
callpath reproduces the call-flow topologies that Azure Communication Services
and Microsoft Teams document, with real ICE, TURN, DTLS and SRTP over an internet
in user space, and says which path the encrypted media took, why, and whether
that met what a scenario file expects.

Exit codes: 0 every expectation met; 1 an expectation not met; 2 unusable input;
3 a fault of callpath or of what it needs.`),
		Example: strings.Trim(`
  callpath run fig3-external-relayed
  callpath run --jobs 4 --report report.html all
  callpath topology show fig5-vpn-internal-relayed`, "\n"),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(out)
	root.SetErr(errOut)
	root.AddCommand(newRun(), newInspect(), newList(), newValidate(), newSchema(), newTopology(), newBench(), newBenchSubject(), newBenchLoader())
	root.AddCommand(newLoad(), newLoadServer())
	root.AddCommand(newServe())
	root.AddCommand(newExplain())
	root.AddCommand(newIdentity())
	root.AddCommand(newKeys())
	return root
}
