package signaling

import (
	"fmt"
	"time"
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
	CodeForbiddenOrigin = "forbidden-origin"   // 403
	CodeNotFound        = "not-found"          // 404: no such resource, or not the user's
	CodeCalleeUnknown   = "callee-unknown"     // 404, as SIP 404
	CodeCalleeOffline   = "callee-offline"     // 409, as SIP 480
	CodeCalleeBusy      = "callee-busy"        // 409, as SIP 486
	CodeCallerBusy      = "caller-busy"        // 409
	CodeOutOfOrder      = "out-of-order"       // 409: State and Allowed are set
	CodeGlare           = "glare"              // 409, as SIP 491: RetryAfterMS or Call is set
	CodeMethod          = "method-not-allowed" // 405
	CodeTooLarge        = "too-large"          // 413
	CodeMediaType       = "media-type"         // 415
	CodeRequestIDReused = "request-id-reused"  // 422: same ID, other request
	CodeTooMany         = "too-many"           // 429
	CodeInternal        = "internal"           // 500
	CodeUnavailable     = "unavailable"        // 503: the controller is closing
)
