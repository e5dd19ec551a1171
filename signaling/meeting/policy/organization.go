package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Organization is a Teams organisation's settings and policies, and to whom the
// policies are assigned. It is a plain value; its JSON is its saved state.
type Organization struct {
	ID            string
	Configuration Configuration
	Global        Policy            // for whom none is assigned
	Policies      map[string]Policy // by name
	Users         map[string]string // a user's ID: the policy assigned directly
	Groups        []GroupAssignment // by rank, the highest first
}

// GroupAssignment gives a policy to the members of a group.
type GroupAssignment struct{ Group, Policy string }

// NewOrganization has Microsoft's defaults.
func NewOrganization(id string) Organization {
	return Organization{ID: id, Configuration: DefaultConfiguration(), Global: DefaultPolicy()}
}

// Effective is what applies to the meetings of an organizer who is in these
// groups: the policy assigned directly, else that of the group with the highest
// rank, else the global one. A policy applies whole; what it does not say is not
// taken from another. An assignment to a policy that does not exist is an error,
// and never falls through to a weaker one.
func (o Organization) Effective(user string, groups []string) (Effective, error) {
	if name, ok := o.Users[user]; ok {
		return o.named(name, "direct")
	}
	for _, g := range o.Groups {
		if slices.Contains(groups, g.Group) {
			return o.named(g.Policy, "group "+g.Group)
		}
	}
	return Effective{Configuration: o.Configuration, Policy: o.Global, Name: "Global", Source: "global"}, o.Global.Validate()
}

func (o Organization) named(name, source string) (Effective, error) {
	p, ok := o.Policies[name]
	if !ok {
		return Effective{}, &Error{Object: "organization " + o.ID, Name: source,
			Problem: fmt.Sprintf("there is no policy %q", name), Valid: slices.Sorted(maps.Keys(o.Policies))}
	}
	return Effective{Configuration: o.Configuration, Policy: p, Name: name, Source: source}, p.Validate()
}

// Validate finds an assignment without its policy, and a value that is not
// Microsoft's.
func (o Organization) Validate() error {
	for _, name := range slices.Sorted(maps.Values(o.Users)) {
		if _, err := o.named(name, "direct"); err != nil {
			return err
		}
	}
	for _, g := range o.Groups {
		if _, err := o.named(g.Policy, "group "+g.Group); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		if err := o.Policies[name].Validate(); err != nil {
			return err
		}
	}
	return o.Global.Validate()
}

// RestoreOrganization reads a saved state, and refuses one that is not whole.
func RestoreOrganization(data []byte) (Organization, error) {
	// A missing Configuration or Global must not pass as its zero value.
	saved := struct {
		ID            string
		Configuration *Configuration
		Global        *Policy
		Policies      map[string]Policy
		Users         map[string]string
		Groups        []GroupAssignment
	}{}
	if err := json.Unmarshal(data, &saved); err != nil {
		return Organization{}, fmt.Errorf("organization: %w", err)
	}
	if saved.Configuration == nil || saved.Global == nil {
		return Organization{}, &Error{Object: "organization " + saved.ID, Problem: "Configuration or Global is missing from the saved state"}
	}
	o := Organization{saved.ID, *saved.Configuration, *saved.Global, saved.Policies, saved.Users, saved.Groups}
	return o, o.Validate()
}

// UnmarshalJSON reads a saved state, in which neither part may be missing: the zero
// Configuration does not forbid anonymous join.
func (e *Effective) UnmarshalJSON(data []byte) error {
	saved := struct {
		Configuration *Configuration
		Policy        *Policy
		Name, Source  string
	}{}
	if err := json.Unmarshal(data, &saved); err != nil {
		return err
	}
	if saved.Configuration == nil || saved.Policy == nil {
		return &Error{Object: "effective policy " + saved.Name, Problem: "Configuration or Policy is missing from the saved state"}
	}
	*e = Effective{*saved.Configuration, *saved.Policy, saved.Name, saved.Source}
	return nil
}
