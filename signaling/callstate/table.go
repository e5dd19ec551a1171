package callstate

import (
	"fmt"
	"slices"
	"strings"
)

// Transition is one line of the table.
type Transition struct {
	From  State
	Event Event
	By    []Role
	To    State
}

var (
	parties    = []Role{Caller, Callee}
	caller     = []Role{Caller}
	callee     = []Role{Callee}
	controller = []Role{Controller}
)

// table is the whole state machine: what is not in it is out of order. Candidates
// and telemetry leave a call where it is; a hang-up of an ended call does so too,
// because two hang-ups may cross.
var table = []Transition{
	{Idle, Invite, caller, Invited},

	{Invited, Notified, controller, Ringing},
	{Invited, Answer, callee, Answered},
	{Invited, Reject, callee, Ended},
	{Invited, Candidate, parties, Invited},
	{Invited, Telemetry, parties, Invited},
	{Invited, Hangup, parties, Ended},
	{Invited, Timeout, controller, Ended},
	{Invited, Lost, controller, Ended},

	{Ringing, Answer, callee, Answered},
	{Ringing, Reject, callee, Ended},
	{Ringing, Candidate, parties, Ringing},
	{Ringing, Telemetry, parties, Ringing},
	{Ringing, Hangup, parties, Ended},
	{Ringing, Timeout, controller, Ended},
	{Ringing, Lost, controller, Ended},

	// A re-offer before Confirmed is in order: notifications keep theirs, so
	// the caller has the answer before anything that follows it.
	{Answered, Confirmed, controller, Connected},
	{Answered, Offer, caller, CallerReoffer},
	{Answered, Offer, callee, CalleeReoffer},
	{Answered, Candidate, parties, Answered},
	{Answered, Telemetry, parties, Answered},
	{Answered, Hangup, parties, Ended},
	{Answered, Lost, controller, Ended},

	{Connected, Offer, caller, CallerReoffer},
	{Connected, Offer, callee, CalleeReoffer},
	{Connected, Candidate, parties, Connected},
	{Connected, Telemetry, parties, Connected},
	{Connected, Hangup, parties, Ended},
	{Connected, Lost, controller, Ended},

	{CallerReoffer, Reanswer, callee, Connected},
	{CallerReoffer, Rollback, parties, Connected},
	{CallerReoffer, Candidate, parties, CallerReoffer},
	{CallerReoffer, Telemetry, parties, CallerReoffer},
	{CallerReoffer, Hangup, parties, Ended},
	{CallerReoffer, Lost, controller, Ended},

	{CalleeReoffer, Reanswer, caller, Connected},
	{CalleeReoffer, Rollback, parties, Connected},
	{CalleeReoffer, Candidate, parties, CalleeReoffer},
	{CalleeReoffer, Telemetry, parties, CalleeReoffer},
	{CalleeReoffer, Hangup, parties, Ended},
	{CalleeReoffer, Lost, controller, Ended},

	{Ended, Hangup, parties, Ended},
	{Ended, Telemetry, parties, Ended},
}

// Transitions returns a copy of the table.
func Transitions() []Transition { return slices.Clone(table) }

// States returns every state, in the order of a call's life.
func States() []State {
	return []State{Idle, Invited, Ringing, Answered, Connected, CallerReoffer, CalleeReoffer, Ended}
}

// Events returns every event, the participants' first.
func Events() []Event {
	return []Event{Invite, Answer, Reject, Candidate, Offer, Reanswer, Rollback, Hangup, Telemetry,
		Notified, Confirmed, Timeout, Lost}
}

// Roles returns every role.
func Roles() []Role { return []Role{Caller, Callee, Controller} }

// Next returns the state after event by role in state from, or a *Refusal.
func Next(from State, event Event, by Role) (State, error) {
	for _, t := range table {
		if t.From == from && t.Event == event && slices.Contains(t.By, by) {
			return t.To, nil
		}
	}
	return from, &Refusal{State: from, Event: event, Role: by, Allowed: Allowed(from, by)}
}

// Allowed lists the events that role may cause in a state, in table order.
func Allowed(in State, by Role) []Event {
	var events []Event
	for _, t := range table {
		if t.From == in && slices.Contains(t.By, by) {
			events = append(events, t.Event)
		}
	}
	return events
}

// Refusal is the error for an event that is out of order.
type Refusal struct {
	State   State
	Event   Event
	Role    Role
	Allowed []Event
}

// Glare is true when both sides made an offer at once: the one that came second
// is refused and may be made again (RFC 3261, section 14.1).
func (r *Refusal) Glare() bool {
	return r.Event == Offer &&
		(r.State == CallerReoffer && r.Role == Callee || r.State == CalleeReoffer && r.Role == Caller)
}

// Error implements error.
func (r *Refusal) Error() string {
	words := make([]string, len(r.Allowed))
	for i, e := range r.Allowed {
		words[i] = string(e)
	}
	allowed := "nothing"
	if len(words) > 0 {
		allowed = strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s by the %s is out of order while the call is %s; allowed: %s",
		r.Event, r.Role, r.State, allowed)
}
