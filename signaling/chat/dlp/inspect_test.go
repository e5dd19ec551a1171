package dlp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const policyFile = `
name: contoso-chat
window: 100
rules:
  - name: tell about BSN
    content: [{type: netherlands-bsn, confidence: low}]
    action: warn
    notice: Think twice.
  - name: hide cards
    content:
      - type: payment-card
        confidence: low
      - type: iban
    action: mask
  - name: no cards outside
    content: [{type: payment-card, confidence: high}]
    external: true
    action: block
  - name: no lists
    content: [{type: payment-card, count: 3, confidence: low}]
    action: block
  - name: no identities with accounts
    all: true
    content: [{type: iban}, {type: germany-tax-id, confidence: low}]
    action: block
`

func parse(t testing.TB) *Policy {
	t.Helper()
	p, err := Parse("policy.yaml", []byte(policyFile))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	card1, card2, card3 = "4111 1111 1111 1111", "5555555555554444", "378282246310005"
	account             = "DE89 3704 0044 0532 0130 00"
)

func TestStrictestRuleWins(t *testing.T) {
	p := parse(t)
	for _, c := range []struct {
		name, text string
		external   bool
		action     Action
		rules      []string
		delivered  string
	}{
		{"nothing", "Lunch at 12?", true, Allow, nil, "Lunch at 12?"},
		{"warn", "111222333", true, Warn, []string{"tell about BSN"}, "111222333"},
		{"mask", "it is " + card1 + "!", false, Mask, []string{"hide cards"}, "it is **** **** **** ****!"},
		{"mask outside without evidence", card1, true, Mask, []string{"hide cards"}, "**** **** **** ****"},
		{"block outside", "visa " + card1, true, Block, []string{"no cards outside", "hide cards"}, ""},
		{"inside the same is masked", "visa " + card1, false, Mask, []string{"hide cards"}, "visa **** **** **** ****"},
		{"mask before warn; only the masked type is hidden", card2 + " 111222333", false, Mask, []string{"hide cards", "tell about BSN"}, "**************** 111222333"},
		{"three cards", card1 + ", " + card2 + "; " + card3, false, Block, []string{"no lists", "hide cards"}, ""},
		{"one card three times", card1 + ", 4111111111111111; " + card1, false, Mask, []string{"hide cards"}, "**** **** **** ****, ****************; **** **** **** ****"},
		{"all conditions", account + " x 86095742719", false, Block, []string{"no identities with accounts", "hide cards"}, ""},
		{"one of all conditions", "86095742719", false, Allow, nil, "86095742719"},
		{"accents on a hidden value go with it", "é 4\u0301111111111111111\u0301 é", false, Mask, []string{"hide cards"}, "é **************** é"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			d := p.Inspect(Message{Time: now, Chat: "c1", ID: "m1", Sender: "alice", External: c.external, Text: c.text})
			if d.Action != c.action || d.Text != c.delivered || !slices.Equal(d.Audit.Rules, c.rules) {
				t.Errorf("%s %q by %q, wanted %s %q by %q", d.Action, d.Text, d.Audit.Rules, c.action, c.delivered, c.rules)
			}
			if d.Sender.Text != c.delivered || d.Sender.Blocked != (c.action == Block) || len(d.Sender.Notices) != len(c.rules) {
				t.Errorf("the sender sees %+v", d.Sender)
			}
			for i, n := range d.Sender.Notices {
				if n.Rule != c.rules[i] || n.Text == "" || (n.Rule == "tell about BSN") != (n.Text == "Think twice.") {
					t.Errorf("notice %+v for rule %s", n, c.rules[i])
				}
			}
			a := d.Audit
			if a.Time != now || a.Chat != "c1" || a.ID != "m1" || a.Sender != "alice" || a.External != c.external || a.Size != len(c.text) ||
				a.Policy != "contoso-chat" || a.Action != c.action || a.Allowed != (c.action != Block) || a.Reason != "" {
				t.Errorf("audit %+v", a)
			}
			for _, secret := range []string{"1111", "5555", "3782", "DE89", "111222333", "86095742719"} {
				if strings.Contains(fmt.Sprintf("%+v", a), secret) {
					t.Errorf("the audit record holds %s: %+v", secret, a)
				}
			}
		})
	}
}

func TestAuditCountsDifferentValues(t *testing.T) {
	d := parse(t).Inspect(Message{Text: "visa " + card1 + ", 4111111111111111, " + card2 + ", " + account})
	want := "[{payment-card 2 high} {iban 1 medium}]"
	if got := fmt.Sprint(d.Audit.Found); got != want {
		t.Errorf("found %s, wanted %s", got, want)
	}
}

func TestWhatCantBeCheckedIsBlocked(t *testing.T) {
	p := parse(t)
	for text, want := range map[string]string{
		strings.Repeat("x", MaxSize+1): ReasonTooLarge,
		"\xff 4111111111111111":        ReasonNotUTF8,
	} {
		d := p.Inspect(Message{Text: text})
		if d.Action != Block || d.Text != "" || d.Sender.Text != "" || !d.Sender.Blocked || d.Audit.Reason != want || d.Audit.Allowed {
			t.Errorf("%s: %+v, wanted it blocked", want, d)
		}
	}
	if d := p.Inspect(Message{Text: strings.Repeat("x", MaxSize)}); d.Action != Allow {
		t.Errorf("%d bytes: %s, wanted allow", MaxSize, d.Action)
	}
}

func TestPolicyFileErrors(t *testing.T) {
	const rule = "name: p\nrules:\n- name: r\n  action: block\n  content:\n  - type: iban\n"
	for _, c := range []struct{ file, want string }{
		{"", "empty"},
		{"name: p\n", "p.yaml:1:1: rules: has 0 rules, wanted 1 to 100"},
		{"rules: 3\n", "p.yaml:1:8: int was used where sequence is expected"},
		{rule + "    cuont: 2\n", `p.yaml:7:5: rules[0].content[0].cuont: unknown key "cuont"; valid: type, count, confidence`},
		{rule + "    count: 0\n", "p.yaml:7:12: rules[0].content[0].count: is 0, wanted at least 1"},
		{rule + "    confidence: hihg\n", `unknown confidence "hihg"; valid: low, medium, high`},
		{rule + "  - type: iban\n", `rules[0].content[1].type: there are two conditions on "iban"`},
		{rule + "  - count: 2\n", "rules[0].content[1].type: is missing"},
		{rule + "- name: r\n  action: warn\n  content: [{type: iban}]\n", `rules[1].name: there are two rules "r"`},
		{rule + "window: 0\n", "p.yaml:7:9: window: is 0, wanted at least 1"},
		{strings.Replace(rule, "name: p", "name: ''", 1), `name: is "", wanted 1 to 64 bytes`},
		{strings.Replace(rule, "iban", "ibna", 1), `unknown sensitive information type "ibna"; valid: belgium-nrn, germany-tax-id, iban, netherlands-bsn, payment-card, poland-pesel, spain-dni`},
		{strings.Replace(rule, "block", "allow", 1), `unknown action "allow"; valid: warn, mask, block`},
		{strings.Replace(rule, "  action: block\n", "", 1), "rules[0].action: is missing"},
		{rule + "  override: justify\n", "rules[0].override: is justify for a rule that does not warn"},
		{strings.Replace(rule, "block", "warn", 1) + "  override: justified\n", `unknown override "justified"; valid: none, confirm, justify`},
		{"# nothing\n", "p.yaml:1:1: the file is empty"},
		{"- a\n", "p.yaml:1:1: this is no policy, wanted the keys name, window, rules"},
		{"name: p\n---\nname: q\n", "p.yaml:3:5: a second document begins here"},
		{"name: p\nname: q\n", "p.yaml:2:1:"},
		{"name: p\nrules: 3\n", "p.yaml:2:8:"},
		{"name: &a p\nrules: *a\n", "p.yaml:1:7: \"&\" is not accepted here"},
		{"name: [p\n", "p.yaml:1:"},
		{"x: " + strings.Repeat("[", 100), "nested deeper than 16 levels"},
		{strings.Repeat("- ", 100), "nested deeper than 16 levels"},
		{strings.Repeat(" ", maxFile+1), "the file has 1048577 bytes"},
		{"name: p\nrules: [{name: r, action: warn}]\n", "rules[0].content: is empty"},
		{strings.Replace(rule, "  action", "  notice: ' x'\n  action", 1), `rules[0].notice: is " x"`},
	} {
		_, err := Parse("p.yaml", []byte(c.file))
		if _, ok := errors.AsType[Errors](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, wanted Errors with %q", c.file, err, c.want)
		}
	}
}

func TestEveryFindingIsReported(t *testing.T) {
	const file = `name: p
rules:
- name: r
  action: blok
  override: maybe
  content:
  - {type: ibna, confidence: hihg, count: -1}
`
	_, err := Parse("p.yaml", []byte(file))
	for _, want := range []string{
		`p.yaml:4:11: rules[0].action: unknown action "blok"; valid: warn, mask, block`,
		`p.yaml:5:13: rules[0].override: unknown override "maybe"; valid: none, confirm, justify`,
		`p.yaml:7:12: rules[0].content[0].type: unknown sensitive information type "ibna"; valid: belgium-nrn, `,
		`p.yaml:7:30: rules[0].content[0].confidence: unknown confidence "hihg"; valid: low, medium, high`,
		`p.yaml:7:43: rules[0].content[0].count: is -1, wanted 1 to 1000`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("errors:\n%v\nwanted %s", err, want)
		}
	}
}

func TestAPolicyThatCameFromNoFile(t *testing.T) {
	p := &Policy{Name: "p", Rules: []Rule{{Name: "r", Action: Warn, Content: []Condition{{Type: IBAN}}}}}
	if err := p.Complete(); err != nil || p.Window != DefaultWindow || p.Rules[0].Content[0] != (Condition{IBAN, 1, Medium}) {
		t.Errorf("%+v, %v", p, err)
	}
	p.Window = 5000
	p.Rules[0].Action = 9
	err := p.Complete()
	if _, ok := errors.AsType[Errors](err); !ok || err.Error() != "window: is 5000, wanted 1 to 1000\nrules[0].action: is missing, wanted warn, mask or block" {
		t.Errorf("error %v", err)
	}
}

func TestJSONIsAPolicyFileToo(t *testing.T) {
	p, err := Parse("p.json", []byte(`{"name": "p", "rules": [{"name": "r", "action": "warn", "override": "justify",
		"content": [{"type": "iban", "count": 2}]}]}`))
	if err != nil || p.Rules[0].Override != Justify || p.Rules[0].Content[0] != (Condition{IBAN, 2, Medium}) {
		t.Errorf("%+v, %v", p, err)
	}
}

// everything masks each type at each confidence.
func everything() *Policy {
	r := Rule{Name: "all", Action: Mask}
	for _, kind := range Types() {
		r.Content = append(r.Content, Condition{kind, 1, Low})
	}
	return &Policy{Name: "all", Window: DefaultWindow, Rules: []Rule{r}}
}

func FuzzMaskedTextHoldsNoValue(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.evidence + " " + s.usual[0] + " " + s.usual[len(s.usual)-1])
		if len(s.odd) > 0 {
			f.Add(strings.Join(s.odd, " ") + s.evidence)
		}
	}
	f.Add("4111 1111 1111 1111 1111 1111 1111 1111 card ½ ﷺ ㏂")
	f.Add("X1234567L12345678Z 44051401359-85073003328")
	f.Fuzz(func(t *testing.T, text string) {
		d := everything().Inspect(Message{Text: text})
		if !utf8.ValidString(text) || len(text) > MaxSize {
			if d.Action != Block {
				t.Fatalf("%q: %s, wanted block", text, d.Action)
			}
			return
		}
		for _, m := range Scan(text, DefaultWindow) {
			if m.Start < 0 || m.Start >= m.End || m.End > len(text) {
				t.Fatalf("%q: finding %+v is not a place in it", text, m)
			}
		}
		if left := Scan(d.Text, DefaultWindow); len(left) > 0 {
			t.Fatalf("%q masked is %q, which holds %+v", text, d.Text, left)
		}
		if d.Action == Allow && d.Text != text {
			t.Fatalf("%q was changed to %q without a rule", text, d.Text)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(policyFile))
	f.Add([]byte("name: p\nrules: [{name: r, action: warn, content: [{type: iban}]}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("f.yaml", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v with error %v", p, err)
		}
		if p != nil && (len(p.Rules) == 0 || p.Window < 1) {
			t.Fatalf("incomplete policy %+v", p)
		}
	})
}

// The largest message of each awkward kind: a check that is not linear would take
// minutes here.
func TestLargestMessages(t *testing.T) {
	for _, piece := range []string{"4 ", "4111 ", "1", "visa ", "DE89 ", "ﷺ", "visa 4111111111111111 ", "4---", "86095742719 steuer "} {
		text := strings.Repeat(piece, MaxSize/len(piece))
		if d := everything().Inspect(Message{Text: text}); len(Scan(d.Text, DefaultWindow)) > 0 {
			t.Errorf("%q repeated: values are left", piece)
		}
	}
}
