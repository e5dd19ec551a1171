package chat

import (
	"context"

	"github.com/callpath/callpath/signaling/store"
)

// Edit replaces the text of the person's own message, after data loss prevention as
// in Send.
func (s *Service) Edit(ctx context.Context, r Request, message string, d Draft) (sent Sent, err error) {
	return s.change(ctx, ActEdit, r, message, func(in *entered, c *content, e *Event) (change, error) {
		if c.Sender != in.person.ID {
			return change{}, refuse(NotAllowed, "message %q is not one of %q", message, in.person.ID)
		}
		if !c.Deleted.IsZero() {
			return change{}, refuse(Deleted, "message %q was deleted", message)
		}
		now := s.cfg.Now()
		text, err := s.inspect(in, message, now, d, e)
		if err != nil {
			return change{}, err
		}
		c.Text, c.Masked, c.Edited = text.text, text.masked, now
		return change{inspected: text}, nil
	})
}

// Delete leaves a tombstone without text in place of a message. The sender may, and a
// moderator. To delete it again is no error.
func (s *Service) Delete(ctx context.Context, r Request, message string) (Sent, error) {
	return s.change(ctx, ActDelete, r, message, func(in *entered, c *content, _ *Event) (change, error) {
		if c.Sender != in.person.ID && !in.moderator {
			return change{}, refuse(NotAllowed, "message %q is not one of %q", message, in.person.ID)
		}
		if !c.Deleted.IsZero() {
			return change{nothing: true}, nil
		}
		c.Text, c.Masked, c.Deleted = "", false, s.cfg.Now()
		return change{}, nil
	})
}

// change is what became of a message.
type change struct {
	nothing bool
	inspected
}

// change reads a message, changes it, and saves it. Changes of one message come one
// after the other.
func (s *Service) change(ctx context.Context, act Act, r Request, message string, apply func(*entered, *content, *Event) (change, error)) (sent Sent, err error) {
	e := s.begin(act, r.Thread, r.Person)
	defer func() { s.end(e, err) }()
	in, err := s.enter(r, e)
	if err != nil {
		return Sent{}, err
	}
	if err := checkName("the message ID", message); err != nil {
		return Sent{}, err
	}
	e.Message = message
	defer s.lock("message", r.Thread+"\x00"+message)()
	c, number, found, err := s.read(ctx, &in.thread, message)
	if err != nil {
		return Sent{}, err
	}
	if !found || in.hidden(c) {
		return Sent{}, refuse(NotFound, "there is no message %q in thread %q", message, in.thread.ID)
	}
	changed, err := apply(in, &c, e)
	if err != nil {
		return Sent{}, err
	}
	if changed.nothing {
		return Sent{Message: c.message(in, number), Repeated: true}, nil
	}
	record, err := s.seal(ctx, &in.thread, c)
	if err != nil {
		return Sent{}, err
	}
	err = s.cfg.Store.Begin(store.Change{Name: messageName(in.thread.ID, number), Value: record})()
	if err != nil {
		return Sent{}, stored(err)
	}
	return Sent{Message: c.message(in, number), Recipients: in.readers(c), Notices: changed.notices}, nil
}
