package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/cmd/callpath/server"
)

func newExplain() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain ADDRESS…",
		Short: "Say whether the relay lets its clients reach a peer, and by which rule",
		Long: strings.TrimSpace(`
Say whether a relay with this configuration, started on this machine, lets its
clients reach a peer, and by which rule. The rules have the names that the audit
log gives them. Exit code 1 when a peer is denied.`),
		Example: strings.Trim(`
  callpath explain 10.0.0.5
  callpath explain --config callpath.yaml 2002:7f00:1:: 203.0.113.9
  callpath explain --relay-peers-allow 10.0.0.0/8 10.0.0.5`, "\n"),
		Args: cobra.MinimumNArgs(1),
	}
	load := configFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load(cmd)
		if err != nil {
			return input(err)
		}
		var verdicts []server.Verdict
		denied := false
		for _, arg := range args {
			peer, err := parsePeer(arg)
			if err != nil {
				return input(err)
			}
			v, err := cfg.Explain(peer)
			if err != nil {
				return fault(err)
			}
			verdicts = append(verdicts, v)
			denied = denied || !v.Allowed
		}
		if err := printVerdicts(cmd, verdicts, asJSON); err != nil {
			return err
		}
		if denied {
			return &exitError{exitUnmet, errTold}
		}
		return nil
	}
	return cmd
}

// parsePeer takes an address, with or without a port, as logs have it.
func parsePeer(s string) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr(), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return addr, fmt.Errorf("%q is no address; valid: an address such as 192.0.2.1 or 2001:db8::1, with or without a port", s)
	}
	if addr.Zone() != "" {
		return addr, errors.New("a peer's address has no zone")
	}
	return addr, nil
}

func printVerdicts(cmd *cobra.Command, verdicts []server.Verdict, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), verdicts)
	}
	for _, v := range verdicts {
		word, rule := "allowed", ""
		if !v.Allowed {
			word = "denied"
		}
		if v.Rule != "" {
			rule = " by rule " + v.Rule
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s%s: %s\n", v.Peer, word, rule, v.Why); err != nil {
			return err
		}
	}
	return nil
}
