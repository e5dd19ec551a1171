package meeting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Limits. Microsoft's articles that were read have neither: these are ours.
const (
	DefaultLobbyTimeout = 30 * time.Minute
	MaxPeople           = 1000 // in the meeting and its lobby together
)

// Meeting is one scheduled meeting. The exported fields are its saved state; they
// are read, and changed by the methods only.
type Meeting struct {
	ID string
	// Group is a group call of Azure Communication Services: see NewGroup.
	Group        bool `json:",omitempty"`
	Organizer    string
	CoOrganizers []string
	Presenters   []string // named beforehand; they count with the option roleIsPresenter
	LobbyTimeout time.Duration
	Rules        policy.Effective // what applies to the organizer
	Options      policy.Options

	Phase Phase
	// Region hosts the media: that of the first person who was let in, until all
	// have left. Who waits in the lobby has no media, and decides nothing.
	Region string
	People map[string]Attendance // in the meeting and in the lobby, by ID
	Roles  map[string]policy.Role
	Order  uint64 // how many have come so far
}

// Attendance is one person's, in the meeting or in its lobby.
type Attendance struct {
	Person      policy.Person
	Place       policy.Place
	Since       time.Time // in this place
	Order       uint64    // of coming
	AwaitsStart bool      // in the lobby only until the meeting starts
}

// Schedule returns a meeting in which nobody is yet. m has what its organizer
// says: ID, Organizer, CoOrganizers, Presenters, Options; LobbyTimeout 0 is
// DefaultLobbyTimeout. rules are Organization.Effective for the organizer.
func Schedule(m Meeting, rules policy.Effective) (*Meeting, error) {
	if m.LobbyTimeout == 0 {
		m.LobbyTimeout = DefaultLobbyTimeout
	}
	n := Meeting{ID: m.ID, Organizer: m.Organizer, CoOrganizers: slices.Clone(m.CoOrganizers), Presenters: slices.Clone(m.Presenters),
		LobbyTimeout: m.LobbyTimeout, Rules: rules, Options: m.Options, Phase: Scheduled}
	if err := n.validate(); err != nil {
		return nil, err
	}
	return &n, nil
}

// NewGroup returns a group call in which nobody is yet: a meeting without an
// organizer, options or policies of its own, which lets in everybody and gives all the
// same rights. An organisation's policies are about its meetings, and not about it.
func NewGroup(id string) (*Meeting, error) {
	m := Meeting{ID: id, Group: true, LobbyTimeout: DefaultLobbyTimeout, Options: policy.DefaultOptions(), Phase: Scheduled,
		Rules: policy.Effective{Configuration: policy.DefaultConfiguration(), Policy: policy.DefaultPolicy(), Name: "Group", Source: "group call"}}
	m.Rules.Policy.AutoAdmittedUsers = policy.Everyone
	m.Rules.Policy.AllowAnonymousUsersToStartMeeting = true
	m.Rules.Policy.AllowPSTNUsersToBypassLobby = true
	if err := m.validate(); err != nil {
		return nil, err
	}
	return &m, nil
}

// Clone returns a copy, of which a change does not reach m.
func (m *Meeting) Clone() *Meeting {
	n := *m // the slices, and what Options and Rules hold, are never written to
	n.People, n.Roles = maps.Clone(m.People), maps.Clone(m.Roles)
	return &n
}

// Restore reads a saved meeting, and refuses one that is not whole.
func Restore(data []byte) (*Meeting, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var m Meeting
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("meeting: %w", err)
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	return &m, nil
}

// validate holds what every method keeps.
func (m *Meeting) validate() error {
	wrong := func(problem string) error { return fmt.Errorf("meeting %q: %s", m.ID, problem) }
	if m.ID == "" || (m.Organizer == "") != m.Group {
		return wrong("has no ID, or no organizer, or one in a group call")
	}
	if m.LobbyTimeout <= 0 {
		return wrong(fmt.Sprintf("the lobby's time-out is %s; valid: above 0", m.LobbyTimeout))
	}
	if err := m.Rules.Policy.Validate(); err != nil {
		return err
	}
	if err := m.Options.Validate(); err != nil {
		return err
	}
	present := 0
	for id, a := range m.People {
		if a.Person.ID != id || a.Place != policy.Lobby && a.Place != policy.Present {
			return wrong(fmt.Sprintf("person %q is %q, at %q", id, a.Person.ID, a.Place))
		}
		if a.Place == policy.Present {
			present++
		}
	}
	valid := map[Phase]bool{Scheduled: present == 0, Started: present > 0, Ended: len(m.People) == 0}
	if !valid[m.Phase] {
		return wrong(fmt.Sprintf("is %q with %d people in it", m.Phase, present))
	}
	for id, r := range m.Roles {
		if r != policy.Presenter && r != policy.Attendee {
			return wrong(fmt.Sprintf("%q has the role %q; valid: presenter, attendee", id, r))
		}
	}
	return nil
}

// Case is what the policies decide on for a person; the rights of package policy
// (MayChat, MayPresent and so on) take it. A person who is in the meeting or its
// lobby is taken as at the join, whatever p says beside the ID.
func (m *Meeting) Case(p policy.Person) policy.Case {
	c := policy.Case{Person: p, Place: policy.Outside, Assigned: m.Roles[p.ID],
		Started: m.Phase == Started, Rules: m.Rules, Options: m.Options}
	if a, ok := m.People[p.ID]; ok {
		c.Person, c.Place = a.Person, a.Place
	}
	switch {
	case p.ID == m.Organizer:
		c.Standing = policy.Organizer
	case slices.Contains(m.CoOrganizers, p.ID):
		c.Standing = policy.CoOrganizer
	case slices.Contains(m.Presenters, p.ID):
		c.Standing = policy.Presenter
	}
	return c
}

// In returns those at a place, in the order of their coming.
func (m *Meeting) In(place policy.Place) []Attendance {
	var in []Attendance
	for _, a := range m.People {
		if a.Place == place {
			in = append(in, a)
		}
	}
	slices.SortFunc(in, func(a, b Attendance) int { return int(a.Order) - int(b.Order) })
	return in
}

// Deadline is when the next person's wait in the lobby ends, for the owner's timer.
func (m *Meeting) Deadline() (at time.Time, ok bool) {
	for _, a := range m.In(policy.Lobby) {
		if end := a.Since.Add(m.LobbyTimeout); !ok || end.Before(at) {
			at, ok = end, true
		}
	}
	return at, ok
}

// EventName is what happened.
type EventName string

// The events. RightsChanged is for a person in the meeting whose role, chat,
// microphone, camera, presenting or dialling out changed.
const (
	PersonAdmitted EventName = "admitted"
	PersonWaits    EventName = "waits in the lobby"
	PersonRefused  EventName = "refused"
	PersonRejected EventName = "rejected"
	PersonTimedOut EventName = "timed out"
	PersonLeft     EventName = "left"
	PersonRemoved  EventName = "removed"
	MeetingStarted EventName = "meeting started"
	MeetingEmpty   EventName = "meeting empty"
	MeetingEnded   EventName = "meeting ended"
	RulesChanged   EventName = "policies changed"
	OptionsChanged EventName = "options changed"
	RightsChanged  EventName = "rights changed"
)

// Event is one thing that happened, for those concerned and for the audit.
type Event struct {
	Time    time.Time
	Name    EventName
	Meeting string
	Person  string          `json:",omitempty"` // whom it is about
	By      string          `json:",omitempty"` // who did it; "" for rules and clock
	Because policy.Decision // which rule with which value; zero when a person decided
	Role    policy.Role     `json:",omitempty"` // of an admitted person, or as it is now
	Region  string          `json:",omitempty"` // with MeetingStarted
}

// rights is what a person may do, to be compared before and after a change.
func (m *Meeting) rights(p policy.Person) string {
	c := m.Case(p)
	role, _ := policy.RoleOf(c)
	all := []string{string(role)}
	for _, may := range []func(policy.Case) policy.Decision{policy.MayChat, policy.MayPresent, policy.MayDialOut, policy.MayUseMicrophone, policy.MayUseCamera} {
		all = append(all, string(may(c).Outcome))
	}
	return strings.Join(all, " ")
}
