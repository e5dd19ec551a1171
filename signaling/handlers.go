package signaling

import (
	"cmp"
	"fmt"
	"net/http"
	"unicode"
	"unicode/utf8"

	"github.com/callpath/callpath/signaling/callstate"
)

// postSignIn gives out a token. It needs no request ID: a sign-in that is sent
// again gives another token, and no token is kept to be given out twice.
func (c *Controller) postSignIn(w http.ResponseWriter, r *http.Request) {
	if c.cfg.Verifier != nil {
		refuse(w, problem(CodeNotFound, "there is no sign-in here; get a token from the issuer"))
		return
	}
	var in signInRequest
	if _, p := c.read(w, r, &in); p != nil {
		refuse(w, p)
		return
	}
	c.mu.Lock()
	re, p := c.signIn(in, r.RemoteAddr)
	c.mu.Unlock()
	if p != nil {
		refuse(w, p)
		return
	}
	send(w, ok(http.StatusOK, re))
}

func (c *Controller) signIn(in signInRequest, remote string) (signInResponse, *Problem) {
	if p := c.closing(); p != nil {
		return signInResponse{}, p
	}
	e := Event{Remote: remote}
	u := c.users[in.User]
	key, now := newMissKey(u, remote), c.cfg.Now()
	if u != nil {
		e.User = u.id
	} else {
		u = stranger
	}
	if wait := c.misses.wait(key, now); wait > 0 {
		c.audit(ruleThrottle, false, "too many wrong secrets", e)
		p := problem(CodeTooMany, "too many wrong secrets; try again in %s", wait)
		p.RetryAfterMS = wait.Milliseconds()
		return signInResponse{}, p
	}
	if !u.knows(in.Secret) {
		c.misses.add(key, now)
		c.audit(ruleSecret, false, "unknown user or wrong secret", e)
		// The same words for both, so that nobody learns who exists.
		return signInResponse{}, problem(CodeUnauthorized, "unknown user or wrong secret")
	}
	token, expires, err := c.tokens.issue(u, now, c.cfg.Rand)
	if err != nil {
		return signInResponse{}, problem(CodeInternal, "%s", err)
	}
	c.audit(ruleSecret, true, "the secret is the user's", e)
	e.Kind = EventSignedIn
	c.emit(e)
	return signInResponse{User: u.id, Name: u.name, Client: u.client, Token: token, Expires: expires, Region: c.cfg.Region}, nil
}

// getICEServers gives credentials for a call that the user is in.
func (c *Controller) getICEServers(w http.ResponseWriter, r *http.Request) {
	by, ok := c.authenticate(w, r, bearer(r.Header))
	if !ok {
		return
	}
	c.mu.Lock()
	k, p := c.participant(by, r.URL.Query().Get("call"))
	if p == nil && k.state == callstate.Ended {
		me, _ := k.sides(by.user)
		p = problem(CodeOutOfOrder, "the call has ended; there is nothing to relay")
		p.State = string(k.state)
		for _, e := range callstate.Allowed(k.state, me.role) {
			p.Allowed = append(p.Allowed, string(e))
		}
	}
	var e Event
	if p == nil {
		e = by.event(k)
	}
	c.mu.Unlock()
	c.sendICEServers(w, by, e, p)
}

// postICEServers gives credentials for a meeting or group call in which the user
// is present, or for the user's next call, whose ID it reserves. Asked again before
// that call, it gives the same ID, so that it needs no request ID.
func (c *Controller) postICEServers(w http.ResponseWriter, r *http.Request) {
	by, ok := c.authenticate(w, r, bearer(r.Header))
	if !ok {
		return
	}
	var in iceServersRequest
	if _, p := c.readOptional(w, r, &in); p != nil {
		refuse(w, p)
		return
	}
	c.mu.Lock()
	e := by.event(nil)
	var p *Problem
	switch {
	case in.Meeting != "" && in.Group != "":
		p = problem(CodeBadRequest, "meeting and group are both set, wanted one of them or none")
	case in.Meeting != "" || in.Group != "":
		e, p = c.relayed(by, in)
	default:
		e.Call, p = c.reserve(by.user)
	}
	c.mu.Unlock()
	c.sendICEServers(w, by, e, p)
}

// sendICEServers mints outside the lock: it is somebody else's code.
func (c *Controller) sendICEServers(w http.ResponseWriter, by actor, e Event, p *Problem) {
	if p != nil {
		refuse(w, p)
		return
	}
	tied := cmp.Or(e.Meeting, e.Call)
	servers, err := c.cfg.TURN(by.user.id, tied)
	if err != nil {
		c.cfg.Log.Error("signaling: no ICE servers", "user", e.User, "call", tied, "error", err)
		refuse(w, problem(CodeInternal, "no ICE servers can be given out"))
		return
	}
	if servers == nil {
		servers = []ICEServer{}
	}
	e.Kind, e.Carried = EventICEServers, plural(len(servers), "ICE server")
	c.mu.Lock()
	c.emit(e)
	c.mu.Unlock()
	send(w, ok(http.StatusOK, iceServersResponse{Call: e.Call, Meeting: e.Meeting, ICEServers: servers}))
}

func (c *Controller) postCall(w http.ResponseWriter, r *http.Request) {
	by, good := c.authenticate(w, r, bearer(r.Header))
	if !good {
		return
	}
	var in inviteRequest
	body, p := c.read(w, r, &in)
	if p != nil {
		refuse(w, p)
		return
	}
	d := c.describe(in.Description, in.Candidates, Offer)
	c.once(w, r, by, body, func() response {
		k, p := c.invite(by, in, d)
		if p != nil {
			return p.response()
		}
		re := ok(http.StatusCreated, k.view())
		re.location = "/v1/calls/" + k.id
		return re
	})
}

func (c *Controller) getCall(w http.ResponseWriter, r *http.Request) {
	by, good := c.authenticate(w, r, bearer(r.Header))
	if !good {
		return
	}
	c.mu.Lock()
	k, p := c.participant(by, r.PathValue("id"))
	var v Call
	if p == nil {
		v = k.view()
	}
	c.mu.Unlock()
	if p != nil {
		refuse(w, p)
		return
	}
	send(w, ok(http.StatusOK, v))
}

// postAction reads a body into in and does do, once, on the call that the path
// names. prepare, which may be nil, runs before the lock is taken.
func (c *Controller) postAction(w http.ResponseWriter, r *http.Request, in any, prepare func() *Problem, do func(actor, *call) *Problem) {
	by, good := c.authenticate(w, r, bearer(r.Header))
	if !good {
		return
	}
	body, p := c.read(w, r, in)
	if p == nil && prepare != nil {
		p = prepare()
	}
	if p != nil {
		refuse(w, p)
		return
	}
	c.once(w, r, by, body, func() response {
		k, p := c.participant(by, r.PathValue("id"))
		if p == nil {
			p = do(by, k)
		}
		if p != nil {
			return p.response()
		}
		return ok(http.StatusOK, k.view())
	})
}

func (c *Controller) postAnswer(w http.ResponseWriter, r *http.Request) {
	var in descriptionRequest
	var d described
	c.postAction(w, r, &in, func() *Problem {
		d = c.describe(in.Description, in.Candidates, Answer)
		return nil
	}, func(by actor, k *call) *Problem { return c.answer(by, k, d) })
}

func (c *Controller) postDescription(w http.ResponseWriter, r *http.Request) {
	var in descriptionRequest
	var d described
	c.postAction(w, r, &in, func() *Problem {
		d = c.describe(in.Description, in.Candidates, Offer, Answer, Rollback)
		return nil
	}, func(by actor, k *call) *Problem { return c.update(by, k, d) })
}

func (c *Controller) postCandidates(w http.ResponseWriter, r *http.Request) {
	var in candidatesRequest
	c.postAction(w, r, &in, nil, func(by actor, k *call) *Problem { return c.trickle(by, k, in.Candidates) })
}

func (c *Controller) postReject(w http.ResponseWriter, r *http.Request) {
	c.postEnd(w, r, callstate.Reject)
}

func (c *Controller) postHangup(w http.ResponseWriter, r *http.Request) {
	c.postEnd(w, r, callstate.Hangup)
}

func (c *Controller) postEnd(w http.ResponseWriter, r *http.Request, event callstate.Event) {
	var in reasonRequest
	c.postAction(w, r, &in, func() *Problem { return checkReason(in.Reason) },
		func(by actor, k *call) *Problem { return c.end(by, k, event, in.Reason) })
}

func (c *Controller) postTelemetry(w http.ResponseWriter, r *http.Request) {
	var in telemetryRequest
	c.postAction(w, r, &in, nil, func(by actor, k *call) *Problem { return c.telemetry(by, k, in.Telemetry) })
}

// checkReason keeps a reason to one line that a log or a screen can show.
func checkReason(s string) *Problem {
	err := error(nil)
	if len(s) > maxReason || !utf8.ValidString(s) {
		err = fmt.Errorf("reason has %d bytes, at most %d are taken", len(s), maxReason)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			err = fmt.Errorf("reason holds %U, wanted one line of text", r)
			break
		}
	}
	if err != nil {
		return problem(CodeBadRequest, "%s", err)
	}
	return nil
}
