package signaling

import (
	"bytes"
	"crypto/sha256"
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
	for _, r := range append([]route{
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
	}, slices.Concat(c.conferenceRoutes(), c.chatRoutes())...) {
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
	return c.readBody(w, r, v, v == nil)
}

// readOptional is read of a body that may be empty.
func (c *Controller) readOptional(w http.ResponseWriter, r *http.Request, v any) ([]byte, *Problem) {
	return c.readBody(w, r, v, true)
}

func (c *Controller) readBody(w http.ResponseWriter, r *http.Request, v any, optional bool) ([]byte, *Problem) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, c.cfg.Limits.Body))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem(CodeTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, problem(CodeTimeout, "the body came too slowly")
	case err != nil:
		return nil, problem(CodeBadRequest, "the body cannot be read: %s", err)
	case optional && len(body) == 0:
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
	return c.authenticateFor(w, r, token, ScopeVoIP)
}

// authenticateFor is authenticate for what needs a scope.
func (c *Controller) authenticateFor(w http.ResponseWriter, r *http.Request, token, scope string) (actor, bool) {
	by := actor{remote: r.RemoteAddr}
	verified, why := c.verify(r, token)
	c.mu.Lock()
	p := c.closing()
	if p == nil {
		if by.grant, why, p = c.grant(token, scope, verified, why); p == nil {
			by.user = by.grant.user
		}
		c.audit(ruleToken, p == nil, why, by.event(nil))
	}
	c.mu.Unlock()
	if p != nil {
		switch {
		case p.Code == CodeScope:
			w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+scope+`"`)
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
	c.mu.Lock()
	q := c.repeatable(r, by, body)
	if q.isNew() {
		q.response = do()
		by.user.repeats.store(q.id, q.print, c.cfg.Now(), q.response)
	}
	c.mu.Unlock()
	q.send(w)
}

// onceInTurn is once for a request that waits for the store or a media processor: do
// is called without a lock, and such requests of one user go one after the other, so
// that no two with one ID can act.
func (c *Controller) onceInTurn(w http.ResponseWriter, r *http.Request, by actor, body []byte, do func() response) {
	if !by.user.turn.take(r.Context()) {
		return // the client has gone
	}
	defer by.user.turn.give()
	c.mu.Lock()
	q := c.repeatable(r, by, body)
	c.mu.Unlock()
	if q.isNew() {
		q.response = do()
		c.mu.Lock()
		by.user.repeats.store(q.id, q.print, c.cfg.Now(), q.response)
		c.mu.Unlock()
	}
	q.send(w)
}

// repeatable is a request by its ID: new, or answered already, or a problem.
type repeatable struct {
	id       string
	print    [sha256.Size]byte
	problem  *Problem
	again    bool
	response response
}

func (q *repeatable) isNew() bool { return q.problem == nil && !q.again }

// repeatable looks a request up. c.mu is held.
func (c *Controller) repeatable(r *http.Request, by actor, body []byte) *repeatable {
	q := &repeatable{print: fingerprint(r, body)}
	q.id, q.problem = checkRepeatability(r.Header, c.cfg.Now())
	if q.problem == nil {
		q.problem = c.closing()
	}
	if q.problem == nil {
		q.response, q.problem, q.again = by.user.repeats.find(q.id, q.print)
	}
	return q
}

func (q *repeatable) send(w http.ResponseWriter) {
	if q.id != "" || q.problem != nil && q.problem.Code == CodeRequestTooOld {
		result := "accepted"
		if q.problem != nil {
			result = "rejected"
		}
		w.Header().Set(headerResult, result)
	}
	if q.problem != nil {
		refuse(w, q.problem)
		return
	}
	send(w, q.response)
}
