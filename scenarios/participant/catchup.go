package participant

import (
	"log/slog"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// catchUp reads the state of the conference after notifications were lost, as when
// the controller was started anew: where the participant stands, and what was said.
func (p *Participant) catchUp() {
	c, err := p.in()
	if err != nil {
		return
	}
	read := p.client.Meeting
	if c.group {
		read = p.client.Group
	}
	state, err := read(p.ctx, c.id)
	if err != nil {
		p.log.Info("participant.state_unread", slog.String("user", p.cfg.User), slog.String("error", err.Error()))
		return
	}
	switch state.Place {
	case policy.Present:
		p.heed(signaling.Notification{Type: signaling.NotifyMeetingAdmitted, Meeting: c.id})
	case policy.Outside:
		p.heed(signaling.Notification{Type: signaling.NotifyMeetingRemoved, Meeting: c.id})
		return
	}
	if c.group || state.Place != policy.Present {
		return
	}
	messages, _, err := p.client.MeetingChat(c.id).Messages(p.ctx, "")
	if err != nil {
		return // there may be no chat for this person
	}
	for _, m := range messages {
		if m.From != p.cfg.User {
			p.cfg.OnNotification(signaling.Notification{Type: signaling.NotifyChatMessage, Meeting: c.id, From: m.From, Message: &m})
		}
	}
}
