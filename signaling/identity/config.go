package identity

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callpath/callpath/signaling/identity/token"
	"github.com/callpath/callpath/signaling/identity/user"
)

const (
	maxApplicationID = 32
	maxExternalName  = 20
	minSecret        = 32 // bytes
)

// complete fills in the defaults.
func (l *Lifetimes) complete() error {
	for _, f := range []struct {
		name     string
		field    *time.Duration
		standard time.Duration
	}{
		{"Code", &l.Code, time.Minute},
		{"Token", &l.Token, 15 * time.Minute},
		{"Session", &l.Session, 12 * time.Hour},
		{"Access", &l.Access, time.Hour},
		{"MaxAccess", &l.MaxAccess, 24 * time.Hour},
		{"Key", &l.Key, 30 * 24 * time.Hour},
		{"Publish", &l.Publish, 24 * time.Hour},
	} {
		if *f.field == 0 {
			*f.field = f.standard
		}
		if *f.field < time.Second {
			return fmt.Errorf("identity: Lifetimes.%s is %s, wanted 1s or more, or 0 for %s", f.name, *f.field, f.standard)
		}
	}
	if l.Access > l.MaxAccess {
		return fmt.Errorf("identity: Lifetimes.Access is %s, wanted at most MaxAccess, which is %s", l.Access, l.MaxAccess)
	}
	return nil
}

// complete fills in the defaults.
func (l *Limits) complete() error {
	for _, f := range []struct {
		name     string
		field    *int
		standard int
	}{
		{"Passwords", &l.Passwords, 10},
		{"Codes", &l.Codes, 5},
		{"SignIns", &l.SignIns, 300},
		{"Sessions", &l.Sessions, 16},
		{"Hashing", &l.Hashing, 2},
	} {
		if *f.field == 0 {
			*f.field = f.standard
		}
		if *f.field < 0 {
			return fmt.Errorf("identity: Limits.%s is %d, wanted 1 or more, or 0 for %d", f.name, *f.field, f.standard)
		}
	}
	if l.Body == 0 {
		l.Body = 16 << 10
	}
	if l.Body < 0 {
		return fmt.Errorf("identity: Limits.Body is %d, wanted 1 or more, or 0 for 16384", l.Body)
	}
	return nil
}

func (s *Service) addClients() error {
	for _, c := range s.cfg.Clients {
		switch {
		case !word(c.ID, 64, "._-"):
			return fmt.Errorf(`identity: Client.ID is %q, wanted 1 to 64 small letters, digits or any of "._-"`, c.ID)
		case c.ID == s.cfg.Resource:
			// A token for the client would be one for the services.
			return fmt.Errorf("identity: Client.ID is %q, which is Config.Resource", c.ID)
		case s.clients[c.ID].ID != "":
			return fmt.Errorf("identity: there are two clients %q", c.ID)
		}
		for _, uri := range c.RedirectURIs {
			u, err := url.Parse(uri)
			if err != nil || !u.IsAbs() || u.Fragment != "" || u.Opaque != "" || u.Host == "" || u.User != nil || u.Scheme != "https" && !loopback(u) {
				return fmt.Errorf("identity: redirect URI %q of client %s, wanted https, or http on a loopback address, without a fragment", uri, c.ID)
			}
			s.origins[u.Scheme+"://"+u.Host] = true
		}
		s.clients[c.ID] = c
	}
	return nil
}

// loopback says whether a URL is of a program on the same machine (RFC 8252,
// section 7.3).
func loopback(u *url.URL) bool {
	host := u.Hostname()
	return u.Scheme == "http" && (host == "127.0.0.1" || host == "::1" || host == "localhost")
}

// SetApplications replaces the applications; nothing changes when one of them is
// refused. Access tokens of those that are gone are refused from then on.
func (s *Service) SetApplications(applications []Application) error {
	all := map[string]*application{}
	for _, a := range applications {
		switch {
		case !word(a.ID, maxApplicationID, "-"):
			return fmt.Errorf(`identity: Application.ID is %q, wanted 1 to %d small letters, digits or "-"`, a.ID, maxApplicationID)
		case len(a.Secret) < minSecret:
			return fmt.Errorf("identity: Application.Secret of %s has %d bytes, wanted %d or more", a.ID, len(a.Secret), minSecret)
		case all[a.ID] != nil:
			return fmt.Errorf("identity: there are two applications %q", a.ID)
		}
		scopes, err := scopesOf(a.Scopes)
		if err != nil {
			return fmt.Errorf("identity: Application %s: %w", a.ID, err)
		}
		all[a.ID] = &application{id: a.ID, hash: hashSecret(a.Secret), scopes: scopes}
	}
	s.applications.Store(&all)
	return nil
}

func (s *Service) addExternal() error {
	names := map[string]bool{}
	for _, x := range s.cfg.External {
		if !word(x.Name, maxExternalName, ".-") || names[x.Name] {
			return fmt.Errorf(`identity: External.Name is %q, wanted 1 to %d small letters, digits, "." or "-", each name once`, x.Name, maxExternalName)
		}
		names[x.Name] = true
		if x.Issuer == s.cfg.Issuer || s.external[x.Issuer] != nil {
			return fmt.Errorf("identity: External.Issuer of %s is %q, which is there already", x.Name, x.Issuer)
		}
		if x.Kind == "" {
			x.Kind = user.Teams
		}
		if x.Claim == "" {
			x.Claim = "sub"
		}
		if x.Kind != user.Teams && x.Kind != user.ACS {
			return fmt.Errorf("identity: External.Kind of %s is %q; valid: teams, acs", x.Name, x.Kind)
		}
		if x.Claim != "sub" && x.Claim != "oid" {
			return fmt.Errorf("identity: External.Claim of %s is %q; valid: sub, oid", x.Name, x.Claim)
		}
		var err error
		if x.Scopes, err = scopesOf(x.Scopes); err != nil {
			return fmt.Errorf("identity: External %s: %w", x.Name, err)
		}
		algorithms := []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
		if len(x.Algorithms) > 0 {
			algorithms = nil
			for _, a := range x.Algorithms {
				algorithms = append(algorithms, jose.SignatureAlgorithm(a))
			}
		}
		remote, err := token.NewRemote(token.RemoteConfig{Issuer: x.Issuer, HTTP: x.HTTP, Now: s.cfg.Now, Log: s.cfg.Log})
		if err != nil {
			return fmt.Errorf("identity: External %s: %w", x.Name, err)
		}
		verifier, err := token.NewVerifier(token.Config{Issuer: x.Issuer, Audiences: x.Audiences, Keys: remote, Algorithms: algorithms, Now: s.cfg.Now})
		if err != nil {
			return fmt.Errorf("identity: External %s: %w", x.Name, err)
		}
		s.external[x.Issuer] = &external{External: x, remote: remote, verifier: verifier}
	}
	return nil
}

// scopesOf is all of them when none is named.
func scopesOf(some []string) ([]string, error) {
	if len(some) == 0 {
		return allScopes, nil
	}
	if !contains(allScopes, some) {
		return nil, fmt.Errorf("scopes are %q; valid: voip, chat", some)
	}
	return some, nil
}

// word says whether text is 1 to most small letters, digits, or of more.
func word(text string, most int, more string) bool {
	return text != "" && len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z') && !(r >= '0' && r <= '9') && !strings.ContainsRune(more, r)
	})
}
