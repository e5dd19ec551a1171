package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/callpath/callpath/signaling/identity/token"
)

// fault is a refusal, as the client and the audit hear of it. As JSON it is an
// OAuth error (RFC 6749, section 5.2) with two members more.
type fault struct {
	status int
	// Code is OAuth's, or one of ours: see the constants.
	Code   string `json:"error"`
	Detail string `json:"error_description,omitempty"`
	// Rule is the rule of conditional access that refused.
	Rule string `json:"rule,omitempty"`
	// RetryAfter is in seconds.
	RetryAfter int `json:"retry_after,omitempty"`

	// rule and reason are for the audit; reason is Detail when empty.
	rule, reason string
}

// The error codes.
const (
	codeInvalidRequest = "invalid_request"
	codeInvalidClient  = "invalid_client"
	codeInvalidGrant   = "invalid_grant"
	codeUnauthorized   = "unauthorized_client"
	codeGrantType      = "unsupported_grant_type"
	codeResponseType   = "unsupported_response_type"
	codeInvalidScope   = "invalid_scope"
	codeInvalidTarget  = "invalid_target" // RFC 8693
	codeAccessDenied   = "access_denied"
	codeLoginRequired  = "login_required" // OpenID Connect Core, section 3.1.2.6
	codeNoRequest      = "request_not_supported"
	codeNoRequestURI   = "request_uri_not_supported"
	codeInvalidToken   = "invalid_token" // RFC 6750
	codeServer         = "server_error"
	codeUnavailable    = "temporarily_unavailable"
	// Ours.
	codeOTPRequired = "otp_required" // the password was right; a one-time code is wanted
	codeSlowDown    = "too_many_requests"
	codeTooLarge    = "too_large"
	codeTimeout     = "timeout"
	codeMethod      = "method_not_allowed"
	codeMediaType   = "media_type"
	codeNotFound    = "not_found"
)

// refuse makes a fault. rule is what the audit names.
func refuse(status int, code, rule, format string, args ...any) *fault {
	return &fault{status: status, Code: code, rule: rule, Detail: fmt.Sprintf(format, args...)}
}

func bad(rule, format string, args ...any) *fault {
	return refuse(http.StatusBadRequest, codeInvalidRequest, rule, format, args...)
}

// broken is a fault of ours; why is for the log only.
func (s *Service) broken(err error) *fault {
	s.cfg.Log.Error("identity: a request failed", "error", err)
	f := refuse(http.StatusInternalServerError, codeServer, "internal", "the server has failed; it says why in its log")
	f.reason = err.Error()
	return f
}

// slow is for who must wait.
func slow(rule string, wait time.Duration) *fault {
	f := refuse(http.StatusTooManyRequests, codeSlowDown, rule, "too many tries")
	f.RetryAfter = int(math.Ceil(wait.Seconds()))
	return f
}

// ofToken is the fault for a refused token.
func ofToken(err error, status int, code string) *fault {
	var refused *token.Error
	if !errors.As(err, &refused) {
		return refuse(status, code, "token", "%s", err)
	}
	if refused.Reason == token.Unavailable {
		return refuse(http.StatusServiceUnavailable, codeUnavailable, string(refused.Reason), "%s", refused)
	}
	return refuse(status, code, string(refused.Reason), "%s", refused)
}

// audit fills in an event's outcome.
func (f *fault) audit(e Event) Event {
	e.Allowed, e.Rule, e.Reason = false, f.rule, f.reason
	if e.Reason == "" {
		e.Reason = f.Detail
	}
	return e
}

// plain keeps a description to the characters that OAuth allows (RFC 6749,
// appendix A.8).
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < 0x20 || r > 0x7e || r == '\\':
			return '?'
		}
		return r
	}, s)
}

func (f *fault) send(w http.ResponseWriter) {
	out := *f
	out.Detail = plain(out.Detail)
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", f.challenge())
	}
	sendJSON(w, f.status, out)
}

// challenge goes with every 401 (RFC 9110, section 15.5.2). Basic is for
// applications only: a browser would ask its user for a password.
func (f *fault) challenge() string {
	switch {
	case f.rule == ruleApplication:
		return `Basic realm="callpath applications", charset="UTF-8"`
	case f.Code == codeInvalidToken:
		return `Bearer realm="callpath", error="invalid_token"`
	}
	return `Bearer realm="callpath"`
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // nothing here has what cannot be encoded
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// An error means that the client has gone.
	_, _ = w.Write(body)
}
