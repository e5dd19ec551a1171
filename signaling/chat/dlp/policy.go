package dlp

import (
	"fmt"
	"slices"
	"strings"
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
		return fmt.Errorf("unknown action %.80q; valid: %s", text, strings.Join(valid, ", "))
	}
	*a = Action(i + 1)
	return nil
}

// UnmarshalText reads the override of a rule: none, confirm or justify.
func (o *Override) UnmarshalText(text []byte) error {
	i := slices.Index(overrideNames(), string(text))
	if i < 0 {
		return fmt.Errorf("unknown override %.80q; valid: %s", text, strings.Join(overrideNames(), ", "))
	}
	*o = Override(i)
	return nil
}

// UnmarshalText reads low, medium or high.
func (c *Confidence) UnmarshalText(text []byte) error {
	known, ok := confidences()[string(text)]
	if !ok {
		return fmt.Errorf("unknown confidence %.80q; valid: low, medium, high", text)
	}
	*c = known
	return nil
}

// UnmarshalText reads the name of a built-in type.
func (t *Type) UnmarshalText(text []byte) error {
	if !slices.Contains(Types(), Type(text)) {
		return fmt.Errorf("unknown sensitive information type %.80q; valid: %s", text, typeNames())
	}
	*t = Type(text)
	return nil
}

func typeNames() string {
	var all []string
	for _, known := range Types() {
		all = append(all, string(known))
	}
	return strings.Join(all, ", ")
}

// Policy is a list of rules. Their order has no meaning: the strictest action of
// those that match wins. It doesn't change after Parse or Complete, so any number of
// goroutines may use it. The tags are the keys of the file.
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
