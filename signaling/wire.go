package signaling

import (
	"encoding/json"
	"time"

	"github.com/callpath/callpath/signaling/callstate"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// ICEServer is one entry of an RTCPeerConnection's iceServers (W3C WebRTC,
// RTCIceServer), with the time at which its credential ends.
type ICEServer struct {
	// URLs are stun:, turn: and turns: URIs (RFC 7064, RFC 7065).
	URLs       []string  `json:"urls"`
	Username   string    `json:"username,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Expires    time.Time `json:"expires,omitzero"`
}

// DescriptionType is W3C's RTCSdpType without pranswer.
type DescriptionType string

// The kinds of description. Rollback has no SDP: it withdraws or declines the
// outstanding re-offer.
const (
	Offer    DescriptionType = "offer"
	Answer   DescriptionType = "answer"
	Rollback DescriptionType = "rollback"
)

// Description is a session description, as W3C's RTCSessionDescriptionInit.
type Description struct {
	Type DescriptionType `json:"type"`
	SDP  string          `json:"sdp,omitempty"`
}

// Candidate is a trickled candidate, as W3C's RTCIceCandidateInit. An empty
// Candidate field is end-of-candidates (RFC 8838, section 13).
type Candidate struct {
	Candidate        string  `json:"candidate"`
	SDPMid           *string `json:"sdpMid,omitempty"`
	SDPMLineIndex    *uint16 `json:"sdpMLineIndex,omitempty"`
	UsernameFragment *string `json:"usernameFragment,omitempty"`
}

// NotificationType says what a notification tells.
type NotificationType string

// The notifications.
const (
	NotifyInvite     NotificationType = "invite"     // to the callee: Description is the offer
	NotifyRinging    NotificationType = "ringing"    // to the caller: the callee's client has the invite
	NotifyAnswer     NotificationType = "answer"     // to the caller: Description is the answer
	NotifyCandidates NotificationType = "candidates" // to the other side: Candidates, in order
	NotifyUpdate     NotificationType = "update"     // to the other side: a re-offer, its answer, or a rollback
	NotifyEnded      NotificationType = "ended"      // to the side that did not end it: rejected, hung up, timed out, lost
	// NotifyGap tells that notifications were thrown away because the client
	// did not take them; the client reads the call's state by Client.Call.
	NotifyGap NotificationType = "gap"
)

// Notification is one message of the WebSocket.
type Notification struct {
	// Seq counts a user's notifications from 1 without holes, except before a
	// NotifyGap.
	Seq uint64 `json:"seq"`
	// Mailbox is what Seq counts in: the controller begins another when it has
	// started again, and a client sends it back together with the number.
	Mailbox string `json:"mailbox,omitempty"`

	Type NotificationType `json:"type"`
	Time time.Time        `json:"time"`
	Call string           `json:"call,omitempty"`
	// From is the user that caused it; empty for the controller itself.
	From        string          `json:"from,omitempty"`
	State       callstate.State `json:"state,omitempty"`
	Description *Description    `json:"description,omitempty"`
	Candidates  []Candidate     `json:"candidates,omitempty"`
	Reason      string          `json:"reason,omitempty"`

	// Meeting is the ID of the meeting or group call that it is about, Thread of a
	// chat apart from meetings.
	Meeting      string               `json:"meeting,omitempty"`
	Thread       string               `json:"thread,omitempty"`
	Participants []MeetingParticipant `json:"participants,omitempty"`
	Slots        []Slot               `json:"slots,omitempty"`
	Options      *policy.Options      `json:"options,omitempty"`
	Role         policy.Role          `json:"role,omitempty"`
	Region       string               `json:"region,omitempty"`
	Recording    bool                 `json:"recording,omitempty"`
	// Rule names what decided, as in Problem.
	Rule    string       `json:"rule,omitempty"`
	Message *ChatMessage `json:"message,omitempty"`
}

// Call is what a participant may know of a call (GET /v1/calls/{id}).
type Call struct {
	ID     string          `json:"id"`
	State  callstate.State `json:"state"`
	Caller string          `json:"caller"`
	Callee string          `json:"callee"`
	// Region is that of the controller which took the invite: the first
	// participant decides the hosting region.
	Region string `json:"region,omitempty"`
	// HeldBy are the users whose last description sends without receiving, or
	// neither (RFC 3264, section 8.4).
	HeldBy []string `json:"held_by,omitempty"`
	// Reason and EndedBy are set once State is ended; EndedBy is empty when the
	// controller ended it.
	Reason  string    `json:"reason,omitempty"`
	EndedBy string    `json:"ended_by,omitempty"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Bodies of requests and responses.
type (
	signInRequest struct {
		User   string `json:"user"`
		Secret string `json:"secret"`
	}
	signInResponse struct {
		User    string    `json:"user"`
		Name    string    `json:"name,omitempty"`
		Client  string    `json:"client"`
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
		Region  string    `json:"region,omitempty"`
	}
	iceServersResponse struct {
		// Call is the call to which the credentials are tied: the one asked
		// for, or one reserved for the user's next invite.
		Call       string      `json:"call,omitempty"`
		Meeting    string      `json:"meeting,omitempty"` // or group call
		ICEServers []ICEServer `json:"ice_servers"`
	}
	inviteRequest struct {
		// Call is the reserved ID, or empty.
		Call        string      `json:"call,omitempty"`
		Callee      string      `json:"callee"`
		Description Description `json:"description"`
		Candidates  []Candidate `json:"candidates,omitempty"`
	}
	descriptionRequest struct {
		Description Description `json:"description"`
		Candidates  []Candidate `json:"candidates,omitempty"`
	}
	candidatesRequest struct {
		Candidates []Candidate `json:"candidates"`
	}
	reasonRequest struct {
		Reason string `json:"reason,omitempty"`
	}
	telemetryRequest struct {
		Telemetry json.RawMessage `json:"telemetry"`
	}
	ackMessage struct {
		Ack uint64 `json:"ack"`
	}
)
