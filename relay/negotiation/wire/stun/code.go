package stun

import (
	"strconv"
	"strings"
)

// Error codes that something depends on.
const (
	Unauthorized = 401
	StaleNonce   = 438
	RoleConflict = 487
)

// reasons are the phrases for servers that send none (RFC 8489, 8656, 8445 and
// 6062).
var reasons = map[int]string{
	300: "Try Alternate", 400: "Bad Request", 401: "Unauthenticated", 403: "Forbidden",
	405: "Method Not Allowed", 420: "Unknown Attribute", 437: "Allocation Mismatch",
	438: "Stale Nonce", 440: "Address Family not Supported", 441: "Wrong Credentials",
	442: "Unsupported Transport Protocol", 443: "Peer Address Family Mismatch",
	446: "Connection Already Exists", 447: "Connection Timeout or Failure",
	486: "Allocation Quota Reached", 487: "Role Conflict", 500: "Server Error",
	508: "Insufficient Capacity",
}

// Code returns ERROR-CODE: its number and the phrase that came with it, or the
// RFC's when it came with none. The number is 0 when there is no valid one.
func (m Message) Code() (code int, reason string) {
	v, _ := m.Get(ErrorCode)
	if len(v) < 4 {
		return 0, ""
	}
	class, number := int(v[2]&7), int(v[3])
	if class < 3 || class > 6 || number > 99 {
		return 0, ""
	}
	code = class*100 + number
	reason = strings.TrimSpace(text(v[4:], maxReason))
	if reason == "" {
		reason = reasons[code]
	}
	return code, reason
}

// Refusal is the error in words, for example "403 Forbidden".
func (m Message) Refusal() string {
	code, reason := m.Code()
	if code == 0 {
		return "an error without a code"
	}
	return strings.TrimSpace(strconv.Itoa(code) + " " + reason)
}

// text makes b fit to be shown: valid UTF-8, no control characters, at most limit
// bytes.
func text(b []byte, limit int) string {
	if len(b) > limit {
		b = b[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), "\ufffd"))
}
