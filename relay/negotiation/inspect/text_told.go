package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/relay/negotiation"
)

// What a leg has that no packet showed: whose it is, and what was signalled.

// relayed writes which allocation a leg is of.
func (p *printer) relayed(r *Relayed) {
	if r == nil {
		return
	}
	until := map[string]string{
		"": "it is still read", "sample": "media had flowed for long enough", "most": "it had been read for long enough",
		"foreign": "nothing in it is read", "allocation": "the allocation ended", "closed": "the log was closed",
	}[r.Until]
	rows := [][]string{
		{"allocation", fmt.Sprintf("%s over %s, relayed address %s", r.Allocation, r.Transport, address(r.Relay))},
		{"peer", address(r.Peer)},
		{"stage", orDash(r.Stage)},
		{"read until", orDash(until)},
	}
	if r.CarriedBy != "" {
		rows = append(rows, []string{"carried by", "leg " + r.CarriedBy})
	}
	p.table("Relayed leg", nil, rows)
}

// descriptions writes what matters here of offers and answers.
func (p *printer) descriptions(all []negotiation.Description) {
	var rows [][]string
	for _, d := range all {
		var facts []string
		for line := range strings.Lines(d.SDP) {
			line = strings.TrimSpace(line)
			for _, prefix := range []string{"m=", "a=setup:", "a=fingerprint:"} {
				if strings.HasPrefix(line, prefix) && !slices.Contains(facts, line) && len(facts) < maxFacts {
					facts = append(facts, line)
				}
			}
		}
		rows = append(rows, []string{d.Side, d.Kind, strings.Join(facts, "  ")})
	}
	p.table("Descriptions", nil, rows)
}

// maxFacts is how many lines of a description are written.
const maxFacts = 8
