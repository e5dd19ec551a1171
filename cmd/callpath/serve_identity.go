package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/callpath/callpath/cmd/callpath/server"
	"github.com/callpath/callpath/signaling/identity/signin"
	"github.com/callpath/callpath/signaling/identity/user"
)

// newIdentity are the commands around a server's issuer of tokens.
func newIdentity() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "Get an access token from callpath serve; make passwords' hashes; revoke tokens and keys",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newIdentityToken(), newIdentityHash(), newIdentityTOTP(),
		operate("revoke USER", "End all tokens and sign-ins of a user, on the running server", func(ctx context.Context, _ io.Writer, c server.Control, args []string) error {
			return c.RevokeUser(ctx, args[0])
		}),
		operate("rotate", "Begin a rotation of the signing keys: the next one is published, and signs a day later", func(ctx context.Context, _ io.Writer, c server.Control, _ []string) error {
			return c.RotateKeys(ctx)
		}),
		operate("withdraw KEY", "Throw a signing key away at once, with all tokens that it signed", func(ctx context.Context, _ io.Writer, c server.Control, args []string) error {
			return c.WithdrawKey(ctx, args[0])
		}),
		operate("keys", "List the signing keys that are published, in the order in which they sign", func(ctx context.Context, out io.Writer, c server.Control, _ []string) error {
			kids, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(out, strings.Join(kids, "\n"))
			return err
		}))
	return cmd
}

// tokenFlags are those of "callpath identity token".
type tokenFlags struct {
	issuer, ca, password, code string
	scopes                     []string
}

func newIdentityToken() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use:   "token USER",
		Short: "Sign in and print an access token, for scripts",
		Long: strings.TrimSpace(`
Sign a user in with their password and print an access token of the
communication services: what goes after "Authorization: Bearer" to /v1/.

Issuer, authority and password file are those of callpath serve with the same
configuration, so that on the server's own machine the user is all that is
needed. Elsewhere, --issuer, --password-file and perhaps --ca say so.`),
		Example: strings.Trim(`
  callpath identity token alice
  callpath identity token --scope voip --code 123456 bob
  callpath identity token --issuer https://calls.example.org --password-file - alice < password`, "\n"),
		Args: cobra.ExactArgs(1),
	}
	load := configFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.issuer, "issuer", "", "`URL` of the issuer")
	flags.StringVar(&f.ca, "ca", "", "PEM `FILE` of an authority to trust, beside the machine's")
	flags.StringVar(&f.password, "password-file", "", "`FILE` with the password; - is the standard input")
	flags.StringVar(&f.code, "code", "", "one-time `CODE` of the second factor")
	flags.StringSliceVar(&f.scopes, "scope", nil, "scopes of the token, of voip and chat; all that the user may have when empty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load(cmd)
		if err == nil {
			err = f.complete(cfg, args[0])
		}
		if err != nil {
			return input(err)
		}
		source, err := f.source(cmd.InOrStdin(), args[0])
		if err != nil {
			return input(err)
		}
		token, err := source.Token(cmd.Context())
		var refused *signin.Error
		switch {
		case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError:
			return &exitError{exitUnmet, err}
		case err != nil:
			return fault(err)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
		return err
	}
	return cmd
}

// complete takes from the configuration what no flag has said.
func (f *tokenFlags) complete(cfg *server.Config, user string) (err error) {
	if f.issuer == "" {
		if f.issuer, err = cfg.Issuer(); err != nil {
			return err
		}
	}
	if f.ca == "" {
		f.ca = cfg.Authority()
	}
	if f.password == "" {
		f.password, err = cfg.PasswordFile(user)
	}
	return err
}

func (f *tokenFlags) source(in io.Reader, id string) (*signin.Source, error) {
	password, err := readPassword(in, f.password)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // the machine has none
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, err
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s has no certificate", f.ca)
		}
	}
	cfg := signin.Config{Issuer: f.issuer, Client: server.ClientCLI, User: id, Password: password, Scopes: f.scopes,
		HTTP: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		}}}
	if f.code != "" {
		cfg.Code = func(context.Context) (string, error) { return f.code, nil }
	}
	return signin.New(cfg)
}

// maxPasswordFile bounds what is read of one, in bytes.
const maxPasswordFile = 4 << 10

// readPassword reads one line from a file, or from in when the file is "-".
func readPassword(in io.Reader, file string) (string, error) {
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	data, err := io.ReadAll(io.LimitReader(in, maxPasswordFile))
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	password := strings.TrimRight(string(data), "\r\n")
	switch {
	case password == "" || strings.ContainsAny(password, "\r\n"):
		return "", fmt.Errorf("password: %s has none, or several lines; wanted one line", file)
	case strings.HasPrefix(password, "$argon2id$"):
		return "", fmt.Errorf("password: %s has its hash only; give the password by --password-file", file)
	}
	return password, nil
}

func newIdentityHash() *cobra.Command {
	return &cobra.Command{
		Use:     "hash",
		Short:   "Print the hash of the password on the standard input, for the configuration",
		Example: "  callpath identity hash < password",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd.InOrStdin(), "-")
			if err != nil {
				return input(err)
			}
			hash, err := user.Hash(password)
			if err != nil {
				return input(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
			return err
		},
	}
}

func newIdentityTOTP() *cobra.Command {
	return &cobra.Command{
		Use:   "totp USER",
		Short: "Make the secret of a second factor",
		Long: strings.TrimSpace(`
Make the secret of a second factor (RFC 6238). The secret goes to the standard
output, for the file that totp of the user names; the URL by which an
authenticator app takes it goes to the standard error.`),
		Example: "  callpath identity totp alice > alice.totp",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, url, err := user.NewTOTP("callpath", args[0])
			if err != nil {
				return fault(err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), url)
			_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
			return err
		},
	}
}

// operate is a command that does something to the running server.
func operate(use, short string, do func(context.Context, io.Writer, server.Control, []string) error) *cobra.Command {
	_, argument, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs,
		Long: short + ".\n\nThe server is the one that runs with this configuration's state directory."}
	if argument != "" {
		cmd.Args = cobra.ExactArgs(1)
	}
	load := configFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load(cmd)
		if err != nil {
			return input(err)
		}
		if err := do(cmd.Context(), cmd.OutOrStdout(), cfg.Control(), args); err != nil {
			return fault(err)
		}
		return nil
	}
	return cmd
}
