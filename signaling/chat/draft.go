package chat

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/callpath/callpath/signaling/chat/dlp"
)

// inspected is a text that may go out.
type inspected struct {
	text    string
	masked  bool
	notices []dlp.Notice
}

// inspect normalises a draft and asks the tenant's rules about it.
func (s *Service) inspect(in *entered, id string, now time.Time, d Draft, e *Event) (inspected, error) {
	text, err := normalise(d.Text)
	if err != nil {
		return inspected{}, err
	}
	if len(d.Justification) > MaxJustification || !utf8.ValidString(d.Justification) {
		return inspected{}, refuse(Invalid, "Draft.Justification has %d bytes, wanted at most %d of UTF-8", len(d.Justification), MaxJustification)
	}
	var policy *dlp.Policy
	if s.cfg.Policy != nil {
		policy = s.cfg.Policy(in.thread.Tenant)
	}
	if policy == nil {
		return inspected{text: text}, nil
	}
	decision := policy.Inspect(dlp.Message{
		Time: now, Chat: in.thread.ID, ID: id, Sender: in.person.ID, Text: text,
		External: slices.ContainsFunc(in.others(), func(m Member) bool { return m.External }),
		Override: d.Override, Justification: d.Justification,
	})
	e.DLP = &decision.Audit
	if decision.Sender.Blocked {
		return inspected{}, withheld(decision)
	}
	return inspected{decision.Text, decision.Action == dlp.Mask, decision.Sender.Notices}, nil
}

// withheld is the refusal of a text that a rule blocks, or withholds for now.
func withheld(d dlp.Decision) *Error {
	refused := refuse(Blocked, "the message is blocked: %s", d.Audit.Reason)
	refused.Notices = d.Sender.Notices
	if len(d.Audit.Rules) == 0 {
		return refused
	}
	// The rule that decided: the first that blocks, or that wants the override.
	for _, n := range d.Sender.Notices {
		if d.Withheld == dlp.NoOverride || n.Override == d.Withheld {
			refused.Rule = n.Rule
			break
		}
	}
	refused.Detail = "the message is blocked by rule " + refused.Rule
	if d.Withheld != dlp.NoOverride {
		refused.Code, refused.Override = Withheld, d.Withheld
		refused.Detail = "the message is withheld by rule " + refused.Rule + ", until the sender overrides it"
	}
	return refused
}

// normalise gives a text the form in which it is inspected, stored and delivered: NFC,
// lines that end with a line feed, no other control characters but tabs, no space
// around it.
func normalise(text string) (string, error) {
	if len(text) > MaxText {
		return "", tooLarge(len(text))
	}
	if !utf8.ValidString(text) {
		return "", refuse(Invalid, "the text is not UTF-8")
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || r == '\ufeff' {
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(norm.NFC.String(text))
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }) {
		return "", refuse(Invalid, "the text is empty")
	}
	// NFC makes some texts longer.
	if len(text) > MaxText {
		return "", tooLarge(len(text))
	}
	return text, nil
}

func tooLarge(size int) *Error {
	return refuse(TooLarge, "the text has %d bytes, wanted at most %d", size, MaxText)
}
