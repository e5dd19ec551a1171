// Package policy decides who gets into a Teams meeting and what they may do there,
// by Microsoft's policies under their real names and values. It is pure: the facts
// go in as a Case, a Decision comes out that names the rule and the value that
// decided, for the audit.
//
// Three layers, strongest first: the organisation's settings (Configuration), the
// policy that applies to the organizer (Policy: one assigned to the organizer
// directly, else to a group, else the global one; Organization picks it), and the
// meeting's options (Options). What a policy denies, no option gives back; a few
// policies are only defaults, which the organizer may change for a meeting, and
// Properties says which.
//
// What an administrator writes is read strictly: an unknown name or value, a
// value of the wrong type and a name that stands twice are errors that say what
// would be valid. A value that no table knows, however it came in, keeps people
// out.
//
// Sources, all of learn.microsoft.com as of 2023 to 2025:
//
//	[lobby]    "Control who can bypass the meeting lobby": the matrix, the start rule
//	[anon]     "Manage anonymous participant access to Teams meetings"
//	[acs]      "Teams controls for Teams external user" of Azure Communication
//	           Services: precedence, external users, end-to-end encryption
//	[cmdlet]   Set-CsTeamsMeetingPolicy: names, values, some defaults
//	[graph]    onlineMeeting of Microsoft Graph: the names of the options
//
// Where they contradict each other or are silent, the doc comment of the item
// says so and what was chosen, which is the choice that lets fewer people in.
//
// Microsoft says that a changed policy may take up to 24 hours to work; here it
// works at once.
//
// Start reading at Case, then Join.
package policy
