// Package access is conditional access: rules on who signs in, from which network,
// with which factor, in the manner of Microsoft Entra's. It is a pure function of
// the rules and the attempt.
//
// Every rule that fits an attempt must be content with it; the order of the rules
// plays no part but for which one is named. No rules allow everybody who has the
// password: what a user who has a second factor must show is package identity's
// to say.
package access

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Then is what a rule wants of the attempts that it fits.
type Then string

// What a rule can want.
const (
	// Block refuses.
	Block Then = "block"
	// RequireMFA wants a second factor; see Attempt.MFA.
	RequireMFA Then = "require-mfa"
)

// Rule is one condition. It fits an attempt when each of its parts does; a part
// that is empty fits every attempt.
type Rule struct {
	// Name is what a refusal says.
	Name string `yaml:"name" json:"name"`
	// Users, Groups and Kinds (acs, teams) are who: any of them, when there are
	// several of a sort.
	Users  []string `yaml:"users" json:"users"`
	Groups []string `yaml:"groups" json:"groups"`
	Kinds  []string `yaml:"kinds" json:"kinds"`
	// ExceptUsers are never meant: the account for emergencies.
	ExceptUsers []string `yaml:"except-users" json:"except-users"`
	// Networks are from where; ExceptNetworks, for example the office's, are
	// not meant.
	Networks       []netip.Prefix `yaml:"networks" json:"networks"`
	ExceptNetworks []netip.Prefix `yaml:"except-networks" json:"except-networks"`
	Then           Then           `yaml:"then" json:"then"`
}

// Attempt is somebody who would sign in, or have a token exchanged.
type Attempt struct {
	User   string
	Kind   string
	Groups []string
	// From is the client's address. One that is not known counts as in all of a
	// rule's Networks and in none of its ExceptNetworks: it gains nothing.
	From netip.Addr
	// Factors are those that were shown (RFC 8176).
	Factors []string
}

// MFA says whether more than one factor was shown: the issuer says so, or a
// password and a one-time code are among them.
func (a Attempt) MFA() bool {
	has := func(f string) bool { return slices.Contains(a.Factors, f) }
	return has("mfa") || has("pwd") && has("otp")
}

// Decision is the outcome.
type Decision struct {
	Allowed bool
	// Rule is the name of the rule that refuses; empty when none does.
	Rule string
	// MFA is true when a second factor would change the outcome.
	MFA    bool
	Reason string
}

// Policy is a set of rules. The zero Policy allows everybody.
type Policy struct{ rules []Rule }

// New checks the rules.
func New(rules []Rule) (*Policy, error) {
	names := map[string]bool{}
	for i, r := range rules {
		switch {
		case strings.TrimSpace(r.Name) == "":
			return nil, fmt.Errorf("access: rule %d has no name", i+1)
		case names[r.Name]:
			return nil, fmt.Errorf("access: there are two rules %q", r.Name)
		case r.Then != Block && r.Then != RequireMFA:
			return nil, fmt.Errorf("access: rule %q wants %q; valid: block, require-mfa", r.Name, r.Then)
		}
		names[r.Name] = true
		for _, k := range r.Kinds {
			if k != "acs" && k != "teams" {
				return nil, fmt.Errorf("access: rule %q has kind %q; valid: acs, teams", r.Name, k)
			}
		}
		for _, p := range slices.Concat(r.Networks, r.ExceptNetworks) {
			if err := checkPrefix(p); err != nil {
				return nil, fmt.Errorf("access: rule %q: %w", r.Name, err)
			}
		}
	}
	return &Policy{rules: slices.Clone(rules)}, nil
}

func checkPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("a network is not valid, wanted for example 192.0.2.0/24")
	case p.Masked() != p:
		return fmt.Errorf("network %s has bits after its length, wanted %s", p, p.Masked())
	case p.Addr().Is4In6():
		return fmt.Errorf("network %s is IPv4 in IPv6, wanted IPv4", p)
	}
	return nil
}

// Decide judges an attempt. A rule that blocks is named before one that wants a
// second factor: that would not help.
func (p *Policy) Decide(a Attempt) Decision {
	for _, then := range []Then{Block, RequireMFA} {
		for _, r := range p.rules {
			if r.Then != then || !r.fits(a) || then == RequireMFA && a.MFA() {
				continue
			}
			d := Decision{Rule: r.Name, Reason: fmt.Sprintf("the rule %q refuses this sign-in", r.Name)}
			if then == RequireMFA {
				d.MFA, d.Reason = true, fmt.Sprintf("the rule %q wants a second factor", r.Name)
			}
			return d
		}
	}
	return Decision{Allowed: true, Reason: "no rule refuses"}
}

func (r *Rule) fits(a Attempt) bool {
	from := a.From.Unmap().WithZone("")
	in := func(networks []netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(from) })
	}
	is := func(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	return is(r.Users, a.User) && is(r.Kinds, a.Kind) &&
		(len(r.Groups) == 0 || slices.ContainsFunc(a.Groups, func(g string) bool { return slices.Contains(r.Groups, g) })) &&
		!slices.Contains(r.ExceptUsers, a.User) &&
		(len(r.Networks) == 0 || in(r.Networks) || !from.IsValid()) && !in(r.ExceptNetworks)
}
