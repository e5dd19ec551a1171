package dlp

import (
	"encoding"
	"fmt"
	"strings"
)

// policyForm is a policy as a file has it: words are still words, so that all that is
// wrong is found, and what is absent differs from 0.
type policyForm struct {
	Name   string     `yaml:"name"`
	Window *int       `yaml:"window"`
	Rules  []ruleForm `yaml:"rules"`
}

type ruleForm struct {
	Name     string          `yaml:"name"`
	Content  []conditionForm `yaml:"content"`
	All      bool            `yaml:"all"`
	External bool            `yaml:"external"`
	Action   string          `yaml:"action"`
	Override string          `yaml:"override"`
	Notice   string          `yaml:"notice"`
}

type conditionForm struct {
	Type       string `yaml:"type"`
	Count      *int   `yaml:"count"`
	Confidence string `yaml:"confidence"`
}

// policy reads the words.
func (f *policyForm) policy(r *reader) *Policy {
	p := &Policy{Name: f.Name, Window: r.number("window", f.Window, DefaultWindow)}
	for i, rule := range f.Rules {
		at := fmt.Sprintf("rules[%d].", i)
		next := Rule{Name: rule.Name, All: rule.All, External: rule.External, Notice: rule.Notice}
		r.word(at+"action", rule.Action, &next.Action)
		r.word(at+"override", rule.Override, &next.Override)
		for k, c := range rule.Content {
			at := fmt.Sprintf("%scontent[%d].", at, k)
			condition := Condition{Count: r.number(at+"count", c.Count, 1)}
			r.word(at+"type", c.Type, &condition.Type)
			r.word(at+"confidence", c.Confidence, &condition.Confidence)
			next.Content = append(next.Content, condition)
		}
		p.Rules = append(p.Rules, next)
	}
	return p
}

// number is a number that may be absent; 0, which check takes for that, is not.
func (r *reader) number(path string, n *int, standard int) int {
	if n == nil {
		return standard
	}
	if *n == 0 {
		r.report(path, "is 0, wanted at least 1")
		return standard
	}
	return *n
}

// word reads one that may be absent.
func (r *reader) word(path, word string, into encoding.TextUnmarshaler) {
	if word == "" {
		return
	}
	if err := into.UnmarshalText([]byte(word)); err != nil {
		r.report(path, "%v", err)
	}
}

// Complete fills in what is absent from a policy that was put together otherwise than
// by Parse, and checks it. An error is of type Errors and holds every finding.
func (p *Policy) Complete() error {
	var errs Errors
	p.check(func(path, format string, args ...any) {
		errs = append(errs, &Error{Path: path, Problem: fmt.Sprintf(format, args...)})
	})
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// checker completes a policy and reports what is wrong with it.
type checker struct {
	report func(path, format string, args ...any)
}

func (p *Policy) check(report func(path, format string, args ...any)) {
	c := checker{report}
	c.text("name", p.Name, maxName)
	c.number("window", &p.Window, DefaultWindow, maxWindow)
	// A policy that is empty by mistake would let everything through.
	if len(p.Rules) == 0 || len(p.Rules) > maxRules {
		c.report("rules", "has %d rules, wanted 1 to %d", len(p.Rules), maxRules)
	}
	seen := make(map[string]bool)
	for i := range p.Rules {
		r, at := &p.Rules[i], fmt.Sprintf("rules[%d]", i)
		if seen[r.Name] {
			c.report(at+".name", "there are two rules %q", r.Name)
		}
		seen[r.Name] = true
		c.rule(at, r)
	}
}

func (c checker) rule(at string, r *Rule) {
	c.text(at+".name", r.Name, maxName)
	if r.Action != Warn && r.Action != Mask && r.Action != Block {
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

func (c checker) condition(at string, o *Condition, seen map[Type]bool) {
	switch {
	case o.Type == "":
		c.report(at+".type", "is missing, wanted a sensitive information type: %s", typeNames())
	case seen[o.Type]:
		c.report(at+".type", "there are two conditions on %q", string(o.Type))
	}
	seen[o.Type] = true
	c.number(at+".count", &o.Count, 1, maxCount)
	if o.Confidence == 0 {
		o.Confidence = Medium
	}
}

// number completes and checks a number, of which 0 is none.
func (c checker) number(path string, n *int, standard, highest int) {
	if *n == 0 {
		*n = standard
	}
	if *n < 1 || *n > highest {
		c.report(path, "is %d, wanted 1 to %d", *n, highest)
	}
}

func (c checker) text(path, s string, longest int) {
	if s == "" || len(s) > longest || strings.TrimSpace(s) != s {
		c.report(path, "is %q, wanted 1 to %d bytes without space around them", s[:min(len(s), longest)], longest)
	}
}
