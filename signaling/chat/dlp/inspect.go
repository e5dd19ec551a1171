package dlp

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is what a policy decides about.
type Message struct {
	// Time, Chat, ID and Sender go into the audit record as they are.
	Time             time.Time
	Chat, ID, Sender string
	// External says whether anybody outside the organisation receives it. A message
	// has one text, so one external recipient makes it external for all.
	External bool
	Text     string
	// Override and Justification are the sender's answer to the notices of an earlier
	// attempt; see Override.
	Override      bool
	Justification string
}

// Decision is the outcome for one message.
type Decision struct {
	// Action is the strictest one of the rules that matched.
	Action Action
	// Text is what is to be stored and delivered; empty when Action is Block or the
	// message is withheld, and then nothing is.
	Text string
	// Withheld is what the sender has to do before the message goes out: confirm or
	// justify it; NoOverride when it isn't withheld.
	Withheld Override
	Sender   View
	Audit    Audit
}

// View is what the sender sees.
type View struct {
	// Text is what the recipients see. When that is nothing, the sender's client keeps
	// the draft; the server does not.
	Text    string
	Blocked bool // nothing was sent, whether it may be overridden or not
	// Notices has one for each rule that matched, strictest first.
	Notices []Notice
}

// Notice is Purview's policy tip.
type Notice struct {
	Rule   string
	Action Action
	Text   string
	// Override is how the sender may send the message nevertheless.
	Override Override
}

// Audit is the record of one decision. It holds no part of the text.
type Audit struct {
	Time             time.Time
	Policy           string
	Chat, ID, Sender string
	External         bool
	Size             int // bytes of the text
	Action           Action
	// Allowed says whether anything is delivered.
	Allowed bool
	// Rules are the rules that matched, strictest first, and Reason says why a message
	// was blocked without one.
	Rules  []string
	Reason string
	// Overridden are those of the rules that the sender overrode, and Justification is
	// why, with everything hidden that looks like a sensitive value.
	Overridden    []string
	Justification string
	// Found has one entry for each type that was found, whether a rule matched or not.
	Found []Count
}

// Count is how many different values of a type a message holds.
type Count struct {
	Type  Type
	Count int
	// Confidence is the highest among them.
	Confidence Confidence
}

// Why a message is blocked without a rule.
const (
	ReasonTooLarge = "message too large to be checked"
	ReasonNotUTF8  = "message is not UTF-8"
	// ReasonWithheld: rules matched, and the sender has not overridden them.
	ReasonWithheld = "message withheld until the sender overrides the rule"
)

// Inspect decides about a message. What can't be checked is blocked: a text of more
// than MaxSize bytes, or one that isn't UTF-8.
func (p *Policy) Inspect(m Message) Decision {
	d := Decision{Audit: Audit{
		Time: m.Time, Policy: p.Name, Chat: m.Chat, ID: m.ID, Sender: m.Sender,
		External: m.External, Size: len(m.Text),
	}}
	switch {
	case len(m.Text) > MaxSize:
		return d.refuse(ReasonTooLarge)
	case !utf8.ValidString(m.Text):
		return d.refuse(ReasonNotUTF8)
	}
	text := cells(m.Text)
	matches := scan(text, p.Window, p.types())
	d.Audit.Found = counts(matches)

	matched := p.matching(matches, m.External)
	for _, r := range matched {
		d.Sender.Notices = append(d.Sender.Notices, Notice{r.Name, r.Action, r.notice(), r.Override})
		d.Audit.Rules = append(d.Audit.Rules, r.Name)
	}
	if len(matched) > 0 {
		d.Action = matched[0].Action
	}
	d.override(m, matched)
	switch {
	case d.Action == Block || d.Withheld != NoOverride:
		d.Sender.Blocked = true
	case d.Action == Mask:
		d.Text = mask(m.Text, text, hidden(matches, matched))
	default:
		d.Text = m.Text
	}
	d.Sender.Text = d.Text
	d.Audit.Action, d.Audit.Allowed = d.Action, !d.Sender.Blocked
	return d
}

func (d Decision) refuse(reason string) Decision {
	d.Action, d.Audit.Action, d.Audit.Reason = Block, Block, reason
	d.Sender = View{Blocked: true, Notices: []Notice{{Action: Block, Text: "Your message was not sent: " + reason + "."}}}
	return d
}

// types are those that a rule names.
func (p *Policy) types() []Type {
	var all []Type
	for _, r := range p.Rules {
		for _, c := range r.Content {
			if !slices.Contains(all, c.Type) {
				all = append(all, c.Type)
			}
		}
	}
	return all
}

// matching returns the rules that match, the strictest first, otherwise in the
// order of the file.
func (p *Policy) matching(found []match, external bool) []*Rule {
	var matched []*Rule
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.External && !external {
			continue
		}
		met := 0
		for _, c := range r.Content {
			if c.met(found) {
				met++
			}
		}
		if r.All && met == len(r.Content) || !r.All && met > 0 {
			matched = append(matched, r)
		}
	}
	slices.SortStableFunc(matched, func(a, b *Rule) int { return int(b.Action - a.Action) })
	return matched
}

// counts says whether a value is one of those the condition is about.
func (c Condition) counts(m match) bool { return m.Type == c.Type && m.Confidence >= c.Confidence }

func (c Condition) met(found []match) bool {
	values := make(map[string]bool)
	for _, m := range found {
		if c.counts(m) {
			values[m.value] = true
		}
	}
	return len(values) >= c.Count
}

// hidden are the values that the matching rules mask: all that one of their
// conditions is about, also one whose own count was not reached.
func hidden(found []match, rules []*Rule) []match {
	return slices.DeleteFunc(slices.Clone(found), func(m match) bool {
		return !slices.ContainsFunc(rules, func(r *Rule) bool {
			return r.Action == Mask && slices.ContainsFunc(r.Content, func(c Condition) bool { return c.counts(m) })
		})
	})
}

// mask replaces each character of the values by an asterisk and keeps the spaces and
// dashes between them. The text keeps its length in cells: if it shrank, evidence
// would come nearer to values that were left.
func mask(text string, from []cell, values []match) string {
	hide := make([]bool, len(from))
	for _, v := range values {
		for i := v.first; i < v.end; i++ {
			hide[i] = from[i].value()
		}
	}
	var b strings.Builder
	done, hidden := 0, false // up to where text is dealt with, and whether its last character is hidden
	// keep writes what gave no cell; an accent on a hidden character goes with it.
	keep := func(until int) {
		if !hidden {
			b.WriteString(text[done:until])
		}
	}
	for i := 0; i < len(from); {
		// A character may have several cells.
		end := i + 1
		any := hide[i]
		for ; end < len(from) && from[end].start == from[i].start; end++ {
			any = any || hide[end]
		}
		keep(from[i].start)
		if hidden = any; hidden {
			b.WriteString(strings.Repeat("*", end-i))
		} else {
			b.WriteString(text[from[i].start:from[i].end])
		}
		done, i = from[i].end, end
	}
	keep(len(text))
	return b.String()
}

func (r *Rule) notice() string {
	if r.Notice != "" {
		return r.Notice
	}
	switch r.Action {
	case Block:
		return "Your message was not sent: it holds information that your organisation protects."
	case Mask:
		return "Parts of your message were hidden: it holds information that your organisation protects."
	}
	return "Your message holds information that your organisation protects."
}

func counts(found []match) []Count {
	var all []Count
	values := make(map[string]bool)
	for _, m := range found {
		i := slices.IndexFunc(all, func(c Count) bool { return c.Type == m.Type })
		if i < 0 {
			i = len(all)
			all = append(all, Count{Type: m.Type})
		}
		if key := string(m.Type) + " " + m.value; !values[key] {
			values[key] = true
			all[i].Count++
		}
		all[i].Confidence = max(all[i].Confidence, m.Confidence)
	}
	return all
}
