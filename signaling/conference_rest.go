package signaling

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// conferenceRoutes are those of meetings and group calls.
func (c *Controller) conferenceRoutes() []route {
	type methods = map[string]http.HandlerFunc
	return []route{
		{"/v1/meetings", methods{"POST": c.postMeeting}},
		{"/v1/meetings/{id}", methods{"GET": c.getConference(KindMeeting)}},
		{"/v1/meetings/{id}/options", methods{"PATCH": c.patchOptions}},
		{"/v1/meetings/{id}/end", methods{"POST": c.postMeetingAct(c.endMeeting)}},
		{"/v1/meetings/{id}/join", methods{"POST": c.postJoin(KindMeeting)}},
		{"/v1/meetings/{id}/leave", methods{"POST": c.postLeave(KindMeeting)}},
		{"/v1/meetings/{id}/participants", methods{"GET": c.getParticipants(KindMeeting)}},
		{"/v1/meetings/{id}/participants/{participant}/remove", methods{"POST": c.postModeration((*meeting.Meeting).Remove)}},
		{"/v1/meetings/{id}/participants/{participant}/role", methods{"POST": c.postRole}},
		{"/v1/meetings/{id}/lobby/admit-all", methods{"POST": c.postModeration(func(m *meeting.Meeting, now time.Time, _, by string) ([]meeting.Event, error) {
			return m.AdmitAll(now, by)
		})}},
		{"/v1/meetings/{id}/lobby/{participant}/admit", methods{"POST": c.postModeration((*meeting.Meeting).Admit)}},
		{"/v1/meetings/{id}/lobby/{participant}/reject", methods{"POST": c.postModeration((*meeting.Meeting).Reject)}},
		{"/v1/meetings/{id}/media", methods{"POST": c.postMedia(KindMeeting)}},
		{"/v1/meetings/{id}/layout", methods{"GET": c.getLayout(KindMeeting)}},
		{"/v1/groups", methods{"POST": c.postGroup}},
		{"/v1/groups/{id}", methods{"GET": c.getConference(KindGroup)}},
		{"/v1/groups/{id}/join", methods{"POST": c.postJoin(KindGroup)}},
		{"/v1/groups/{id}/leave", methods{"POST": c.postLeave(KindGroup)}},
		{"/v1/groups/{id}/participants", methods{"GET": c.getParticipants(KindGroup)}},
		{"/v1/groups/{id}/media", methods{"POST": c.postMedia(KindGroup)}},
		{"/v1/groups/{id}/layout", methods{"GET": c.getLayout(KindGroup)}},
	}
}

// reply is the response to a request that got v or p.
func reply(status int, v any, p *Problem) response {
	if p != nil {
		return p.response()
	}
	return ok(status, v)
}

// postAlone reads a body into in, which may be nil, and does do, once, in the user's
// turn and without a lock.
func (c *Controller) postAlone(w http.ResponseWriter, r *http.Request, scope string, in any, do func(by actor) response) {
	by, good := c.authenticateFor(w, r, bearer(r.Header), scope)
	if !good {
		return
	}
	body, p := c.readOptional(w, r, in)
	if p != nil {
		refuse(w, p)
		return
	}
	c.onceInTurn(w, r, by, body, func() response { return do(by) })
}

// withJoinURL adds the page on which people join.
func (c *Controller) withJoinURL(v Meeting, r *http.Request) Meeting {
	switch {
	case v.Kind != KindMeeting:
	case c.cfg.JoinURL != "":
		v.JoinURL = c.cfg.JoinURL + v.ID
	default:
		v.JoinURL = "https://" + r.Host + "/?meeting=" + v.ID
	}
	return v
}

func (c *Controller) postMeeting(w http.ResponseWriter, r *http.Request) {
	var in meetingRequest
	c.postAlone(w, r, ScopeVoIP, &in, func(by actor) response {
		v, p := c.create(by, in)
		re := reply(http.StatusCreated, c.withJoinURL(v, r), p)
		if p == nil {
			re.location = "/v1/meetings/" + v.ID
		}
		return re
	})
}

func (c *Controller) postGroup(w http.ResponseWriter, r *http.Request) {
	var in GroupRequest
	c.postAlone(w, r, ScopeVoIP, &in, func(by actor) response {
		v, p := c.createGroup(by, in)
		re := reply(http.StatusCreated, v, p)
		if p == nil {
			re.location = "/v1/groups/" + v.ID
		}
		return re
	})
}

// readConference finds the conference that a GET is about, and answers with what is read from it
// under the lock. Who has nothing to do with it is refused.
func (c *Controller) readConference(kind string, view func(by actor, k *conference, r *http.Request) (any, *Problem)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by, good := c.authenticate(w, r, bearer(r.Header))
		if !good {
			return
		}
		c.mu.Lock()
		k, p := c.named(kind, r.PathValue("id"))
		if p == nil && !k.concerns(by.user.id) {
			p = c.forbid(by, k, policy.Decision{Rule: ruleParticipant, Value: "outside", Source: "meeting"}, "reading it")
		}
		var v any
		if p == nil {
			v, p = view(by, k, r)
		}
		c.mu.Unlock()
		send(w, reply(http.StatusOK, v, p))
	}
}

func (c *Controller) getConference(kind string) http.HandlerFunc {
	return c.readConference(kind, func(by actor, k *conference, r *http.Request) (any, *Problem) {
		return c.withJoinURL(k.view(by.user.id), r), nil
	})
}

// getParticipants is for those present, and for a host: the others, and who waits in
// the lobby, do not learn who is there.
func (c *Controller) getParticipants(kind string) http.HandlerFunc {
	return c.readConference(kind, func(by actor, k *conference, _ *http.Request) (any, *Problem) {
		cs := k.state.Case(c.person(by, k))
		if cs.Place != policy.Present && cs.Kind() != policy.Organizers {
			return nil, c.forbid(by, k, mediaPlace(cs.Place), "reading the roster")
		}
		return participantsResponse{Participants: c.roster(k, by.user.id)}, nil
	})
}

func (c *Controller) getLayout(kind string) http.HandlerFunc {
	return c.readConference(kind, func(by actor, k *conference, _ *http.Request) (any, *Problem) {
		if place := k.state.Case(policy.Person{ID: by.user.id}).Place; place != policy.Present {
			return nil, c.forbid(by, k, mediaPlace(place), "reading the layout")
		}
		v := layoutResponse{Slots: []Slot{}}
		if m := k.media[by.user.id]; m != nil && m.slots != nil {
			v.Slots = m.slots
		}
		return v, nil
	})
}

// onConference does do on the conference that the path names, without a lock.
func (c *Controller) onConference(w http.ResponseWriter, r *http.Request, kind string, in any, do func(by actor, k *conference) (any, *Problem)) {
	c.postAlone(w, r, ScopeVoIP, in, func(by actor) response {
		k, p := c.find(kind, r.PathValue("id"))
		if p != nil {
			return p.response()
		}
		v, p := do(by, k)
		return reply(http.StatusOK, v, p)
	})
}

// seen is the conference as the user sees it after an act.
func (c *Controller) seen(by actor, k *conference, r *http.Request, p *Problem) (any, *Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.withJoinURL(k.view(by.user.id), r), p
}

func (c *Controller) postMeetingAct(act func(actor, *conference) *Problem) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.onConference(w, r, KindMeeting, nil, func(by actor, k *conference) (any, *Problem) { return c.seen(by, k, r, act(by, k)) })
	}
}

func (c *Controller) postLeave(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.onConference(w, r, kind, nil, func(by actor, k *conference) (any, *Problem) { return c.seen(by, k, r, c.leave(by, k)) })
	}
}

func (c *Controller) postJoin(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in joinRequest
		c.postAlone(w, r, ScopeVoIP, &in, func(by actor) response {
			id := r.PathValue("id")
			if kind == KindGroup {
				return c.joinGroup(by, id, in)
			}
			k, p := c.find(kind, id)
			if p != nil {
				return p.response()
			}
			v, p := c.joinConference(by, k, in)
			return reply(http.StatusOK, v, p)
		})
	}
}

// joinGroup joins a group call, and makes it where there is none.
func (c *Controller) joinGroup(by actor, id string, in joinRequest) response {
	for {
		k, p := c.group(by, id)
		if p != nil {
			return p.response()
		}
		v, p := c.joinConference(by, k, in)
		if p != nil && p.Code == CodeNotFound {
			continue // the one of before was forgotten in the same moment
		}
		return reply(http.StatusOK, v, p)
	}
}

// postModeration does what one person does to another: the one in the path.
func (c *Controller) postModeration(act func(m *meeting.Meeting, now time.Time, person, by string) ([]meeting.Event, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.onConference(w, r, KindMeeting, nil, func(by actor, k *conference) (any, *Problem) {
			return c.seen(by, k, r, c.moderate(by, k, func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
				return act(m, now, r.PathValue("participant"), by.user.id)
			}))
		})
	}
}

func (c *Controller) postRole(w http.ResponseWriter, r *http.Request) {
	var in roleRequest
	c.onConference(w, r, KindMeeting, &in, func(by actor, k *conference) (any, *Problem) {
		person := r.PathValue("participant")
		p := c.moderate(by, k, func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
			return m.SetRole(now, person, by.user.id, in.Role)
		})
		if p == nil {
			e := by.in(k)
			e.Person = person
			c.mu.Lock()
			c.audit(ruleRole, true, "is now "+string(in.Role), e)
			c.mu.Unlock()
		}
		return c.seen(by, k, r, p)
	})
}

func (c *Controller) patchOptions(w http.ResponseWriter, r *http.Request) {
	var in json.RawMessage
	c.onConference(w, r, KindMeeting, &in, func(by actor, k *conference) (any, *Problem) {
		return c.seen(by, k, r, c.setOptions(by, k, in))
	})
}

func (c *Controller) postMedia(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in mediaRequest
		c.onConference(w, r, kind, &in, func(by actor, k *conference) (any, *Problem) {
			answer, p := c.host(by, k, c.offered(in))
			return mediaResponse{Answer: answer}, p
		})
	}
}
