package language

import (
	"fmt"
	"slices"

	"github.com/callpath/callpath/signaling/chat/dlp"
)

// ProtectionRule is a rule of data loss prevention for the chat, as package dlp has
// it.
type ProtectionRule struct {
	Name string `yaml:"name"`
	// Content is what a message must hold: one of the conditions, or All.
	Content []SensitiveContent `yaml:"content"`
	All     bool               `yaml:"all,omitempty"`
	// External restricts the rule to messages that somebody outside the
	// organisation would receive.
	External bool `yaml:"external,omitempty"`
	// Action is warn, mask or block.
	Action string `yaml:"action"`
	// Override, of a rule that warns, is none (when absent), confirm or justify.
	Override string `yaml:"override,omitempty"`
	// Notice is the policy tip that the sender reads.
	Notice string `yaml:"notice,omitempty"`
}

// SensitiveContent is met by Count or more values of a type.
type SensitiveContent struct {
	Type string `yaml:"type"`
	// Count is 1 when zero; Confidence is low, medium (when absent) or high.
	Count      int    `yaml:"count,omitempty"`
	Confidence string `yaml:"confidence,omitempty"`
}

// CustomerKey is what a customer does with the root keys of the chat; one field is
// set.
type CustomerKey struct {
	// Revoke and Restore name a root key: first or second.
	Revoke  string `yaml:"revoke,omitempty"`
	Restore string `yaml:"restore,omitempty"`
	// Rotate makes a new key for the messages from now on.
	Rotate bool `yaml:"rotate,omitempty"`
}

// Read has a participant read the history of a meeting's chat; what became of it is
// a message by that name.
type Read struct {
	By      string `yaml:"by"`
	Name    string `yaml:"name"`
	Meeting string `yaml:"meeting,omitempty"`
}

// The names of the root keys in a scenario.
const (
	FirstRootKey  = "first"
	SecondRootKey = "second"
)

var (
	protections  = []string{"warn", "mask", "block"}
	overrides    = []string{"none", "confirm", "justify"}
	confidences  = []string{"low", "medium", "high"}
	rootKeys     = []string{FirstRootKey, SecondRootKey}
	keyActs      = []string{"revoke", "restore", "rotate"}
	contentTypes = typeWords()
)

func typeWords() []string {
	var words []string
	for _, t := range dlp.Types() {
		words = append(words, string(t))
	}
	return words
}

// Protection is the scenario's data loss prevention; nil when it has none.
func (s *Scenario) Protection() (*dlp.Policy, error) {
	if len(s.DataLossPrevention) == 0 {
		return nil, nil
	}
	p := &dlp.Policy{Name: s.Name}
	for _, from := range s.DataLossPrevention {
		rule := dlp.Rule{Name: from.Name, All: from.All, External: from.External, Notice: from.Notice}
		if err := rule.Action.UnmarshalText([]byte(from.Action)); err != nil {
			return nil, err
		}
		if from.Override != "" {
			if err := rule.Override.UnmarshalText([]byte(from.Override)); err != nil {
				return nil, err
			}
		}
		for _, content := range from.Content {
			condition := dlp.Condition{Type: dlp.Type(content.Type), Count: content.Count}
			if content.Confidence != "" {
				if err := condition.Confidence.UnmarshalText([]byte(content.Confidence)); err != nil {
					return nil, err
				}
			}
			rule.Content = append(rule.Content, condition)
		}
		p.Rules = append(p.Rules, rule)
	}
	return p, p.Complete()
}

func (c *checker) checkProtection() {
	rules := c.s.DataLossPrevention
	if len(rules) == 0 && c.has("data-loss-prevention") {
		c.report("data-loss-prevention", "there are no rules")
	}
	before := len(c.errs)
	for i, r := range rules {
		at := fmt.Sprintf("data-loss-prevention[%d]", i)
		c.text(at+".name", r.Name, true)
		if !slices.Contains(protections, r.Action) {
			c.report(at+".action", fmt.Sprintf("%q is no action", r.Action), protections...)
		}
		c.word(at+".override", r.Override, overrides...)
		for j, content := range r.Content {
			of := fmt.Sprintf("%s.content[%d]", at, j)
			if !slices.Contains(contentTypes, content.Type) {
				c.report(of+".type", fmt.Sprintf("%q is no type of sensitive information", content.Type), contentTypes...)
			}
			c.word(of+".confidence", content.Confidence, confidences...)
		}
	}
	if _, err := c.s.Protection(); err != nil && len(c.errs) == before {
		c.report("data-loss-prevention", err.Error())
	}
}

func (c *checker) checkCustomerKey(path string, k *CustomerKey) {
	switch keys := c.d.Keys(path); {
	case len(keys) != 1:
		c.report(path, "wanted one thing that the customer does with a key", keyActs...)
	case k.Rotate:
	case c.has(path + ".rotate"):
		c.report(path+".rotate", "false does nothing; wanted true")
	default:
		c.word(path+"."+keys[0], k.Revoke+k.Restore, rootKeys...)
	}
}
