package signaling

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/callpath/callpath/signaling/callstate"
	"github.com/callpath/callpath/signaling/offeranswer"
)

// Problem is an error response (RFC 9457), sent as application/problem+json.
type Problem struct {
	// Title is the status in words, Detail a sentence on this occurrence.
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is stable, for programs; see the Code constants.
	Code string `json:"code"`
	// State and Allowed are set when a request was out of order: where the call
	// stands, and what this user may send there.
	State   string   `json:"state,omitempty"`
	Allowed []string `json:"allowed,omitempty"`
	// Call names the call that stands in the way.
	Call string `json:"call,omitempty"`
	// Rule is the policy, option or fact that forbids it, with its Value and the
	// Source of that: organization, direct, group NAME, global, meeting option,
	// meeting.
	Rule   string `json:"rule,omitempty"`
	Value  string `json:"value,omitempty"`
	Source string `json:"source,omitempty"`
	// Override says how a message that was withheld may be sent nevertheless (none,
	// confirm, justify); Notices are the policy tips for its sender.
	Override string   `json:"override,omitempty"`
	Notices  []string `json:"notices,omitempty"`
	// RetryAfterMS is in milliseconds; zero says nothing about trying again.
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
}

// Error implements error.
func (p *Problem) Error() string {
	return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail)
}

// RetryAfter is how long to wait before trying again.
func (p *Problem) RetryAfter() time.Duration {
	return time.Duration(p.RetryAfterMS) * time.Millisecond
}

// The codes of Problem.
const (
	CodeBadRequest      = "bad-request"        // 400: JSON, fields or values
	CodeBadDescription  = "bad-description"    // 422: SDP that is not usable
	CodePlaintextMedia  = "plaintext-media"    // 422: RTP without SRTP
	CodeSDES            = "sdes-refused"       // 422: keys in the SDP (a=crypto)
	CodeBadCandidate    = "bad-candidate"      // 422
	CodeUnauthorized    = "unauthorized"       // 401
	CodeScope           = "insufficient-scope" // 403: the token is for something else
	CodeForbiddenOrigin = "forbidden-origin"   // 403
	CodeForbidden       = "forbidden"          // 403: Rule is set
	CodeNotFound        = "not-found"          // 404: no such resource, or not the user's
	CodeCalleeUnknown   = "callee-unknown"     // 404, as SIP 404
	CodeCalleeOffline   = "callee-offline"     // 409, as SIP 480
	CodeCalleeBusy      = "callee-busy"        // 409, as SIP 486
	CodeCallerBusy      = "caller-busy"        // 409
	CodeOutOfOrder      = "out-of-order"       // 409: State and Allowed are set
	CodeGlare           = "glare"              // 409, as SIP 491: RetryAfterMS or Call is set
	CodeMethod          = "method-not-allowed" // 405
	CodeMedia           = "media-refused"      // 422: the media processor has not taken the offer
	CodeBlocked         = "message-blocked"    // 403: data loss prevention; Rule and Notices are set
	CodeWithheld        = "message-withheld"   // 409: as blocked, but Override says how to send it
	CodeDeleted         = "message-deleted"    // 410
	CodeUnreadable      = "keys-revoked"       // 503: the organisation's keys are revoked, or it has none
	CodeTimeout         = "timeout"            // 408: the body came too slowly
	CodeRequestTooOld   = "request-too-old"    // 412: too late to be sent again
	CodeTooLarge        = "too-large"          // 413
	CodeMediaType       = "media-type"         // 415
	CodeRequestIDReused = "request-id-reused"  // 422: same ID, other request
	CodeTooMany         = "too-many"           // 429
	CodeInternal        = "internal"           // 500
	CodeUnavailable     = "unavailable"        // 503: the controller is closing
)

var statusOf = map[string]int{
	CodeBadRequest:      http.StatusBadRequest,
	CodeBadDescription:  http.StatusUnprocessableEntity,
	CodePlaintextMedia:  http.StatusUnprocessableEntity,
	CodeSDES:            http.StatusUnprocessableEntity,
	CodeBadCandidate:    http.StatusUnprocessableEntity,
	CodeUnauthorized:    http.StatusUnauthorized,
	CodeScope:           http.StatusForbidden,
	CodeForbiddenOrigin: http.StatusForbidden,
	CodeForbidden:       http.StatusForbidden,
	CodeNotFound:        http.StatusNotFound,
	CodeCalleeUnknown:   http.StatusNotFound,
	CodeCalleeOffline:   http.StatusConflict,
	CodeCalleeBusy:      http.StatusConflict,
	CodeCallerBusy:      http.StatusConflict,
	CodeOutOfOrder:      http.StatusConflict,
	CodeGlare:           http.StatusConflict,
	CodeMethod:          http.StatusMethodNotAllowed,
	CodeMedia:           http.StatusUnprocessableEntity,
	CodeBlocked:         http.StatusForbidden,
	CodeWithheld:        http.StatusConflict,
	CodeDeleted:         http.StatusGone,
	CodeUnreadable:      http.StatusServiceUnavailable,
	CodeTimeout:         http.StatusRequestTimeout,
	CodeRequestTooOld:   http.StatusPreconditionFailed,
	CodeTooLarge:        http.StatusRequestEntityTooLarge,
	CodeMediaType:       http.StatusUnsupportedMediaType,
	CodeRequestIDReused: http.StatusUnprocessableEntity,
	CodeTooMany:         http.StatusTooManyRequests,
	CodeInternal:        http.StatusInternalServerError,
	CodeUnavailable:     http.StatusServiceUnavailable,
}

func problem(code, format string, args ...any) *Problem {
	status := statusOf[code]
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// outOfOrder is the problem of a request that the state machine refuses.
func outOfOrder(r *callstate.Refusal) *Problem {
	p := problem(CodeOutOfOrder, "%s", r)
	p.State = string(r.State)
	for _, e := range r.Allowed {
		p.Allowed = append(p.Allowed, string(e))
	}
	return p
}

// descriptionCodes says which code a refused description gets.
var descriptionCodes = map[offeranswer.Reason]string{
	offeranswer.Malformed: CodeBadDescription,
	offeranswer.Mismatch:  CodeBadDescription,
	offeranswer.Plaintext: CodePlaintextMedia,
	offeranswer.SDES:      CodeSDES,
}

// badDescription is the problem of a description that offeranswer refuses.
func badDescription(err error) *Problem {
	code := CodeBadDescription
	var fault *offeranswer.Error
	if errors.As(err, &fault) {
		code = descriptionCodes[fault.Reason]
	}
	return problem(code, "%s", err)
}
