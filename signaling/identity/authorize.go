package identity

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// allOpenID are the scopes of a sign-in.
var allOpenID = []string{"openid", "profile", "offline_access"}

// maxParameter bounds state and nonce, in bytes.
const maxParameter = 512

// authorization is a request for the sign-in page that has been checked.
type authorization struct {
	client                            Client
	redirect, state, nonce, challenge string
	scope                             []string
}

// errorResponse is a refusal that goes back to the client by the browser
// (RFC 6749, section 4.1.2.1). Where the redirect URI is not the client's, it
// never does: that would be an open redirector.
type errorResponse struct {
	*fault
	back bool
}

// parseAuthorization checks the parameters of RFC 6749, section 4.1.1, and OpenID
// Connect Core, section 3.1.2.1.
func (s *Service) parseAuthorization(form url.Values) (a authorization, refused *errorResponse) {
	here := func(f *fault) (authorization, *errorResponse) { return a, &errorResponse{fault: f} }
	var ok bool
	if a.client, ok = s.clients[form.Get("client_id")]; !ok {
		return here(bad("client", "there is no client %q", clip(form.Get("client_id"))))
	}
	if uri := form.Get("redirect_uri"); !slices.Contains(a.client.RedirectURIs, uri) {
		return here(bad("redirect-uri", "redirect_uri is %q, which is none of the client's", clip(uri)))
	}
	a.redirect = form.Get("redirect_uri")
	if len(form.Get("state")) > maxParameter {
		return here(bad("request", "state has more than %d bytes", maxParameter))
	}
	a.state, a.nonce, a.challenge = form.Get("state"), form.Get("nonce"), form.Get("code_challenge")

	back := func(code, rule, format string, args ...any) (authorization, *errorResponse) {
		return a, &errorResponse{fault: refuse(http.StatusBadRequest, code, rule, format, args...), back: true}
	}
	asked := strings.Fields(form.Get("scope"))
	switch {
	case form.Has("request"):
		return back(codeNoRequest, "request", "request objects are not supported")
	case form.Has("request_uri"):
		return back(codeNoRequestURI, "request", "request_uri is not supported")
	case form.Get("response_type") != "code":
		return back(codeResponseType, "request", "response_type is %q, wanted code", clip(form.Get("response_type")))
	case form.Get("response_mode") != "" && form.Get("response_mode") != "query":
		return back(codeInvalidRequest, "request", "response_mode is %q, wanted query", clip(form.Get("response_mode")))
	case !slices.Contains(asked, "openid"):
		return back(codeInvalidScope, "scope", "scope lacks openid")
	case len(a.nonce) > maxParameter:
		return back(codeInvalidRequest, "request", "nonce has more than %d bytes", maxParameter)
	case form.Get("code_challenge_method") != "S256":
		return back(codeInvalidRequest, "pkce", "code_challenge_method is %q, wanted S256", clip(form.Get("code_challenge_method")))
	case !challenge(a.challenge):
		return back(codeInvalidRequest, "pkce", "code_challenge is not the hash of a verifier (RFC 7636, section 4.2)")
	case slices.Contains(strings.Fields(form.Get("prompt")), "none"):
		return back(codeLoginRequired, "sign-in", "each authorization asks for the password")
	}
	for _, scope := range allOpenID {
		if slices.Contains(asked, scope) {
			a.scope = append(a.scope, scope)
		}
	}
	return a, nil
}

// challenge says whether text has the form of a SHA-256 in base64url.
func challenge(text string) bool {
	return len(text) == 43 && !strings.ContainsFunc(text, func(r rune) bool {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z'
		return !letter && !(r >= '0' && r <= '9') && r != '-' && r != '_'
	})
}

// fields are the parameters of a checked request again, for the form to carry.
func (a *authorization) fields() [][2]string {
	return [][2]string{
		{"client_id", a.client.ID}, {"redirect_uri", a.redirect}, {"response_type", "code"},
		{"scope", strings.Join(a.scope, " ")}, {"state", a.state}, {"nonce", a.nonce},
		{"code_challenge", a.challenge}, {"code_challenge_method", "S256"},
	}
}

// leadBack sends the browser to the client, with the issuer's name against mix-up
// (RFC 9207). 303 turns the form's POST into a GET.
func (s *Service) leadBack(w http.ResponseWriter, r *http.Request, a *authorization, more url.Values) {
	u, err := url.Parse(a.redirect)
	if err != nil { // addClients has checked it
		s.broken(err).send(w)
		return
	}
	q := u.Query()
	for name, values := range more {
		q[name] = values
	}
	if a.state != "" {
		q.Set("state", a.state)
	}
	q.Set("iss", s.cfg.Issuer)
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// deny answers a request that was refused, on a page or at the client.
func (s *Service) deny(w http.ResponseWriter, r *http.Request, e Event, a *authorization, refused *errorResponse) {
	s.emit(refused.audit(e))
	if refused.back {
		s.leadBack(w, r, a, url.Values{"error": {refused.Code}, "error_description": {plain(refused.Detail)}})
		return
	}
	s.page(w, refused.status, page{Title: "This sign-in cannot begin", Problem: refused.Detail})
}

// getAuthorize shows the sign-in page. Nothing is kept of it here: the form brings
// the request again, which is then checked again.
func (s *Service) getAuthorize(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionAuthorize)
	form, f := parseForm(r.URL.RawQuery)
	if f != nil {
		s.deny(w, r, e, nil, &errorResponse{fault: f})
		return
	}
	a, refused := s.parseAuthorization(form)
	e.App = a.client.ID
	if refused != nil {
		s.deny(w, r, e, &a, refused)
		return
	}
	secret := s.antiForgery(w, r)
	s.page(w, http.StatusOK, page{Title: "Sign in", Action: r.URL.Path, Fields: a.fields(), Secret: secret, User: form.Get("login_hint"), back: a.redirect})
}

// forgeryCookie ties the form to the browser that got it. The prefix keeps other
// hosts of the domain from setting it.
const forgeryCookie = "__Host-callpath-sign-in"

// antiForgery returns what the form must bring, with the cookie that proves it.
func (s *Service) antiForgery(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(forgeryCookie); err == nil && len(c.Value) == nonceLength {
		return c.Value // another tab of the browser may have a form open
	}
	secret := nonce()
	http.SetCookie(w, &http.Cookie{Name: forgeryCookie, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 3600})
	return secret
}

// postAuthorize takes the form: first the password, then the code of whoever has a
// second factor.
func (s *Service) postAuthorize(w http.ResponseWriter, r *http.Request) {
	e := s.event(r, ActionSignIn)
	form, f := readForm(r)
	if f != nil {
		s.deny(w, r, e, nil, &errorResponse{fault: f})
		return
	}
	a, refused := s.parseAuthorization(form)
	e.App = a.client.ID
	if refused == nil {
		cookie, err := r.Cookie(forgeryCookie)
		if secret := form.Get("secret"); err != nil || secret == "" || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(secret)) != 1 {
			refused = &errorResponse{fault: refuse(http.StatusForbidden, codeAccessDenied, "anti-forgery", "this form is not from this browser, or too old; go back to the application and sign in again")}
		}
	}
	if refused != nil {
		s.deny(w, r, e, &a, refused)
		return
	}
	p := page{Title: "Sign in", Action: r.URL.Path, Fields: a.fields(), Secret: form.Get("secret"), User: form.Get("user"), back: a.redirect}
	if id := form.Get("step"); id != "" {
		f = s.secondStep(r, &a, &e, &p, id, form.Get("code"))
	} else {
		f = s.firstStep(r, &a, &e, &p, form.Get("user"), form.Get("password"))
	}
	switch {
	case f == nil && p.code != "":
		e.Allowed = true
		s.emit(e)
		s.leadBack(w, r, &a, url.Values{"code": {p.code}})
	case f == nil: // the code is wanted
		e.Allowed, e.Rule, e.Reason = true, "password", "the password is right; a one-time code is wanted, too"
		s.emit(e)
		s.page(w, http.StatusOK, p)
	case f.Code == codeAccessDenied:
		s.deny(w, r, e, &a, &errorResponse{fault: f, back: true})
	default:
		s.emit(f.audit(e))
		p.Problem = f.Detail
		status := f.status
		if status == http.StatusUnauthorized { // which would want a challenge, and a browser's own dialogue
			status = http.StatusForbidden
		}
		s.page(w, status, p)
	}
}

// firstStep takes the password. It ends in p.code, or in p.Step when a one-time
// code is wanted.
func (s *Service) firstStep(r *http.Request, a *authorization, e *Event, p *page, id, password string) *fault {
	u, needsCode, f := s.checkPassword(r.Context(), id, password, remote(r))
	e.User = u.ID
	if f != nil {
		return f
	}
	if !needsCode {
		return s.signedIn(r, a, e, p, u.ID, factorsOf(false))
	}
	now := s.cfg.Now()
	step, err := s.flow.addStep(&step{user: u.ID, client: a.client.ID, expires: now.Add(stepLifetime)}, now)
	if err != nil {
		return busy(err)
	}
	p.Step = step
	return nil
}

// secondStep takes the one-time code.
func (s *Service) secondStep(r *http.Request, a *authorization, e *Event, p *page, id, code string) *fault {
	st, ok := s.flow.findStep(id, s.cfg.Now())
	if !ok || st.client != a.client.ID {
		return refuse(http.StatusUnauthorized, codeInvalidGrant, "one-time-code", "it took too long; enter the password again")
	}
	e.User, p.User, p.Step = st.user, st.user, id
	if f := s.checkCode(st.user, strings.ReplaceAll(code, " ", "")); f != nil {
		return f
	}
	s.flow.endStep(id)
	return s.signedIn(r, a, e, p, st.user, factorsOf(true))
}

// signedIn asks the rules and makes the authorization code.
func (s *Service) signedIn(r *http.Request, a *authorization, e *Event, p *page, id string, factors []string) *fault {
	e.Factors = factors
	u, ok := s.users.Find(id)
	if !ok || u.Disabled {
		return refuse(http.StatusUnauthorized, codeInvalidGrant, "password", "unknown user or wrong password")
	}
	if f := s.admit(u, remote(r), factors); f != nil {
		return f
	}
	now := s.cfg.Now()
	expires := now.Add(s.cfg.Lifetimes.Code)
	in := signIn{user: id, client: a.client.ID, factors: factors, at: now, session: nonce(), scope: a.scope}
	text, err := s.flow.addCode(&code{signIn: in, redirect: a.redirect, challenge: a.challenge, nonce: a.nonce,
		expires: expires, forget: expires.Add(codeMemory)}, now)
	if err != nil {
		return busy(err)
	}
	p.code = text
	e.Session, e.Rule, e.Reason = in.session, "conditional-access", "no rule refuses"
	return nil
}

func busy(err error) *fault {
	f := refuse(http.StatusServiceUnavailable, codeUnavailable, "busy", "too many sign-ins are under way; try again")
	f.reason = err.Error()
	if !errors.Is(err, errFlowFull) {
		return f
	}
	f.RetryAfter = int(time.Minute / time.Second)
	return f
}
