package policy

import "strconv"

// bypass is one field of [lobby]'s table.
type bypass int

const (
	waits     bypass = iota // also what a value or kind outside the table gets
	passes                  // bypasses the lobby
	ifInvited               // bypasses with an invite
	// ifSignedInAndInvited: the table of [lobby] lets past "people signed in to
	// non-trusted organizations"; its text below adds that the invite must have
	// been sent or forwarded to them, and that who is not signed in waits. Both are
	// asked for.
	ifSignedInAndInvited
)

// matrix is [lobby]'s table, turned: a line for each value, a column for each kind.
// It is about everybody but dial-in callers. (One sentence of [cmdlet] has
// AutoAdmittedUsers apply to dial-in too; [lobby], which is more precise, says
// otherwise three times.)
var matrix = map[AutoAdmittedUsers]map[Kind]bypass{
	Everyone:                          {Organizers: passes, Member: passes, Guest: passes, Trusted: passes, Anonymous: passes},
	EveryoneInSameAndFederatedCompany: {Organizers: passes, Member: passes, Guest: passes, Trusted: passes, Anonymous: waits},
	EveryoneInCompany:                 {Organizers: passes, Member: passes, Guest: passes, Trusted: waits, Anonymous: waits},
	EveryoneInCompanyExcludingGuests:  {Organizers: passes, Member: passes, Guest: waits, Trusted: waits, Anonymous: waits},
	InvitedUsers:                      {Organizers: passes, Member: ifInvited, Guest: ifInvited, Trusted: ifInvited, Anonymous: ifSignedInAndInvited},
	OrganizerOnly:                     {Organizers: passes, Member: waits, Guest: waits, Trusted: waits, Anonymous: waits},
}

// scopes are the options' words for the policy's values.
var scopes = map[LobbyScope]AutoAdmittedUsers{
	ScopeEveryone:       Everyone,
	ScopeFederated:      EveryoneInSameAndFederatedCompany,
	ScopeOrganization:   EveryoneInCompany,
	ScopeExcludesGuests: EveryoneInCompanyExcludingGuests,
	ScopeInvited:        InvitedUsers,
	ScopeOrganizer:      OrganizerOnly,
}

// autoAdmitted is the option's value, else the policy's: [lobby] has the policy as
// a default that the organizer may change. An unknown option has no value, and so
// lets nobody past.
func (c Case) autoAdmitted() AutoAdmittedUsers {
	if c.Options.LobbyBypassScope != "" {
		return scopes[c.Options.LobbyBypassScope]
	}
	return c.Rules.Policy.AutoAdmittedUsers
}

func (c Case) lobbyRule() Decision {
	if c.Options.LobbyBypassScope != "" {
		return option(optionScope)(c)
	}
	return assigned(ruleLobby)(c)
}

func (c Case) bypasses() bool {
	switch matrix[c.autoAdmitted()][c.Kind()] {
	case passes:
		return true
	case ifInvited:
		return c.Person.Invited
	case ifSignedInAndInvited:
		return c.Person.Invited && c.Person.SignedIn
	default:
		// Organizers are never locked out of their own meeting, whatever its state.
		return c.Kind() == Organizers
	}
}

func (c Case) phoneBypasses() bool {
	if o := c.Options.IsDialInBypassEnabled; o != nil {
		return *o
	}
	return c.Rules.Policy.AllowPSTNUsersToBypassLobby
}

func (c Case) phoneRule() Decision {
	if o := c.Options.IsDialInBypassEnabled; o != nil {
		return Decision{Rule: optionPhone, Value: strconv.FormatBool(*o), Source: sourceOption}
	}
	return assigned(rulePhoneBypass)(c)
}

// mayStart is for anonymous people and dial-in callers. By [lobby] the policy
// applies only when everyone bypasses the lobby; with any other value they wait for
// a verified person, also those who need no admission.
func (c Case) mayStart() bool {
	return c.Rules.Policy.AllowAnonymousUsersToStartMeeting && c.autoAdmitted() == Everyone
}
