package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/store"
	"github.com/callpath/callpath/signaling/webclient"
)

// The clients of the issuer: the page, and programs that have their user's password.
const (
	clientWeb = "web"
	// ClientCLI is that of "callpath identity token".
	ClientCLI = "cli"
)

// identityConfig is the issuer's configuration, without its store.
func (c *Config) identityConfig(issuer string, redirects []string, p *people, log *slog.Logger) (identity.Config, error) {
	i := &c.Identity
	cfg := identity.Config{
		Issuer: issuer,
		Users:  p.users(),
		Clients: []identity.Client{
			{ID: clientWeb, RedirectURIs: redirects},
			{ID: ClientCLI, FirstParty: true},
		},
		Applications: p.applications,
		Rules:        p.rules,
		Lifetimes: identity.Lifetimes{
			Access: time.Duration(i.TokenLifetime), Session: time.Duration(i.SessionLifetime), Key: time.Duration(i.KeyLifetime),
		},
		Log:      log,
		EventLog: slog.New(slog.DiscardHandler), // the audit has them
	}
	for _, x := range i.External {
		audiences := slices.Clone(x.Audiences)
		if x.Client != "" && !slices.Contains(audiences, x.Client) {
			audiences = append(audiences, x.Client)
		}
		client, err := trusting(x.CA)
		if err != nil {
			return cfg, fmt.Errorf("identity.external: ca of %s: %w", x.Name, err)
		}
		cfg.External = append(cfg.External, identity.External{Name: x.Name, Issuer: x.Issuer, Audiences: audiences,
			Algorithms: x.Algorithms, Kind: x.Kind, Claim: x.Claim, Scopes: x.Scopes, HTTP: client})
	}
	return cfg, nil
}

// trusting is a client that trusts the authorities of a file, too; nil when there is
// no file.
func trusting(file string) (*http.Client, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // the machine has none
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	return &http.Client{Transport: transport}, nil
}

func (s *Server) newIdentity(m *material) (*identity.Service, error) {
	docs, err := store.Open(s.keys.state.path(directoryIdentity))
	if err != nil {
		return nil, err
	}
	cfg, err := s.cfg.identityConfig(s.issuer(), s.redirects(), &m.people, s.log.With("part", "identity"))
	if err != nil {
		return nil, err
	}
	cfg.Store = docs
	cfg.OnEvent = func(e identity.Event) {
		s.metrics.identified(e)
		s.audit.identity(e)
	}
	return identity.New(cfg)
}

// issuer is the configured one, or where clients reach HTTPS.
func (s *Server) issuer() string {
	if s.cfg.Identity.Issuer != "" {
		return s.cfg.Identity.Issuer
	}
	at := addrPort(s.sockets.signaling[0].Addr())
	host := s.cfg.Public
	if host == "" {
		host = at.Addr().WithZone("").String()
	}
	return origin(host, at.Port())
}

// Issuer is the issuer's URL by the configuration alone: without ports that are 0,
// it is the one that tokens have.
func (c *Config) Issuer() (string, error) {
	if c.Identity.Issuer != "" {
		return c.Identity.Issuer, nil
	}
	if len(c.Signaling.HTTPS) == 0 {
		return "", fmt.Errorf("signaling.https has no port: there is no issuer")
	}
	host := c.Public
	if host == "" {
		addresses, err := c.addresses()
		if err != nil {
			return "", err
		}
		host = addresses[0].WithZone("").String()
	}
	return origin(host, c.Signaling.HTTPS[0]), nil
}

// origin is the URL of a host, as browsers write it.
func origin(host string, port uint16) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	if port == 443 {
		return "https://" + host
	}
	return "https://" + host + ":" + strconv.Itoa(int(port))
}

// redirects are the pages to which a sign-in may lead back: the web client under
// every name and address by which it is reached.
func (s *Server) redirects() []string {
	names := s.cfg.Certificate.Names
	if s.cfg.Public != "" {
		names = append([]string{s.cfg.Public}, names...)
	}
	var out []string
	for _, l := range s.sockets.signaling {
		at := addrPort(l.Addr())
		for _, host := range append([]string{at.Addr().WithZone("").String()}, names...) {
			if !strings.ContainsAny(host, "*/?#@ ") {
				out = append(out, origin(host, at.Port())+"/")
			}
		}
	}
	if u, err := url.Parse(s.issuer()); err == nil {
		out = append(out, u.Scheme+"://"+u.Host+"/")
	}
	return unique(append(out, s.cfg.Identity.RedirectURIs...))
}

// page is the web client, which signs in at the issuers that it is told of.
func (s *Server) page() (http.Handler, error) {
	cfg := webclient.Config{Issuer: s.issuer(), Client: clientWeb}
	local := len(s.current.Load().people.accounts) > 0
	for _, x := range s.cfg.Identity.External {
		if x.Client != "" {
			cfg.External = append(cfg.External, webclient.External{Name: x.Name, Issuer: x.Issuer, Client: x.Client})
		}
	}
	cfg.ExternalOnly = !local && len(cfg.External) > 0
	return webclient.New(cfg)
}

// newSite is all of HTTPS.
func (s *Server) newSite() (http.Handler, error) {
	page, err := s.page()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, path := range s.identity.Paths() {
		mux.Handle(path, s.audited(s.identity.Handler(), refusedByIssuer))
	}
	mux.Handle("/v1/", s.audited(s.controller.Handler(), refusedHTTP))
	mux.Handle("/", s.audited(page, refusedHTTP))
	return mux, nil
}

// checkIdentity tries the configuration out on an issuer that serves nobody.
func (k *keys) checkIdentity(p *people) error {
	issuer := k.cfg.Identity.Issuer
	if issuer == "" {
		issuer = "https://" + net.JoinHostPort("localhost", "0")
	}
	cfg, err := k.cfg.identityConfig(issuer, k.cfg.Identity.RedirectURIs, p, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	id, err := identity.New(cfg)
	if err != nil {
		return err
	}
	return id.Close()
}

// PasswordFile is the file of a user's password.
func (c *Config) PasswordFile(id string) (string, error) {
	var known []string
	for _, u := range c.Identity.Users {
		if u.ID == id && u.Password == "" {
			return "", fmt.Errorf("the configuration has only the hash of the password of %s", id)
		}
		if u.ID == id {
			return u.Password, nil
		}
		known = append(known, u.ID)
	}
	if len(known) > 0 {
		return "", fmt.Errorf("there is no user %q; valid: %s", id, strings.Join(known, ", "))
	}
	return state(c.State).path(fileUser(id)), nil
}

// Authority is the file of the authority whose certificate the server shows; empty
// when it shows one that it has not made.
func (c *Config) Authority() string {
	path := state(c.State).path(fileRoot)
	if _, err := os.Stat(path); err != nil || c.Certificate.Chain != "" {
		return ""
	}
	return path
}
