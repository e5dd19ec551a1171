package policy

import (
	"slices"
	"strconv"
)

// The names of what decides, as an audit record shows them. The first block is
// Microsoft's policies, the second its meeting options, the third what follows
// from a role, a client or a place.
const (
	ruleDisableJoin   = "DisableAnonymousJoin"
	ruleFederation    = "EnableAcsFederationAccess"
	ruleAnonymousJoin = "AllowAnonymousUsersToJoinMeeting"
	ruleBlocked       = "BlockedAnonymousJoinClientTypes"
	ruleStart         = "AllowAnonymousUsersToStartMeeting"
	ruleDialOut       = "AllowAnonymousUsersToDialOut"
	rulePhoneBypass   = "AllowPSTNUsersToBypassLobby"
	ruleLobby         = "AutoAdmittedUsers"
	rulePresenter     = "DesignatedPresenterRoleMode"
	ruleChat          = "MeetingChatEnabledType"

	optionScope      = "lobbyBypassSettings.scope"
	optionPhone      = "lobbyBypassSettings.isDialInBypassEnabled"
	optionPresenters = "allowedPresenters"
	OptionAdmitters  = "allowedLobbyAdmitters"
	optionChat       = "allowMeetingChat"
	optionMic        = "allowAttendeeToEnableMic"
	optionCam        = "allowAttendeeToEnableCamera"
	optionE2EE       = "isEndToEndEncryptionEnabled"

	RuleRole   = "role"
	RulePlace  = "place"
	ruleClient = "client"
	ruleKind   = "kind"
)

// Where a value comes from, beside "direct", "group NAME" and "global" of a policy.
const (
	sourceOrganization = "organization"
	sourceOption       = "meeting option"
	sourceMeeting      = "meeting"
)

// Person is somebody as the identity service and the client tell: facts that the
// controller has verified, not what the person says.
type Person struct {
	ID     string
	Kind   Kind // not Organizers: that follows from the meeting
	Client Client
	// Region is where the person joins from, for Meeting.Region.
	Region string `json:",omitempty"`
	// Invited is true for somebody who was sent the invite, directly, through a
	// distribution list or forwarded. Who only has the link is not invited.
	Invited bool
	// SignedIn is true for an Anonymous person with a verified account of an
	// organisation that is not trusted. For the other kinds it goes without saying.
	SignedIn bool
}

// Case is what a decision is about.
type Case struct {
	Person Person
	// Standing is Organizer or CoOrganizer for those of the meeting, Presenter for
	// those that the organizer named as presenters beforehand, else "".
	Standing Role
	// Assigned is the role given by hand during the meeting, or "".
	Assigned Role
	Place    Place
	// Started is true once a person was let in, until all have left.
	Started bool
	Rules   Effective
	Options Options
}

// Effective is what applies to one organizer's meetings, as Organization.Effective
// found it.
type Effective struct {
	Configuration Configuration
	Policy        Policy
	Name          string // the policy's
	Source        string // "direct", "group NAME" or "global"
}

// Decision is what was decided, and by what.
type Decision struct {
	Outcome Outcome
	Rule    string // the name of a policy or option, or "role", "place", "client", "kind"
	Value   string // its value, which decided
	Source  string // "organization", "direct", "group NAME", "global", "meeting option", "meeting"
}

// AwaitsStart is true for somebody who waits only until the meeting starts, and is
// then let in without being admitted by hand.
func (d Decision) AwaitsStart() bool { return d.Outcome == Held && d.Rule == ruleStart }

// Kind is what the person is to this meeting. An anonymous or trusted person's ID
// among the organizers makes no organizer: [acs] has co-organizers not applicable
// to external users.
func (c Case) Kind() Kind {
	inDirectory := c.Person.Kind == Member || c.Person.Kind == Guest
	if inDirectory && (c.Standing == Organizer || c.Standing == CoOrganizer) {
		return Organizers
	}
	if c.Person.Kind == Organizers {
		return "" // nobody brings that along; an unknown kind is refused
	}
	return c.Person.Kind
}

func (c Case) phone() bool     { return c.Person.Client == Phone && c.Kind() != Organizers }
func (c Case) anonymous() bool { return c.Kind() == Anonymous }

// anonymousJoin is the join that the policies on anonymous people are about. A
// dial-in is not one of them: by [lobby], with anonymous join off, the start rule
// still applies to dial-in callers.
func (c Case) anonymousJoin() bool { return c.anonymous() && c.Person.Client != Phone }

// verified people start a meeting. A dial-in organizer does ([lobby]); other
// callers are known by a number only.
func (c Case) verified() bool { return !c.anonymous() && !c.phone() }

// rule is one line of a decision's table: a case to which it applies and in which
// it does not hold has its outcome.
type rule struct {
	name    string
	applies func(Case) bool
	holds   func(Case) bool
	outcome Outcome
	// because has the name, the value and the source of what decided.
	because func(Case) Decision
}

// decide walks a table. The first rule that does not hold decides; when all hold,
// it is the last one that applied.
func decide(c Case, rules []rule, otherwise Outcome) Decision {
	last := Decision{Outcome: otherwise, Rule: ruleKind, Value: string(c.Kind()), Source: sourceMeeting}
	for _, r := range rules {
		if !r.applies(c) {
			continue
		}
		d := r.because(c)
		if !r.holds(c) {
			d.Outcome = r.outcome
			return d
		}
		d.Outcome = otherwise
		last = d
	}
	return last
}

func always(Case) bool { return true }

func organization(name string, value func(Configuration) bool) func(Case) Decision {
	return func(c Case) Decision {
		return Decision{Rule: name, Value: strconv.FormatBool(value(c.Rules.Configuration)), Source: sourceOrganization}
	}
}

// assigned reads a setting of the policy by its name.
func assigned(name string) func(Case) Decision {
	return func(c Case) Decision {
		value := ""
		if p, err := policies.row(name); err == nil {
			value = p.get(&c.Rules.Policy)
		}
		return Decision{Rule: name, Value: value, Source: c.Rules.Source}
	}
}

func option(name string) func(Case) Decision {
	return func(c Case) Decision {
		value := ""
		if p, err := options.row(name); err == nil {
			value = p.get(&c.Options)
		}
		return Decision{Rule: name, Value: value, Source: sourceOption}
	}
}

func fact(name string, value func(Case) string) func(Case) Decision {
	return func(c Case) Decision { return Decision{Rule: name, Value: value(c), Source: sourceMeeting} }
}

// joining is the order in which a join is decided: what refuses, then what holds
// in the lobby until somebody admits, then what holds until the meeting starts.
var joining = []rule{
	{ruleKind, always, func(c Case) bool { return slices.Contains(Kinds(), c.Kind()) }, Refused,
		fact(ruleKind, func(c Case) string { return string(c.Person.Kind) })},
	{ruleClient, always, func(c Case) bool { return slices.Contains(Clients(), c.Person.Client) }, Refused,
		fact(ruleClient, func(c Case) string { return string(c.Person.Client) })},
	{ruleDisableJoin, Case.anonymousJoin, func(c Case) bool { return !c.Rules.Configuration.DisableAnonymousJoin }, Refused,
		organization(ruleDisableJoin, func(f Configuration) bool { return f.DisableAnonymousJoin })},
	{ruleFederation, Case.externalACS, func(c Case) bool { return c.Rules.Configuration.EnableAcsFederationAccess }, Refused,
		organization(ruleFederation, func(f Configuration) bool { return f.EnableAcsFederationAccess })},
	{ruleAnonymousJoin, Case.anonymousJoin, func(c Case) bool { return c.Rules.Policy.AllowAnonymousUsersToJoinMeeting }, Refused,
		assigned(ruleAnonymousJoin)},
	{ruleBlocked, Case.anonymousJoin, func(c Case) bool { return !c.blocked() }, Refused,
		assigned(ruleBlocked)},
	{optionE2EE, func(c Case) bool { return c.Person.Client == ACS && c.Options.IsEndToEndEncryptionEnabled }, func(Case) bool { return false }, Refused,
		option(optionE2EE)},

	{rulePhoneBypass, Case.phone, Case.phoneBypasses, Held, Case.phoneRule},
	{ruleLobby, func(c Case) bool { return !c.phone() }, Case.bypasses, Held, Case.lobbyRule},

	{ruleStart, func(c Case) bool { return !c.Started && !c.verified() }, Case.mayStart, Held,
		assigned(ruleStart)},
}

// Join decides on a person who asks to get in: Admitted, Held or Refused.
func Join(c Case) Decision { return decide(c, joining, Admitted) }

func (c Case) externalACS() bool { return c.anonymous() && c.Person.Client == ACS }

// blockedBy is which value blocks which client.
var blockedBy = map[Client]BlockedClient{ACS: BlockACS, Teams: BlockTeams}

func (c Case) blocked() bool {
	return slices.Contains(c.Rules.Policy.BlockedAnonymousJoinClientTypes, blockedBy[c.Person.Client])
}
