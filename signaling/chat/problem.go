package chat

import (
	"fmt"

	"github.com/callpath/callpath/signaling/chat/dlp"
)

// Code says why something was refused.
type Code string

// The codes, with the HTTP status that fits.
const (
	Invalid    Code = "invalid"     // 400: a field is missing, too long or not UTF-8
	NotFound   Code = "not-found"   // 404: no such thread or message
	NotMember  Code = "not-member"  // 403: Person is not in the thread
	NotAllowed Code = "not-allowed" // 403: only the sender edits, only the sender or a moderator deletes
	Blocked    Code = "blocked"     // 403: data loss prevention; Rule and Notices say why
	Withheld   Code = "withheld"    // 409: as Blocked, but goes out with an override; Override says how
	Deleted    Code = "deleted"     // 410: the message was deleted
	Exists     Code = "exists"      // 409: another thread has this ID
	TooLarge   Code = "too-large"   // 413
	Unreadable Code = "unreadable"  // 503: the tenant's root keys are revoked, or it has none
	Damaged    Code = "damaged"     // 500: a record is not what was stored
	Failed     Code = "failed"      // 500: the store; the cause is wrapped
)

// Error is why something was refused. Its text has no part of a message.
type Error struct {
	Code   Code
	Detail string
	// Rule is the strictest rule of data loss prevention that matched, and Notices are
	// the policy tips for the sender, strictest first; with Blocked and Withheld.
	Rule    string
	Notices []dlp.Notice
	// Override is what lets the message out, with Withheld.
	Override dlp.Override

	cause error
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("chat: %s: %v", e.Detail, e.cause)
	}
	return "chat: " + e.Detail
}

// Unwrap returns the cause, such as customerkey.ErrRevoked.
func (e *Error) Unwrap() error { return e.cause }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

func (e *Error) because(cause error) *Error {
	e.cause = cause
	return e
}
