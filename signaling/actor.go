package signaling

// actor is who sent a request, and from where.
type actor struct {
	user   *user
	grant  *grant
	remote string
}

// event begins an event of the actor's, about a call or none. c.mu is held.
func (a actor) event(k *call) Event {
	e := Event{Remote: a.remote}
	if a.user != nil {
		e.User = a.user.id
	}
	if k == nil {
		return e
	}
	e.Call = k.id
	if _, peer := k.sides(a.user); peer != nil {
		e.Peer = peer.user.id
	}
	return e
}

// auditDescription records whether a description keeps to DTLS-SRTP. A refusal
// for another reason is no security decision.
func (c *Controller) auditDescription(by actor, k *call, p *Problem) {
	switch {
	case p == nil:
		c.audit(ruleDTLSSRTP, true, "every m-line is DTLS-SRTP with a fingerprint", by.event(k))
	case p.Code == CodePlaintextMedia || p.Code == CodeSDES:
		c.audit(ruleDTLSSRTP, false, p.Detail, by.event(k))
	}
}
