package negotiation

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/callpath/callpath/relay/negotiation/wire/stun"
)

// agent is what is known of the leg's ICE agent.
type agent struct {
	journal *journal
	limits  limits

	role       string
	ufrag      [2]string // index(local)
	candidates [2][]Candidate
	// discovered are peer-reflexive (RFC 8445, sections 7.2.5.3.1 and 7.3.1.3);
	// a candidate of the same address that is signalled later replaces one.
	discovered [2][]Candidate

	checks  []Check
	pairs   map[pairKey]*pair
	order   []*pair
	consent Consent

	// generation counts restarts: pairs of an earlier one no longer compete.
	generation int
	agentPair  *Pair
	agentWhy   string
}

type pairKey struct{ local, remote netip.AddrPort }

// pair is two addresses between which checks were seen.
type pair struct {
	pairKey
	place      int // in agent.order
	relayed    bool
	generation int
	mapped     netip.AddrPort
	// sent and answered count the leg's own checks, refusal is the last error.
	sent, answered int
	refusal        string
	// succeeded is by direction (index(outbound)): there was a success.
	succeeded [2]bool
	// use is set by a check with USE-CANDIDATE that succeeded, sent or received.
	use       bool
	nominated time.Time
}

// credentials takes the user name fragment of a description. A change is a
// restart (RFC 8445, section 9); that of one side is counted, since both change.
func (a *agent) credentials(t time.Time, local bool, ufrag string) {
	i := index(local)
	if ufrag == "" || ufrag == a.ufrag[i] {
		return
	}
	first := a.ufrag[i] == ""
	a.ufrag[i] = ufrag
	if !first && local {
		a.generation++
		a.journal.event(t, EventRestart)
	}
}

// candidate takes a candidate that was signalled.
func (a *agent) candidate(t time.Time, local bool, c Candidate) {
	i := index(local)
	for _, known := range a.candidates[i] {
		if known.Address == c.Address && known.Type == c.Type && known.Protocol == c.Protocol && known.Foundation == c.Foundation {
			return
		}
	}
	if len(a.candidates[i]) == maxCandidates {
		return
	}
	a.candidates[i] = append(a.candidates[i], c)
	a.candidateEvent(t, local, c)
}

func (a *agent) candidateEvent(t time.Time, local bool, c Candidate) {
	a.journal.event(t, EventCandidate, slog.String(KeySide, sideName(local)), slog.String(KeyType, c.Type),
		slog.String(KeyAddress, c.Address.String()), slog.String(KeyProtocol, c.Protocol), slog.Uint64(KeyPriority, uint64(c.Priority)))
}

// find returns the signalled candidate of an address, the one of highest priority
// where there are several.
func find(candidates []Candidate, address netip.AddrPort) (Candidate, bool) {
	var best Candidate
	found := false
	for _, c := range candidates {
		if c.Address == address && address.IsValid() && (!found || c.Priority > best.Priority) {
			best, found = c, true
		}
	}
	return best, found
}

// discover takes an address that only a check shows.
func (a *agent) discover(t time.Time, local bool, c Candidate) {
	i := index(local)
	if !c.Address.IsValid() || len(a.discovered[i]) == maxCandidates {
		return
	}
	if _, known := find(a.candidates[i], c.Address); known {
		return
	}
	if _, known := find(a.discovered[i], c.Address); known {
		return
	}
	a.discovered[i] = append(a.discovered[i], c)
	a.candidateEvent(t, local, c)
}

// pair finds or makes the pair of a check; nil when there are too many. After a
// restart it is made anew in the place of the old one, so that late answers to old
// checks say nothing of it.
func (a *agent) pair(p path) *pair {
	key := pairKey{p.local, p.remote}
	old := a.pairs[key]
	if old != nil && old.generation == a.generation {
		return old
	}
	made := &pair{pairKey: key, relayed: p.relayed, generation: a.generation}
	switch {
	case old != nil:
		made.place = old.place
		a.order[made.place] = made
	case len(a.order) == a.limits.pairs:
		return nil
	default:
		made.place = len(a.order)
		a.order = append(a.order, made)
	}
	if a.pairs == nil {
		a.pairs = map[pairKey]*pair{}
	}
	a.pairs[key] = made
	return made
}

// request takes the first transmission of a check in either direction.
func (a *agent) request(t time.Time, q *request, m stun.Message) {
	a.attributes(t, q.outbound, m)
	q.useCandidate = m.Has(stun.UseCandidate)
	q.priority, _ = m.Uint32(stun.Priority)
	q.pair = a.pair(q.path)
	if q.pair == nil {
		return
	}
	if q.outbound {
		q.pair.sent++
	}
	if q.pair.succeeded[index(q.outbound)] && (!q.useCandidate || q.pair.use) {
		if q.outbound {
			a.consent.Sent++
		} else {
			a.consent.Received++
		}
		return
	}
	if len(a.checks) == a.limits.checks {
		return
	}
	q.check = len(a.checks)
	c := Check{
		Time: t, Local: q.path.local, Remote: q.path.remote, Relayed: q.path.relayed,
		Direction: directionName(q.outbound), UseCandidate: q.useCandidate, Result: noAnswer, Sent: 1,
	}
	a.checks = append(a.checks, c)
	name := EventCheckReceived
	if q.outbound {
		name = EventCheckSent
	}
	a.journal.event(t, name, checkAttrs(c)...)
}

// noAnswer is the result of a check as long as no response was seen.
const noAnswer = "no answer"

// succeeded is the result of a check that got its success response.
const succeeded = "succeeded"

func checkAttrs(c Check) []slog.Attr {
	return []slog.Attr{
		slog.String(KeyLocal, c.Local.String()), slog.String(KeyRemote, c.Remote.String()),
		slog.Bool(KeyRelayed, c.Relayed), slog.Bool(KeyUseCandidate, c.UseCandidate),
	}
}

// attributes reads role and credentials from a check.
func (a *agent) attributes(t time.Time, outbound bool, m stun.Message) {
	role := ""
	switch {
	case m.Has(stun.ICEControlling) == outbound && (m.Has(stun.ICEControlling) || m.Has(stun.ICEControlled)):
		role = "controlling"
	case m.Has(stun.ICEControlling) || m.Has(stun.ICEControlled):
		role = "controlled"
	}
	// What the leg says of itself goes before what the peer's role implies.
	if role != "" && (outbound || a.role == "") {
		a.role = role
	}
	// The user name is that of the receiver, then that of the sender (RFC 8445,
	// section 7.2.2).
	to, from, ok := strings.Cut(m.Text(stun.Username), ":")
	if !ok {
		return
	}
	if a.ufrag[index(outbound)] == "" {
		a.credentials(t, outbound, cut(from))
	}
	if a.ufrag[index(!outbound)] == "" {
		a.credentials(t, !outbound, cut(to))
	}
}

// repeated takes a retransmission.
func (a *agent) repeated(q *request) { a.checks[q.check].Sent++ }

// response takes the response to a check; p is where it was seen.
func (a *agent) response(t time.Time, q *request, p path, m stun.Message) {
	result, mapped := succeeded, m.Mapped()
	code := 0
	switch {
	case m.Class == stun.Failure:
		code, _ = m.Code()
		result = m.Refusal()
		q.pair.refusal = result
	case p != q.path:
		// RFC 8445, section 7.2.5.2.1.
		result = "answered between other addresses"
		q.pair.refusal = result
	}
	if code == stun.RoleConflict {
		a.journal.event(t, EventRoleConflict, slog.String(KeyLocal, p.local.String()),
			slog.String(KeyRemote, p.remote.String()), slog.String(KeySide, sideName(!q.outbound)))
	}
	if q.check >= 0 {
		c := &a.checks[q.check]
		c.Result = result
		if result == succeeded {
			c.Mapped = mapped
		}
		if q.outbound && q.sent == 1 {
			c.RTT = max(t.Sub(q.last), 0)
		}
		attrs := append(checkAttrs(*c), slog.String(KeyDirection, c.Direction), slog.String(KeyResult, result))
		if c.RTT > 0 {
			attrs = append(attrs, slog.Duration(KeyRTT, c.RTT))
		}
		a.journal.event(t, EventCheckAnswered, attrs...)
	} else if q.outbound && result == succeeded {
		a.consent.Answered++
	}
	if result == succeeded {
		a.success(t, q, mapped)
	}
}

// success draws the conclusions of a check that succeeded.
func (a *agent) success(t time.Time, q *request, mapped netip.AddrPort) {
	p := q.pair
	p.succeeded[index(q.outbound)] = true
	if q.outbound {
		p.answered++
		p.mapped = mapped
		if mapped.IsValid() && mapped != p.local {
			a.discover(t, true, Candidate{Type: "prflx", Address: mapped, Related: p.local, Protocol: "udp", Priority: q.priority})
		}
	} else {
		a.discover(t, false, Candidate{Type: "prflx", Address: p.remote, Protocol: "udp", Priority: q.priority})
	}
	if q.useCandidate && q.outbound == (a.role == "controlling") {
		p.use = true
	}
	// A controlled agent's pair is nominated once its own check has succeeded
	// too (RFC 8445, section 7.3.1.5).
	if p.use && p.succeeded[index(true)] && p.nominated.IsZero() {
		p.nominated = t
		a.journal.event(t, EventNominated, slog.String(KeyLocal, p.local.String()),
			slog.String(KeyRemote, p.remote.String()), slog.Bool(KeyRelayed, p.relayed))
	}
}

// told takes the pair that the agent reports.
func (a *agent) told(t time.Time, local, remote Candidate, why string) {
	a.agentPair = &Pair{Local: local, Remote: remote}
	a.agentWhy = why
	attrs := []slog.Attr{slog.String(KeyLocal, local.Address.String()), slog.String(KeyRemote, remote.Address.String()),
		slog.String(KeyType, local.Type+"–"+remote.Type)}
	if why != "" {
		attrs = append(attrs, slog.String(KeyText, why))
	}
	a.journal.event(t, EventSelected, attrs...)
}
