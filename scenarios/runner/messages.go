package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// messageEntry is one message of the scenario, and those whose client got it.
type messageEntry struct {
	name, meeting, from string
	id                  string // the controller's; empty for one that it did not take
	at                  time.Time
	outcome, rule       string
	to                  []string
	text                string // as they read it last
}

func (m *messageEntry) result() result.Message {
	to := slices.Clone(m.to)
	slices.Sort(to)
	return result.Message{Name: m.name, Meeting: m.meeting, From: m.from, Outcome: m.outcome, Rule: m.rule, To: to, Text: m.text}
}

// chat sends a message. That it is refused, or blocked, is an outcome.
func (r *run) chat(ctx context.Context, step *language.Chat) error {
	r.own("chat", step.From, step.Name)
	in := step.Meeting
	if in == "" {
		in = r.book.joined(step.From)
	}
	id, _ := r.book.id(in)
	m := &messageEntry{name: step.Name, meeting: in, from: step.From, at: time.Now()}
	r.book.mu.Lock()
	r.book.messages = append(r.book.messages, m)
	r.book.mu.Unlock()
	waits := r.book.waiting(step.From)
	sent, err := r.participants[step.From].Signaling().MeetingChat(id).SendRequest(ctx, signaling.MessageRequest{
		Text: step.Text, Override: step.Override, Justification: step.Justification,
	})
	if err == nil && waits {
		r.book.crosses(step.From)
	}
	return r.told(m, sent, language.MessageDelivered, err)
}

// edit replaces a message's text.
func (r *run) edit(ctx context.Context, step *language.Edit) error {
	r.own("edit", step.By, step.Message)
	m, id, message, err := r.sent(step.Message)
	if err != nil {
		return err
	}
	changed, err := r.participants[step.By].Signaling().MeetingChat(id).Edit(ctx, message, step.Text)
	return r.told(m, changed, language.MessageEdited, err)
}

// delete deletes a message.
func (r *run) delete(ctx context.Context, step *language.Delete) error {
	r.own("delete", step.By, step.Message)
	m, id, message, err := r.sent(step.Message)
	if err != nil {
		return err
	}
	err = r.participants[step.By].Signaling().MeetingChat(id).Delete(ctx, message)
	return r.told(m, signaling.ChatMessage{}, language.MessageDeleted, err)
}

// read has a participant read the history of a chat. That it cannot be read is an
// outcome.
func (r *run) read(ctx context.Context, step *language.Read) error {
	r.own("read", step.By, step.Name)
	in := cmp.Or(step.Meeting, r.book.joined(step.By))
	id, _ := r.book.id(in)
	m := &messageEntry{name: step.Name, meeting: in, from: step.By, at: time.Now()}
	r.book.mu.Lock()
	r.book.messages = append(r.book.messages, m)
	r.book.mu.Unlock()
	waits := r.book.waiting(step.By)
	messages, _, err := r.participants[step.By].Signaling().MeetingChat(id).Messages(ctx, "")
	var texts []string
	for _, one := range messages {
		text := one.From + ": " + one.Text
		if !one.Deleted.IsZero() {
			text = one.From + " has deleted a message"
		}
		texts = append(texts, text)
	}
	if err == nil && waits && len(messages) > 0 {
		r.book.crosses(step.By)
	}
	if err := r.told(m, signaling.ChatMessage{}, language.MessageRead, err); err != nil {
		return err
	}
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	m.text = strings.Join(texts, "; ")
	return nil
}

// customerKey does what the keeper of the organisation's root keys does.
func (r *run) customerKey(ctx context.Context, step *language.CustomerKey) error {
	keys := r.services.chat.Keys()
	switch {
	case step.Revoke != "":
		r.own("customer-key", "customer", "revokes the "+step.Revoke+" root key")
		return keys.Revoke(ctx, signaling.HomeTenant, step.Revoke)
	case step.Restore != "":
		r.own("customer-key", "customer", "restores the "+step.Restore+" root key")
		return keys.Restore(ctx, signaling.HomeTenant, step.Restore)
	}
	r.own("customer-key", "customer", "rotates the key of the policy")
	return keys.Rotate(ctx, signaling.HomeTenant)
}

// sent finds a message that a step above sent, with the controller's ids of its meeting
// and of itself.
func (r *run) sent(name string) (m *messageEntry, meeting, message string, err error) {
	r.book.mu.Lock()
	i := slices.IndexFunc(r.book.messages, func(m *messageEntry) bool { return m.name == name })
	if i < 0 || r.book.messages[i].id == "" {
		r.book.mu.Unlock()
		return nil, "", "", fmt.Errorf("there is no message %s: it was not taken", name)
	}
	m = r.book.messages[i]
	message = m.id
	r.book.mu.Unlock()
	meeting, _ = r.book.id(m.meeting)
	return m, meeting, message, nil
}

// told notes what the controller answered.
func (r *run) told(m *messageEntry, answer signaling.ChatMessage, good string, err error) error {
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	var problem *signaling.Problem
	switch {
	case errors.As(err, &problem) && (problem.Status < 500 || problem.Code == signaling.CodeUnreadable):
		m.outcome, m.rule = language.MessageRefused, cmp.Or(problem.Rule, problem.Code)
		switch problem.Code {
		case signaling.CodeBlocked:
			m.outcome = language.MessageBlocked
		case signaling.CodeWithheld:
			m.outcome = language.MessageWithheld
		}
		return nil
	case err != nil:
		return err
	}
	if answer.ID != "" {
		m.id = answer.ID
	}
	m.outcome, m.rule = good, ""
	switch {
	case answer.Masked:
		m.outcome = language.MessageMasked
	case len(answer.Notices) > 0:
		m.outcome, m.rule = language.MessageWarned, strings.Join(answer.Notices, "; ")
	}
	return nil
}

// notified takes a notification of a participant's client, in order.
func (r *run) notified(name string, n signaling.Notification) {
	if n.Message == nil {
		return
	}
	waits := r.participants[name].Place() == policy.Lobby
	r.book.received(name, n, waits)
}

// received notes a message that reached a client; in a lobby none must.
func (b *book) received(name string, n signaling.Notification, waits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if waits {
		b.crossed++
	}
	// The notification may come before the answer to the request.
	i := slices.IndexFunc(b.messages, func(m *messageEntry) bool { return m.id == n.Message.ID })
	if i < 0 {
		i = slices.IndexFunc(b.messages, func(m *messageEntry) bool { return m.id == "" && m.from == n.Message.From && m.outcome == "" })
	}
	if i < 0 {
		return
	}
	m := b.messages[i]
	m.id = n.Message.ID
	if name != m.from && !slices.Contains(m.to, name) {
		m.to = append(m.to, name)
	}
	if name != m.from {
		m.text = n.Message.Text
	}
}
