// Package report shows runs to people and to machines: as text for a terminal, as
// JSON, as JUnit XML for continuous integration, and as one HTML page that needs
// nothing beside itself.
//
// It knows runs only from package result, so that a run that was written as JSON
// can be shown later. It decides nothing: what was met and what was not is in the
// run.
//
// What a run holds came partly from the network, and is treated so: control
// characters never reach a terminal, and the HTML is made with html/template.
//
// Start reading at Text and HTML.
package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

// Options are those of Text.
type Options struct {
	// Width of the terminal in columns; zero is 100.
	Width int
	// Color uses ANSI colours.
	Color bool
	// Verbose adds candidates, checks, flights, streams, allocations and legs.
	Verbose bool
}

// verdict is how a run ended, in one word.
type verdict string

const (
	passed      verdict = "passed"
	failed      verdict = "failed"
	interrupted verdict = "interrupted"
	fault       verdict = "fault"
)

func verdictOf(r *result.Run) verdict {
	switch {
	case r.Error != "":
		return fault
	case r.Interrupted:
		return interrupted
	case r.Met():
		return passed
	}
	return failed
}

// unmet counts the expectations that were not met.
func unmet(r *result.Run) int {
	n := 0
	for _, c := range r.Checks {
		if !c.Met {
			n++
		}
	}
	return n
}

// tally says how many expectations were met.
func tally(r *result.Run) string {
	switch n := unmet(r); {
	case len(r.Checks) == 0:
		return "nothing expected"
	case n == 0:
		return fmt.Sprintf("%d expectations met", len(r.Checks))
	default:
		return fmt.Sprintf("%d of %d expectations not met", n, len(r.Checks))
	}
}

// headline says in one line what happened, for people who read no further.
func headline(r *result.Run) string {
	switch {
	case r.Error != "":
		return "The run could not be carried out: " + r.Error
	case isConference(r):
		return conferenceHeadline(r)
	case r.Call.State == "connected" && r.NotTaken != "":
		return "Connected, then stopped at " + r.NotTaken
	case r.Call.State == "connected":
		return "Connected: " + mediaPath(r)
	case r.Call.Reason != "":
		return fmt.Sprintf("The call %s: %s", was(r.Call.State), r.Call.Reason)
	}
	return "The call " + was(r.Call.State)
}

func was(state string) string {
	switch state {
	case "rejected":
		return "was rejected"
	case "none", "":
		return "was never made"
	}
	return state
}

// mediaPath says which way the media took.
func mediaPath(r *result.Run) string {
	var flows []topology.Flow
	var protocols []string
	relayed := false
	for _, p := range r.Participants {
		for _, f := range p.Flows {
			if !slices.Contains(flows, f) {
				flows = append(flows, f)
			}
		}
		if p.Protocol != "" && !slices.Contains(protocols, p.Protocol) {
			protocols = append(protocols, p.Protocol)
		}
		relayed = relayed || p.Relayed
	}
	slices.Sort(flows)
	text := "media went "
	if relayed {
		text += "through the transport relay"
	} else {
		text += "directly"
	}
	if len(protocols) > 0 {
		text += " over " + strings.Join(protocols, " and ")
	}
	if len(flows) > 0 {
		text += ", " + flowWords(flows)
	}
	return text
}

// flowWords is "flow 2" or "flows 3, 4".
func flowWords(flows []topology.Flow) string {
	switch len(flows) {
	case 0:
		return "no numbered flow"
	case 1:
		return "flow " + string(flows[0])
	}
	return "flows " + flowList(flows)
}

func flowList(flows []topology.Flow) string {
	text := make([]string, len(flows))
	for i, f := range flows {
		text[i] = string(f)
	}
	return strings.Join(text, ", ")
}

// handshake is the last of a leg's handshakes that came to an end, or else the last.
func handshake(n *negotiation.Record) *negotiation.DTLS {
	for i := len(n.DTLS) - 1; i >= 0; i-- {
		if n.DTLS[i].Complete {
			return &n.DTLS[i]
		}
	}
	if len(n.DTLS) == 0 {
		return nil
	}
	return &n.DTLS[len(n.DTLS)-1]
}

// fingerprint says whether the certificate that the peer showed is the one that its
// SDP promised.
func fingerprint(d *negotiation.DTLS) string {
	switch {
	case d == nil || d.Peer == nil:
		return "not seen"
	case d.Peer.Promised == "":
		return "not promised"
	case d.Peer.Matched:
		return "verified"
	}
	return "mismatch"
}

// pairOf is the pair of a participant, local then remote.
func pairOf(p *result.Participant) string {
	if p.Pair[0] == "" {
		return ""
	}
	return p.Pair[0] + " → " + p.Pair[1]
}

// percent is a fraction for people.
func percent(f float64) string {
	switch {
	case f == 0:
		return "0 %"
	case f < 0.001:
		return "< 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", f*100)
}

// rate is a bitrate for people.
func rate(bits float64) string {
	switch {
	case bits == 0:
		return "–"
	case bits >= 1e6:
		return fmt.Sprintf("%.2f Mbit/s", bits/1e6)
	case bits >= 1e3:
		return fmt.Sprintf("%.0f kbit/s", bits/1e3)
	}
	return fmt.Sprintf("%.0f bit/s", bits)
}

// mos is an estimate for people; zero is none.
func mos(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}

// duration is nothing where there is none.
func duration(d result.Duration) string {
	if d == 0 {
		return "–"
	}
	return d.String()
}

// stepPlace names who did a step, and to whom.
func stepPlace(s result.Step) string {
	switch {
	case s.To == "" || s.To == s.From:
		return s.From
	case s.From == "":
		return s.To
	}
	return s.From + " → " + s.To
}
