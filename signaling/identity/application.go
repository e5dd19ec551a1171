package identity

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/callpath/callpath/signaling/identity/user"
)

// applicationPrefix begins the IDs of the applications' users: acs.APPLICATION.RANDOM.
// Nothing is stored of them; the ID says whose they are.
const applicationPrefix = "acs."

const maxName = 128 // bytes

// ruleApplication is the rule that an application's secret decides.
const ruleApplication = "application-secret"

// userRequest is the body of POST /identity/users and …/token.
type userRequest struct {
	// Scopes are of voip and chat; all that the application may give when empty.
	Scopes []string `json:"scopes"`
	// ExpiresIn is in seconds; Lifetimes.Access when 0.
	ExpiresIn int64 `json:"expires_in"`
	// Name is for display to others.
	Name string `json:"name"`
}

// authenticate finds the application that a request is from (RFC 6749, section
// 2.3.1), or refuses it.
func (s *Service) authenticate(r *http.Request, e *Event) (*application, *fault) {
	id, secret, ok := r.BasicAuth()
	net, now := network(remote(r)), s.cfg.Now()
	if wait := s.secrets.take(net, now); wait > 0 {
		return nil, slow("throttle", wait)
	}
	a := (*s.applications.Load())[id]
	known := a != nil
	if !known {
		a = &application{hash: hashSecret("")}
	}
	if right := a.is(secret); !ok || !known || !right {
		return nil, refuse(http.StatusUnauthorized, codeInvalidClient, ruleApplication, "unknown application or wrong secret")
	}
	s.secrets.give(net)
	e.App = a.id
	return a, nil
}

// postUsers makes a user for an application, with an access token.
func (s *Service) postUsers(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionIdentity)
	a, f := s.authenticate(r, &e)
	if f != nil {
		s.answer(w, e, nil, f)
		return
	}
	out, f := s.applicationToken(r, a, applicationPrefix+a.id+"."+strings.ToLower(nonce()), &e)
	if f != nil {
		s.answer(w, e, nil, f)
		return
	}
	e.Allowed = true
	s.emit(e)
	sendJSON(w, http.StatusCreated, out)
}

// postUserToken gives another access token for a user of the application's.
func (s *Service) postUserToken(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionIdentity)
	var out *tokens
	a, id, f := s.applicationUser(r, &e)
	if f == nil {
		out, f = s.applicationToken(r, a, id, &e)
	}
	s.answer(w, e, out, f)
}

// postUserRevoke ends all access tokens of a user of the application's.
func (s *Service) postUserRevoke(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionRevoke)
	_, id, f := s.applicationUser(r, &e)
	if f == nil {
		if err := s.revoked.user(id); err != nil {
			f = s.broken(err)
		}
	}
	e.Rule, e.Reason = ruleApplication, "all tokens of the user end"
	s.answer(w, e, nil, f)
}

// applicationUser checks that a request is from the application whose user it is
// about.
func (s *Service) applicationUser(r *http.Request, e *Event) (*application, string, *fault) {
	a, f := s.authenticate(r, e)
	if f != nil {
		return nil, "", f
	}
	id := r.PathValue("id")
	if !user.ValidID(id) || !strings.HasPrefix(id, applicationPrefix+a.id+".") {
		return nil, "", refuse(http.StatusNotFound, codeNotFound, "application", "there is no user %q of this application", clip(id))
	}
	e.User = id
	return a, id, nil
}

func (s *Service) applicationToken(r *http.Request, a *application, id string, e *Event) (*tokens, *fault) {
	e.User = id
	var in userRequest
	if f := readJSON(r, &in); f != nil {
		return nil, f
	}
	if len(in.Name) > maxName || !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, bad("request", "name is not one line of at most %d bytes", maxName)
	}
	lifetime := s.cfg.Lifetimes.Access
	if in.ExpiresIn != 0 {
		most := int64(s.cfg.Lifetimes.MaxAccess / time.Second)
		if in.ExpiresIn < 60 || in.ExpiresIn > most {
			return nil, bad("lifetime", "expires_in is %d, wanted 60 to %d seconds", in.ExpiresIn, most)
		}
		lifetime = time.Duration(in.ExpiresIn) * time.Second
	}
	scopes, f := grantedScopes(in.Scopes, a.scopes)
	if f != nil {
		return nil, f
	}
	c := s.claims(id, lifetime)
	c.Session, c.App, c.Client, c.Name = nonce(), a.id, user.ACS, in.Name
	out, f := s.mintAccess(c, scopes, e)
	if f != nil {
		return nil, f
	}
	out.User = id
	e.Rule, e.Reason = ruleApplication, "the secret is the application's"
	return out, nil
}
