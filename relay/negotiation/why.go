package negotiation

import (
	"fmt"
	"slices"
	"strings"
)

// record makes the ICE part of a Record. turn tells relay candidates' transport.
func (a *agent) record(turn []TURN) ICE {
	ice := ICE{
		Role:       a.role,
		LocalUfrag: a.ufrag[0],
		PeerUfrag:  a.ufrag[1],
		Local:      a.known(true),
		Remote:     a.known(false),
		Checks:     slices.Clone(a.checks),
		Restarts:   a.generation,
		Consent:    a.consent,
	}
	complete := func(c *Candidate) {
		for _, allocation := range turn {
			if c.Type == "relay" && c.RelayProtocol == "" && allocation.Relayed == c.Address {
				c.RelayProtocol = allocation.Protocol
			}
		}
	}
	for i := range ice.Local {
		complete(&ice.Local[i])
	}
	selected := a.selected()
	if selected != nil {
		complete(&selected.Local)
		ice.Selected = selected
		ice.Why = a.why(*selected)
	}
	return ice
}

// known are the candidates of a side: the signalled, then those only discovered.
func (a *agent) known(local bool) []Candidate {
	i := index(local)
	all := slices.Clone(a.candidates[i])
	for _, c := range a.discovered[i] {
		if _, signalled := find(a.candidates[i], c.Address); !signalled {
			all = append(all, c)
		}
	}
	return all
}

// localOf is the local candidate of a pair's valid pair (RFC 8445, section
// 7.2.5.3.2): what the peer sees, where a check told that.
func (a *agent) localOf(p *pair) Candidate {
	if c, ok := find(a.known(true), p.mapped); ok {
		return c
	}
	return a.base(p)
}

// base is the local candidate from which a pair's checks are sent.
func (a *agent) base(p *pair) Candidate {
	if c, ok := find(a.known(true), p.local); ok {
		return c
	}
	kind := "host"
	if p.relayed {
		kind = "relay"
	}
	return Candidate{Type: kind, Address: p.local, Protocol: "udp"}
}

func (a *agent) remoteOf(p *pair) Candidate {
	if c, ok := find(a.known(false), p.remote); ok {
		return c
	}
	return Candidate{Type: "prflx", Address: p.remote, Protocol: "udp"}
}

// priority is that of a pair (RFC 8445, section 6.1.2.3).
func (a *agent) priority(local, remote Candidate) uint64 {
	controlling, controlled := uint64(local.Priority), uint64(remote.Priority)
	if a.role == "controlled" {
		controlling, controlled = controlled, controlling
	}
	priority := min(controlling, controlled)<<32 + 2*max(controlling, controlled)
	if controlling > controlled {
		priority++
	}
	return priority
}

// selected is the pair that the agent told of, else the nominated one of highest
// priority (RFC 8445, section 8.1.2); nil when there is neither.
func (a *agent) selected() *Pair {
	if a.agentPair != nil {
		s := *a.agentPair
		if c, ok := find(a.known(true), s.Local.Address); ok {
			s.Local = merge(s.Local, c)
		}
		if c, ok := find(a.known(false), s.Remote.Address); ok {
			s.Remote = merge(s.Remote, c)
		}
		if p := a.wire(s); p != nil {
			s.Nominated = !p.nominated.IsZero()
		}
		return &s
	}
	var best *Pair
	var bestPriority uint64
	for _, p := range a.order {
		if p.nominated.IsZero() || p.generation != a.generation {
			continue
		}
		s := Pair{Local: a.localOf(p), Remote: a.remoteOf(p), Nominated: true}
		if priority := a.priority(s.Local, s.Remote); best == nil || priority > bestPriority {
			best, bestPriority = &s, priority
		}
	}
	return best
}

// merge fills what the agent did not tell of a candidate.
func merge(told, known Candidate) Candidate {
	if told.Type == "" {
		told.Type = known.Type
	}
	if !told.Related.IsValid() {
		told.Related = known.Related
	}
	if told.Protocol == "" {
		told.Protocol = known.Protocol
	}
	if told.RelayProtocol == "" {
		told.RelayProtocol = known.RelayProtocol
	}
	if told.Priority == 0 {
		told.Priority = known.Priority
	}
	if told.Foundation == "" {
		told.Foundation = known.Foundation
	}
	return told
}

// wire finds the pair of addresses on which a candidate pair's checks were seen:
// the local address of the packets is the candidate's base.
func (a *agent) wire(s Pair) *pair {
	var found *pair
	for _, p := range a.order {
		fits := p.local == s.Local.Address || p.mapped == s.Local.Address ||
			s.Local.Type != "relay" && s.Local.Related.IsValid() && p.local == s.Local.Related
		if p.remote == s.Remote.Address && fits && (found == nil || p.succeeded[index(true)] && !found.succeeded[index(true)]) {
			found = p
		}
	}
	return found
}

// maxNamed bounds how many pairs Why names.
const maxNamed = 6

// why says from the checks why the selected pair won.
func (a *agent) why(selected Pair) string {
	own := a.wire(selected)
	mine := a.priority(selected.Local, selected.Remote)
	if own != nil {
		mine = max(mine, a.priority(a.base(own), a.remoteOf(own)))
	}
	var won int
	var better, failed []string
	for _, p := range a.order {
		if p.generation != a.generation || p.sent == 0 {
			continue
		}
		ok := p.succeeded[index(true)]
		if ok {
			won++
		}
		if p == own {
			continue
		}
		name := fmt.Sprintf("%s %v to %s %v", a.base(p).Type, p.local, a.remoteOf(p).Type, p.remote)
		switch above := a.priority(a.base(p), a.remoteOf(p)) > mine; {
		case above && ok:
			better = append(better, name)
		case above:
			failed = append(failed, name+" ("+p.outcome()+")")
		}
	}
	var why strings.Builder
	switch {
	case own == nil || !own.succeeded[index(true)]:
		why.WriteString("the agent's choice; no success of its checks was seen")
	case won == 1:
		why.WriteString("the only pair whose checks succeeded")
	case len(better) == 0:
		fmt.Fprintf(&why, "the highest priority of %d pairs whose checks succeeded", won)
	default:
		fmt.Fprintf(&why, "one of %d pairs whose checks succeeded, though of lower priority than %s", won, list(better))
	}
	if len(failed) > 0 {
		fmt.Fprintf(&why, "; of higher priority, but failed: %s", list(failed))
	}
	if a.agentWhy != "" {
		fmt.Fprintf(&why, "; the agent says: %s", a.agentWhy)
	}
	return why.String()
}

// outcome says how a pair without success failed.
func (p *pair) outcome() string {
	if p.refusal != "" {
		return p.refusal
	}
	if p.sent == 1 {
		return "no answer to 1 request"
	}
	return fmt.Sprintf("no answer to %d requests", p.sent)
}

func list(names []string) string {
	if len(names) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}
