package participant

import (
	"errors"
	"log/slog"

	"github.com/callpath/callpath/signaling"
)

// read takes notifications until the client ends them.
func (p *Participant) read() {
	notifications := p.client.Notifications()
	for {
		select {
		case n, ok := <-notifications:
			if !ok {
				p.change(func() {}) // those who wait ask why
				return
			}
			if err := p.notified(n); err != nil {
				p.log.Debug("participant.notification_failed",
					slog.String("type", string(n.Type)), slog.String("error", err.Error()))
			}
		case <-p.ctx.Done():
			return
		}
	}
}

// notified handles one notification. Only what begins a negotiation waits for its
// turn: the answer that ends one must always get through.
func (p *Participant) notified(n signaling.Notification) error {
	if n.Type == signaling.NotifyGap {
		p.running.Go(p.catchUp)
		return nil
	}
	if n.Meeting != "" || n.Thread != "" {
		p.heed(n)
		p.cfg.OnNotification(n)
		return nil
	}
	switch n.Type {
	case signaling.NotifyInvite:
		p.change(func() { p.invite = &n })
		return nil
	case signaling.NotifyEnded:
		p.endedByOther(n)
		return nil
	case signaling.NotifyCandidates:
		if p.early(n) {
			return nil
		}
		s, err := p.current()
		if err == nil {
			s.candidates(n.Candidates)
		}
		return err
	case signaling.NotifyAnswer:
		return p.inTurn(n, (*session).answer)
	case signaling.NotifyUpdate:
		if n.Description != nil && n.Description.Type == signaling.Offer {
			return p.inTurn(n, (*session).reoffered)
		}
		s, err := p.current()
		if err == nil {
			p.change(func() { s.answered = &n })
		}
		return err
	}
	return nil
}

func (p *Participant) inTurn(n signaling.Notification, handle func(*session, signaling.Notification) error) error {
	if err := p.negotiate(p.ctx); err != nil {
		return err
	}
	defer p.release()
	s, err := p.current()
	if err != nil {
		return err
	}
	return handle(s, n)
}

// early keeps candidates that follow an invite which nobody has answered yet.
func (p *Participant) early(n signaling.Notification) (kept bool) {
	p.change(func() {
		if p.invite != nil && p.invite.Call == n.Call {
			p.invite.Candidates = append(p.invite.Candidates, n.Candidates...)
			kept = true
		}
	})
	return kept
}

func (p *Participant) endedByOther(n signaling.Notification) {
	var withdrawn bool
	p.change(func() {
		if p.invite != nil && p.invite.Call == n.Call {
			p.invite, withdrawn = nil, true
		}
	})
	if withdrawn {
		return
	}
	if s, err := p.current(); err == nil {
		s.end(n.Reason)
	}
}

// answer applies the answer to the invite.
func (s *session) answer(n signaling.Notification) error {
	if n.Description == nil {
		return errors.New("an answer without a description")
	}
	if err := s.endpoint.Accept(s.remote(n.Description)); err != nil {
		s.p.change(func() { s.state, s.failure = "failed", err.Error() })
		return err
	}
	s.candidates(n.Candidates)
	s.unusable(s.inbox.release(s.endpoint))
	return nil
}
