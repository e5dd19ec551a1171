package signaling

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/callpath/callpath/signaling/callstate"
	"github.com/callpath/callpath/signaling/offeranswer"
)

// action is a participant's request on a call.
type action struct {
	event     callstate.Event
	carried   string
	reason    string
	telemetry json.RawMessage
	// take, when set, looks at the request once the state machine has taken
	// it, and changes the two sides; or it refuses and changes nothing.
	take func(k *call, me, peer *side) *Problem
	// tell, when set, is for the other side.
	tell *Notification
}

// act does one request: state machine, check, new state, event, notification.
// c.mu is held, as for all that follows.
func (c *Controller) act(by actor, k *call, a action) *Problem {
	me, peer := k.sides(by.user)
	from := k.state
	to, err := callstate.Next(from, a.event, me.role)
	if err != nil {
		return c.refuse(err)
	}
	if a.take != nil {
		if p := a.take(k, me, peer); p != nil {
			return p
		}
	}
	k.state = to
	e := by.event(k)
	e.Kind, e.Request, e.From, e.State = EventRequest, a.event, from, to
	e.Carried, e.Reason, e.Telemetry = a.carried, a.reason, a.telemetry
	c.emit(e)
	if a.tell != nil {
		n := *a.tell
		n.From = me.user.id
		c.notify(k, peer.user, n)
	}
	if to == callstate.Ended && from != to {
		c.finish(k, me.user, a.reason)
	}
	return nil
}

// refuse is the problem for what the state machine refuses.
func (c *Controller) refuse(err error) *Problem {
	var refusal *callstate.Refusal
	if !errors.As(err, &refusal) {
		return problem(CodeInternal, "%s", err)
	}
	p := outOfOrder(refusal)
	if !refusal.Glare() {
		return p
	}
	wait, err := glareWait(refusal.Role, c.cfg.Rand)
	if err != nil {
		return problem(CodeInternal, "%s", err)
	}
	p.Code, p.RetryAfterMS = CodeGlare, wait.Milliseconds()
	p.Detail = fmt.Sprintf("the other side's offer is outstanding; answer it, and make yours again after %s", wait)
	return p
}

// glareWait is RFC 3261, section 14.1: who made the call waits 2.1 to 4 s, the
// other up to 2 s, in steps of 10 ms.
func glareWait(role callstate.Role, rand io.Reader) (time.Duration, error) {
	least, most := 1, 200
	if role == callstate.Caller {
		least, most = 210, 400
	}
	var raw [2]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return 0, fmt.Errorf("signaling: no randomness: %w", err)
	}
	steps := least + (int(raw[0])<<8|int(raw[1]))%(most-least+1)
	return time.Duration(steps) * 10 * time.Millisecond, nil
}

// answer accepts an invite.
func (c *Controller) answer(by actor, k *call, d described) *Problem {
	if d.problem != nil {
		c.auditDescription(by, k, d.problem)
		return d.problem
	}
	return c.act(by, k, action{
		event: callstate.Answer, carried: d.carried(),
		take: func(k *call, me, peer *side) *Problem {
			p := c.pair(by, k, me, d)
			if p == nil {
				c.stop(k.ring)
			}
			return p
		},
		tell: &Notification{Type: NotifyAnswer, Description: &d.Description, Candidates: d.candidates},
	})
}

// update takes a re-offer, its answer, or a rollback.
func (c *Controller) update(by actor, k *call, d described) *Problem {
	if d.problem != nil {
		c.auditDescription(by, k, d.problem)
		return d.problem
	}
	return c.act(by, k, action{
		event: d.event(), carried: d.carried(),
		take: func(k *call, me, peer *side) *Problem {
			switch d.Type {
			case Offer:
				c.auditDescription(by, k, nil)
				k.offer, k.offerer = d.summary, me
				me.candidates = len(d.candidates)
				return nil
			case Answer:
				return c.pair(by, k, me, d)
			default:
				k.offer, k.offerer = nil, nil
				return nil
			}
		},
		tell: &Notification{Type: NotifyUpdate, Description: &d.Description, Candidates: d.candidates},
	})
}

// pair checks an answer against the outstanding offer. From then on both
// descriptions hold, which decides who has put the call on hold.
func (c *Controller) pair(by actor, k *call, me *side, d described) *Problem {
	if err := offeranswer.CheckAnswer(k.offer, d.summary); err != nil {
		return badDescription(err)
	}
	c.auditDescription(by, k, nil)
	k.offerer.held, me.held = k.offer.Held(), d.summary.Held()
	k.offer, k.offerer = nil, nil
	me.candidates = len(d.candidates)
	return nil
}

// trickle forwards candidates.
func (c *Controller) trickle(by actor, k *call, candidates []Candidate) *Problem {
	if p := c.checkCandidates(candidates); p != nil {
		return p
	}
	if len(candidates) == 0 {
		return problem(CodeBadRequest, "candidates is empty; end-of-candidates is one whose candidate is the empty string")
	}
	return c.act(by, k, action{
		event: callstate.Candidate, carried: carriedCandidates(candidates),
		take: func(_ *call, me, _ *side) *Problem {
			if most := c.cfg.Limits.Candidates; me.candidates+len(candidates) > most {
				return problem(CodeTooMany, "%d candidates came since the last description, at most %d are taken",
					me.candidates+len(candidates), most)
			}
			me.candidates += len(candidates)
			return nil
		},
		tell: &Notification{Type: NotifyCandidates, Candidates: candidates},
	})
}

// end rejects or hangs up.
func (c *Controller) end(by actor, k *call, event callstate.Event, reason string) *Problem {
	if reason == "" {
		reason = map[callstate.Event]string{callstate.Reject: "rejected", callstate.Hangup: "hung up"}[event]
	}
	return c.act(by, k, action{event: event, reason: reason})
}

// telemetry hands a participant's measurements to OnEvent.
func (c *Controller) telemetry(by actor, k *call, raw json.RawMessage) *Problem {
	if len(raw) == 0 {
		return problem(CodeBadRequest, "telemetry is missing, wanted any JSON value")
	}
	return c.act(by, k, action{event: callstate.Telemetry, telemetry: raw, carried: plural(len(raw), "byte") + " of telemetry"})
}

// step is a move of the controller's own; about is the user it comes from. What
// is no longer in order is left out: the call has moved on.
func (c *Controller) step(k *call, event callstate.Event, about *user, reason string) {
	from := k.state
	to, err := callstate.Next(from, event, callstate.Controller)
	if err != nil {
		return
	}
	k.state = to
	e := actor{user: about}.event(k)
	e.Kind, e.Request, e.From, e.State, e.Reason = EventTransition, event, from, to, reason
	c.emit(e)
	switch {
	case event == callstate.Notified:
		c.notify(k, k.caller.user, Notification{Type: NotifyRinging, From: k.callee.user.id})
	case to == callstate.Ended:
		c.finish(k, nil, reason)
	}
}

// lose ends the calls of a user whose WebSocket did not come back, and takes them out
// of meetings.
func (c *Controller) lose(u *user) {
	for _, k := range u.conferences {
		c.background(func() { c.depart(k, u) })
	}
	for _, k := range slices.Clone(u.calls) {
		c.step(k, callstate.Lost, u, fmt.Sprintf("the connection of %s was lost", u.id))
	}
}

// finish clears up after a call that has just ended, by a user or by the
// controller, and tells those who do not know it.
func (c *Controller) finish(k *call, by *user, reason string) {
	k.over, k.endedBy, k.reason = c.cfg.Now(), by, reason
	k.offer, k.offerer = nil, nil
	c.stop(k.ring)
	k.forget = c.after(c.cfg.Limits.KeepEnded, func() { c.drop(k) })
	for _, u := range []*user{k.caller.user, k.callee.user} {
		u.calls = slices.DeleteFunc(u.calls, func(other *call) bool { return other == k })
		u.ended = append(u.ended, k)
		if u != by {
			n := Notification{Type: NotifyEnded, Reason: reason}
			if by != nil {
				n.From = by.id
			}
			c.notify(k, u, n)
		}
	}
	for _, u := range []*user{k.caller.user, k.callee.user} {
		for len(u.ended) > maxKeptCalls {
			c.drop(u.ended[0])
		}
	}
}

// drop forgets an ended call.
func (c *Controller) drop(k *call) {
	delete(c.calls, k.id)
	c.stop(k.forget)
	for _, u := range []*user{k.caller.user, k.callee.user} {
		u.ended = slices.DeleteFunc(u.ended, func(other *call) bool { return other == k })
	}
}

// notify puts a notification about a call into a user's mailbox.
func (c *Controller) notify(k *call, to *user, n Notification) {
	n.Call, n.State, n.Time = k.id, k.state, c.cfg.Now()
	if _, from := k.sides(to); from != nil {
		k.origins.remember(n, from.user.id)
	}
	to.box.put(n)
	if to.session != nil {
		to.session.poke()
	}
}

// acknowledge takes what a user's client has acknowledged, and moves the calls
// that waited for it.
func (c *Controller) acknowledge(by actor, taken []Notification) {
	for _, n := range taken {
		k := c.calls[n.Call]
		e := by.event(k)
		e.Kind, e.Call, e.Notification, e.State = EventDelivered, n.Call, n.Type, n.State
		e.Carried = n.carried()
		c.emit(e)
		switch {
		case k == nil:
		case n.Type == NotifyInvite:
			c.step(k, callstate.Notified, by.user, "")
		case n.Type == NotifyAnswer:
			c.step(k, callstate.Confirmed, by.user, "")
		}
	}
}
