package meeting

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Act is what moves a person from one place to another.
type Act string

// The acts. The first three are a person's join as package policy decided it.
const (
	JoinAdmitted Act = "join (admitted)"
	JoinHeld     Act = "join (held)"
	JoinRefused  Act = "join (refused)"
	Admit        Act = "admit"
	AutoAdmit    Act = "auto-admit" // the meeting started, for which alone the person waited
	Reject       Act = "reject"
	Expel        Act = "expel" // a policy or option changed, and now refuses the person
	Timeout      Act = "time-out"
	Leave        Act = "leave"
	Remove       Act = "remove"
	End          Act = "end"
)

// Acts returns every act.
func Acts() []Act {
	return []Act{JoinAdmitted, JoinHeld, JoinRefused, Admit, AutoAdmit, Reject, Expel, Timeout, Leave, Remove, End}
}

// Party is who may cause an act.
type Party string

// The parties. A moderator is an organizer, co-organizer or presenter (by the
// option allowedLobbyAdmitters, admitting may be kept to the hosts); a host is an
// organizer or co-organizer.
const (
	Self      Party = "the person"
	Moderator Party = "a moderator"
	Host      Party = "a host"
	Rules     Party = "the rules"
	Clock     Party = "the clock"
)

// Transition is one line of the table of places.
type Transition struct {
	From policy.Place
	Act  Act
	By   Party
	To   policy.Place
}

// table is the whole of it: what is not in it is out of order. Whoever was refused,
// rejected, timed out or removed is outside, and may ask again; that Teams lets
// them is our reading.
var table = []Transition{
	{policy.Outside, JoinAdmitted, Rules, policy.Present},
	{policy.Outside, JoinHeld, Rules, policy.Lobby},
	{policy.Outside, JoinRefused, Rules, policy.Outside},

	{policy.Lobby, Admit, Moderator, policy.Present},
	{policy.Lobby, AutoAdmit, Rules, policy.Present},
	{policy.Lobby, Reject, Moderator, policy.Outside},
	{policy.Lobby, Expel, Rules, policy.Outside},
	{policy.Lobby, Timeout, Clock, policy.Outside},
	{policy.Lobby, Leave, Self, policy.Outside},
	{policy.Lobby, End, Host, policy.Outside},

	{policy.Present, Leave, Self, policy.Outside},
	{policy.Present, Remove, Moderator, policy.Outside},
	{policy.Present, End, Host, policy.Outside},
}

// Transitions returns a copy of the table.
func Transitions() []Transition { return slices.Clone(table) }

// Places returns every place.
func Places() []policy.Place { return []policy.Place{policy.Outside, policy.Lobby, policy.Present} }

// Next returns where a person is after an act, or a *Refusal.
func Next(from policy.Place, act Act) (policy.Place, error) {
	var allowed []Act
	for _, t := range table {
		if t.From == from {
			if t.Act == act {
				return t.To, nil
			}
			allowed = append(allowed, t.Act)
		}
	}
	return from, &Refusal{Act: act, Place: from, Allowed: allowed}
}

// Phase is what the meeting is doing.
type Phase string

// The phases. A meeting that all have left is scheduled again: anonymous people
// wait for its next start.
const (
	Scheduled Phase = "scheduled"
	Started   Phase = "started"
	Ended     Phase = "ended"
)

// PhaseStep is one line of the table of phases.
type PhaseStep struct {
	From Phase
	On   string
	To   Phase
}

const (
	firstIn = "first person in"
	lastOut = "last person out"
	ending  = "end"
)

var phases = []PhaseStep{
	{Scheduled, firstIn, Started},
	{Started, lastOut, Scheduled},
	{Scheduled, ending, Ended},
	{Started, ending, Ended},
}

// PhaseSteps returns a copy of the table of phases.
func PhaseSteps() []PhaseStep { return slices.Clone(phases) }

// turn moves the phase, or leaves it where the table has no line.
func turn(from Phase, on string) (Phase, bool) {
	for _, p := range phases {
		if p.From == from && p.On == on {
			return p.To, true
		}
	}
	return from, false
}

// Refusal is the error for an act that is out of order or not the actor's to do.
type Refusal struct {
	Act     Act
	Person  string
	By      string
	Place   policy.Place // where the person is, when that is why
	Allowed []Act        // what may be done there
	// Because is the rule that forbids it, when that is why.
	Because policy.Decision
	Problem string
}

// Error implements error.
func (r *Refusal) Error() string {
	switch {
	case r.Problem != "":
		return fmt.Sprintf("%s of %q by %q is refused: %s", r.Act, r.Person, r.By, r.Problem)
	case r.Because.Rule != "":
		return fmt.Sprintf("%s of %q by %q is refused: %s is %q (%s)", r.Act, r.Person, r.By, r.Because.Rule, r.Because.Value, r.Because.Source)
	}
	words := make([]string, len(r.Allowed))
	for i, a := range r.Allowed {
		words[i] = string(a)
	}
	return fmt.Sprintf("%s of %q by %q is out of order: the person is %s; allowed: %s",
		r.Act, r.Person, r.By, map[policy.Place]string{policy.Outside: "outside", policy.Lobby: "in the lobby", policy.Present: "in the meeting"}[r.Place], strings.Join(words, ", "))
}

// Mermaid draws both tables.
func Mermaid() (places, phase string) {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> outside\n")
	for _, t := range table {
		fmt.Fprintf(&b, "    %s --> %s: %s, by %s\n", t.From, t.To, t.Act, t.By)
	}
	places = b.String()
	b.Reset()
	b.WriteString("stateDiagram-v2\n    [*] --> scheduled\n")
	for _, p := range phases {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", p.From, p.To, p.On)
	}
	b.WriteString("    ended --> [*]\n")
	return places, b.String()
}
