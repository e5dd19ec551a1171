package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

// recent is how long before the last media packet of a call a leg must have
// carried media to belong to the path in use at the end. ICE's keep-alives and
// RTCP make it longer than the distance of two packets.
const recent = time.Second

// gather puts what was seen into out.
func (r *run) gather(out *result.Run) {
	legs := r.traffic.all(out.Network)
	for _, l := range legs {
		out.Legs = append(out.Legs, l.Leg)
	}
	for _, spec := range r.scenario.Participants {
		p := r.participants[spec.Name]
		seen := p.Result()
		seen.Name, seen.Host, seen.Client = spec.Name, spec.Host, clientOf(spec)
		seen.Negotiation = r.recorders[spec.Name].Tell()
		if r.scenario.Conference() {
			r.conferencePath(&seen, legs)
		} else {
			r.path(&seen, legs)
		}
		out.Participants = append(out.Participants, seen)
	}
	out.Steps = r.gatherSteps(legs)
	r.services.gather(&out.Relay)
	out.Processors = r.services.gatherProcessors(out.Network, legs)
	out.Meetings, out.Messages, out.Lobby = r.book.gather()
	r.gatherLobby(out.Lobby)
	out.Call, out.NotTaken = r.outcome()
	out.Violations = violations(out, legs)
}

// path fills in what only the packets can tell of a participant's path.
func (r *run) path(p *result.Participant, legs []leg) {
	var last time.Time
	for _, l := range legs {
		if l.Media > 0 && l.last.After(last) {
			last = l.last
		}
	}
	for _, l := range legs {
		own := l.From == p.Host || l.To == p.Host
		switch {
		case l.Traffic == result.TrafficSignaling && own:
			p.SignalingFlows = addFlows(p.SignalingFlows, l.Flows)
		case l.Media > 0 && last.Sub(l.last) <= recent:
			// A path is one from end to end, so that both sides have its flows.
			p.Flows = addFlows(p.Flows, l.Flows)
			if own && l.From == p.Host {
				p.Protocol = l.Protocol
				p.Relayed = p.Relayed || r.traffic.isRelay(l)
			}
		}
	}
}

func addFlows(to, flows []topology.Flow) []topology.Flow {
	for _, f := range flows {
		if !slices.Contains(to, f) {
			to = append(to, f)
		}
	}
	slices.Sort(to)
	return to
}

// conferencePath is path for a conference, in which each has a path of its own to the
// media processor: it looks at the participant's own legs only.
func (r *run) conferencePath(p *result.Participant, legs []leg) {
	own := slices.DeleteFunc(slices.Clone(legs), func(l leg) bool { return l.From != p.Host && l.To != p.Host })
	r.path(p, own)
	if s := p.Negotiation.ICE.Selected; s != nil {
		for _, h := range r.internet.Network().HostsWith(topology.MediaProcessor) {
			if slices.Contains(h.Addresses, s.Remote.Address.Addr()) {
				p.Processor = h.Name
			}
		}
	}
}

// gatherLobby counts what packets say of those who waited.
func (r *run) gatherLobby(l *result.Lobby) {
	if l == nil {
		return
	}
	for _, p := range r.scenario.Participants {
		if slices.Contains(l.Waited, p.Name) {
			l.Media += r.traffic.mediaDuring(p.Host, func(at time.Time) bool {
				r.book.mu.Lock()
				defer r.book.mu.Unlock()
				return r.book.during(p.Name, at)
			})
		}
	}
}

// stepTraffic says which packets a step is made of.
var stepTraffic = map[string]result.Traffic{
	result.StepResolve:        result.TrafficDNS,
	result.StepAllocateCaller: result.TrafficTURN,
	result.StepInvite:         result.TrafficSignaling,
	result.StepNotify:         result.TrafficSignaling,
	result.StepAllocateCallee: result.TrafficTURN,
	result.StepAnswer:         result.TrafficSignaling,
	result.StepChecks:         result.TrafficChecks,
	result.StepTelemetry:      result.TrafficSignaling,
	"allocate":                result.TrafficTURN,
	"join":                    result.TrafficSignaling,
	"media-offer":             result.TrafficSignaling,
	"media-answer":            result.TrafficSignaling,
	"chat":                    result.TrafficSignaling,
}

// gatherSteps gives each step the flows that its packets crossed, in the order of
// time.
func (r *run) gatherSteps(legs []leg) []result.Step {
	host := map[string]string{}
	for _, p := range r.scenario.Participants {
		host[p.Name] = p.Host
	}
	r.mu.Lock()
	steps := slices.Clone(r.steps)
	r.mu.Unlock()
	slices.SortStableFunc(steps, func(a, b result.Step) int { return int(a.At - b.At) })
	for i, s := range steps {
		kind, ok := stepTraffic[s.Name]
		if !ok {
			continue
		}
		for _, end := range []string{host[s.From], host[s.To]} {
			for _, l := range legs {
				// Streams to the relay that carry media began as TURN's.
				fits := l.Traffic == kind || kind == result.TrafficTURN && l.Protocol != "udp" && r.traffic.isRelay(l)
				if end != "" && fits && (l.From == end || l.To == end) {
					steps[i].Flows = addFlows(steps[i].Flows, l.Flows)
				}
			}
		}
	}
	return steps
}

// isRelay is true when the relay is at one end of a leg.
func (t *traffic) isRelay(l leg) bool {
	return t.roles[l.From] == topology.TransportRelay || t.roles[l.To] == topology.TransportRelay
}

// outcome is the state in which the call ended, and the step that could not be
// taken.
func (r *run) outcome() (result.Call, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scenario.Conference() {
		connects := slices.ContainsFunc(r.scenario.Steps, func(s language.Step) bool { return s.Connect != nil })
		return r.call.conferenceOutcome(connects), r.call.notTaken
	}
	return r.call.outcome(len(r.participants)), r.call.notTaken
}

func (c *callProgress) outcome(participants int) result.Call {
	switch {
	case c.from == "" && c.failed == "":
		return result.Call{State: "none"}
	case c.rejected != "":
		return result.Call{State: "rejected", Reason: c.rejected}
	case len(c.connected) == participants && participants > 0:
		var last time.Time
		for _, t := range c.connected {
			if t.After(last) {
				last = t
			}
		}
		return result.Call{State: "connected", Setup: result.Duration(last.Sub(c.invited)), Reason: c.failed}
	case c.failed != "":
		return result.Call{State: "failed", Reason: c.failed}
	}
	return result.Call{State: "failed", Reason: "no media on both sides before the call ended"}
}

// violations are breaches of what holds in every run.
func violations(out *result.Run, legs []leg) []string {
	var found []string
	for _, l := range legs {
		if vpn := l.tunnelled(); vpn != "" && l.Media > 0 {
			found = append(found, fmt.Sprintf("media in the VPN tunnel %s: %d packets from %s to %s", vpn, l.Media, l.From, l.To))
		}
	}
	if n := out.Relay.Plaintext; n > 0 {
		found = append(found, fmt.Sprintf("plaintext media in %d of %d packets that the relay relayed", n, out.Relay.Searched))
	}
	if l := out.Lobby; l != nil && l.Media+uint64(l.Messages) > 0 {
		found = append(found, fmt.Sprintf("%d packets of media and %d messages of a chat reached or left people in a lobby", l.Media, l.Messages))
	}
	for _, p := range out.Participants {
		flows := slices.ContainsFunc(p.Streams, func(s result.Stream) bool { return s.Received > 0 })
		for _, d := range p.Negotiation.DTLS {
			if flows && d.Complete && d.Peer != nil && !d.Peer.Matched {
				found = append(found, fmt.Sprintf("%s got media from a peer whose certificate %s is not the one that the SDP promised",
					p.Name, short(d.Peer.Fingerprint)))
			}
		}
		for _, s := range p.Negotiation.SRTP {
			if s.AuthFailures > 0 {
				found = append(found, fmt.Sprintf("%d packets of SSRC %#x %s at %s did not verify as SRTP", s.AuthFailures, s.SSRC, s.Direction, p.Name))
			}
		}
	}
	return found
}

// short keeps the beginning of a fingerprint, which is enough to tell two apart.
func short(fingerprint string) string {
	if parts := strings.Split(fingerprint, ":"); len(parts) > 4 {
		return strings.Join(parts[:4], ":") + "…"
	}
	return fingerprint
}
