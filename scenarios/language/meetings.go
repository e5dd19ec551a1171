package language

import (
	"strings"

	"github.com/callpath/callpath/topology"
)

// Settings are policies or options by Microsoft's names, as package policy of the
// meetings lists them. A value is a truth, a word, or a list of words.
type Settings map[string]any

// Policies are those of the organisation whose Teams users organize meetings. What
// is left out has Microsoft's default. Strongest first: Organization, then the
// policy that applies to the organizer: Organizers, else Groups, else Global.
type Policies struct {
	// Organization are the organisation's own settings.
	Organization Settings `yaml:"organization,omitempty"`
	// Global is the meeting policy of those who have no other.
	Global Settings `yaml:"global,omitempty"`
	// Groups give their members a meeting policy; the first group counts.
	Groups []PolicyGroup `yaml:"groups,omitempty"`
	// Organizers are the policies assigned to single participants.
	Organizers map[string]Settings `yaml:"organizers,omitempty"`
}

// PolicyGroup gives a meeting policy to several.
type PolicyGroup struct {
	Name    string   `yaml:"name"`
	Members []string `yaml:"members"`
	Policy  Settings `yaml:"policy"`
}

// Who is one participant's name or several: "bob" or [bob, carol].
type Who []string

// The steps of meetings and group calls. Each but Meeting, Join and Chat acts in the
// meeting or group call that the participant joined last.
type (
	// Meeting schedules a meeting, of which Organizer is a Teams user.
	Meeting struct {
		// Name is by which steps and expectations refer to it.
		Name         string `yaml:"name"`
		Organizer    string `yaml:"organizer"`
		CoOrganizers Who    `yaml:"co-organizers,omitempty"`
		// Presenters count with the option allowedPresenters at roleIsPresenter.
		Presenters Who      `yaml:"presenters,omitempty"`
		Invited    Who      `yaml:"invited,omitempty"`
		Options    Settings `yaml:"options,omitempty"`
		// Media false has people join without media: only signaling is tried.
		Media *bool `yaml:"media,omitempty"`
	}
	// Group makes a group call of Communication Services that By starts, for those
	// invited only. One that nobody made is joined by its name alone.
	Group struct {
		Name    string `yaml:"name"`
		By      string `yaml:"by"`
		Invited Who    `yaml:"invited"`
		// Recording asks for a media processor, however few are in the call.
		Recording bool `yaml:"recording,omitempty"`
	}
	// Join asks to get into a meeting or a group call: the one made last when
	// neither is named. Being refused, or held in the lobby, is an outcome.
	Join struct {
		By      Who    `yaml:"by"`
		Meeting string `yaml:"meeting,omitempty"`
		Group   string `yaml:"group,omitempty"`
	}
	// Admit lets people in from the lobby, or all who wait when Who is empty.
	Admit struct {
		By  string `yaml:"by"`
		Who Who    `yaml:"who,omitempty"`
	}
	// Remove sends somebody out of the meeting.
	Remove struct {
		By  string `yaml:"by"`
		Who string `yaml:"who"`
	}
	// Role makes somebody a presenter or an attendee.
	Role struct {
		By  string `yaml:"by"`
		Who string `yaml:"who"`
		Is  string `yaml:"is"`
	}
	// SetOptions changes options of a meeting that goes on.
	SetOptions struct {
		By  string   `yaml:"by"`
		Set Settings `yaml:"set"`
	}
	// Chat sends a message to the meeting's chat.
	Chat struct {
		From string `yaml:"from"`
		Text string `yaml:"text"`
		// Name is by which later steps and expectations refer to it.
		Name string `yaml:"name"`
		// Meeting is one that From has not joined.
		Meeting string `yaml:"meeting,omitempty"`
		// Override sends nevertheless what a rule withholds until its sender says so,
		// and Justification why.
		Override      bool   `yaml:"override,omitempty"`
		Justification string `yaml:"justification,omitempty"`
	}
	// Edit replaces the text of a message.
	Edit struct {
		By      string `yaml:"by"`
		Message string `yaml:"message"`
		Text    string `yaml:"text"`
	}
	// Delete deletes a message.
	Delete struct {
		By      string `yaml:"by"`
		Message string `yaml:"message"`
	}
)

// SignalingOnly is true for a meeting in which nobody has media.
func (m *Meeting) SignalingOnly() bool { return m.Media != nil && !*m.Media }

// Stay is one place in the course of a person through a meeting: where, and by
// which rule where a rule decided. In a file it is written "lobby", or
// "refused by DisableAnonymousJoin".
type Stay struct {
	Place string
	// Rule is a policy, an option or another reason; empty is any.
	Rule string
}

// Text is the stay as it is written in a file.
func (s Stay) Text() string {
	if s.Rule == "" {
		return s.Place
	}
	return s.Place + " by " + s.Rule
}

// Course is where a person stood in a meeting, in order, from the first wish to get
// in to the end of the steps: "present", or "[lobby, present]".
type Course []Stay

// UnmarshalYAML reads one stay or a list of them.
func (c *Course) UnmarshalYAML(decode func(any) error) error {
	var words Who
	if err := words.UnmarshalYAML(decode); err != nil {
		return err
	}
	*c = Course{}
	for _, word := range words {
		place, rule, _ := strings.Cut(word, " by ")
		*c = append(*c, Stay{Place: strings.TrimSpace(place), Rule: strings.TrimSpace(rule)})
	}
	return nil
}

// The places of a course. A person who is let in from the lobby is present; refused
// is a person who did not get in, at once or because a policy changed.
const (
	StayPresent  = "present"
	StayLobby    = "lobby"
	StayRefused  = "refused"
	StayRejected = "rejected"
	StayTimedOut = "timed-out"
	StayLeft     = "left"
	StayRemoved  = "removed"
	StayEnded    = "ended" // somebody ended the meeting for all
	StayLost     = "lost"  // the connection to the controller was gone for too long
)

// Stays lists the places of a course.
func Stays() []string {
	return []string{StayPresent, StayLobby, StayRefused, StayRejected, StayTimedOut, StayLeft, StayRemoved, StayEnded, StayLost}
}

// MeetingExpect is what must be true of one meeting or group call.
type MeetingExpect struct {
	// People has the course of each person who asked to get in, and of nobody else.
	People map[string]Course `yaml:"people,omitempty"`
	// Region is where the media was hosted first.
	Region string `yaml:"region,omitempty"`
	// Denied are acts that were refused, as "admit by bob".
	Denied []string `yaml:"denied,omitempty"`
}

// MessageExpect is what must be true of one message of a chat.
type MessageExpect struct {
	// Outcome is delivered, masked, warned, withheld, blocked, refused, edited,
	// deleted or, of a history, read: what became of it last.
	Outcome string `yaml:"outcome,omitempty"`
	// Rule is a piece of the name of what decided.
	Rule string `yaml:"rule,omitempty"`
	// To are those who got it, and nobody else did.
	To []string `yaml:"to,omitempty"`
	// Text is what they read last.
	Text string `yaml:"text,omitempty"`
}

// The outcomes of a message.
const (
	MessageDelivered = "delivered"
	MessageMasked    = "masked"
	MessageWarned    = "warned"
	MessageWithheld  = "withheld" // until its sender overrides the rule
	MessageBlocked   = "blocked"
	MessageRefused   = "refused" // by a right, a place or a key, not by its text
	MessageEdited    = "edited"
	MessageDeleted   = "deleted"
	MessageRead      = "read"
)

// UnmarshalYAML reads "bob" or [bob, carol].
func (w *Who) UnmarshalYAML(decode func(any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if _, several := value.([]any); several {
		return decode((*[]string)(w))
	}
	var one string
	if err := decode(&one); err != nil {
		return err
	}
	*w = Who{one}
	return nil
}

// UnmarshalYAML reads "bob", [bob, carol], or a mapping.
func (j *Join) UnmarshalYAML(decode func(any) error) error {
	type full Join
	return listOr(decode, &j.By, (*full)(j))
}

// UnmarshalYAML reads "alice", who admits all, or a mapping.
func (a *Admit) UnmarshalYAML(decode func(any) error) error {
	type full Admit
	return shortOr(decode, &a.By, (*full)(a), "a participant's name")
}

// listOr decodes a mapping into full, and everything else into short.
func listOr(decode func(any) error, short *Who, full any) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if _, mapping := value.(map[string]any); mapping {
		return decode(full)
	}
	return decode(short)
}

// Conference is true for a scenario of meetings and group calls; any other is a call
// of two.
func (s *Scenario) Conference() bool {
	for _, step := range s.Steps {
		if step.Meeting != nil || step.Group != nil || step.Join != nil {
			return true
		}
	}
	return false
}

// MediaFlows is true when anybody of a conference may have media.
func (s *Scenario) MediaFlows() bool {
	only := map[string]bool{}
	for _, step := range s.Steps {
		if step.Meeting != nil {
			only[step.Meeting.Name] = step.Meeting.SignalingOnly()
		}
		if step.Join != nil && !only[step.Join.Meeting] {
			return true
		}
	}
	return !s.Conference()
}

// Service is a change of what runs on a host: "stop: relay".
type Service struct {
	Host string `yaml:"host"`
}

// UnmarshalYAML reads "relay" or {host: relay}.
func (s *Service) UnmarshalYAML(decode func(any) error) error {
	type full Service
	return shortOr(decode, &s.Host, (*full)(s), "a host's name")
}

// serves is true for a role whose service a scenario may stop.
func serves(role topology.Role) bool {
	return role == topology.TransportRelay || role == topology.MediaProcessor || role == topology.SignalingController
}
