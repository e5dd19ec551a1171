package dlp

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Override says whether and how the sender may send nevertheless what a rule that
// warns withholds: Purview's "block with override". Without one, such a rule delivers
// the message at once. Block and Mask can't be overridden.
type Override int

// The overrides. A greater one asks for more.
const (
	NoOverride Override = iota
	// Confirm withholds the message until the sender confirms it.
	Confirm
	// Justify withholds it until the sender confirms it and says why.
	Justify
)

func overrideNames() []string { return []string{"none", "confirm", "justify"} }

func (o Override) String() string {
	if names := overrideNames(); 0 <= o && int(o) < len(names) {
		return names[o]
	}
	return fmt.Sprintf("Override(%d)", int(o))
}

// maxJustification is how many bytes of a justification are audited.
const maxJustification = 500

// override finds out whether the message is withheld, and records what the sender
// overrode.
func (d *Decision) override(m Message, matched []*Rule) {
	if d.Action == Block {
		return
	}
	why := strings.TrimSpace(m.Justification)
	for _, r := range matched {
		switch {
		case r.Override == NoOverride:
		case m.Override && (r.Override == Confirm || readable(why)):
			d.Audit.Overridden = append(d.Audit.Overridden, r.Name)
		default:
			d.Withheld = max(d.Withheld, r.Override)
		}
	}
	if d.Withheld != NoOverride {
		d.Audit.Reason, d.Audit.Overridden = ReasonWithheld, nil
		return
	}
	if d.Audit.Overridden != nil && readable(why) {
		d.Audit.Justification = hideAll(why)
	}
}

// readable says whether a justification is one that can be audited.
func readable(why string) bool {
	return why != "" && len(why) <= maxJustification && utf8.ValidString(why)
}

// hideAll masks all that may be a sensitive value, at any confidence and of any type:
// a text for the audit log is no place for the value that it is about.
func hideAll(text string) string {
	from := cells(text)
	return mask(text, from, scan(from, maxWindow, Types()))
}
