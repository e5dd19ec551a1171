package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/cmd/callpath/server"
)

// newKeys are the commands for the keys that the chats of a running server are
// encrypted with.
func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Show, rotate, revoke and restore the keys that protect the chats of callpath serve",
		Long: strings.TrimSpace(`
Show, rotate, revoke and restore the keys that protect the chats of the running
server, after the hierarchy of Microsoft Purview Customer Key: two root keys in
the vault, either of which unwraps the keys of the data encryption policy, which
encrypt the messages. With one root key revoked the other is the recovery; with
both revoked no chat can be read or written, at once, until one is restored.`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		operate("show", "Show the data encryption policy: root keys, and how often its key was rotated", func(ctx context.Context, out io.Writer, c server.Control, _ []string) error {
			p, err := c.CustomerKeys(ctx)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "policy %s of %s: root keys %s and %s, key version %d\n", p.Name, p.Tenant, p.Roots[0], p.Roots[1], p.Versions)
			return err
		}),
		operate("rotate", "Make a new key of the policy for new messages; both root keys must be usable", func(ctx context.Context, _ io.Writer, c server.Control, _ []string) error {
			return c.RotateCustomerKey(ctx)
		}),
		operate("revoke ROOT", "Make a root key unusable at once", func(ctx context.Context, _ io.Writer, c server.Control, args []string) error {
			return c.RevokeRootKey(ctx, args[0])
		}),
		operate("restore ROOT", "Make a revoked root key usable again", func(ctx context.Context, _ io.Writer, c server.Control, args []string) error {
			return c.RestoreRootKey(ctx, args[0])
		}))
	return cmd
}
