package signaling

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/callpath/callpath/signaling/callstate"
	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// EventKind says what happened at the controller.
type EventKind string

// The kinds of event.
const (
	EventSignedIn     EventKind = "signed-in"
	EventICEServers   EventKind = "ice-servers-issued"
	EventConnected    EventKind = "notifications-connected"
	EventDisconnected EventKind = "notifications-disconnected"
	// EventRequest is a request on a call that the state machine accepted;
	// Request names it and From and State are the states around it.
	EventRequest EventKind = "request"
	// EventTransition is a step of the state machine that the controller took
	// by itself: notified, confirmed, timeout, lost.
	EventTransition EventKind = "transition"
	// EventDelivered is a notification that the user's client acknowledged;
	// Notification names it.
	EventDelivered EventKind = "notification-delivered"
	// EventMeeting is something that happened in a meeting or a group call: What
	// names it, Meeting and Person say where and about whom.
	EventMeeting EventKind = "meeting"
	// EventMedia is an offer that the media processor has answered, or media that
	// has ended; Carried says which.
	EventMedia EventKind = "meeting-media"
	// EventAudit is a security decision; Rule and Allowed are set.
	EventAudit EventKind = "audit"
)

// Event is one thing that happened. The steps of a one-to-one call appear as:
// step 3 (invite) EventRequest with Request invite; step 4 (notify)
// EventDelivered with Notification invite; step 6 (answer) EventRequest with
// Request answer, and EventDelivered with Notification answer once forwarded;
// step 8 EventRequest with Request telemetry. EventICEServers precedes the
// allocations of steps 2 and 5.
type Event struct {
	Time time.Time
	Kind EventKind
	// User is who acted, or for EventDelivered who received; empty when the
	// request named nobody that exists.
	User   string
	Client string
	// Peer is the other participant of the call.
	Peer string
	Call string
	// Meeting is the meeting or group call, Person whom EventMeeting is about.
	Meeting string
	Person  string
	What    meeting.EventName
	// Region is where the media is hosted.
	Region string
	// Request is the state machine's event.
	Request callstate.Event
	// From and State are the call's state before and after.
	From, State  callstate.State
	Notification NotificationType
	// Carried says in a few words what was carried, for example "offer, 3
	// candidates".
	Carried string
	Reason  string
	// Remote is the network address of the client, as "address:port".
	Remote string
	// Telemetry is what a participant sent, as JSON.
	Telemetry json.RawMessage
	// Rule names what decided, for example "token", "participant", "dtls-srtp";
	// Allowed is the outcome; Reason says why.
	Rule    string
	Allowed bool
}

// The rules that decide, as Event.Rule has them.
const (
	ruleSecret      = "secret"      // the user's secret at sign-in
	ruleThrottle    = "throttle"    // too many wrong secrets
	ruleToken       = "token"       // the bearer token of a request
	ruleOrigin      = "origin"      // the page that opens the WebSocket
	ruleParticipant = "participant" // only a call's two participants reach it
	ruleDTLSSRTP    = "dtls-srtp"   // no media but over DTLS-SRTP
	ruleReservation = "reservation" // a call ID is used by whom it was reserved for

	// Of meetings and group calls, beside the policies and options of package policy.
	rulePolicies     = "policies"         // an administrator replaces them
	ruleRole         = policy.RuleRole    // what somebody's role in the meeting allows
	ruleKind         = "kind"             // only members of the organisation schedule meetings
	ruleProcessing   = "processing-needs" // what needs no media processor gets none
	ruleLobbyTimeout = "lobby-timeout"    // a wait in the lobby ends

	// Of chats apart from meetings, under Microsoft's name.
	ruleFederation = "EnableAcsFederationAccess"
)

// emit logs an event and hands it out. c.mu is held, which is what makes the
// order.
func (c *Controller) emit(e Event) {
	e.Time = c.cfg.Now()
	if u := c.users[e.User]; u != nil {
		e.Client = u.client
	}
	level := slog.LevelDebug
	if e.Kind == EventAudit && !e.Allowed {
		level = slog.LevelWarn
	}
	c.cfg.EventLog.LogAttrs(context.Background(), level, "signaling "+string(e.Kind), e.attrs()...)
	if c.cfg.OnEvent != nil {
		c.cfg.OnEvent(e)
	}
}

// audit emits a security decision.
func (c *Controller) audit(rule string, allowed bool, reason string, e Event) {
	e.Kind, e.Rule, e.Allowed, e.Reason = EventAudit, rule, allowed, reason
	c.emit(e)
}

// attrs are an event's fields for a log. Telemetry is left out: it is the
// client's text, and long.
func (e *Event) attrs() []slog.Attr {
	var attrs []slog.Attr
	for _, f := range []struct{ key, value string }{
		{"user", e.User}, {"peer", e.Peer}, {"call", e.Call},
		{"meeting", e.Meeting}, {"person", e.Person}, {"what", string(e.What)}, {"region", e.Region},
		{"request", string(e.Request)}, {"from", string(e.From)}, {"state", string(e.State)},
		{"notification", string(e.Notification)}, {"carried", e.Carried},
		{"rule", e.Rule}, {"reason", e.Reason}, {"remote", e.Remote},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	if e.Kind == EventAudit {
		attrs = append(attrs, slog.Bool("allowed", e.Allowed))
	}
	return attrs
}
