package expect

import (
	"slices"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
)

// always are the expectations that nobody has to write: of a call that is
// expected to connect, each peer's certificate is the one that its SDP promised
// (RFC 5763, section 5), every payload arrives as it was sent, the relay
// finds no plaintext, nothing is violated, and every step of the scenario could be
// taken. Where the scenario says something
// of its own on the same matter, that takes the place of the rule.
func always(s *language.Scenario, r *result.Run) []result.Expectation {
	if !s.MustConnect() && !s.Conference() {
		return nil
	}
	var checks []result.Expectation
	for _, p := range s.Participants {
		said := []language.ParticipantExpect{s.Expect.Each, s.Expect.Participants[p.Name]}
		about := find(r, p.Name)
		if s.Conference() && !received(about) {
			continue // it waited, or was alone; who was to hear whom is said
		}
		for _, rule := range participantAlways {
			if !slices.ContainsFunc(said, rule.stated) {
				checks = append(checks, rule.check(about).expectation("always."+rule.key, p.Name, 0))
			}
		}
	}
	for _, rule := range runAlways {
		if !rule.stated(s.Expect) && (rule.key != "processor-allocated" || s.Conference()) {
			checks = append(checks, rule.check(r).expectation("always."+rule.key, "", 0))
		}
	}
	return checks
}

// A rule holds unless the scenario states its own.
type rule[E, S any] struct {
	key    string
	stated func(E) bool
	check  func(*S) outcome
}

var participantAlways = []rule[language.ParticipantExpect, result.Participant]{
	{
		key:    "fingerprint",
		stated: func(e language.ParticipantExpect) bool { return e.Fingerprint != "" },
		check:  func(p *seen) outcome { return stating("fingerprint", &one{Fingerprint: "verified"}, p) },
	},
	{
		key:    "intact",
		stated: func(e language.ParticipantExpect) bool { return e.Intact != nil },
		check:  func(p *seen) outcome { yes := true; return stating("intact", &one{Intact: &yes}, p) },
	},
}

var runAlways = []rule[language.Expect, result.Run]{
	{
		key:    "steps-taken",
		stated: func(language.Expect) bool { return false },
		check:  stepsTaken,
	},
	{
		key:    "relay-saw-plaintext",
		stated: func(e language.Expect) bool { return e.RelaySawPlaintext != nil },
		check:  noPlaintext,
	},
	{
		key:    "processor-allocated",
		stated: func(e language.Expect) bool { return e.ProcessorAllocated != nil },
		check:  noAllocation,
	},
	{
		key:    "violations",
		stated: func(e language.Expect) bool { return e.Violations != nil },
		check:  func(r *result.Run) outcome { return violations(0, r) },
	},
}

// stating checks a participant as if the scenario stated e, which holds the one
// key.
func stating(key string, e *one, p *seen) outcome {
	i := slices.IndexFunc(participantRows, func(r row[one, seen]) bool { return r.key == key })
	o, _ := participantRows[i].check(e, p)
	return o
}

// stepsTaken is not met by a run that stopped on its way, though media had flowed
// until then.
func stepsTaken(r *result.Run) outcome {
	if r.NotTaken != "" {
		return outcome{wanted: "every step", seen: "stopped at " + r.NotTaken}
	}
	return outcome{wanted: "every step", seen: "every step", met: true}
}

// noAllocation is met by a media processor that never was a client of the relay.
func noAllocation(r *result.Run) outcome {
	f := processorAllocated(r)
	return outcome{wanted: "no", seen: yesNo(f.is) + " (" + f.why + ")", met: !f.is}
}

// noPlaintext is met by a relay that had nothing to relay, but not by one whose
// packets nobody searched.
func noPlaintext(r *result.Run) outcome {
	relayed := slices.ContainsFunc(r.Participants, func(p result.Participant) bool { return p.Relayed })
	f := plaintext(r, r.Relay.Searched > 0 || !relayed)
	if !f.known {
		return nothing("no")
	}
	return outcome{wanted: "no", seen: yesNo(f.is) + " (" + f.why + ")", met: !f.is}
}
