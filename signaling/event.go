package signaling

import (
	"encoding/json"
	"time"

	"github.com/callpath/callpath/signaling/callstate"
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
