package signaling

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// chatWait bounds what the chat may wait for: the store, and the vault with the
// customer's keys; as mediaWait.
const chatWait = attemptTimeout - 2*time.Second

// room is a chat as one request sees it.
type room struct {
	request chat.Request
	// meeting is set for the chat of a meeting.
	meeting *conference
}

// meetingThread is the ID of a meeting's thread, which no other thread has: random
// ones have no dot.
func meetingThread(id string) string { return "meeting." + id }

// meetingRoom decides on the chat of a meeting by the policies, and finds who is in it:
// never anybody in the lobby. c.mu is not held.
func (c *Controller) meetingRoom(by actor, id string) (room, *Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, p := c.named(KindMeeting, id)
	if p != nil {
		return room{}, p
	}
	cs := k.state.Case(c.person(by, k))
	if d := policy.MayChat(cs); d.Outcome != policy.Allowed {
		return room{}, c.forbid(by, k, d, "chatting")
	}
	return room{meeting: k, request: chat.Request{Thread: meetingThread(id), Person: by.user.id,
		Roster: c.chatters(k), Moderator: cs.Kind() == policy.Organizers}}, nil
}

// chatters are all who may chat in a meeting now: those present, and of those outside
// who have the invite those whom the controller has met. c.mu is held.
func (c *Controller) chatters(k *conference) []chat.Member {
	var members []chat.Member
	seen := map[string]bool{}
	add := func(p policy.Person, since time.Time) {
		cs := k.state.Case(p)
		if seen[p.ID] || policy.MayChat(cs).Outcome != policy.Allowed {
			return
		}
		seen[p.ID] = true
		m := chat.Member{ID: p.ID, External: cs.Kind() != policy.Member && cs.Kind() != policy.Organizers}
		if cs.Kind() == policy.Anonymous {
			// What was said before they came was not said to them. (How far back Teams
			// shows it, no article that was read says; this shows least.)
			m.Since = since
		}
		members = append(members, m)
	}
	for _, a := range k.state.In(policy.Present) {
		add(a.Person, a.Since)
	}
	for _, ids := range [][]string{{k.creator}, k.state.CoOrganizers, k.state.Presenters, k.invited} {
		for _, id := range ids {
			if u := c.users[id]; u != nil && u.client != "" {
				add(c.person(actor{user: u}, k), time.Time{})
			}
		}
	}
	return members
}

// prepare makes a meeting's thread, which is there from the first request on.
func (c *Controller) prepare(ctx context.Context, by actor, r room) error {
	if r.meeting == nil {
		return nil
	}
	c.mu.Lock()
	ready, tenant := r.meeting.thread, c.policies.Organization.ID
	c.mu.Unlock()
	if ready {
		return nil
	}
	_, err := c.cfg.Chat.CreateThread(ctx, chat.Thread{ID: r.request.Thread, Tenant: tenant, Meeting: r.meeting.id, CreatedBy: by.user.id})
	var refused *chat.Error
	if errors.As(err, &refused) && refused.Code == chat.Exists {
		err = nil // the organisation had another name when it was made
	}
	if err == nil {
		c.mu.Lock()
		r.meeting.thread = true
		c.mu.Unlock()
	}
	return err
}

// deliver tells the others what was said. Who may not chat any more, since it was
// said, is left out.
func (c *Controller) deliver(by actor, r room, what NotificationType, sent chat.Sent) {
	if sent.Repeated {
		return
	}
	m := message(sent.Message)
	n := Notification{Type: what, From: by.user.id, Message: &m, Thread: r.request.Thread}
	c.mu.Lock()
	defer c.mu.Unlock()
	still := map[string]bool{}
	if r.meeting != nil {
		n.Meeting, n.Thread = r.meeting.id, ""
		for _, member := range c.chatters(r.meeting) {
			still[member.ID] = true
		}
	}
	for _, id := range sent.Recipients {
		if r.meeting == nil || still[id] {
			c.post(id, n)
		}
	}
}

// message is what readers get, without what only its sender sent along.
func message(m chat.Message) ChatMessage {
	return ChatMessage{ID: m.ID, Number: m.Number, From: m.Sender, Text: m.Text, Sent: m.Sent, Edited: m.Edited, Deleted: m.Deleted, Masked: m.Masked}
}

// said is what the sender gets: with the policy tips.
func said(sent chat.Sent) ChatMessage {
	m := message(sent.Message)
	for _, notice := range sent.Notices {
		m.Notices = append(m.Notices, notice.Text)
	}
	return m
}

// chatCodes are the codes of what the chat refuses. Who is not in a thread does not
// learn that there is one.
var chatCodes = map[chat.Code]string{
	chat.Invalid: CodeBadRequest, chat.NotFound: CodeNotFound, chat.NotMember: CodeNotFound, chat.NotAllowed: CodeForbidden,
	chat.Blocked: CodeBlocked, chat.Withheld: CodeWithheld, chat.Deleted: CodeDeleted, chat.Exists: CodeBadRequest,
	chat.TooLarge: CodeTooLarge, chat.Unreadable: CodeUnreadable,
}

// unsaid is the problem of what the chat has refused; the chat has audited it.
func (c *Controller) unsaid(by actor, r room, err error) *Problem {
	var refused *chat.Error
	if !errors.As(err, &refused) || chatCodes[refused.Code] == "" {
		c.cfg.Log.Error("signaling: the chat failed", "user", by.user.id, "thread", r.request.Thread, "error", err)
		return problem(CodeInternal, "the chat cannot be read or stored")
	}
	p := problem(chatCodes[refused.Code], "%s", refused.Detail)
	switch refused.Code {
	case chat.NotMember, chat.NotFound:
		p = problem(CodeNotFound, "there is no such chat or message of this user")
	case chat.NotAllowed:
		p.Rule = chat.RuleOwn
	case chat.Blocked, chat.Withheld:
		p.Rule, p.Override = refused.Rule, refused.Override.String()
		for _, notice := range refused.Notices {
			p.Notices = append(p.Notices, notice.Text)
		}
	}
	return p
}

// chatRoutes are those of the chats, when there is a chat.
func (c *Controller) chatRoutes() []route {
	if c.cfg.Chat == nil {
		return nil
	}
	type methods = map[string]http.HandlerFunc
	routes := []route{{"/v1/threads", methods{"POST": c.postThread}}}
	for base, find := range map[string]func(actor, string) (room, *Problem){"/v1/meetings": c.meetingRoom, "/v1/threads": threadRoom} {
		routes = append(routes,
			route{base + "/{id}/messages", methods{"GET": c.getMessages(find), "POST": c.writeMessage(find, c.sendMessage)}},
			route{base + "/{id}/messages/{message}", methods{"PATCH": c.writeMessage(find, c.editMessage), "DELETE": c.writeMessage(find, c.deleteMessage)}})
	}
	return routes
}

func threadRoom(by actor, id string) (room, *Problem) {
	if id == "" || len(id) > chat.MaxName || strings.HasPrefix(id, meetingThread("")) {
		return room{}, problem(CodeNotFound, "there is no thread %q of this user", clip(id))
	}
	return room{request: chat.Request{Thread: id, Person: by.user.id}}, nil
}

// postThread begins a chat apart from meetings.
func (c *Controller) postThread(w http.ResponseWriter, r *http.Request) {
	var in threadRequest
	c.postAlone(w, r, ScopeChat, &in, func(by actor) response {
		if p := checkPeople("members", in.Members); p != nil {
			return p.response()
		}
		c.mu.Lock()
		p := c.mayWrite(by)
		t := chat.Thread{Tenant: c.policies.Organization.ID, CreatedBy: by.user.id}
		for i, id := range append([]string{by.user.id}, in.Members...) {
			if i > 0 && id == by.user.id {
				continue
			}
			u := c.users[id]
			if u == nil && p == nil {
				p = problem(CodeCalleeUnknown, "there is no user %q", id)
			}
			if u != nil {
				kind, _ := c.kindOf(u)
				t.Members = append(t.Members, chat.Member{ID: id, External: kind != policy.Member})
			}
		}
		if p == nil {
			p = c.mayFederate(by, t.Members)
		}
		c.mu.Unlock()
		if p != nil {
			return p.response()
		}
		ctx, cancel := context.WithTimeout(c.ctx, chatWait)
		defer cancel()
		made, err := c.cfg.Chat.CreateThread(ctx, t)
		if err != nil {
			return c.unsaid(by, room{}, err).response()
		}
		out := threadResponse{ID: made.ID}
		for _, m := range made.Members {
			out.Members = append(out.Members, m.ID)
		}
		re := ok(http.StatusCreated, out)
		re.location = "/v1/threads/" + made.ID
		return re
	})
}

// mayFederate decides whether those of a new thread may write to each other: a user of
// Azure Communication Services whom nobody vouches for and one of the organisation only
// with EnableAcsFederationAccess. c.mu is held.
func (c *Controller) mayFederate(by actor, members []chat.Member) *Problem {
	outside, inside := false, false
	for _, m := range members {
		u := c.users[m.ID]
		kind, _ := c.kindOf(u)
		// Of whom only the ID is known, since a restart, may be one.
		outside = outside || kind == policy.Anonymous && (u.client == string(policy.ACS) || u.client == "")
		inside = inside || kind == policy.Member
	}
	if !outside || !inside {
		return nil
	}
	d := policy.Decision{Outcome: policy.Refused, Rule: ruleFederation, Value: "false", Source: "organization"}
	if !c.policies.Organization.Configuration.EnableAcsFederationAccess {
		return c.forbid(by, nil, d, "a chat of the organisation with users of Azure Communication Services")
	}
	c.audit(ruleFederation, true, "the organisation's users may chat with those of Azure Communication Services", by.event(nil))
	return nil
}

// getMessages reads a page of the history: the newest messages, those before a number,
// or those after one.
func (c *Controller) getMessages(find func(actor, string) (room, *Problem)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by, good := c.authenticateFor(w, r, bearer(r.Header), ScopeChat)
		if !good {
			return
		}
		page, p := readPage(r)
		var in room
		if p == nil {
			in, p = find(by, r.PathValue("id"))
		}
		if p != nil {
			refuse(w, p)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), chatWait)
		defer cancel()
		err := c.prepare(ctx, by, in)
		var h chat.History
		if err == nil {
			h, err = c.cfg.Chat.History(ctx, in.request, page)
		}
		if err != nil {
			refuse(w, c.unsaid(by, in, err))
			return
		}
		out := messagesResponse{Messages: []ChatMessage{}}
		for _, m := range h.Messages {
			out.Messages = append(out.Messages, message(m))
		}
		if h.More {
			out.Next = strconv.FormatUint(h.Next, 10)
		}
		send(w, ok(http.StatusOK, out))
	}
}

// readPage reads the query: after, before, limit.
func readPage(r *http.Request) (chat.Page, *Problem) {
	q := r.URL.Query()
	var page chat.Page
	number := func(name string, most uint64) (uint64, *Problem) {
		n, err := strconv.ParseUint(q.Get(name), 10, 64)
		if err != nil || n > most {
			return 0, problem(CodeBadRequest, "%s is %q, wanted a number up to %d", name, clip(q.Get(name)), most)
		}
		return n, nil
	}
	var p *Problem
	switch {
	case q.Has("after") && q.Has("before"):
		return page, problem(CodeBadRequest, "after and before are both set, wanted one of them or none")
	case q.Has("after"):
		page.Forward = true
		page.Cursor, p = number("after", maxSeq)
	case q.Has("before"):
		page.Cursor, p = number("before", maxSeq)
	}
	if p == nil && q.Has("limit") {
		var n uint64
		n, p = number("limit", chat.MaxPage)
		page.Limit = int(n)
	}
	return page, p
}

// write is one change of a chat.
type write func(ctx context.Context, r room, id string, d chat.Draft) (chat.Sent, NotificationType, error)

func (c *Controller) sendMessage(ctx context.Context, r room, _ string, d chat.Draft) (chat.Sent, NotificationType, error) {
	sent, err := c.cfg.Chat.Send(ctx, r.request, d)
	return sent, NotifyChatMessage, err
}

func (c *Controller) editMessage(ctx context.Context, r room, id string, d chat.Draft) (chat.Sent, NotificationType, error) {
	sent, err := c.cfg.Chat.Edit(ctx, r.request, id, d)
	return sent, NotifyChatEdited, err
}

func (c *Controller) deleteMessage(ctx context.Context, r room, id string, _ chat.Draft) (chat.Sent, NotificationType, error) {
	sent, err := c.cfg.Chat.Delete(ctx, r.request, id)
	return sent, NotifyChatDeleted, err
}

// writeMessage sends, edits or deletes, and tells the others.
func (c *Controller) writeMessage(find func(actor, string) (room, *Problem), do write) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in MessageRequest
		c.postAlone(w, r, ScopeChat, &in, func(by actor) response {
			c.mu.Lock()
			p := c.mayWrite(by)
			c.mu.Unlock()
			var at room
			if p == nil {
				at, p = find(by, r.PathValue("id"))
			}
			if p != nil {
				return p.response()
			}
			ctx, cancel := context.WithTimeout(c.ctx, chatWait)
			defer cancel()
			// The request's ID names the message too, so that a request that is sent
			// again after a restart still is the same message.
			d := chat.Draft{ClientID: r.Header.Get(headerRequestID), Text: in.Text, Override: in.Override, Justification: in.Justification}
			err := c.prepare(ctx, by, at)
			var sent chat.Sent
			var what NotificationType
			if err == nil {
				sent, what, err = do(ctx, at, r.PathValue("message"), d)
			}
			if err != nil {
				return c.unsaid(by, at, err).response()
			}
			c.deliver(by, at, what, sent)
			status := http.StatusOK
			if what == NotifyChatMessage {
				status = http.StatusCreated
			}
			return ok(status, said(sent))
		})
	}
}

// mayWrite counts what a user writes. c.mu is held.
func (c *Controller) mayWrite(by actor) *Problem {
	wait := by.user.writes.take(c.cfg.Now(), c.cfg.Limits.WritesPerMinute)
	if wait == 0 {
		return nil
	}
	c.audit(ruleThrottle, false, "too many messages", by.event(nil))
	p := problem(CodeTooMany, "too many messages; try again in %s", wait)
	p.RetryAfterMS = wait.Milliseconds()
	return p
}
