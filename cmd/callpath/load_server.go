package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/callpath/callpath/bench/meeting"
	"github.com/callpath/callpath/cmd/callpath/server"
	"github.com/callpath/callpath/signaling"
)

// serverFlags say which running server gets the load, and how participants sign in there.
type serverFlags struct {
	url, ca, issuer, application, secret, tokens string
	process                                      int
}

func (f *serverFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "server", "", "`URL` of a running server, such as callpath serve")
	flags.StringVar(&f.application, "application", "", "`ID` of an application of the server's identity.applications, which makes a user for each participant")
	flags.StringVar(&f.secret, "secret-file", "", "`FILE` with the application's secret; - is the standard input")
	flags.StringVar(&f.issuer, "issuer", "", "`URL` of the issuer; the server's when empty")
	flags.StringVar(&f.tokens, "tokens", "", "instead of an application, `FILE` with an access token on each line, of another user each")
	flags.StringVar(&f.ca, "ca", "", "PEM `FILE` of an authority to trust, beside the machine's; that of callpath serve on this machine when empty")
	flags.IntVar(&f.process, "server-process", 0, "`PID` of the server when it is on this machine, for its CPU time and memory")
}

// server is the server of the flags, nil for the load's own.
func (f *serverFlags) server(ctx context.Context) (*meeting.Server, error) {
	if f.url == "" {
		for name, value := range map[string]string{"application": f.application, "secret-file": f.secret, "issuer": f.issuer, "tokens": f.tokens, "ca": f.ca} {
			if value != "" {
				return nil, fmt.Errorf("--%s is for a running server: --server says which", name)
			}
		}
		return nil, nil
	}
	u, err := url.Parse(f.url)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--server %q: wanted https://HOST", f.url)
	}
	roots, err := f.roots()
	if err != nil {
		return nil, err
	}
	s := &meeting.Server{URL: f.url, Process: f.process}
	base := signaling.ClientConfig{BaseURL: f.url, RootCAs: roots, Log: slog.New(slog.DiscardHandler)}
	switch {
	case f.tokens != "" && f.application != "":
		return nil, errors.New("--tokens and --application: wanted one of them")
	case f.tokens != "":
		s.Client, err = tokensOf(f.tokens, base)
	case f.application != "":
		s.Client, err = f.applicationUsers(base)
	default:
		err = errors.New("--server: wanted --application and --secret-file, or --tokens, as each participant is another user")
	}
	return s, err
}

func (f *serverFlags) roots() (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // the machine has none
	}
	file := f.ca
	if file == "" {
		cfg, err := server.Load(server.Source{File: os.Getenv(server.FileVariable), Environment: os.Environ(), Flags: map[string]string{}})
		if err != nil {
			return nil, err
		}
		if file = cfg.Authority(); file == "" {
			return roots, nil
		}
		if _, err := os.Stat(file); err != nil {
			return roots, nil // no callpath serve on this machine
		}
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s has no certificate", file)
	}
	return roots, nil
}

// clients says how the n-th participant signs in.
type clients = func(ctx context.Context, n int) (signaling.ClientConfig, error)

// maxTokens bounds a file of tokens, in bytes.
const maxTokens = 64 << 20

// tokensOf reads a file of tokens.
func tokensOf(file string, base signaling.ClientConfig) (clients, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--tokens: %w", err)
	}
	defer opened.Close()
	var tokens []string
	lines := bufio.NewScanner(io.LimitReader(opened, maxTokens))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if t := strings.TrimSpace(lines.Text()); t != "" {
			tokens = append(tokens, t)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--tokens: %w", err)
	}
	return func(_ context.Context, n int) (signaling.ClientConfig, error) {
		if n >= len(tokens) {
			return base, fmt.Errorf("%s has %d tokens, which is too few", file, len(tokens))
		}
		cfg := base
		used := false
		cfg.Token = func(context.Context) (string, error) {
			if used {
				return "", errors.New("the token is not good any more")
			}
			used = true
			return tokens[n], nil
		}
		return cfg, nil
	}, nil
}

// applicationUsers makes a user of the application's for each participant.
func (f *serverFlags) applicationUsers(base signaling.ClientConfig) (clients, error) {
	if f.secret == "" {
		return nil, errors.New("--secret-file is empty; wanted the file of the application's secret")
	}
	secret, err := readPassword(os.Stdin, f.secret)
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	issuer := strings.TrimSuffix(f.issuer, "/")
	if issuer == "" {
		issuer = strings.TrimSuffix(f.url, "/")
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: base.RootCAs, MinVersion: tls.VersionTLS12},
		IdleConnTimeout: 10 * time.Second,
	}}
	return func(_ context.Context, n int) (signaling.ClientConfig, error) {
		a := &applicationUser{http: client, issuer: issuer, application: f.application, secret: secret, name: fmt.Sprint("load ", n)}
		cfg := base
		cfg.Token = a.token
		return cfg, nil
	}, nil
}

// applicationUser is one user that an application makes, and gets tokens for.
type applicationUser struct {
	http                              *http.Client
	issuer, application, secret, name string

	mu   sync.Mutex
	user string // once it is made
}

// token is signaling.ClientConfig.Token.
func (a *applicationUser) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := "/identity/users"
	if a.user != "" {
		path += "/" + url.PathEscape(a.user) + "/token"
	}
	body, err := json.Marshal(map[string]any{"name": a.name, "scopes": []string{signaling.ScopeVoIP}})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.issuer+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(a.application, a.secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	var out struct {
		AccessToken string `json:"access_token"`
		User        string `json:"user"`
		Code        string `json:"error"`
		Detail      string `json:"error_description"`
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return "", fmt.Errorf("the issuer's answer, %s: %w", resp.Status, err)
	}
	if out.AccessToken == "" {
		return "", fmt.Errorf("the issuer refuses: %s: %s: %s", resp.Status, out.Code, out.Detail)
	}
	a.user = out.User
	return out.AccessToken, nil
}
