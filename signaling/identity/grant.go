package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/callpath/callpath/signaling/identity/token"
)

// The grants of the token endpoint.
const (
	grantCode     = "authorization_code"
	grantRefresh  = "refresh_token"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// tokens is the answer of the token endpoint (RFC 6749, section 5.1; RFC 8693,
// section 2.2.1).
type tokens struct {
	AccessToken  string `json:"access_token"`
	IssuedType   string `json:"issued_token_type,omitempty"`
	Type         string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// User is whose token an application got.
	User string `json:"user,omitempty"`
}

// postToken is the token endpoint.
func (s *Service) postToken(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionCode)
	form, f := readForm(r)
	if f != nil {
		s.answer(w, e, nil, f)
		return
	}
	var out *tokens
	grants := map[string]func(*http.Request, url.Values, *Event) (*tokens, *fault){
		grantCode: s.fromCode, grantRefresh: s.fromRefresh, grantExchange: s.exchange,
	}
	client, known := s.clients[form.Get("client_id")]
	switch grant := grants[form.Get("grant_type")]; {
	case grant == nil:
		f = refuse(http.StatusBadRequest, codeGrantType, "request", "grant_type is %q; valid: %s, %s, %s",
			clip(form.Get("grant_type")), grantCode, grantRefresh, grantExchange)
	case !known:
		f = refuse(http.StatusUnauthorized, codeInvalidClient, "client", "there is no client %q", clip(form.Get("client_id")))
	default:
		e.App = client.ID
		out, f = grant(r, form, &e)
	}
	s.answer(w, e, out, f)
}

func invalidGrant(rule, format string, args ...any) *fault {
	return refuse(http.StatusBadRequest, codeInvalidGrant, rule, format, args...)
}

// fromCode exchanges an authorization code (RFC 6749, section 4.1.3), which only
// the client can who knows its verifier (RFC 7636, section 4.6). A code that comes
// again ends what the first one gave.
func (s *Service) fromCode(_ *http.Request, form url.Values, e *Event) (*tokens, *fault) {
	now := s.cfg.Now()
	c, again, ok := s.flow.takeCode(form.Get("code"), now)
	if !ok {
		return nil, invalidGrant("code", "the code is unknown or too old")
	}
	e.User, e.Session, e.Factors = c.user, c.session, c.factors
	switch {
	case again:
		s.flow.endSession(c.session)
		if err := s.revoked.session(c.session); err != nil {
			return nil, s.broken(err)
		}
		return nil, invalidGrant("code-reuse", "the code has been used before; its sign-in has been ended")
	case !now.Before(c.expires):
		return nil, invalidGrant("code", "the code is too old")
	case c.client != form.Get("client_id"):
		return nil, invalidGrant("client", "the code is another client's")
	case c.redirect != form.Get("redirect_uri"):
		return nil, invalidGrant("redirect-uri", "redirect_uri is not that of the authorization request")
	case !verifies(form.Get("code_verifier"), c.challenge):
		return nil, invalidGrant("pkce", "code_verifier does not fit the challenge")
	}
	if f := s.stillThere(c.user); f != nil {
		return nil, f
	}
	e.Rule, e.Reason = "pkce", "the verifier fits the challenge"
	return s.grantTokens(c.signIn, c.nonce)
}

func verifies(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// stillThere refuses a user who has been removed or disabled since the sign-in.
func (s *Service) stillThere(id string) *fault {
	if u, ok := s.users.Find(id); !ok || u.Disabled {
		return invalidGrant("user", "the user has been removed or disabled")
	}
	return nil
}

// fromRefresh gives new tokens for a refresh token, which it replaces (RFC 6749,
// section 6). The rules are asked again: the client may be elsewhere by now.
func (s *Service) fromRefresh(r *http.Request, form url.Values, e *Event) (*tokens, *fault) {
	e.Action = ActionRefresh
	in, next, err := s.flow.refresh(form.Get("refresh_token"), form.Get("client_id"), s.cfg.Now())
	e.User, e.Session, e.Factors = in.user, in.session, in.factors
	switch {
	case errors.Is(err, errRefreshReused):
		if err := s.revoked.session(in.session); err != nil {
			return nil, s.broken(err)
		}
		return nil, invalidGrant("refresh-reuse", "%s", err)
	case err != nil:
		return nil, invalidGrant("refresh-token", "%s", err)
	}
	if f := s.stillThere(in.user); f != nil {
		s.flow.endSession(in.session)
		return nil, f
	}
	u, _ := s.users.Find(in.user)
	if f := s.admit(u, remote(r), in.factors); f != nil {
		s.flow.endSession(in.session)
		return nil, f
	}
	out, f := s.mintTokens(in, "")
	if f != nil {
		return nil, f
	}
	out.RefreshToken = next
	e.Rule, e.Reason = "refresh-token", "the newest of its sign-in"
	return out, nil
}

// grantTokens gives what a sign-in yields, with a refresh token when it was asked
// for.
func (s *Service) grantTokens(in signIn, nonce string) (*tokens, *fault) {
	out, f := s.mintTokens(in, nonce)
	if f != nil || !slices.Contains(in.scope, "offline_access") {
		return out, f
	}
	refresh, err := s.flow.addSession(in, in.at.Add(s.cfg.Lifetimes.Session), s.cfg.Now())
	if err != nil {
		return nil, busy(err)
	}
	out.RefreshToken = refresh
	return out, nil
}

// mintTokens makes an ID token, for the client to read, and an application token,
// for it to exchange. Both are for the client and nobody else.
func (s *Service) mintTokens(in signIn, nonceOfClient string) (*tokens, *fault) {
	u, _ := s.users.Find(in.user)
	c := s.claims(in.user, s.cfg.Lifetimes.Token)
	c.Audience, c.Session, c.App = jwt.Audience{in.client}, in.session, in.client
	c.Factors, c.AuthTime = in.factors, seconds(in.at)
	c.Groups = u.Groups
	c.Scope = strings.Join(in.scope, " ")
	application, err := s.mint(token.TypeAccess, c)
	if err != nil {
		return nil, s.broken(err)
	}
	c.ID, c.Nonce, c.Scope, c.Groups = nonce(), nonceOfClient, "", nil
	if slices.Contains(in.scope, "profile") {
		c.Name, c.Username = u.Name, u.ID
	}
	id, err := s.mint(token.TypeID, c)
	if err != nil {
		return nil, s.broken(err)
	}
	return &tokens{AccessToken: application, Type: "Bearer", ExpiresIn: int64(s.cfg.Lifetimes.Token / time.Second),
		Scope: strings.Join(in.scope, " "), IDToken: id}, nil
}

// claims begin a token of a user's.
func (s *Service) claims(user string, lifetime time.Duration) token.Claims {
	at := s.revoked.moment(user)
	return token.Claims{
		Issuer: s.cfg.Issuer, Subject: user, ID: nonce(),
		Issued: seconds(at), NotBefore: seconds(at), Expires: seconds(at.Add(lifetime)), Moment: at.UnixMilli(),
	}
}

func seconds(t time.Time) jwt.NumericDate { return jwt.NumericDate(t.Unix()) }

func (s *Service) mint(typ jose.ContentType, c token.Claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return s.keys.Sign(typ, payload)
}
