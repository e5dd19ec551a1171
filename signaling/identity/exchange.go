package identity

import (
	"crypto/sha256"
	"encoding/base32"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callpath/callpath/signaling/identity/token"
	"github.com/callpath/callpath/signaling/identity/user"
)

// Types of token (RFC 8693, section 3).
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt" // of another issuer
)

// subject is whose token was brought.
type subject struct {
	user.User
	session string
	factors []string
	at      jwt.NumericDate // of the sign-in
}

// exchange turns an application token, the issuer's own or another's, into an ACS
// access token (RFC 8693). The rules are asked with the client's present address
// and the factors that the token shows.
func (s *Service) exchange(r *http.Request, form url.Values, e *Event) (*tokens, *fault) {
	e.Action = ActionExchange
	switch {
	case form.Has("actor_token"):
		return nil, bad("request", "actor_token is not supported: nobody acts for another here")
	case form.Get("requested_token_type") != "" && form.Get("requested_token_type") != typeAccessToken:
		return nil, bad("request", "requested_token_type is %q; valid: %s", clip(form.Get("requested_token_type")), typeAccessToken)
	}
	for _, name := range []string{"audience", "resource"} {
		if target := form.Get(name); target != "" && target != s.cfg.Resource {
			return nil, refuse(http.StatusBadRequest, codeInvalidTarget, "audience", "%s is %q; valid: %s", name, clip(target), s.cfg.Resource)
		}
	}
	sub, f := s.subjectOf(r, form, e)
	if f != nil {
		return nil, f
	}
	e.User, e.Session, e.Factors = sub.ID, sub.session, sub.factors
	if f := s.admit(sub.User, remote(r), sub.factors); f != nil {
		return nil, f
	}
	scopes, f := grantedScopes(strings.Fields(form.Get("scope")), sub.Scopes)
	if f != nil {
		return nil, f
	}
	c := s.claims(sub.ID, s.cfg.Lifetimes.Access)
	c.Session, c.App, c.Factors, c.AuthTime = sub.session, e.App, sub.factors, sub.at
	c.Name, c.Client = sub.Name, sub.Kind
	out, f := s.mintAccess(c, scopes, e)
	if f != nil {
		return nil, f
	}
	out.IssuedType = typeAccessToken
	e.Rule, e.Reason = "conditional-access", "no rule refuses"
	return out, nil
}

// mintAccess makes an ACS access token.
func (s *Service) mintAccess(c token.Claims, scopes []string, e *Event) (*tokens, *fault) {
	c.Audience, c.Scope = jwt.Audience{s.cfg.Resource}, strings.Join(scopes, " ")
	text, err := s.mint(token.TypeAccess, c)
	if err != nil {
		return nil, s.broken(err)
	}
	e.Token, e.Scope = c.ID, c.Scope
	return &tokens{AccessToken: text, Type: "Bearer", ExpiresIn: int64(c.Expires - c.Issued), Scope: c.Scope}, nil
}

// grantedScopes are those that were asked for, all that are allowed when none was.
func grantedScopes(asked, allowed []string) ([]string, *fault) {
	if len(allowed) == 0 {
		allowed = allScopes
	}
	if len(asked) == 0 {
		return allowed, nil
	}
	if !contains(allowed, asked) {
		return nil, refuse(http.StatusBadRequest, codeInvalidScope, "scope", "scope is %q; valid: %s", clip(strings.Join(asked, " ")), strings.Join(allowed, " "))
	}
	return slices.Compact(slices.Sorted(slices.Values(asked))), nil
}

// subjectOf verifies the subject_token. One that is refused is an invalid request
// (RFC 8693, section 2.2.2).
func (s *Service) subjectOf(r *http.Request, form url.Values, e *Event) (subject, *fault) {
	raw, kind := form.Get("subject_token"), form.Get("subject_token_type")
	if raw == "" {
		return subject{}, bad("request", "subject_token is missing")
	}
	if kind != typeAccessToken && kind != typeIDToken && kind != typeJWT {
		return subject{}, bad("request", "subject_token_type is %q; valid: %s, %s, %s", clip(kind), typeAccessToken, typeIDToken, typeJWT)
	}
	issuer, err := token.IssuerOf(raw)
	if err != nil {
		return subject{}, ofToken(err, http.StatusBadRequest, codeInvalidRequest)
	}
	if issuer == s.cfg.Issuer {
		return s.ownSubject(r, raw, kind, e)
	}
	x := s.external[issuer]
	if x == nil {
		return subject{}, ofToken(token.Refuse(token.Issuer, "it is of %q, who is not trusted here", clip(issuer)), http.StatusBadRequest, codeInvalidRequest)
	}
	e.Issuer = x.Issuer
	c, err := x.verifier.Verify(r.Context(), raw)
	if err != nil {
		return subject{}, ofToken(err, http.StatusBadRequest, codeInvalidRequest)
	}
	return s.externalSubject(x, c)
}

// ownSubject is somebody who has signed in here, through the client that asks.
func (s *Service) ownSubject(r *http.Request, raw, kind string, e *Event) (subject, *fault) {
	verifier := s.app
	if kind == typeIDToken {
		verifier = s.idToken
	}
	c, err := verifier.Verify(r.Context(), raw)
	if err == nil && !c.Audience.Contains(e.App) {
		err = token.Refuse(token.Audience, "it is for %q, and %s asks", c.Audience, e.App)
	}
	if err == nil {
		e.User = c.Subject
		err = s.revoked.check(c.ID, c.Session, c.Subject, time.UnixMilli(c.Moment))
	}
	if err != nil {
		return subject{}, ofToken(err, http.StatusBadRequest, codeInvalidRequest)
	}
	u, ok := s.users.Find(c.Subject)
	if !ok || u.Disabled {
		return subject{}, ofToken(token.Refuse(token.Revoked, "its user has been removed or disabled"), http.StatusBadRequest, codeInvalidRequest)
	}
	return subject{User: u, session: c.Session, factors: c.Factors, at: c.AuthTime}, nil
}

// externalSubject is a user of another issuer's, under a name that nobody else
// has. The exchange begins a session here, which can be revoked here.
func (s *Service) externalSubject(x *external, c *token.Claims) (subject, *fault) {
	claim := c.Subject
	if x.Claim == "oid" {
		claim = c.Object
	}
	if claim == "" {
		return subject{}, ofToken(token.Refuse(token.Incomplete, "it has no %s", x.Claim), http.StatusBadRequest, codeInvalidRequest)
	}
	id := externalID(claim, x.Name)
	u := user.User{ID: id, Name: c.Name, Kind: x.Kind, Groups: c.Groups, Scopes: x.Scopes}
	return subject{User: u, session: nonce(), factors: c.Factors, at: c.AuthTime}, nil
}

// hashedPrefix begins the name of a user whose subject cannot stand in one.
const hashedPrefix = "h."

// externalID is SUBJECT@NAME, or with a hash in the subject's place where it is too
// long, has other characters, or could be taken for a hash.
func externalID(claim, name string) string {
	id := claim + "@" + name
	if user.ValidID(id) && !strings.HasPrefix(claim, hashedPrefix) {
		return id
	}
	sum := sha256.Sum256([]byte(claim))
	return hashedPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20])) + "@" + name
}
