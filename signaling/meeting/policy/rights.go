package policy

import "slices"

// presenters is who becomes a presenter on joining, by mode. Organizers always are
// more than that.
var presenters = map[PresenterMode][]Kind{
	PresentEveryone:  {Member, Guest, Trusted, Anonymous},
	PresentFederated: {Member, Guest, Trusted},
	PresentCompany:   {Member, Guest},
	PresentOrganizer: {},
}

// presenterOptions is the same by option. PresentersNamed is about a list, not a
// kind: see RoleOf. The option has no word for "trusted organisations".
var presenterOptions = map[AllowedPresenters][]Kind{
	PresentersEveryone:     {Member, Guest, Trusted, Anonymous},
	PresentersOrganization: {Member, Guest},
	PresentersNamed:        {},
	PresentersOrganizer:    {},
}

// RoleOf is a person's role, and what gave it: the meeting for organizers, a hand
// during the meeting, else the option and the policy on who presents. As the values
// of DesignatedPresenterRoleMode say ("UserOverride"), it is a default that the
// organizer may change.
func RoleOf(c Case) (Role, Decision) {
	if c.Kind() == Organizers {
		return c.Standing, Decision{Allowed, RuleRole, string(c.Standing), sourceMeeting}
	}
	if c.Assigned == Presenter || c.Assigned == Attendee {
		return c.Assigned, Decision{Allowed, RuleRole, string(c.Assigned), sourceMeeting}
	}
	because := assigned(rulePresenter)(c)
	kinds := presenters[c.Rules.Policy.DesignatedPresenterRoleMode]
	if c.Options.AllowedPresenters != "" {
		because = option(optionPresenters)(c)
		kinds = presenterOptions[c.Options.AllowedPresenters]
	}
	named := c.Options.AllowedPresenters == PresentersNamed && c.Standing == Presenter
	if named || slices.Contains(kinds, c.Kind()) {
		because.Outcome = Allowed
		return Presenter, because
	}
	because.Outcome = Denied
	return Attendee, because
}

func (c Case) role() Role {
	r, _ := RoleOf(c)
	return r
}

func (c Case) present() bool     { return c.Place == Present }
func (c Case) attendee() bool    { return c.role() == Attendee }
func (c Case) roleValue() string { return string(c.role()) }

// The start of every table of rights: only those in the meeting have any.
var (
	inMeeting = rule{RulePlace, always, Case.present, Denied, fact(RulePlace, func(c Case) string { return string(c.Place) })}
	noPhone   = rule{ruleClient, always, func(c Case) bool { return c.Person.Client != Phone }, Denied,
		fact(ruleClient, func(c Case) string { return string(c.Person.Client) })}
)

var presenting = []rule{
	inMeeting,
	noPhone, // a telephone has nothing to show
	{RuleRole, always, func(c Case) bool { return !c.attendee() }, Denied, func(c Case) Decision {
		_, d := RoleOf(c)
		return d
	}},
}

// MayPresent decides on sharing a screen and the other rights of a presenter.
func MayPresent(c Case) Decision { return decide(c, presenting, Allowed) }

var dialling = []rule{
	inMeeting,
	noPhone,
	{RuleRole, always, always, Denied, fact(RuleRole, Case.roleValue)},
	{ruleDialOut, Case.anonymous, func(c Case) bool { return c.Rules.Policy.AllowAnonymousUsersToDialOut }, Denied, assigned(ruleDialOut)},
}

// MayDialOut decides on adding a telephone to the meeting. For those who are not
// anonymous other policies of Teams decide (their own, on dialling out), which are
// not here: they may.
func MayDialOut(c Case) Decision { return decide(c, dialling, Allowed) }

var (
	speaking = []rule{inMeeting, {RuleRole, always, always, Denied, fact(RuleRole, Case.roleValue)},
		{optionMic, Case.attendee, func(c Case) bool { return c.Options.AllowAttendeeToEnableMic }, Denied, option(optionMic)}}
	showing = []rule{inMeeting, noPhone, {RuleRole, always, always, Denied, fact(RuleRole, Case.roleValue)},
		{optionCam, Case.attendee, func(c Case) bool { return c.Options.AllowAttendeeToEnableCamera }, Denied, option(optionCam)}}
)

// MayUseMicrophone decides on sending sound. That the option for attendees covers
// dial-in callers too is our reading.
func MayUseMicrophone(c Case) Decision { return decide(c, speaking, Allowed) }

// MayUseCamera decides on sending video.
func MayUseCamera(c Case) Decision { return decide(c, showing, Allowed) }

// chatters is who may chat by policy, and whether also while they are not in the
// meeting. An unknown value has neither.
var chatters = map[ChatType]struct {
	on, anonymous, outside bool
}{
	ChatEnabled:         {on: true, anonymous: true, outside: true},
	ChatExceptAnonymous: {on: true, outside: true},
	ChatInMeeting:       {on: true},
	ChatDisabled:        {},
}

var chatting = []rule{
	// [cmdlet] has a policy LobbyChat, "not released yet": no chat in the lobby.
	{RulePlace, func(c Case) bool { return c.Place != Outside }, Case.present, Denied, fact(RulePlace, func(c Case) string { return string(c.Place) })},
	noPhone,
	{ruleChat, always, Case.chatByPolicy, Denied, assigned(ruleChat)},
	{optionChat, func(c Case) bool { return c.Options.AllowMeetingChat != "" }, Case.chatByOption, Denied, option(optionChat)},
	// [anon]: anonymous people have no chat before and after the meeting. Others
	// have it with an invite; that they need one is our reading.
	{RulePlace, func(c Case) bool { return c.Place == Outside }, func(c Case) bool {
		return c.Kind() == Organizers || c.Person.Invited && !c.anonymous()
	}, Denied, fact(RulePlace, func(c Case) string { return string(c.Place) })},
}

// MayChat decides on reading and writing the meeting's chat.
func MayChat(c Case) Decision { return decide(c, chatting, Allowed) }

func (c Case) chatByPolicy() bool {
	t := chatters[c.Rules.Policy.MeetingChatEnabledType]
	return t.on && (t.anonymous || !c.anonymous()) && (t.outside || c.present())
}

func (c Case) chatByOption() bool {
	return c.Options.AllowMeetingChat == MeetingChatEnabled ||
		c.Options.AllowMeetingChat == MeetingChatLimited && c.present()
}
