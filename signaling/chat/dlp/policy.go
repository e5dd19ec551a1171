package dlp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/topology/document"
)

// Action is what a rule does. A greater one is stricter.
type Action int

// The actions.
const (
	Allow Action = iota // no rule matched; not for a rule
	Warn                // deliver, and tell the sender
	Mask                // deliver with the values masked, and tell the sender
	Block               // deliver nothing, and tell the sender
)

func actionNames() []string { return []string{"allow", "warn", "mask", "block"} }

func (a Action) String() string {
	if names := actionNames(); 0 <= a && int(a) < len(names) {
		return names[a]
	}
	return fmt.Sprintf("Action(%d)", int(a))
}

// UnmarshalText reads the action of a rule: warn, mask or block.
func (a *Action) UnmarshalText(text []byte) error {
	valid := actionNames()[1:]
	i := slices.Index(valid, string(text))
	if i < 0 {
		var nowhere *document.Document
		return nowhere.Error("", fmt.Sprintf("unknown action %q", text), valid...)
	}
	*a = Action(i + 1)
	return nil
}

// UnmarshalText reads the override of a rule: none, confirm or justify.
func (o *Override) UnmarshalText(text []byte) error {
	i := slices.Index(overrideNames(), string(text))
	if i < 0 {
		var nowhere *document.Document
		return nowhere.Error("", fmt.Sprintf("unknown override %q", text), overrideNames()...)
	}
	*o = Override(i)
	return nil
}

// UnmarshalText reads low, medium or high.
func (c *Confidence) UnmarshalText(text []byte) error {
	known, ok := confidences()[string(text)]
	if !ok {
		var nowhere *document.Document
		return nowhere.Error("", fmt.Sprintf("unknown confidence %q", text), "low", "medium", "high")
	}
	*c = known
	return nil
}

// UnmarshalText reads the name of a built-in type.
func (t *Type) UnmarshalText(text []byte) error {
	if !slices.Contains(Types(), Type(text)) {
		var valid []string
		for _, known := range Types() {
			valid = append(valid, string(known))
		}
		var nowhere *document.Document
		return nowhere.Error("", fmt.Sprintf("unknown sensitive information type %q", text), valid...)
	}
	*t = Type(text)
	return nil
}

// Policy is a list of rules. Their order has no meaning: the strictest action of
// those that match wins. It doesn't change after Parse, so any number of goroutines
// may use it.
type Policy struct {
	Name string `yaml:"name"`
	// Window is how far evidence may be from a value, in characters: 1 to 1000;
	// DefaultWindow if absent.
	Window int    `yaml:"window"`
	Rules  []Rule `yaml:"rules"`
}

// Rule says what happens when its conditions are all met.
type Rule struct {
	Name string `yaml:"name"`
	// Content is what the message must hold: one of the conditions, or all.
	Content []Condition `yaml:"content"`
	All     bool        `yaml:"all"`
	// External restricts the rule to messages that somebody outside the organisation
	// receives.
	External bool   `yaml:"external"`
	Action   Action `yaml:"action"`
	// Override is for a rule that warns: none, confirm or justify; none if absent.
	Override Override `yaml:"override"`
	// Notice is what the sender reads; a standard sentence if empty.
	Notice string `yaml:"notice"`
}

// Condition is met by Count or more different values of Type with Confidence or more.
type Condition struct {
	Type       Type       `yaml:"type"`
	Count      int        `yaml:"count"`      // 1 to 1000; 1 if absent
	Confidence Confidence `yaml:"confidence"` // medium if absent
}

const (
	maxWindow = 1000
	maxCount  = 1000
	maxRules  = 100
	maxName   = 64
	maxNotice = 500
)

// Parse reads a policy file. An error is of type document.Errors and holds every
// finding.
func Parse(file string, data []byte) (*Policy, error) {
	d, err := document.Parse(file, data)
	if err != nil {
		return nil, err
	}
	return FromDocument(d, "")
}

// FromDocument reads the policy that stands at path of a document; the empty path is
// the whole document. An error is of type document.Errors.
func FromDocument(d *document.Document, path string) (*Policy, error) {
	p := new(Policy)
	if err := d.DecodeAt(path, p); err != nil {
		return nil, err
	}
	c := &checker{document: d, base: path}
	c.policy(p)
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return p, nil
}

// checker completes a policy and collects what is wrong with it.
type checker struct {
	document *document.Document
	base     string
	errs     document.Errors
}

func (c *checker) report(path, format string, args ...any) {
	if c.base != "" {
		path = c.base + "." + path
	}
	c.errs = append(c.errs, c.document.Error(path, fmt.Sprintf(format, args...)))
}

// number completes and checks a number that may be absent.
func (c *checker) number(path string, n *int, standard, highest int) {
	full := path
	if c.base != "" {
		full = c.base + "." + path
	}
	if !c.document.Has(full) {
		*n = standard
	}
	if *n < 1 || *n > highest {
		c.report(path, "is %d, wanted 1 to %d", *n, highest)
	}
}

func (c *checker) text(path, s string, longest int) {
	if s == "" || len(s) > longest || strings.TrimSpace(s) != s {
		c.report(path, "is %q, wanted 1 to %d bytes without space around them", s[:min(len(s), longest)], longest)
	}
}

func (c *checker) policy(p *Policy) {
	c.text("name", p.Name, maxName)
	c.number("window", &p.Window, DefaultWindow, maxWindow)
	// A policy that is empty by mistake would let everything through.
	if len(p.Rules) == 0 || len(p.Rules) > maxRules {
		c.report("rules", "has %d rules, wanted 1 to %d", len(p.Rules), maxRules)
	}
	seen := make(map[string]bool)
	for i := range p.Rules {
		r, at := &p.Rules[i], fmt.Sprintf("rules[%d]", i)
		c.text(at+".name", r.Name, maxName)
		if seen[r.Name] {
			c.report(at+".name", "there are two rules %q", r.Name)
		}
		seen[r.Name] = true
		if r.Action == Allow {
			c.report(at+".action", "is missing, wanted warn, mask or block")
		}
		if r.Override != NoOverride && r.Action != Warn {
			c.report(at+".override", "is %s for a rule that does not warn: what is blocked or masked can't be overridden", r.Override)
		}
		if r.Notice != "" {
			c.text(at+".notice", r.Notice, maxNotice)
		}
		if len(r.Content) == 0 {
			c.report(at+".content", "is empty, wanted one condition or more")
		}
		types := make(map[Type]bool)
		for k := range r.Content {
			c.condition(fmt.Sprintf("%s.content[%d]", at, k), &r.Content[k], types)
		}
	}
}

func (c *checker) condition(at string, o *Condition, seen map[Type]bool) {
	switch {
	case o.Type == "":
		c.report(at+".type", "is missing, wanted a sensitive information type")
	case seen[o.Type]:
		c.report(at+".type", "there are two conditions on %q", string(o.Type))
	}
	seen[o.Type] = true
	c.number(at+".count", &o.Count, 1, maxCount)
	if o.Confidence == 0 {
		o.Confidence = Medium
	}
}
