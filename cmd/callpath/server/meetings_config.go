package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Meetings configures the organisation whose meetings are held here. All but Tenant
// is read again while the server runs.
type Meetings struct {
	Tenant  string   `yaml:"tenant"`
	Trusted []string `yaml:"trusted"`
	// Organization are the organisation's settings, Policies its meeting policies by
	// name, under Microsoft's names. What is not named has Microsoft's default.
	Organization map[string]PolicyValue            `yaml:"organization"`
	Policies     map[string]map[string]PolicyValue `yaml:"policies"`
	// Users and Groups are to whom policies are assigned.
	Users  map[string]string `yaml:"users"`
	Groups []GroupPolicy     `yaml:"groups"`
}

// GroupPolicy is policy.GroupAssignment.
type GroupPolicy struct {
	Group  string `yaml:"group"`
	Policy string `yaml:"policy"`
}

// PolicyValue is the value of a policy: true, false, a word, or a list of words, which
// is kept with commas.
type PolicyValue string

// UnmarshalYAML reads a value or a list of them.
func (v *PolicyValue) UnmarshalYAML(decode func(any) error) error {
	var list []string
	if decode(&list) == nil {
		*v = PolicyValue(strings.Join(list, ","))
		return nil
	}
	var toggle bool
	if decode(&toggle) == nil {
		*v = PolicyValue(fmt.Sprint(toggle))
		return nil
	}
	return decode((*string)(v))
}

// globalPolicy is Microsoft's name of the policy for whom none is assigned.
const globalPolicy = "Global"

// setter takes one setting; it is policy's Configuration or Policy.
type setter interface {
	Set(name, value string) error
}

// set gives all values to a setter, in order, and tells what it refuses.
func set(to setter, values map[string]PolicyValue, wrong func(name string, err error)) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := to.Set(name, string(values[name])); err != nil {
			wrong(name, err)
		}
	}
}

// policies are the organisation's. wrong is told what is not one of Microsoft's
// settings or values, and where.
func (m *Meetings) policies(wrong func(path string, err error)) signaling.Policies {
	o := policy.NewOrganization(m.Tenant)
	set(&o.Configuration, m.Organization, func(name string, err error) { wrong("meetings.organization."+name, err) })
	for _, name := range slices.Sorted(maps.Keys(m.Policies)) {
		p := policy.DefaultPolicy()
		set(&p, m.Policies[name], func(setting string, err error) { wrong("meetings.policies."+name+"."+setting, err) })
		if name == globalPolicy {
			o.Global = p
			continue
		}
		if o.Policies == nil {
			o.Policies = map[string]policy.Policy{}
		}
		o.Policies[name] = p
	}
	if len(m.Users) > 0 {
		o.Users = m.Users
	}
	for _, g := range m.Groups {
		o.Groups = append(o.Groups, policy.GroupAssignment{Group: g.Group, Policy: g.Policy})
	}
	return signaling.Policies{Organization: o, Trusted: m.Trusted}
}

func (c *Config) checkMeetings(f finder) {
	m := &c.Meetings
	if m.Tenant == "" || len(m.Tenant) > maxTenant || strings.ContainsFunc(m.Tenant, func(r rune) bool { return r <= ' ' || r > '~' }) {
		f.wrong("meetings.tenant", "found %q, wanted 1 to %d printable characters, such as the organisation's domain", m.Tenant, maxTenant)
	}
	m.policies(func(path string, err error) {
		var refused *policy.Error
		if errors.As(err, &refused) && len(refused.Valid) > 0 {
			f.wrong(path, "%s; valid: %s", refused.Problem, strings.Join(refused.Valid, ", "))
			return
		}
		f.wrong(path, "%s", err)
	})
	assigned := func(path, name string) {
		if _, ok := m.Policies[name]; !ok {
			f.one(path, name, slices.Sorted(maps.Keys(m.Policies))...)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(m.Users)) {
		assigned("meetings.users."+user, m.Users[user])
	}
	for i, g := range m.Groups {
		assigned(fmt.Sprintf("meetings.groups[%d].policy", i), g.Policy)
	}
}

// maxTenant is in bytes; the tenant is a part of names in the store.
const maxTenant = 64
