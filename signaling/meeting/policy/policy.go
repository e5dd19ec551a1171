package policy

// Configuration is the organisation's own settings, which stand above every
// policy.
type Configuration struct {
	DisableAnonymousJoin      bool
	EnableAcsFederationAccess bool
}

// Policy is a meeting policy (CsTeamsMeetingPolicy), as far as it decides who gets
// in and what they may do. It applies to the meetings of the organizer that it is
// assigned to. The zero value lets nobody but the organizers in.
type Policy struct {
	AllowAnonymousUsersToJoinMeeting  bool
	AllowAnonymousUsersToStartMeeting bool
	AllowAnonymousUsersToDialOut      bool
	AllowPSTNUsersToBypassLobby       bool
	AutoAdmittedUsers                 AutoAdmittedUsers
	BlockedAnonymousJoinClientTypes   []BlockedClient
	DesignatedPresenterRoleMode       PresenterMode
	MeetingChatEnabledType            ChatType
}

// Options are a meeting's options, by the names of onlineMeeting in Microsoft
// Graph. What is not set ("" or nil) leaves the policy's default.
type Options struct {
	LobbyBypassScope            LobbyScope
	IsDialInBypassEnabled       *bool
	AllowedPresenters           AllowedPresenters
	AllowedLobbyAdmitters       LobbyAdmitters
	AllowMeetingChat            MeetingChat
	AllowAttendeeToEnableMic    bool
	AllowAttendeeToEnableCamera bool
	RecordAutomatically         bool
	IsEndToEndEncryptionEnabled bool
}

var configurations = table[Configuration]{"organisation's settings", []property[Configuration]{
	flag(ruleDisableJoin, false, "true: nobody joins anonymously, in any meeting (CsTeamsMeetingConfiguration)",
		func(c *Configuration) *bool { return &c.DisableAnonymousJoin }),
	// Microsoft keeps this one in CsExternalAccessPolicy, where it can also be
	// assigned to single organizers; here it holds for all. No page that was read
	// states its default; [acs] lets external users join a meeting without any
	// preparation, hence true.
	flag(ruleFederation, true, "false: no external user of Azure Communication Services joins (CsExternalAccessPolicy)",
		func(c *Configuration) *bool { return &c.EnableAcsFederationAccess }),
}}

// Defaults: [cmdlet] has true for joining and an empty list of blocked clients;
// [lobby] off for starting and for dial-in, and the meeting policies' overview
// EveryoneInCompany and chat for everyone. EveryoneUserOverride is named as default
// in the text of [cmdlet]. For dialling out no page that was read has one: off.
var policies = table[Policy]{"meeting policy", []property[Policy]{
	flag(ruleAnonymousJoin, true, "false: nobody joins this organizer's meetings anonymously",
		func(p *Policy) *bool { return &p.AllowAnonymousUsersToJoinMeeting }),
	flag(ruleStart, false, "true, with Everyone as AutoAdmittedUsers: the meeting starts without a verified person",
		func(p *Policy) *bool { return &p.AllowAnonymousUsersToStartMeeting }),
	flag(ruleDialOut, false, "true: anonymous people may add a phone to the meeting",
		func(p *Policy) *bool { return &p.AllowAnonymousUsersToDialOut }),
	flag(rulePhoneBypass, false, "true: people who dial in bypass the lobby; a default for isDialInBypassEnabled",
		func(p *Policy) *bool { return &p.AllowPSTNUsersToBypassLobby }),
	choice(ruleLobby, EveryoneInCompany, "who bypasses the lobby; a default for lobbyBypassSettings.scope",
		[]AutoAdmittedUsers{Everyone, EveryoneInSameAndFederatedCompany, EveryoneInCompany, EveryoneInCompanyExcludingGuests, InvitedUsers, OrganizerOnly},
		func(p *Policy) *AutoAdmittedUsers { return &p.AutoAdmittedUsers }),
	words(ruleBlocked, "clients with which nobody joins anonymously",
		[]BlockedClient{BlockACS, BlockTeams},
		func(p *Policy) *[]BlockedClient { return &p.BlockedAnonymousJoinClientTypes }),
	choice(rulePresenter, PresentEveryone, "who is a presenter on joining; a default for allowedPresenters",
		[]PresenterMode{PresentEveryone, PresentFederated, PresentCompany, PresentOrganizer},
		func(p *Policy) *PresenterMode { return &p.DesignatedPresenterRoleMode }),
	choice(ruleChat, ChatEnabled, "who may chat; allowMeetingChat only narrows it",
		[]ChatType{ChatEnabled, ChatDisabled, ChatExceptAnonymous, ChatInMeeting},
		func(p *Policy) *ChatType { return &p.MeetingChatEnabledType }),
}}

var options = table[Options]{"meeting options", []property[Options]{
	choice(optionScope, "", "who bypasses the lobby",
		[]LobbyScope{ScopeEveryone, ScopeFederated, ScopeOrganization, ScopeExcludesGuests, ScopeInvited, ScopeOrganizer},
		func(o *Options) *LobbyScope { return &o.LobbyBypassScope }),
	optionalFlag(optionPhone, "whether people who dial in bypass the lobby",
		func(o *Options) **bool { return &o.IsDialInBypassEnabled }),
	choice(optionPresenters, "", "who is a presenter on joining",
		[]AllowedPresenters{PresentersEveryone, PresentersOrganization, PresentersNamed, PresentersOrganizer},
		func(o *Options) *AllowedPresenters { return &o.AllowedPresenters }),
	choice(OptionAdmitters, AdmitPresenters, "who admits from the lobby",
		[]LobbyAdmitters{AdmitPresenters, AdmitOrganizers},
		func(o *Options) *LobbyAdmitters { return &o.AllowedLobbyAdmitters }),
	choice(optionChat, "", "whether there is a chat; narrows the policy",
		[]MeetingChat{MeetingChatEnabled, MeetingChatDisabled, MeetingChatLimited},
		func(o *Options) *MeetingChat { return &o.AllowMeetingChat }),
	flag(optionMic, true, "whether attendees may unmute",
		func(o *Options) *bool { return &o.AllowAttendeeToEnableMic }),
	flag(optionCam, true, "whether attendees may turn on their camera",
		func(o *Options) *bool { return &o.AllowAttendeeToEnableCamera }),
	flag("recordAutomatically", false, "whether recording starts with the meeting; kept for the media processor, decides nothing here",
		func(o *Options) *bool { return &o.RecordAutomatically }),
	flag(optionE2EE, false, "true: clients on Azure Communication Services cannot join",
		func(o *Options) *bool { return &o.IsEndToEndEncryptionEnabled }),
}}

// ConfigurationProperties describes the organisation's settings.
func ConfigurationProperties() []Property { return configurations.properties() }

// PolicyProperties describes the settings of a meeting policy.
func PolicyProperties() []Property { return policies.properties() }

// OptionProperties describes the options of a meeting.
func OptionProperties() []Property { return options.properties() }

// DefaultConfiguration is a new organisation's.
func DefaultConfiguration() Configuration { return configurations.preset() }

// DefaultPolicy is the global policy of a new organisation.
func DefaultPolicy() Policy { return policies.preset() }

// DefaultOptions leave everything to the policy.
func DefaultOptions() Options { return options.preset() }

// ParseConfiguration reads the organisation's settings, a JSON object of names and
// values. The error is an *Error.
func ParseConfiguration(data []byte) (Configuration, error) {
	return configurations.parse(data, false)
}

// ParsePolicy reads a meeting policy; what it does not name has its default. The
// error is an *Error.
func ParsePolicy(data []byte) (Policy, error) { return policies.parse(data, false) }

// ParseOptions reads a meeting's options. The error is an *Error.
func ParseOptions(data []byte) (Options, error) { return options.parse(data, false) }

// Set changes one setting; lists are written with commas. The error is an *Error,
// and changes nothing.
func (c *Configuration) Set(name, value string) error { return configurations.set(c, name, value) }

// Set is as Configuration.Set.
func (p *Policy) Set(name, value string) error { return policies.set(p, name, value) }

// Set is as Configuration.Set; "" unsets an option that may be unset.
func (o *Options) Set(name, value string) error { return options.set(o, name, value) }

// Validate finds a value that is not Microsoft's, as a program may have written it.
func (p Policy) Validate() error { return policies.validate(p) }

// Validate is as Policy.Validate.
func (o Options) Validate() error { return options.validate(o) }

// MarshalJSON writes every setting.
func (c Configuration) MarshalJSON() ([]byte, error) { return configurations.marshal(c) }

// MarshalJSON writes every setting.
func (p Policy) MarshalJSON() ([]byte, error) { return policies.marshal(p) }

// MarshalJSON writes every option.
func (o Options) MarshalJSON() ([]byte, error) { return options.marshal(o) }

// UnmarshalJSON reads a saved state, in which nothing may be missing; for what an
// administrator writes there is ParseConfiguration.
func (c *Configuration) UnmarshalJSON(data []byte) (err error) {
	*c, err = configurations.parse(data, true)
	return err
}

// UnmarshalJSON is as Configuration.UnmarshalJSON.
func (p *Policy) UnmarshalJSON(data []byte) (err error) {
	*p, err = policies.parse(data, true)
	return err
}

// UnmarshalJSON is as Configuration.UnmarshalJSON.
func (o *Options) UnmarshalJSON(data []byte) (err error) {
	*o, err = options.parse(data, true)
	return err
}
