package runner

import (
	"fmt"
	"maps"
	"slices"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// mergePolicies sets what a scenario says over what there is.
func mergePolicies(base signaling.Policies, p language.Policies) (signaling.Policies, error) {
	o := base.Organization
	if o.ID == "" {
		o = policy.NewOrganization(signaling.HomeTenant)
	}
	o.Policies, o.Users, o.Groups = maps.Clone(o.Policies), maps.Clone(o.Users), slices.Clone(o.Groups)
	if o.Policies == nil {
		o.Policies, o.Users = map[string]policy.Policy{}, map[string]string{}
	}
	for name, value := range p.Organization {
		if err := o.Configuration.Set(name, language.SettingText(value)); err != nil {
			return base, err
		}
	}
	if err := setAll(&o.Global, p.Global); err != nil {
		return base, err
	}
	for _, g := range p.Groups {
		if err := assign(&o, "group-"+g.Name, g.Policy); err != nil {
			return base, err
		}
		if !slices.ContainsFunc(o.Groups, func(a policy.GroupAssignment) bool { return a.Group == g.Name }) {
			o.Groups = append(o.Groups, policy.GroupAssignment{Group: g.Name, Policy: "group-" + g.Name})
		}
	}
	for user, settings := range p.Organizers {
		if err := assign(&o, "of-"+user, settings); err != nil {
			return base, err
		}
		o.Users[user] = "of-" + user
	}
	return signaling.Policies{Organization: o, Trusted: base.Trusted}, nil
}

// assign sets a named policy, which begins as Microsoft's default.
func assign(o *policy.Organization, name string, settings language.Settings) error {
	p, ok := o.Policies[name]
	if !ok {
		p = policy.DefaultPolicy()
	}
	if err := setAll(&p, settings); err != nil {
		return err
	}
	o.Policies[name] = p
	return nil
}

func setAll(p *policy.Policy, settings language.Settings) error {
	for name, value := range settings {
		if err := p.Set(name, language.SettingText(value)); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return nil
}

// groupsOf are the groups in which a scenario puts a participant.
func groupsOf(s *language.Scenario, name string) []string {
	var groups []string
	add := func(p *language.Policies) {
		for _, g := range p.Groups {
			if slices.Contains(g.Members, name) && !slices.Contains(groups, g.Name) {
				groups = append(groups, g.Name)
			}
		}
	}
	add(&s.Policies)
	for _, step := range s.Steps {
		if step.Policies != nil {
			add(step.Policies)
		}
	}
	return groups
}
