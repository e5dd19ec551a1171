package signaling

import (
	"encoding/json"
	"time"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// The notifications of meetings and group calls. Notification.Meeting has the ID
// of either.
const (
	// NotifyMeetingLobby goes to those who may admit: Participants are those whose
	// wait in the lobby began (place lobby) or ended (place present or outside).
	NotifyMeetingLobby NotificationType = "meeting-lobby"
	// NotifyMeetingAdmitted goes to somebody who waited in the lobby and is now in.
	NotifyMeetingAdmitted NotificationType = "meeting-admitted"
	// NotifyMeetingRejected goes to somebody who waited and is sent away: rejected,
	// timed out, or refused by a policy that has changed (Rule is set).
	NotifyMeetingRejected NotificationType = "meeting-rejected"
	// NotifyMeetingRemoved goes to somebody who was in and is sent out.
	NotifyMeetingRemoved NotificationType = "meeting-removed"
	// NotifyMeetingRoster goes to those present: Participants are those who came
	// or changed (place present) or went (place outside), not the whole roster.
	NotifyMeetingRoster NotificationType = "meeting-roster"
	// NotifyMeetingLayout tells a participant who is on which slot: all Slots.
	NotifyMeetingLayout NotificationType = "meeting-layout"
	// NotifyMeetingEnded goes to all who were in and in the lobby.
	NotifyMeetingEnded NotificationType = "meeting-ended"
	// NotifyMeetingOptions goes to those present: Options or policies have changed.
	NotifyMeetingOptions NotificationType = "meeting-options"
	// NotifyMeetingMediaEnded goes to somebody whose media the controller has
	// ended because a right to send it is lost (Rule says by what): a new offer
	// without it brings back the rest.
	NotifyMeetingMediaEnded NotificationType = "meeting-media-ended"
	// NotifyGroupInvite asks somebody into a group call.
	NotifyGroupInvite NotificationType = "group-invite"

	NotifyChatMessage NotificationType = "chat-message"
	NotifyChatEdited  NotificationType = "chat-edited"
	NotifyChatDeleted NotificationType = "chat-deleted"
)

// Slot is one receiving m-line of a participant's offer, and whose stream is on it.
type Slot struct {
	Mid string `json:"mid"`
	// Kind is audio, video or slides.
	Kind string `json:"kind"`
	// Participant is who is shown; empty when the slot is.
	Participant string `json:"participant,omitempty"`
}

// MeetingRequest schedules a meeting (POST /v1/meetings).
type MeetingRequest struct {
	Subject string `json:"subject,omitempty"`
	// Options are by name and value: those of package policy's OptionProperties,
	// and AutoAdmittedUsers and AllowPSTNUsersToBypassLobby, which name the same
	// as lobbyBypassSettings.scope and .isDialInBypassEnabled.
	Options      map[string]any `json:"options,omitempty"`
	Invited      []string       `json:"invited,omitempty"`
	CoOrganizers []string       `json:"co_organizers,omitempty"`
	// Presenters count with the option allowedPresenters at roleIsPresenter.
	Presenters []string `json:"presenters,omitempty"`
}

// GroupRequest makes a group call for those named only (POST /v1/groups).
type GroupRequest struct {
	// Invited are told of it, and nobody else but the caller may join.
	Invited []string `json:"invited"`
	// Recording is a processing need: with it even a call of two is hosted by the
	// media processor, which is what this controller does of it. What records is
	// no part of it.
	Recording bool `json:"recording,omitempty"`
}

// The kinds of conference.
const (
	KindMeeting = "meeting"
	KindGroup   = "group"
)

// Meeting is what somebody may know of a meeting or a group call.
type Meeting struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"` // KindMeeting or KindGroup
	Subject string `json:"subject,omitempty"`
	// JoinURL is the page on which people join.
	JoinURL      string        `json:"join_url,omitempty"`
	Organizer    string        `json:"organizer,omitempty"`
	CoOrganizers []string      `json:"co_organizers,omitempty"`
	Presenters   []string      `json:"presenters,omitempty"`
	Invited      []string      `json:"invited,omitempty"`
	Phase        meeting.Phase `json:"phase"`
	// Region hosts the media: where the first participant is, while there are any.
	Region  string          `json:"region,omitempty"`
	Options *policy.Options `json:"options,omitempty"`
	// Recording says that recording is asked for: by GroupRequest, or by the
	// option recordAutomatically.
	Recording bool `json:"recording,omitempty"`
	// Place is where the reader is.
	Place   policy.Place `json:"place"`
	Created time.Time    `json:"created"`
	Ended   time.Time    `json:"ended,omitzero"`
}

// Admission is what a join got: present, or waiting in the lobby. A refusal is a
// Problem with code CodeForbidden and the rule.
type Admission struct {
	Meeting     string       `json:"meeting"`
	Participant string       `json:"participant"`
	Place       policy.Place `json:"place"`
	Role        policy.Role  `json:"role,omitempty"`
	// Rule, Value and Source are what decided, as in Problem.
	Rule   string `json:"rule,omitempty"`
	Value  string `json:"value,omitempty"`
	Source string `json:"source,omitempty"`
	// AwaitsStart is true for somebody who waits only until the meeting starts.
	AwaitsStart bool `json:"awaits_start,omitempty"`
	// Region is of the media processor that hosts the meeting; for those present.
	Region    string `json:"region,omitempty"`
	Recording bool   `json:"recording,omitempty"`
}

// The rights of somebody present, as the policies, the options and the role give them.
// To dial out, which adds a telephone, there is no request here yet.
const (
	RightMicrophone = "microphone"
	RightCamera     = "camera"
	RightPresent    = "present" // a shared screen
	RightChat       = "chat"
	RightDialOut    = "dial-out"
)

// MeetingParticipant is one line of the roster.
type MeetingParticipant struct {
	Participant string      `json:"participant"` // the user's ID
	Name        string      `json:"name,omitempty"`
	Kind        policy.Kind `json:"kind,omitempty"`
	Client      string      `json:"client,omitempty"`
	Role        policy.Role `json:"role,omitempty"`
	// Rights are of somebody present; see RightMicrophone.
	Rights []string `json:"rights,omitempty"`
	// Place is lobby or present; outside in the notification of who has gone.
	Place policy.Place `json:"place"`
	Since time.Time    `json:"since,omitzero"`
	// Connection is "connected", or "reconnecting" while the participant has no
	// WebSocket and the time to come back runs.
	Connection string `json:"connection,omitempty"`
	// Media is true once the media processor has taken an offer.
	Media       bool `json:"media,omitempty"`
	AwaitsStart bool `json:"awaits_start,omitempty"`
	// Reason says why somebody has gone: left, removed, rejected, timed out,
	// refused, connection lost.
	Reason string `json:"reason,omitempty"`
}

// ChatMessage is one message of a chat.
type ChatMessage struct {
	ID string `json:"id"`
	// Number is its place in the chat, from 1; there may be gaps.
	Number uint64    `json:"number"`
	From   string    `json:"from"`
	Text   string    `json:"text,omitempty"`
	Sent   time.Time `json:"sent"`
	Edited time.Time `json:"edited,omitzero"`
	// Deleted messages keep their place and have no text.
	Deleted time.Time `json:"deleted,omitzero"`
	// Masked says that a rule of data loss prevention has hidden something in Text.
	Masked bool `json:"masked,omitempty"`
	// Notices are policy tips, for the sender only.
	Notices []string `json:"notices,omitempty"`
}

// MessageRequest sends or edits a message.
type MessageRequest struct {
	Text string `json:"text,omitempty"`
	// Override sends nevertheless what was refused with CodeWithheld, with a
	// Justification where Problem.Override is "justify".
	Override      bool   `json:"override,omitempty"`
	Justification string `json:"justification,omitempty"`
}

// Bodies of requests and responses.
type (
	meetingRequest struct {
		Subject      string          `json:"subject,omitempty"`
		Options      json.RawMessage `json:"options,omitempty"`
		Invited      []string        `json:"invited,omitempty"`
		CoOrganizers []string        `json:"co_organizers,omitempty"`
		Presenters   []string        `json:"presenters,omitempty"`
	}
	joinRequest struct {
		// Client may name the client that the token is for, and no other.
		Client string `json:"client,omitempty"`
	}
	roleRequest struct {
		Role policy.Role `json:"role"`
	}
	mediaRequest struct {
		Offer string `json:"offer"`
		Mix   bool   `json:"mix,omitempty"`
	}
	mediaResponse struct {
		Answer string `json:"answer"`
	}
	participantsResponse struct {
		Participants []MeetingParticipant `json:"participants"`
	}
	layoutResponse struct {
		Slots []Slot `json:"slots"`
	}
	iceServersRequest struct {
		Meeting string `json:"meeting,omitempty"`
		Group   string `json:"group,omitempty"`
	}
	threadRequest struct {
		Members []string `json:"members"`
	}
	threadResponse struct {
		ID      string   `json:"id"`
		Members []string `json:"members"`
	}
	messagesResponse struct {
		Messages []ChatMessage `json:"messages"`
		// Next is the number to go on from, in the same direction; empty when there
		// are no more.
		Next string `json:"next,omitempty"`
	}
)
