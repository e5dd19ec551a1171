package server

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/user"
)

// Identity configures who may sign in, and how. Users, Applications and Rules are
// read again while the server runs.
type Identity struct {
	Issuer          string        `yaml:"issuer"`
	Users           []User        `yaml:"users"`
	Applications    []Application `yaml:"applications"`
	External        []External    `yaml:"external"`
	Rules           []Rule        `yaml:"rules"`
	RedirectURIs    []string      `yaml:"redirect-uris"`
	TokenLifetime   Duration      `yaml:"token-lifetime"`
	SessionLifetime Duration      `yaml:"session-lifetime"`
	KeyLifetime     Duration      `yaml:"key-lifetime"`
}

// User is user.User, with files in the place of secrets.
type User struct {
	ID     string   `yaml:"id"`
	Name   string   `yaml:"name"`
	Kind   string   `yaml:"kind"`
	Groups []string `yaml:"groups"`
	// Hash is the password's, as "callpath identity hash" prints it.
	Hash string `yaml:"hash"`
	// Password is a file with the password or its hash.
	Password string `yaml:"password"`
	// TOTP is a file with the second factor's secret.
	TOTP     string   `yaml:"totp"`
	Scopes   []string `yaml:"scopes"`
	Disabled bool     `yaml:"disabled"`
}

// Application is identity.Application; Secret is a file.
type Application struct {
	ID     string   `yaml:"id"`
	Secret string   `yaml:"secret"`
	Scopes []string `yaml:"scopes"`
}

// External is identity.External.
type External struct {
	Name       string   `yaml:"name"`
	Issuer     string   `yaml:"issuer"`
	Audiences  []string `yaml:"audiences"`
	Algorithms []string `yaml:"algorithms"`
	Kind       string   `yaml:"kind"`
	Claim      string   `yaml:"claim"`
	Scopes     []string `yaml:"scopes"`
	// Client is the ID that the web client has there; without one, the page does
	// not offer the issuer.
	Client string `yaml:"client"`
	// CA is a PEM file of authorities to trust for it, beside the machine's.
	CA string `yaml:"ca"`
}

// Rule is access.Rule, whose networks may also be single addresses.
type Rule struct {
	Name           string   `yaml:"name"`
	Users          []string `yaml:"users"`
	Groups         []string `yaml:"groups"`
	Kinds          []string `yaml:"kinds"`
	ExceptUsers    []string `yaml:"except-users"`
	Networks       []Prefix `yaml:"networks"`
	ExceptNetworks []Prefix `yaml:"except-networks"`
	Then           string   `yaml:"then"`
}

func (r Rule) rule() access.Rule {
	return access.Rule{Name: r.Name, Users: r.Users, Groups: r.Groups, Kinds: r.Kinds, ExceptUsers: r.ExceptUsers,
		Networks: prefixes(r.Networks), ExceptNetworks: prefixes(r.ExceptNetworks), Then: access.Then(r.Then)}
}

func (i *Identity) rules() []access.Rule {
	out := make([]access.Rule, len(i.Rules))
	for n, r := range i.Rules {
		out[n] = r.rule()
	}
	return out
}

// files are the paths of files, which may be relative to the configuration's.
func (i *Identity) files() []*string {
	var paths []*string
	for n := range i.Users {
		paths = append(paths, &i.Users[n].Password, &i.Users[n].TOTP)
	}
	for n := range i.Applications {
		paths = append(paths, &i.Applications[n].Secret)
	}
	for n := range i.External {
		paths = append(paths, &i.External[n].CA)
	}
	return paths
}

// fileUser is the file of a first user's password.
func fileUser(id string) string { return filepath.Join("users", id+".password") }

// finder collects what is wrong with the configuration; see Config.check.
type finder struct {
	wrong func(path, problem string, args ...any)
	one   func(path, value string, valid ...string)
}

func (c *Config) checkIdentity(f finder) {
	i := &c.Identity
	if i.Issuer != "" {
		if u, err := url.Parse(i.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(u.Path, "/") {
			f.wrong("identity.issuer", "found %q, wanted https://HOST or https://HOST/PATH", i.Issuer)
		}
	}
	i.checkUsers(f)
	seen := map[string]bool{}
	for n, a := range i.Applications {
		at := fmt.Sprintf("identity.applications[%d]", n)
		if a.ID == "" || seen[a.ID] {
			f.wrong(at+".id", "found %q, wanted a name that no other application has", a.ID)
		}
		seen[a.ID] = true
		if a.Secret == "" {
			f.wrong(at+".secret", "is empty; wanted a file with the application's secret, of 32 bytes or more")
		}
	}
	for n, x := range i.External {
		at := fmt.Sprintf("identity.external[%d]", n)
		if x.Issuer == "" {
			f.wrong(at+".issuer", "is empty; wanted the issuer's https URL")
		}
		if len(x.Audiences) == 0 && x.Client == "" {
			f.wrong(at+".audiences", "is empty, and there is no client; wanted what its tokens must be for")
		}
	}
	names := map[string]bool{}
	for n, r := range i.Rules {
		at := fmt.Sprintf("identity.rules[%d]", n)
		f.one(at+".then", r.Then, string(access.Block), string(access.RequireMFA))
		if r.Name == "" || names[r.Name] {
			f.wrong(at+".name", "found %q, wanted a name that no other rule has", r.Name)
		}
		names[r.Name] = true
		for k, kind := range r.Kinds {
			f.one(fmt.Sprintf("%s.kinds[%d]", at, k), kind, user.ACS, user.Teams)
		}
	}
}

func (i *Identity) checkUsers(f finder) {
	seen := map[string]bool{}
	for n, u := range i.Users {
		at := fmt.Sprintf("identity.users[%d]", n)
		switch {
		case !user.ValidID(u.ID):
			f.wrong(at+".id", `found %q, wanted 1 to 64 letters, digits or any of "._-@"`, u.ID)
		case seen[u.ID]:
			f.wrong(at+".id", "%q is there twice", u.ID)
		}
		seen[u.ID] = true
		f.one(at+".kind", u.Kind, user.ACS, user.Teams)
		if (u.Password == "") == (u.Hash == "") {
			f.wrong(at+".password", "wanted a file with the password, or the password's hash in hash; give one of the two")
		}
	}
}
