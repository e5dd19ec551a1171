// Package token verifies signed tokens (JSON Web Tokens, RFC 7519): the built-in
// issuer's and those of others by the same code. It follows RFC 8725 (best current
// practices): algorithms from a list, keys by kid from the issuer's own set and
// never from the token, a key fit for its algorithm, types told apart, and every
// refusal with a Reason. The signature and the claims are read by go-oidc.
//
// It keeps no tokens and knows no users. Start reading at Verifier.Verify; where
// the keys of another issuer come from is in remote.go.
package token

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/jwt"
)

// MaxSize bounds a token, in bytes.
const MaxSize = 8 << 10

// Types of token, as their header's typ has them (RFC 8725, section 3.11).
const (
	TypeID     = "JWT"
	TypeAccess = "at+jwt" // RFC 9068, section 2.1
)

// Claims are what a token says, in so far as somebody here reads it.
type Claims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  jwt.Audience    `json:"aud"`
	Expires   jwt.NumericDate `json:"exp"`
	NotBefore jwt.NumericDate `json:"nbf,omitempty"`
	Issued    jwt.NumericDate `json:"iat,omitempty"`
	ID        string          `json:"jti,omitempty"`
	// Session is the sign-in that the token comes from.
	Session string `json:"sid,omitempty"`
	// App is the client that got the token.
	App string `json:"client_id,omitempty"` // RFC 9068, section 2.2
	// Scope has words between spaces (RFC 8693, section 4.2).
	Scope string `json:"scope,omitempty"`
	// Factors are the methods of the sign-in (RFC 8176).
	Factors  []string        `json:"amr,omitempty"`
	AuthTime jwt.NumericDate `json:"auth_time,omitempty"`
	Nonce    string          `json:"nonce,omitempty"`

	Name     string   `json:"name,omitempty"`
	Username string   `json:"preferred_username,omitempty"`
	Object   string   `json:"oid,omitempty"` // Microsoft Entra's ID of a user
	Groups   []string `json:"groups,omitempty"`
	// Client is "acs" or "teams": ours only.
	Client string `json:"callpath_client,omitempty"`
	// Moment is Issued in milliseconds, for revocations: ours only.
	Moment int64 `json:"callpath_moment,omitempty"`
}

// Scopes are the words of Scope.
func (c *Claims) Scopes() []string { return strings.Fields(c.Scope) }

// Has says whether the token has a scope.
func (c *Claims) Has(scope string) bool { return slices.Contains(c.Scopes(), scope) }

// Reason is why a token was refused, for programs and for the audit.
type Reason string

// The reasons.
const (
	TooLarge    Reason = "too-large"
	Malformed   Reason = "malformed"
	Algorithm   Reason = "algorithm"     // none, or one that is not allowed, or not fit for the key
	Type        Reason = "type"          // an ID token for an access token, or the reverse
	Issuer      Reason = "issuer"        // of nobody who is trusted
	Key         Reason = "key"           // the issuer has no key of that kid
	Signature   Reason = "signature"     // not made by the key
	Audience    Reason = "audience"      // for somebody else
	Expired     Reason = "expired"       //
	NotYetValid Reason = "not-yet-valid" // nbf or iat are in the future
	Incomplete  Reason = "incomplete"    // a claim is missing
	Scope       Reason = "scope"         // not for that
	Revoked     Reason = "revoked"       // the token, its sign-in or its user
	Unavailable Reason = "unavailable"   // the issuer's keys cannot be had for now
)

// Error is why a token was refused. Its text holds nothing of the token but short
// public fields, quoted.
type Error struct {
	Reason Reason
	Detail string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the token is refused (%s): %s", e.Reason, e.Detail)
}

// Refuse makes an Error.
func Refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// clip shortens what came from outside.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
