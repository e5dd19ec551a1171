package chat

import (
	"errors"
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
	ActRead    Act = "read"
	ActMark    Act = "mark"
)

// The rules that decide, as Event.Rule has them; a rule of data loss prevention is
// "dlp: " and its name.
const (
	RuleMember = "member"       // only who is in the thread
	RuleOwn    = "own-message"  // only the sender, or a moderator
	RuleKey    = "customer-key" // only while the tenant's keys are usable
	RuleValid  = "valid"        // fields, sizes, and what is there
	RuleStore  = "store"        // the store failed
	RuleDLP    = "dlp"          // what can't be checked is blocked
)

// Event is the record of one decision: who, what, which rule, allowed or not. It holds
// no part of a message.
type Event struct {
	Time    time.Time
	Act     Act
	Tenant  string // empty when there is no such thread
	Thread  string
	Message string
	Person  string
	Rule    string
	Allowed bool
	Reason  string
	// DLP is the decision about the text, when it came so far.
	DLP *dlp.Audit
}

// ruleOf says which rule refuses with a code.
var ruleOf = map[Code]string{
	Invalid: RuleValid, NotFound: RuleValid, Deleted: RuleValid, Exists: RuleValid, TooLarge: RuleValid,
	NotMember: RuleMember, NotAllowed: RuleOwn, Blocked: RuleDLP, Withheld: RuleDLP,
	Unreadable: RuleKey, Damaged: RuleStore, Failed: RuleStore,
}

func (s *Service) begin(act Act, thread, person string) *Event {
	return &Event{Act: act, Thread: thread, Person: person, Rule: RuleMember}
}

// end hands an event out when the decision stands.
func (s *Service) end(e *Event, err error) {
	if s.cfg.OnEvent == nil {
		return
	}
	e.Time, e.Allowed = s.cfg.Now(), err == nil
	if e.DLP != nil && len(e.DLP.Rules) > 0 {
		e.Rule = RuleDLP + ": " + e.DLP.Rules[0]
	}
	var refused *Error
	if errors.As(err, &refused) {
		e.Rule, e.Reason = ruleOf[refused.Code], refused.Error()
		if refused.Rule != "" {
			e.Rule = RuleDLP + ": " + refused.Rule
		}
	}
	s.cfg.OnEvent(*e)
}
