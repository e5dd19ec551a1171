package signaling

import (
	"fmt"
	"time"

	"github.com/callpath/callpath/signaling/callstate"
	"github.com/callpath/callpath/signaling/offeranswer"
)

const (
	callIDBytes = 16
	maxReason   = 256
)

// call is one call between two users. Controller.mu guards it.
type call struct {
	id     string
	region string
	state  callstate.State
	caller side
	callee side
	// offer is the outstanding one, and offerer who made it.
	offer   *offeranswer.Summary
	offerer *side

	ring   *timer // until the answer
	forget *timer // once ended

	// origins say whose candidate has an address (origin.go).
	origins origins

	created, over time.Time
	reason        string
	endedBy       *user
}

// side is a participant's part of a call.
type side struct {
	user *user
	role callstate.Role
	held bool
	// candidates counts those sent since the side's last description.
	candidates int
}

// sides returns u's part of the call and the other one; nil when u has none.
func (k *call) sides(u *user) (me, peer *side) {
	switch u {
	case k.caller.user:
		return &k.caller, &k.callee
	case k.callee.user:
		return &k.callee, &k.caller
	}
	return nil, nil
}

// view is what a participant may know.
func (k *call) view() Call {
	v := Call{ID: k.id, State: k.state, Caller: k.caller.user.id, Callee: k.callee.user.id, Region: k.region,
		Reason: k.reason, Created: k.created, Ended: k.over}
	for _, s := range []*side{&k.caller, &k.callee} {
		if s.held {
			v.HeldBy = append(v.HeldBy, s.user.id)
		}
	}
	if k.endedBy != nil {
		v.EndedBy = k.endedBy.id
	}
	return v
}

// reserve returns the ID of the user's next call. c.mu is held.
func (c *Controller) reserve(u *user) (string, *Problem) {
	if u.reserved == "" {
		id, err := random(c.cfg.Rand, callIDBytes)
		if err != nil {
			return "", problem(CodeInternal, "%s", err)
		}
		u.reserved = id
	}
	return u.reserved, nil
}

// invite makes a call. c.mu is held, as for all that follows.
func (c *Controller) invite(by actor, in inviteRequest, d described) (*call, *Problem) {
	u := by.user
	callee := c.users[in.Callee]
	switch {
	case !validUserID(in.Callee):
		return nil, problem(CodeBadRequest, "callee is %q, wanted a user's ID", clip(in.Callee))
	case callee == nil:
		return nil, problem(CodeCalleeUnknown, "there is no user %q", in.Callee)
	case callee == u:
		return nil, problem(CodeBadRequest, "callee is the caller; nobody can call themselves")
	case in.Call != "" && in.Call != u.reserved:
		c.audit(ruleReservation, false, "the call ID is not the one reserved for this user", by.event(nil))
		return nil, problem(CodeNotFound, "call is not the ID that was reserved for this user's next call; leave it out or ask for ICE servers again")
	case d.problem != nil:
		c.auditDescription(by, nil, d.problem)
		return nil, d.problem
	}
	if crossing := c.crossing(u, callee); crossing != nil {
		p := problem(CodeGlare, "%s is calling already; answer that call", callee.id)
		p.Call = crossing.id
		return nil, p
	}
	if c.draining {
		return nil, problem(CodeUnavailable, "the server is shutting down and takes no new calls")
	}
	most := c.cfg.Limits.CallsPerUser
	switch {
	case len(u.calls) >= most:
		p := problem(CodeCallerBusy, "%s is in %s, at most %d are allowed", u.id, plural(len(u.calls), "call"), most)
		p.Call = u.calls[0].id
		return nil, p
	case !callee.present(), callee.session != nil && !callee.session.by.grant.calls():
		return nil, problem(CodeCalleeOffline, "%s has no client connected", callee.id)
	case len(callee.calls) >= most:
		return nil, problem(CodeCalleeBusy, "%s is in another call", callee.id)
	}
	if _, p := c.reserve(u); p != nil {
		return nil, p
	}
	to, err := callstate.Next(callstate.Idle, callstate.Invite, callstate.Caller)
	if err != nil {
		return nil, problem(CodeInternal, "%s", err)
	}
	k := &call{id: u.reserved, region: c.cfg.Region, state: to, offer: d.summary, created: c.cfg.Now(),
		caller: side{user: u, role: callstate.Caller, candidates: len(d.candidates)},
		callee: side{user: callee, role: callstate.Callee}}
	k.offerer = &k.caller
	u.reserved = ""
	c.calls[k.id] = k
	u.calls, callee.calls = append(u.calls, k), append(callee.calls, k)
	k.ring = c.after(c.cfg.Limits.RingTimeout, func() {
		c.step(k, callstate.Timeout, callee, fmt.Sprintf("not answered within %s", c.cfg.Limits.RingTimeout))
	})
	c.auditDescription(by, k, nil)
	e := by.event(k)
	e.Kind, e.Request, e.From, e.State, e.Carried = EventRequest, callstate.Invite, callstate.Idle, to, d.carried()
	c.emit(e)
	c.notify(k, callee, Notification{Type: NotifyInvite, From: u.id, Description: &d.Description, Candidates: d.candidates})
	// A caller who has never connected could not be told of the answer.
	c.watch(u)
	return k, nil
}

// crossing finds a call that callee makes to u and that is not answered yet.
func (c *Controller) crossing(u, callee *user) *call {
	for _, k := range u.calls {
		if k.caller.user == callee && (k.state == callstate.Invited || k.state == callstate.Ringing) {
			return k
		}
	}
	return nil
}
