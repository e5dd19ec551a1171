package chat

import (
	"time"

	"github.com/callpath/callpath/signaling/chat/dlp"
)

// Limits.
const (
	// MaxText is the longest message, in bytes of UTF-8, as sent and as normalised; ACS
	// has the same.
	MaxText = 28 << 10
	// MaxJustification is the longest reason for an override, in bytes.
	MaxJustification = 500
	// MaxMembers bounds a thread's members and a request's roster.
	MaxMembers = 1000
	// MaxName bounds the names of tenants, threads, meetings, people, and clients'
	// message IDs, in bytes.
	MaxName = 200
	// MaxPage is the most messages of one History; DefaultPage is what 0 asks for.
	MaxPage     = 200
	DefaultPage = 50
)

// Member is one person of a thread or of a meeting's roster.
type Member struct {
	ID string `json:"id"`
	// External says that the person is outside the tenant's organisation, which rules
	// of data loss prevention may ask.
	External bool `json:"external,omitempty"`
	// Since hides older messages from this person; the zero time hides none. Who adds
	// somebody external later sets it: rules on external recipients looked only at those
	// who were there when a message was sent.
	Since time.Time `json:"since,omitzero"`
}

// Thread is one conversation.
type Thread struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"` // whose rules and keys protect it
	// Meeting is set for the thread of a meeting. It has no members of its own: each
	// request brings the roster.
	Meeting string   `json:"meeting,omitempty"`
	Members []Member `json:"members,omitempty"`
	// CreatedBy is for the audit; it may be empty.
	CreatedBy string    `json:"created_by,omitempty"`
	Created   time.Time `json:"created"`
}

// Request says where, and for whom, something is done.
type Request struct {
	Thread string
	Person string // who asks
	// Roster is who is in the meeting's chat at this moment, Person included; it is
	// required for the thread of a meeting, and must be nil for a thread of members.
	Roster []Member
	// Moderator may delete what others wrote.
	Moderator bool
}

// Draft is what a client sends.
type Draft struct {
	// ClientID is the client's name for the message, unique among those that this
	// person sends to the thread: the same again is the same message, whatever the rest
	// says. Empty: the message can't be sent again. Edit ignores it.
	ClientID string
	Text     string
	// Override says that the sender has read the policy tip and sends nevertheless, and
	// Justification why. They matter only where a rule allows that (dlp.Override).
	Override      bool
	Justification string
}

// Message is one message as its readers see it.
type Message struct {
	Thread string `json:"thread"`
	ID     string `json:"id"`
	// Number is its place in the thread, from 1; there may be gaps.
	Number   uint64    `json:"number"`
	Sender   string    `json:"sender"`
	ClientID string    `json:"client_id,omitempty"` // shown to the sender only
	Sent     time.Time `json:"sent"`
	Edited   time.Time `json:"edited,omitzero"`
	// Deleted is set for a tombstone, which has no text.
	Deleted time.Time `json:"deleted,omitzero"`
	Text    string    `json:"text"`
	// Masked says that data loss prevention hid values in the text.
	Masked bool `json:"masked,omitempty"`
}

// Sent is the outcome of Send, Edit and Delete.
type Sent struct {
	Message Message
	// Recipients are who is to be told: everybody in the thread but the one who did it.
	Recipients []string
	// Notices are policy tips for the sender, when the message went out nevertheless.
	Notices []dlp.Notice
	// Repeated says that the message was there before: nobody is to be told again.
	Repeated bool
}

// Page says which messages are wanted: the newest of those with numbers below Cursor
// (0: of all) or, if Forward, the oldest of those with numbers above it.
type Page struct {
	Cursor  uint64
	Forward bool
	Limit   int // 1 to MaxPage; 0 is DefaultPage
}

// History is one page of messages, oldest first.
type History struct {
	Messages []Message
	// Next is the Cursor that continues in the same direction, and More says whether
	// there is anything to continue with. A client that has caught up keeps Next, and
	// asks forward from there.
	Next uint64
	More bool
}

// Mark is how far a person is in a thread: the numbers of the last message that
// reached the person's client, and of the last one the person has read.
type Mark struct {
	Delivered uint64 `json:"delivered"`
	Read      uint64 `json:"read"`
}
