package signaling

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// response is what a request gets, ready to be sent and, if need be, sent again.
type response struct {
	status     int
	location   string
	retryAfter time.Duration
	body       []byte
}

// ok is a successful response.
func ok(status int, v any) response {
	body, err := encode(v)
	if err != nil {
		return problem(CodeInternal, "%s", err).response()
	}
	return response{status: status, body: body}
}

func (p *Problem) response() response {
	body, err := encode(p)
	if err != nil { // a Problem has nothing that cannot be encoded
		body = []byte("{}")
	}
	return response{status: p.Status, body: body, retryAfter: p.RetryAfter()}
}

// encode leaves <, > and & as they are, which SDP may hold.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// route is one path with its methods.
type route struct {
	path    string
	methods map[string]http.HandlerFunc
}

// routes is the whole API.
func (c *Controller) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range []route{
		{"/v1/sign-in", map[string]http.HandlerFunc{"POST": c.postSignIn}},
		{"/v1/ice-servers", map[string]http.HandlerFunc{"GET": c.getICEServers, "POST": c.postICEServers}},
		{"/v1/notifications", map[string]http.HandlerFunc{"GET": c.getNotifications}},
		{"/v1/calls", map[string]http.HandlerFunc{"POST": c.postCall}},
		{"/v1/calls/{id}", map[string]http.HandlerFunc{"GET": c.getCall}},
		{"/v1/calls/{id}/answer", map[string]http.HandlerFunc{"POST": c.postAnswer}},
		{"/v1/calls/{id}/reject", map[string]http.HandlerFunc{"POST": c.postReject}},
		{"/v1/calls/{id}/candidates", map[string]http.HandlerFunc{"POST": c.postCandidates}},
		{"/v1/calls/{id}/description", map[string]http.HandlerFunc{"POST": c.postDescription}},
		{"/v1/calls/{id}/hangup", map[string]http.HandlerFunc{"POST": c.postHangup}},
		{"/v1/calls/{id}/telemetry", map[string]http.HandlerFunc{"POST": c.postTelemetry}},
	} {
		var methods []string
		for method, handler := range r.methods {
			mux.HandleFunc(method+" "+r.path, handler)
			methods = append(methods, method)
		}
		slices.Sort(methods)
		allow := strings.Join(methods, ", ")
		mux.HandleFunc(r.path, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Allow", allow)
			refuse(w, problem(CodeMethod, "%s is not possible here; valid: %s", clip(req.Method), allow))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, problem(CodeNotFound, "there is no %q", clip(r.URL.Path)))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		// The mux would send a path with dots elsewhere; there is nothing that
		// such a path could name.
		if r.URL.Path != "/" && path.Clean(r.URL.Path) != r.URL.Path {
			refuse(w, problem(CodeNotFound, "the path is not in its shortest form"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// secure sets what every response carries: nothing here is a page, and nothing
// may be cached (RFC 6750, section 5.3).
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
}

// challenge goes with every 401 (RFC 6750, section 3).
const challenge = `Bearer realm="callpath"`

func send(w http.ResponseWriter, re response) {
	kind := "application/json"
	if re.status >= 400 {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	if re.status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if re.location != "" {
		w.Header().Set("Location", re.location)
	}
	if re.retryAfter > 0 {
		// In whole seconds (RFC 9110, section 10.2.3).
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(re.retryAfter.Seconds()))))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(re.body)))
	w.WriteHeader(re.status)
	// An error means that the client has gone.
	_, _ = w.Write(re.body)
}

func refuse(w http.ResponseWriter, p *Problem) { send(w, p.response()) }

// read reads a body of JSON into v and returns it. An empty body is allowed when
// v is nil.
func (c *Controller) read(w http.ResponseWriter, r *http.Request, v any) ([]byte, *Problem) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, c.cfg.Limits.Body))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem(CodeTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, problem(CodeTimeout, "the body came too slowly")
	case err != nil:
		return nil, problem(CodeBadRequest, "the body cannot be read: %s", err)
	case v == nil && len(body) == 0:
		return nil, nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, problem(CodeMediaType, "Content-Type is %q, wanted application/json", clip(r.Header.Get("Content-Type")))
	}
	if v == nil {
		v = &struct{}{}
	}
	return body, decode(body, v)
}

// decode is strict: one value, nothing unknown, UTF-8.
func decode(body []byte, v any) *Problem {
	if !utf8.Valid(body) {
		return problem(CodeBadRequest, "the body is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return problem(CodeBadRequest, "%s", inWords(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return problem(CodeBadRequest, "the body goes on after its JSON value")
	}
	return nil
}

// inWords says what is wrong with JSON, without the names of Go's types.
func inWords(err error) string {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Sprintf("%s must not be a JSON %s", clip(wrong.Field), clip(wrong.Value))
	case errors.As(err, &wrong):
		return "the body must be a JSON object"
	case errors.As(err, &syntax):
		return fmt.Sprintf("the body is not JSON from byte %d on", syntax.Offset)
	default:
		return "the body is not the JSON that is wanted: " + clip(strings.TrimPrefix(err.Error(), "json: "))
	}
}

// authenticate finds who sent a request (RFC 6750, section 2.1), or refuses it.
func (c *Controller) authenticate(w http.ResponseWriter, r *http.Request, token string) (actor, bool) {
	by := actor{remote: r.RemoteAddr}
	verified, why := c.verify(r, token)
	c.mu.Lock()
	p := c.closing()
	if p == nil {
		if by.grant, why, p = c.grant(token, verified, why); p == nil {
			by.user = by.grant.user
		}
		c.audit(ruleToken, p == nil, why, by.event(nil))
	}
	c.mu.Unlock()
	if p != nil {
		switch {
		case p.Code == CodeScope:
			w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+ScopeVoIP+`"`)
		case token != "" && p.Code == CodeUnauthorized:
			w.Header().Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		}
		refuse(w, p)
		return by, false
	}
	return by, true
}

func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// closing is the problem of a request that comes after Close. c.mu is held.
func (c *Controller) closing() *Problem {
	if c.closed {
		return problem(CodeUnavailable, "the controller is closing")
	}
	return nil
}

// participant finds a call of the user's. A call of others looks like one that
// does not exist. c.mu is held.
func (c *Controller) participant(by actor, id string) (*call, *Problem) {
	k := c.calls[id]
	if k != nil {
		me, _ := k.sides(by.user)
		e := by.event(k)
		if me != nil {
			c.audit(ruleParticipant, true, "the user is in the call as its "+string(me.role), e)
			return k, nil
		}
		c.audit(ruleParticipant, false, "the user is not in the call", e)
	}
	return nil, problem(CodeNotFound, "there is no call %q of this user", clip(id))
}

// once does a request that changes something, once for each request ID. do is
// called with c.mu held.
func (c *Controller) once(w http.ResponseWriter, r *http.Request, by actor, body []byte, do func() response) {
	print := fingerprint(r, body)
	c.mu.Lock()
	id, p := checkRepeatability(r.Header, c.cfg.Now())
	if p == nil {
		p = c.closing()
	}
	var re response
	var again bool
	if p == nil {
		re, p, again = by.user.repeats.find(id, print)
	}
	if p == nil && !again {
		re = do()
		by.user.repeats.store(id, print, c.cfg.Now(), re)
	}
	c.mu.Unlock()
	if id != "" || p != nil && p.Code == CodeRequestTooOld {
		result := "accepted"
		if p != nil {
			result = "rejected"
		}
		w.Header().Set(headerResult, result)
	}
	if p != nil {
		refuse(w, p)
		return
	}
	send(w, re)
}
