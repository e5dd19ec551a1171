package chat

import (
	"time"

	"github.com/callpath/callpath/signaling/chat/dlp"
)

// Act is what was tried.
type Act string

// The acts.
const (
	ActCreate  Act = "create-thread"
	ActMembers Act = "set-members"
	ActSend    Act = "send"
	ActEdit    Act = "edit"
	ActDelete  Act = "delete"
	ActRead    Act = "read-history"
	ActMark    Act = "mark"
)

// The rules that decide, as Event.Rule has them; a rule of data loss prevention is
// "dlp " and its name.
const (
	RuleMember = "member"       // only who is in the thread
	RuleOwn    = "own-message"  // only the sender, or a moderator
	RuleKey    = "customer-key" // only while the tenant's keys are usable
	RuleValid  = "valid"        // fields, sizes, and what is there
	RuleStore  = "store"        // the store failed
)

// Event is the record of one decision: who, what, which rule, allowed or not. It holds
// no part of a text.
type Event struct {
	Time    time.Time
	Act     Act
	Tenant  string
	Thread  string
	Message string
	Person  string
	Rule    string
	Allowed bool
	Reason  string
	// DLP is the decision about the text, when it came so far.
	DLP *dlp.Audit
}
