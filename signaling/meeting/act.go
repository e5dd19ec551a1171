package meeting

import (
	"fmt"
	"time"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// joins is the act that each outcome of a join is.
var joins = map[policy.Outcome]Act{policy.Admitted: JoinAdmitted, policy.Held: JoinHeld, policy.Refused: JoinRefused}

// happened is the event that each act makes.
var happened = map[Act]EventName{
	JoinAdmitted: PersonAdmitted, JoinHeld: PersonWaits, JoinRefused: PersonRefused,
	Admit: PersonAdmitted, AutoAdmit: PersonAdmitted, Reject: PersonRejected, Expel: PersonRefused,
	Timeout: PersonTimedOut, Leave: PersonLeft, Remove: PersonRemoved, End: PersonLeft,
}

// move takes one person through the table, and the meeting through its own.
func (m *Meeting) move(now time.Time, act Act, p policy.Person, by string, because policy.Decision) ([]Event, error) {
	c := m.Case(p)
	to, err := Next(c.Place, act)
	if err != nil {
		r := err.(*Refusal)
		r.Person, r.By = p.ID, by
		return nil, r
	}
	now = now.Round(0).UTC()
	e := Event{Time: now, Name: happened[act], Meeting: m.ID, Person: p.ID, By: by, Because: because}
	a, known := m.People[p.ID]
	if to == policy.Outside {
		delete(m.People, p.ID)
	} else {
		if m.People == nil {
			m.People = map[string]Attendance{}
		}
		if !known {
			m.Order++
			a = Attendance{Person: p, Order: m.Order}
		}
		a.Place, a.Since, a.AwaitsStart = to, now, because.AwaitsStart()
		m.People[p.ID] = a
	}
	if to == policy.Present {
		e.Role, _ = policy.RoleOf(m.Case(p))
	}
	events := []Event{e}
	if to == policy.Present {
		if phase, ok := turn(m.Phase, firstIn); ok {
			m.Phase, m.Region = phase, a.Person.Region
			events = append(events, Event{Time: now, Name: MeetingStarted, Meeting: m.ID, Person: p.ID, Because: because, Region: m.Region})
		}
	}
	if c.Place == policy.Present && to == policy.Outside && len(m.In(policy.Present)) == 0 {
		if phase, ok := turn(m.Phase, lastOut); ok {
			m.Phase, m.Region = phase, ""
			events = append(events, Event{Time: now, Name: MeetingEmpty, Meeting: m.ID})
		}
	}
	return events, nil
}

// Join decides on a person who asks to get in, and does so: Admitted, Held or
// Refused, which is no error. The error is a *Refusal for somebody who is there
// already, a meeting that has ended and a meeting that is full.
func (m *Meeting) Join(now time.Time, p policy.Person) (policy.Decision, []Event, error) {
	refuse := func(problem string) (policy.Decision, []Event, error) {
		return policy.Decision{Outcome: policy.Refused}, nil, &Refusal{Act: JoinRefused, Person: p.ID, By: p.ID, Problem: problem}
	}
	switch {
	case p.ID == "":
		return refuse("the person has no ID")
	case m.Phase == Ended:
		return refuse("the meeting has ended")
	}
	d := policy.Join(m.Case(p))
	if _, there := m.People[p.ID]; !there && d.Outcome != policy.Refused && len(m.People) >= MaxPeople && m.Case(p).Kind() != policy.Organizers {
		return refuse(fmt.Sprintf("%d people are in the meeting and its lobby, which is all it takes", MaxPeople))
	}
	started := m.Phase == Started
	events, err := m.move(now, joins[d.Outcome], p, "", d)
	if err != nil {
		return policy.Decision{Outcome: policy.Refused}, nil, err
	}
	if !started && m.Phase == Started {
		events = append(events, m.autoAdmit(now)...)
	}
	return d, events, nil
}

// autoAdmit decides anew on those who waited for the start only.
func (m *Meeting) autoAdmit(now time.Time) []Event {
	var events []Event
	for _, a := range m.In(policy.Lobby) {
		if !a.AwaitsStart {
			continue
		}
		d := policy.Join(m.Case(a.Person))
		switch d.Outcome {
		case policy.Admitted:
			events = append(events, m.must(now, AutoAdmit, a.Person, "", d)...)
		case policy.Held: // a policy has changed: now somebody must admit them
			a.AwaitsStart = false
			m.People[a.Person.ID] = a
		}
	}
	return events
}

// must is move for an act that the table has for where the person is.
func (m *Meeting) must(now time.Time, act Act, p policy.Person, by string, because policy.Decision) []Event {
	events, err := m.move(now, act, p, by, because)
	if err != nil {
		panic("meeting: " + err.Error()) // a defect of this package
	}
	return events
}

// allow says whether by may do what a party does. Who is not in the meeting is taken
// as by says; of those only a host may do something, where outside allows it.
func (m *Meeting) allow(act Act, person string, by policy.Person, party Party, outside bool) error {
	c := m.Case(by)
	role, _ := policy.RoleOf(c)
	host := c.Kind() == policy.Organizers
	ok := host && outside && c.Place == policy.Outside ||
		c.Place == policy.Present && (host || party == Moderator && role == policy.Presenter && c.Person.Client != policy.Phone)
	lobby := act == Admit || act == Reject
	if ok && lobby && !host && m.Options.AllowedLobbyAdmitters != policy.AdmitPresenters {
		return &Refusal{Act: act, Person: person, By: by.ID, Because: policy.Decision{Outcome: policy.Denied,
			Rule: policy.OptionAdmitters, Value: string(m.Options.AllowedLobbyAdmitters), Source: "meeting option"}}
	}
	if !ok {
		value := string(role)
		if c.Place != policy.Present && !host {
			value = string(c.Place)
		}
		return &Refusal{Act: act, Person: person, By: by.ID, Because: policy.Decision{Outcome: policy.Denied,
			Rule: policy.RuleRole, Value: value, Source: "meeting"}}
	}
	return nil
}

// inside is allow for what only those in the meeting may do.
func (m *Meeting) inside(act Act, person, by string, party Party) error {
	return m.allow(act, person, policy.Person{ID: by}, party, false)
}

// MayAdmit says whether a person may admit from the lobby, and so see who waits there.
func (m *Meeting) MayAdmit(person string) bool { return m.inside(Admit, "", person, Moderator) == nil }

// Admit lets a person in from the lobby. Somebody whom the policies refuse is not
// let in by hand either. The error is a *Refusal, as with all that follow.
func (m *Meeting) Admit(now time.Time, person, by string) ([]Event, error) {
	if err := m.inside(Admit, person, by, Moderator); err != nil {
		return nil, err
	}
	a := m.People[person]
	if d := policy.Join(m.Case(a.Person)); a.Place == policy.Lobby && d.Outcome == policy.Refused {
		return nil, &Refusal{Act: Admit, Person: person, By: by, Because: d}
	}
	return m.move(now, Admit, m.person(person), by, policy.Decision{})
}

// AdmitAll lets in everybody whom the lobby holds.
func (m *Meeting) AdmitAll(now time.Time, by string) ([]Event, error) {
	if err := m.inside(Admit, "", by, Moderator); err != nil {
		return nil, err
	}
	var events []Event
	for _, a := range m.In(policy.Lobby) {
		if e, err := m.Admit(now, a.Person.ID, by); err == nil {
			events = append(events, e...)
		}
	}
	return events, nil
}

// Reject sends a person away from the lobby.
func (m *Meeting) Reject(now time.Time, person, by string) ([]Event, error) {
	if err := m.inside(Reject, person, by, Moderator); err != nil {
		return nil, err
	}
	return m.move(now, Reject, m.person(person), by, policy.Decision{})
}

// Remove sends a person out of the meeting; hosts are removed by hosts only.
func (m *Meeting) Remove(now time.Time, person, by string) ([]Event, error) {
	party := Moderator
	if m.Case(policy.Person{ID: person}).Kind() == policy.Organizers {
		party = Host
	}
	if err := m.inside(Remove, person, by, party); err != nil {
		return nil, err
	}
	return m.move(now, Remove, m.person(person), by, policy.Decision{})
}

// Leave is for those in the meeting and those in its lobby.
func (m *Meeting) Leave(now time.Time, person string) ([]Event, error) {
	return m.move(now, Leave, m.person(person), "", policy.Decision{})
}

func (m *Meeting) person(id string) policy.Person { return m.Case(policy.Person{ID: id}).Person }

// Tick sends those away whose wait in the lobby has reached LobbyTimeout.
func (m *Meeting) Tick(now time.Time) []Event {
	var events []Event
	for _, a := range m.In(policy.Lobby) {
		if now.Sub(a.Since) >= m.LobbyTimeout {
			events = append(events, m.must(now, Timeout, a.Person, "", policy.Decision{})...)
		}
	}
	return events
}

// End ends the meeting for all, for good. A host may do so from outside, which
// cancels a meeting in which nobody is.
func (m *Meeting) End(now time.Time, by policy.Person) ([]Event, error) {
	if err := m.allow(End, "", by, Host, true); err != nil {
		return nil, err
	}
	phase, ok := turn(m.Phase, ending)
	if !ok {
		return nil, &Refusal{Act: End, By: by.ID, Problem: "the meeting has ended"}
	}
	m.Phase, m.Region = phase, ""
	var events []Event
	for _, place := range []policy.Place{policy.Lobby, policy.Present} {
		for _, a := range m.In(place) {
			events = append(events, m.must(now, End, a.Person, by.ID, policy.Decision{})...)
		}
	}
	return append(events, Event{Time: now.Round(0).UTC(), Name: MeetingEnded, Meeting: m.ID, By: by.ID}), nil
}

// SetRole makes a person who is in the meeting a presenter or an attendee.
func (m *Meeting) SetRole(now time.Time, person, by string, role policy.Role) ([]Event, error) {
	const act Act = "set role"
	if err := m.inside(act, person, by, Moderator); err != nil {
		return nil, err
	}
	c := m.Case(policy.Person{ID: person})
	switch {
	case role != policy.Presenter && role != policy.Attendee:
		return nil, &Refusal{Act: act, Person: person, By: by, Problem: fmt.Sprintf("%q cannot be given; valid: presenter, attendee", role)}
	case c.Place != policy.Present || c.Kind() == policy.Organizers:
		return nil, &Refusal{Act: act, Person: person, By: by, Problem: "only somebody in the meeting who does not organize it gets a role"}
	}
	return m.change(now, Event{By: by}, func() {
		if m.Roles == nil {
			m.Roles = map[string]policy.Role{}
		}
		m.Roles[person] = role
	})
}

// SetOptions changes the options; a host may do so from outside. They hold at once for
// the next join, for those in the lobby whom they now refuse, and for the rights of
// those in the meeting. So it is in Teams: "Manage attendee audio and video
// permissions" and "Roles in Microsoft Teams meetings" (support.microsoft.com) let the
// organizer turn the attendees' microphones and cameras off, and change who presents,
// while the meeting runs. Whom new options would let past, and who is in the lobby
// already, waits on to be admitted, and nobody in the meeting is sent out: of both the
// articles say nothing, and this is our reading.
func (m *Meeting) SetOptions(now time.Time, by policy.Person, o policy.Options) ([]Event, error) {
	const act Act = "set options"
	if err := m.allow(act, "", by, Host, true); err != nil {
		return nil, err
	}
	if m.Phase == Ended {
		return nil, &Refusal{Act: act, By: by.ID, Problem: "the meeting has ended"}
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return m.change(now, Event{Name: OptionsChanged, By: by.ID}, func() { m.Options = o })
}

// SetRules changes the policies, as an administrator does. They hold as options do;
// Teams may take up to 24 hours for that.
func (m *Meeting) SetRules(now time.Time, rules policy.Effective) ([]Event, error) {
	if err := rules.Policy.Validate(); err != nil {
		return nil, err
	}
	return m.change(now, Event{Name: RulesChanged}, func() { m.Rules = rules })
}

// change tells those in the meeting whose rights it changes, and sends those away
// from the lobby whom it refuses.
func (m *Meeting) change(now time.Time, e Event, apply func()) ([]Event, error) {
	e.Time, e.Meeting = now.Round(0).UTC(), m.ID
	before := map[string]string{}
	for _, a := range m.In(policy.Present) {
		before[a.Person.ID] = m.rights(a.Person)
	}
	apply()
	var events []Event
	if e.Name != "" {
		events = append(events, e)
	}
	for _, a := range m.In(policy.Lobby) {
		if d := policy.Join(m.Case(a.Person)); d.Outcome == policy.Refused {
			events = append(events, m.must(now, Expel, a.Person, "", d)...)
		}
	}
	for _, a := range m.In(policy.Present) {
		if m.rights(a.Person) != before[a.Person.ID] {
			role, because := policy.RoleOf(m.Case(a.Person))
			events = append(events, Event{Time: e.Time, Name: RightsChanged, Meeting: m.ID, Person: a.Person.ID, By: e.By, Because: because, Role: role})
		}
	}
	return events, nil
}
