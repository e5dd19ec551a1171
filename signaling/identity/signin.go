package identity

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"github.com/callpath/callpath/signaling/identity/access"
	"github.com/callpath/callpath/signaling/identity/user"
)

// Factors (RFC 8176).
const (
	factorPassword = "pwd"
	factorCode     = "otp"
	factorSeveral  = "mfa"
)

// checkPassword is the first factor. needsCode says that the user has a second one,
// which then must be shown. Who does not exist and who has another password are
// refused with the same words, after the same time.
func (s *Service) checkPassword(ctx context.Context, id, password string, from netip.AddrPort) (u user.User, needsCode bool, f *fault) {
	now, net := s.cfg.Now(), network(from)
	if wait := s.signIns.take(net, now); wait > 0 {
		return u, false, slow("throttle", wait)
	}
	key := net + " " + clip(id)
	if wait := s.passwords.take(key, now); wait > 0 {
		return u, false, slow("throttle", wait)
	}
	right, err := s.users.CheckPassword(ctx, id, password)
	switch {
	case errors.Is(err, user.ErrBusy):
		s.passwords.give(key)
		return u, false, refuse(http.StatusServiceUnavailable, codeUnavailable, "busy", "too many passwords are being checked; try again")
	case err != nil:
		s.passwords.give(key)
		return u, false, refuse(http.StatusServiceUnavailable, codeUnavailable, "busy", "the request has ended")
	case !right:
		return u, false, refuse(http.StatusUnauthorized, codeInvalidGrant, "password", "unknown user or wrong password")
	}
	s.passwords.give(key)
	u, ok := s.users.Find(id)
	if !ok { // removed just now
		return u, false, refuse(http.StatusUnauthorized, codeInvalidGrant, "password", "unknown user or wrong password")
	}
	// A rule that no code could satisfy speaks before one is asked for.
	if d := s.decide(u, from, factorPassword); !d.Allowed && !d.MFA {
		return u, false, denied(d)
	}
	return u, s.users.HasCode(id), nil
}

// checkCode is the second factor, of a user whose password was right.
func (s *Service) checkCode(id, code string) *fault {
	if wait := s.codes.take(id, s.cfg.Now()); wait > 0 {
		return slow("throttle", wait)
	}
	err := s.users.CheckCode(id, code)
	switch {
	case err == nil:
		s.codes.give(id)
		return nil
	case errors.Is(err, user.ErrUsedCode), errors.Is(err, user.ErrWrongCode), errors.Is(err, user.ErrNoSecondFactor):
		f := refuse(http.StatusUnauthorized, codeInvalidGrant, "one-time-code", "the code is wrong or has been used")
		f.reason = err.Error()
		return f
	}
	return s.broken(err)
}

// decide asks the rules.
func (s *Service) decide(u user.User, from netip.AddrPort, factors ...string) access.Decision {
	return s.policy.Load().Decide(access.Attempt{User: u.ID, Kind: u.Kind, Groups: u.Groups, From: from.Addr(), Factors: factors})
}

// admit asks the rules, once all factors are there.
func (s *Service) admit(u user.User, from netip.AddrPort, factors []string) *fault {
	if d := s.decide(u, from, factors...); !d.Allowed {
		return denied(d)
	}
	return nil
}

func denied(d access.Decision) *fault {
	f := refuse(http.StatusForbidden, codeAccessDenied, d.Rule, "%s", d.Reason)
	f.Rule = d.Rule
	return f
}

// factorsOf are those of a sign-in with a password, and with a code or not.
func factorsOf(code bool) []string {
	if code {
		return []string{factorPassword, factorCode, factorSeveral}
	}
	return []string{factorPassword}
}

// signInRequest is the body of POST /identity/sign-in.
type signInRequest struct {
	Client   string `json:"client_id"`
	User     string `json:"user"`
	Password string `json:"password"`
	Code     string `json:"code"`
}

// postSignIn signs a user in whose password a client of our own has taken.
func (s *Service) postSignIn(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionSignIn)
	out, f := s.passwordSignIn(r, &e)
	s.answer(w, e, out, f)
}

func (s *Service) passwordSignIn(r *http.Request, e *Event) (*tokens, *fault) {
	var in signInRequest
	if f := readJSON(r, &in); f != nil {
		return nil, f
	}
	client, ok := s.clients[in.Client]
	if !ok {
		return nil, refuse(http.StatusUnauthorized, codeInvalidClient, "client", "there is no client %q", clip(in.Client))
	}
	e.App = client.ID
	if !client.FirstParty {
		return nil, refuse(http.StatusForbidden, codeUnauthorized, "first-party", "the client %q may not take passwords", client.ID)
	}
	from := remote(r)
	u, needsCode, f := s.checkPassword(r.Context(), in.User, in.Password, from)
	if u.ID != "" {
		e.User = u.ID
	}
	if f != nil {
		return nil, f
	}
	if needsCode {
		if in.Code == "" {
			return nil, refuse(http.StatusUnauthorized, codeOTPRequired, "one-time-code", "the password is right; a one-time code is wanted, too")
		}
		if f := s.checkCode(u.ID, in.Code); f != nil {
			return nil, f
		}
	}
	e.Factors = factorsOf(needsCode)
	if f := s.admit(u, from, e.Factors); f != nil {
		return nil, f
	}
	at := signIn{user: u.ID, client: client.ID, factors: e.Factors, at: s.cfg.Now(), session: nonce(),
		scope: slices.Clone(allOpenID)}
	e.Session, e.Rule, e.Reason = at.session, "conditional-access", "no rule refuses"
	return s.grantTokens(at, "")
}
