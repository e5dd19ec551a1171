package policy

// Kind is what a person is to the meeting's organisation: the rows of [lobby]'s
// table.
type Kind string

// The kinds of person. Organizers is never what somebody brings along: a meeting
// gives it to its organizer and co-organizers.
const (
	Organizers Kind = "organizers"
	Member     Kind = "member"    // an account of the organisation
	Guest      Kind = "guest"     // a B2B account in the organisation's directory
	Trusted    Kind = "trusted"   // an account of an organisation that is trusted both ways
	Anonymous  Kind = "anonymous" // anybody else: not signed in, an external ACS user, or an account of an organisation that is not trusted
)

// Kinds returns the five kinds in the order of [lobby]'s table.
func Kinds() []Kind { return []Kind{Organizers, Member, Guest, Trusted, Anonymous} }

// Client is what a person joins with.
type Client string

// The clients.
const (
	Teams Client = "teams"
	ACS   Client = "acs"  // an application on Azure Communication Services
	Phone Client = "pstn" // a dial-in from the telephone network
)

// Clients returns every client.
func Clients() []Client { return []Client{Teams, ACS, Phone} }

// Role is what somebody may do in a meeting.
type Role string

// The roles, from many rights to few.
const (
	Organizer   Role = "organizer"
	CoOrganizer Role = "co-organizer"
	Presenter   Role = "presenter"
	Attendee    Role = "attendee"
)

// Roles returns every role.
func Roles() []Role { return []Role{Organizer, CoOrganizer, Presenter, Attendee} }

// Place is where a person stands.
type Place string

// The places.
const (
	Outside Place = "outside"
	Lobby   Place = "lobby"
	Present Place = "present"
)

// Outcome is what was decided.
type Outcome string

// The outcomes of Join.
const (
	Admitted Outcome = "admitted"
	Held     Outcome = "lobby" // waits to be admitted, or for the meeting to start
	Refused  Outcome = "refused"
)

// The outcomes of the other decisions.
const (
	Allowed Outcome = "allowed"
	Denied  Outcome = "denied"
)

// AutoAdmittedUsers is who bypasses the lobby.
type AutoAdmittedUsers string

// The values of AutoAdmittedUsers, from the most open on.
const (
	Everyone                          AutoAdmittedUsers = "Everyone"
	EveryoneInSameAndFederatedCompany AutoAdmittedUsers = "EveryoneInSameAndFederatedCompany"
	EveryoneInCompany                 AutoAdmittedUsers = "EveryoneInCompany"
	EveryoneInCompanyExcludingGuests  AutoAdmittedUsers = "EveryoneInCompanyExcludingGuests"
	InvitedUsers                      AutoAdmittedUsers = "InvitedUsers"
	OrganizerOnly                     AutoAdmittedUsers = "OrganizerOnly"
)

// BlockedClient is a value of BlockedAnonymousJoinClientTypes.
type BlockedClient string

// The values of BlockedAnonymousJoinClientTypes. [cmdlet] writes "ACS", an older
// text of [anon] "Acs"; only the first is taken.
const (
	BlockACS   BlockedClient = "ACS"
	BlockTeams BlockedClient = "Teams"
)

// PresenterMode is a value of DesignatedPresenterRoleMode.
type PresenterMode string

// The values of DesignatedPresenterRoleMode.
const (
	PresentEveryone  PresenterMode = "EveryoneUserOverride"
	PresentFederated PresenterMode = "EveryoneInSameAndFederatedCompanyUserOverride"
	PresentCompany   PresenterMode = "EveryoneInCompanyUserOverride"
	PresentOrganizer PresenterMode = "OrganizerOnlyUserOverride"
)

// ChatType is a value of MeetingChatEnabledType.
type ChatType string

// The values of MeetingChatEnabledType. ChatInMeeting does not stand in [cmdlet];
// the name is the one that the CIS benchmark for Microsoft 365 (8.5.5) checks for.
const (
	ChatEnabled         ChatType = "Enabled"
	ChatDisabled        ChatType = "Disabled"
	ChatExceptAnonymous ChatType = "EnabledExceptAnonymous"
	ChatInMeeting       ChatType = "EnabledInMeetingOnlyForAllExceptAnonymous"
)

// LobbyScope is a value of the option lobbyBypassSettings.scope.
type LobbyScope string

// The values of lobbyBypassSettings.scope.
const (
	ScopeEveryone       LobbyScope = "everyone"
	ScopeFederated      LobbyScope = "organizationAndFederated"
	ScopeOrganization   LobbyScope = "organization"
	ScopeExcludesGuests LobbyScope = "organizationExcludingGuests"
	ScopeInvited        LobbyScope = "invited"
	ScopeOrganizer      LobbyScope = "organizer"
)

// AllowedPresenters is a value of the option allowedPresenters.
type AllowedPresenters string

// The values of allowedPresenters.
const (
	PresentersEveryone     AllowedPresenters = "everyone"
	PresentersOrganization AllowedPresenters = "organization"
	PresentersNamed        AllowedPresenters = "roleIsPresenter" // those the organizer has named
	PresentersOrganizer    AllowedPresenters = "organizer"
)

// MeetingChat is a value of the option allowMeetingChat.
type MeetingChat string

// The values of allowMeetingChat.
const (
	MeetingChatEnabled  MeetingChat = "enabled"
	MeetingChatDisabled MeetingChat = "disabled"
	MeetingChatLimited  MeetingChat = "limited" // only while the meeting lasts
)

// LobbyAdmitters is a value of the option allowedLobbyAdmitters.
type LobbyAdmitters string

// The values of allowedLobbyAdmitters. ([cmdlet] has a policy for it too,
// UsersCanAdmitFromLobby, but no list of its values; it is left out.)
const (
	AdmitPresenters LobbyAdmitters = "organizerAndCoOrganizersAndPresenters"
	AdmitOrganizers LobbyAdmitters = "organizerAndCoOrganizers"
)
