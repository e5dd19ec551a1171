package signaling

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// in begins an event of the actor's, about a conference.
func (a actor) in(k *conference) Event {
	e := a.event(nil)
	if k != nil {
		e.Meeting = k.id
	}
	return e
}

// forbid is the problem of what a rule forbids, with its audit. c.mu is held.
func (c *Controller) forbid(by actor, k *conference, d policy.Decision, what string) *Problem {
	e := by.in(k)
	c.audit(d.Rule, false, what+": "+because(d), e)
	p := problem(CodeForbidden, "%s is not allowed: %s", what, because(d))
	p.Rule, p.Value, p.Source = d.Rule, d.Value, d.Source
	return p
}

// refused is the problem of a change that was not made. c.mu is not held.
func (c *Controller) refused(by actor, k *conference, err error) *Problem {
	var refusal *meeting.Refusal
	var setting *policy.Error
	switch {
	case errors.Is(err, errGone):
		return problem(CodeNotFound, "the %s is over", k.kind)
	case errors.As(err, &setting):
		return problem(CodeBadRequest, "%s", setting)
	case !errors.As(err, &refusal):
		c.cfg.Log.Error("signaling: a change of a meeting is not made", "meeting", k.id, "user", by.user.id, "error", err)
		return problem(CodeInternal, "the change cannot be stored, and is not made")
	case refusal.Because.Rule != "":
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.forbid(by, k, refusal.Because, string(refusal.Act))
	}
	p := problem(CodeOutOfOrder, "%s", refusal)
	p.State = string(refusal.Place)
	for _, act := range refusal.Allowed {
		p.Allowed = append(p.Allowed, string(act))
	}
	return p
}

// create schedules a meeting. Neither lock is held, as for all that follows.
func (c *Controller) create(by actor, in meetingRequest) (Meeting, *Problem) {
	if p := checkSubject(in.Subject); p != nil {
		return Meeting{}, p
	}
	for field, ids := range map[string][]string{"invited": in.Invited, "co_organizers": in.CoOrganizers, "presenters": in.Presenters} {
		if p := checkPeople(field, ids); p != nil {
			return Meeting{}, p
		}
	}
	options := policy.DefaultOptions()
	if in.Options != nil {
		if err := options.Merge(in.Options); err != nil {
			return Meeting{}, problem(CodeBadRequest, "%s", err)
		}
	}
	k := &conference{kind: KindMeeting, subject: in.Subject, creator: by.user.id, invited: in.Invited}
	return c.open(by, k, func(rules policy.Effective) (*meeting.Meeting, error) {
		return meeting.Schedule(meeting.Meeting{ID: k.id, Organizer: by.user.id, CoOrganizers: in.CoOrganizers,
			Presenters: in.Presenters, LobbyTimeout: c.cfg.Limits.LobbyTimeout, Options: options}, rules)
	})
}

// createGroup makes a group call for those named only, and invites them.
func (c *Controller) createGroup(by actor, in GroupRequest) (Meeting, *Problem) {
	if p := checkPeople("invited", in.Invited); p != nil {
		return Meeting{}, p
	}
	others := slices.DeleteFunc(slices.Clone(in.Invited), func(id string) bool { return id == by.user.id })
	switch {
	case len(others) == 0:
		return Meeting{}, problem(CodeBadRequest, "invited names nobody else; a group call that is open to all who know its ID is made by joining it")
	case len(others) == 1 && !in.Recording:
		// The media endpoint is chosen by what processing is needed, not by head
		// count; between two without recording, none is.
		p := problem(CodeBadRequest, "a call of two without recording needs no media processor; call %s (POST /v1/calls)", others[0])
		p.Rule = ruleProcessing
		return Meeting{}, p
	}
	k := &conference{kind: KindGroup, creator: by.user.id, invited: others, restricted: true, recording: in.Recording}
	v, p := c.openGroup(by, k)
	if p != nil {
		return v, p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range others {
		c.inform(k, id, Notification{Type: NotifyGroupInvite, From: by.user.id, Recording: k.recording})
	}
	return v, nil
}

func (c *Controller) openGroup(by actor, k *conference) (Meeting, *Problem) {
	return c.open(by, k, func(policy.Effective) (*meeting.Meeting, error) { return meeting.NewGroup(k.id) })
}

// open takes in a new conference.
func (c *Controller) open(by actor, k *conference, build func(policy.Effective) (*meeting.Meeting, error)) (Meeting, *Problem) {
	c.ruling.RLock() // or it would miss policies that change meanwhile
	defer c.ruling.RUnlock()
	c.mu.Lock()
	rules, p := c.mayOpen(by, k)
	c.mu.Unlock()
	if p != nil {
		return Meeting{}, p
	}
	state, err := build(rules)
	if k.state = state; err == nil {
		err = c.save(k, k.state, time.Time{})
	}
	if err != nil {
		c.mu.Lock()
		c.disown(k)
		c.mu.Unlock()
		return Meeting{}, c.refused(by, k, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conferences[k.id] = k
	c.schedule(k)
	c.happened(k, meeting.Event{Name: meetingCreated, By: by.user.id})
	return k.view(by.user.id), nil
}

// meetingCreated is an event beside those of package meeting.
const meetingCreated meeting.EventName = "created"

// mayOpen decides whether a user may make a conference, and counts it as theirs.
// c.mu is held.
func (c *Controller) mayOpen(by actor, k *conference) (policy.Effective, *Problem) {
	u := by.user
	kind, _ := c.kindOf(u)
	switch {
	case c.draining:
		return policy.Effective{}, problem(CodeUnavailable, "the server is shutting down and takes no new meetings")
	case len(c.cfg.Processors) == 0:
		return policy.Effective{}, problem(CodeUnavailable, "there is no media processor, and so there are no meetings")
	case k.kind == KindMeeting && (kind != policy.Member || u.client == string(policy.Phone)):
		return policy.Effective{}, c.forbid(by, nil, policy.Decision{Rule: ruleKind, Value: string(kind), Source: "meeting"}, "scheduling a meeting")
	case c.total >= c.cfg.Limits.Meetings:
		return policy.Effective{}, problem(CodeUnavailable, "there are as many meetings as the controller takes")
	case c.owned[u.id] >= c.cfg.Limits.MeetingsPerUser:
		return policy.Effective{}, problem(CodeTooMany, "%s has made %d meetings and group calls, which is all that may be kept", u.id, c.cfg.Limits.MeetingsPerUser)
	}
	rules, err := c.policies.Organization.Effective(u.id, u.groups)
	if err == nil && k.id == "" {
		k.id, err = c.newID(k.kind)
	}
	if err != nil {
		return rules, problem(CodeInternal, "%s", err)
	}
	k.groups, k.created, k.media = u.groups, c.cfg.Now().Round(0).UTC(), map[string]*media{}
	c.owned[u.id]++
	c.total++
	if k.kind == KindMeeting {
		c.audit(ruleKind, true, "members of the organisation schedule meetings", by.event(nil))
	}
	return rules, nil
}

// newID is a UUID for a group call, as for those that are made by joining them. c.mu is
// held: Config.Rand need not be safe for concurrent use.
func (c *Controller) newID(kind string) (string, error) {
	if kind != KindGroup {
		return random(c.cfg.Rand, callIDBytes)
	}
	id, err := uuid.NewRandomFromReader(c.cfg.Rand)
	return id.String(), err
}

// disown counts a conference no more. c.mu is held.
func (c *Controller) disown(k *conference) {
	c.total--
	if c.owned[k.creator]--; c.owned[k.creator] <= 0 {
		delete(c.owned, k.creator)
	}
}

// group finds a group call, or makes it for the first who joins.
func (c *Controller) group(by actor, id string) (*conference, *Problem) {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return nil, problem(CodeBadRequest, "a group call's ID is %q, wanted a UUID in small letters", clip(id))
	}
	if k, p := c.find(KindGroup, id); p == nil {
		return k, nil
	}
	c.grouping.Lock() // two who come first make one
	defer c.grouping.Unlock()
	if k, p := c.find(KindGroup, id); p == nil {
		return k, nil
	}
	k := &conference{id: id, kind: KindGroup, creator: by.user.id}
	_, p := c.openGroup(by, k)
	return k, p
}

// joinConference is a join: it admits, or leaves to wait in the lobby, or refuses by a rule.
func (c *Controller) joinConference(by actor, k *conference, in joinRequest) (Admission, *Problem) {
	c.mu.Lock()
	p := c.mayKnock(by, k, in)
	person := c.person(by, k)
	c.mu.Unlock()
	if p != nil {
		return Admission{}, p
	}
	var d policy.Decision
	there := false
	_, err := c.change(k, "", func(m *meeting.Meeting, now time.Time) (events []meeting.Event, err error) {
		if _, there = m.People[person.ID]; there {
			return nil, nil // whoever has lost the answer asks again
		}
		d, events, err = m.Join(now, person)
		return events, err
	})
	if err != nil {
		return Admission{}, c.refused(by, k, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case there:
	case d.Outcome == policy.Refused:
		return Admission{}, c.forbid(by, k, d, "joining")
	default:
		c.audit(d.Rule, d.Outcome == policy.Admitted, map[policy.Outcome]string{policy.Admitted: "may join: ", policy.Held: "waits in the lobby: "}[d.Outcome]+because(d), by.in(k))
		// Who has never connected could not be told of anything.
		c.watch(by.user)
	}
	if d.Outcome == policy.Admitted {
		by.user.joins.give()
	}
	a, ok := k.state.People[person.ID]
	if !ok { // sent away in the same moment
		return Admission{}, problem(CodeOutOfOrder, "%s is not in the %s any more", person.ID, k.kind)
	}
	v := Admission{Meeting: k.id, Participant: person.ID, Place: a.Place, Rule: d.Rule, Value: d.Value, Source: d.Source, AwaitsStart: a.AwaitsStart, Recording: k.records()}
	if a.Place == policy.Present {
		v.Role, _ = policy.RoleOf(k.state.Case(person))
		v.Region = k.state.Region
	}
	return v, nil
}

// mayKnock decides whether the policies are asked at all. c.mu is held.
func (c *Controller) mayKnock(by actor, k *conference, in joinRequest) *Problem {
	u := by.user
	_, there := k.state.People[u.id]
	switch {
	case in.Client != "" && in.Client != u.client:
		return problem(CodeBadRequest, "client is %q, and the token is for a client of %s", clip(in.Client), u.client)
	case there:
		return nil
	}
	if wait := u.joins.take(c.cfg.Now(), joinLimit); wait > 0 {
		c.audit(ruleThrottle, false, "too many joins", by.in(k))
		p := problem(CodeTooMany, "too many joins; try again in %s", wait)
		p.RetryAfterMS = wait.Milliseconds()
		return p
	}
	switch {
	case k.restricted && !k.concerns(u.id):
		return c.forbid(by, k, policy.Decision{Rule: ruleParticipant, Value: "not invited", Source: "meeting"}, "joining")
	case c.draining && k.state.Phase != meeting.Started:
		return problem(CodeUnavailable, "the server is shutting down and starts no meeting")
	case len(u.conferences) >= c.cfg.Limits.MeetingsAtOnce:
		return problem(CodeCallerBusy, "%s is in %s, at most %d are allowed", u.id, plural(len(u.conferences), "meeting"), c.cfg.Limits.MeetingsAtOnce)
	}
	return nil
}

// leave leaves the meeting or its lobby; whoever is in neither has left already.
func (c *Controller) leave(by actor, k *conference) *Problem {
	_, err := c.change(k, "", func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
		if _, there := m.People[by.user.id]; !there {
			return nil, nil
		}
		return m.Leave(now, by.user.id)
	})
	if err != nil {
		return c.refused(by, k, err)
	}
	return nil
}

// moderate does what a person's role allows.
func (c *Controller) moderate(by actor, k *conference, do step) *Problem {
	if _, err := c.change(k, "", do); err != nil {
		return c.refused(by, k, err)
	}
	return nil
}

// setOptions merges options into the meeting's.
func (c *Controller) setOptions(by actor, k *conference, data []byte) *Problem {
	c.mu.Lock()
	person := c.person(by, k)
	c.mu.Unlock()
	p := c.moderate(by, k, func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) {
		o := m.Options
		if err := o.Merge(data); err != nil {
			// Who may not change them does not learn what is wrong with them.
			if _, refusal := m.SetOptions(now, person, m.Options); refusal != nil {
				return nil, refusal
			}
			return nil, err
		}
		return m.SetOptions(now, person, o)
	})
	if p == nil {
		c.mu.Lock()
		c.audit(ruleRole, true, "the options are changed", by.in(k))
		c.mu.Unlock()
	}
	return p
}

// endMeeting ends a meeting for all.
func (c *Controller) endMeeting(by actor, k *conference) *Problem {
	c.mu.Lock()
	person := c.person(by, k)
	c.mu.Unlock()
	p := c.moderate(by, k, func(m *meeting.Meeting, now time.Time) ([]meeting.Event, error) { return m.End(now, person) })
	if p == nil {
		c.mu.Lock()
		c.audit(ruleRole, true, "the meeting is ended", by.in(k))
		c.mu.Unlock()
	}
	return p
}

// joinLimit joins of one user that do not let them in may come within a minute: a lobby
// is not to be knocked at without end.
const joinLimit = 60

// budget counts what a user does in a minute. Controller.mu guards it.
type budget struct {
	count int
	since time.Time
}

// take counts one more, or says how long to wait.
func (b *budget) take(now time.Time, limit int) time.Duration {
	if now.Sub(b.since) >= time.Minute {
		*b = budget{since: now}
	}
	if b.count >= limit {
		return b.since.Add(time.Minute).Sub(now)
	}
	b.count++
	return 0
}

// give takes one back, which was none of those that are counted.
func (b *budget) give() { b.count = max(0, b.count-1) }
