package callstate

// State is where a call stands.
type State string

// The states.
const (
	Idle          State = "idle"           // there is no call yet
	Invited       State = "invited"        // the controller has the offer
	Ringing       State = "ringing"        // the callee's client has acknowledged the invite
	Answered      State = "answered"       // the controller has the answer
	Connected     State = "connected"      // the caller's client has acknowledged the answer
	CallerReoffer State = "caller-reoffer" // an offer of the caller's is outstanding
	CalleeReoffer State = "callee-reoffer" // an offer of the callee's is outstanding
	Ended         State = "ended"
)

// Event is what moves a call, or leaves it where it is.
type Event string

// The events. Those after Rollback come from the controller itself.
const (
	Invite    Event = "invite"
	Answer    Event = "answer"
	Reject    Event = "reject"
	Candidate Event = "candidates"
	Offer     Event = "offer"    // a re-offer: ICE restart, hold, change of media
	Reanswer  Event = "reanswer" // the answer to a re-offer
	Rollback  Event = "rollback" // the re-offer is withdrawn, or declined
	Hangup    Event = "hangup"
	Telemetry Event = "telemetry"

	Notified  Event = "notified"  // the callee's client acknowledged the invite
	Confirmed Event = "confirmed" // the caller's client acknowledged the answer
	Timeout   Event = "timeout"   // nobody answered in time
	Lost      Event = "lost"      // a participant's WebSocket did not come back
)

// Role is who causes an event.
type Role string

// The roles.
const (
	Caller     Role = "caller"
	Callee     Role = "callee"
	Controller Role = "controller"
)
