package dlp

import (
	"slices"
	"strings"
	"testing"
)

const overridePolicy = `
name: overrides
rules:
  - {name: confirm accounts, action: warn, override: confirm, content: [{type: iban}]}
  - {name: justify cards, action: warn, override: justify, notice: Is this needed?, content: [{type: payment-card, confidence: low}]}
  - {name: hide numbers, action: mask, content: [{type: netherlands-bsn, confidence: low}]}
  - {name: no tax numbers, action: block, content: [{type: germany-tax-id, confidence: low}]}
`

// Purview: the message is blocked, the policy tip lets the sender override, and the
// justification is audited.
func TestOverrides(t *testing.T) {
	p, err := Parse("p.yaml", []byte(overridePolicy))
	if err != nil {
		t.Fatal(err)
	}
	const bsn, tax = "111222333", "86095742719"
	for _, c := range []struct {
		name, text string
		override   bool
		why        string
		withheld   Override
		delivered  string
		overridden []string
	}{
		{"nothing found", "hello", false, "", NoOverride, "hello", nil},
		{"nothing found, overridden for nothing", "hello", true, "why not", NoOverride, "hello", nil},
		{"withheld until confirmed", account, false, "", Confirm, "", nil},
		{"confirmed", account, true, "", NoOverride, account, []string{"confirm accounts"}},
		{"withheld until justified", card2, false, "", Justify, "", nil},
		{"a justification is no override", card2, false, "the bank asks", Justify, "", nil},
		{"confirmed without justification", card2, true, " \n", Justify, "", nil},
		{"a justification that is too long", card2, true, strings.Repeat("x", maxJustification+1), Justify, "", nil},
		{"a justification that is not UTF-8", card2, true, "\xff", Justify, "", nil},
		{"justified", card2, true, "the bank asks", NoOverride, card2, []string{"justify cards"}},
		{"the stricter override holds", card2 + " " + account, true, "", Justify, "", nil},
		{"both overridden", card2 + " " + account, true, "ok", NoOverride, card2 + " " + account, []string{"confirm accounts", "justify cards"}},
		{"withheld although it would be masked too", "BSN " + bsn + ", " + account, false, "", Confirm, "", nil},
		{"masks stay", "BSN " + bsn + ", " + account, true, "", NoOverride, "BSN *********, " + account, []string{"confirm accounts"}},
		{"a block stays", "Steuer-ID " + tax + ", " + account, true, "ok", NoOverride, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := p.Inspect(Message{Text: c.text, Override: c.override, Justification: c.why})
			if d.Withheld != c.withheld || d.Text != c.delivered || d.Sender.Text != c.delivered || !slices.Equal(d.Audit.Overridden, c.overridden) {
				t.Errorf("withheld %s, text %q, overridden %q; wanted %s, %q, %q", d.Withheld, d.Text, d.Audit.Overridden, c.withheld, c.delivered, c.overridden)
			}
			if blocked := c.delivered == ""; d.Sender.Blocked != blocked || d.Audit.Allowed == blocked {
				t.Errorf("blocked %t, allowed %t; wanted blocked %t", d.Sender.Blocked, d.Audit.Allowed, blocked)
			}
			if (d.Audit.Reason == ReasonWithheld) != (c.withheld != NoOverride) {
				t.Errorf("reason %q", d.Audit.Reason)
			}
		})
	}
	d := p.Inspect(Message{Text: card2})
	if n := d.Sender.Notices; len(n) != 1 || n[0] != (Notice{"justify cards", Warn, "Is this needed?", Justify}) {
		t.Errorf("notices %+v", n)
	}
}

func TestTheAuditOfAJustificationHoldsNoValue(t *testing.T) {
	p, err := Parse("p.yaml", []byte(overridePolicy))
	if err != nil {
		t.Fatal(err)
	}
	d := p.Inspect(Message{Text: card2, Override: true, Justification: " they need " + card1 + " and " + account + " "})
	if got := d.Audit.Justification; got != "they need **** **** **** **** and **** **** **** **** **** **" {
		t.Errorf("audited %q", got)
	}
	if d := p.Inspect(Message{Text: "hello", Override: true, Justification: "no rule"}); d.Audit.Justification != "" {
		t.Errorf("audited %q although nothing was overridden", d.Audit.Justification)
	}
	if got := Override(9).String(); got != "Override(9)" {
		t.Errorf("an unknown override is %q", got)
	}
}
