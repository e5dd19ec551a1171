package language

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// settingWords are the names of settings and the values that each may have.
type settingWords struct {
	valid map[string][]string
	list  map[string]bool
}

func wordsOf(properties []policy.Property) settingWords {
	w := settingWords{valid: map[string][]string{}, list: map[string]bool{}}
	for _, p := range properties {
		w.valid[p.Name], w.list[p.Name] = p.Valid, p.List
	}
	return w
}

// optionAliases are the names of policies under which the options that replace them
// can be set too.
var optionAliases = []string{"AutoAdmittedUsers", "AllowPSTNUsersToBypassLobby"}

func organizationWords() settingWords { return wordsOf(policy.ConfigurationProperties()) }
func policyWords() settingWords       { return wordsOf(policy.PolicyProperties()) }

func optionWords() settingWords {
	w, policies := wordsOf(policy.OptionProperties()), policyWords()
	for _, name := range optionAliases {
		w.valid[name] = policies.valid[name]
	}
	return w
}

// SettingText is a setting's value as package policy reads it: words of a list have
// commas between them.
func SettingText(value any) string {
	switch value := value.(type) {
	case bool:
		return strconv.FormatBool(value)
	case []any:
		words := make([]string, len(value))
		for i, v := range value {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, ",")
	case nil:
		return ""
	}
	return fmt.Sprint(value)
}

// settings wants names and values that Microsoft has.
func (c *checker) settings(path string, s Settings, words settingWords) {
	if len(s) == 0 && c.has(path) {
		c.report(path, "sets nothing", sorted(words.valid)...)
	}
	for _, name := range sorted(s) {
		at := path + "." + name
		valid, known := words.valid[name]
		if !known {
			c.report(at, fmt.Sprintf("no setting %q", name), sorted(words.valid)...)
			continue
		}
		if words.list[name] {
			for _, word := range strings.Split(SettingText(s[name]), ",") {
				if word != "" && !slices.Contains(valid, word) {
					c.report(at, fmt.Sprintf("%q is not a value of %s", word, name), valid...)
				}
			}
			continue
		}
		if text := SettingText(s[name]); !slices.Contains(valid, text) {
			c.report(at, fmt.Sprintf("%q is not a value of %s", text, name), valid...)
		}
	}
}

// policies validates those at a path.
func (c *checker) policies(path string, p *Policies) {
	if len(c.d.Keys(path)) == 0 && c.has(path) {
		c.report(path, "says nothing", "organization", "global", "groups", "organizers")
	}
	c.settings(path+".organization", p.Organization, organizationWords())
	c.settings(path+".global", p.Global, policyWords())
	for i, g := range p.Groups {
		at := fmt.Sprintf("%s.groups[%d]", path, i)
		c.text(at+".name", g.Name, true)
		if len(g.Members) == 0 {
			c.report(at+".members", "nobody is in the group", c.names()...)
		}
		c.people(at+".members", g.Members)
		c.settings(at+".policy", g.Policy, policyWords())
	}
	for _, name := range sorted(p.Organizers) {
		at := path + ".organizers." + name
		c.participant(at, name)
		c.settings(at, p.Organizers[name], policyWords())
	}
}

// people wants names of participants, none twice.
func (c *checker) people(path string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if len(names) == 1 && !c.has(at) {
			at = path // written without brackets
		}
		if c.participant(at, name) != nil && slices.Contains(names[:i], name) {
			c.report(at, fmt.Sprintf("%q stands twice", name))
		}
	}
}
