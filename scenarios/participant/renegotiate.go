package participant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

// attempts bounds how often a re-offer that crossed another is tried again.
const attempts = 5

// Hold asks the other side to stop sending (RFC 3264, section 8.4): what was
// sendrecv becomes sendonly, what was recvonly becomes inactive. Meanwhile this
// side sends silence, and no video. It returns once the other side has answered.
func (p *Participant) Hold(ctx context.Context) error { return p.hold(ctx, true) }

// Resume ends Hold.
func (p *Participant) Resume(ctx context.Context) error { return p.hold(ctx, false) }

func (p *Participant) hold(ctx context.Context, on bool) error {
	s, err := p.current()
	if err != nil {
		return err
	}
	var before bool
	p.change(func() { before, s.holding = s.holding, on })
	s.reception.pause()
	if err := p.renegotiate(ctx, s, false); err != nil {
		p.change(func() { s.holding = before })
		return err
	}
	return nil
}

// Mute sends silence in place of audio, and no video.
func (p *Participant) Mute() { p.change(func() { p.muted = true }) }

// Unmute ends Mute.
func (p *Participant) Unmute() { p.change(func() { p.muted = false }) }

// RestartICE renegotiates with new ICE credentials (RFC 8445, section 9) and new
// candidates. It returns once the other side has answered; media goes on when a
// pair has been selected again.
func (p *Participant) RestartICE(ctx context.Context) error {
	s, err := p.current()
	if err != nil {
		return err
	}
	if s.conference != nil {
		return p.restartConference(ctx, s)
	}
	return p.renegotiate(ctx, s, true)
}

// NetworkChanged is called when the host has moved to another network: it
// connects to the controller again and restarts ICE.
func (p *Participant) NetworkChanged(ctx context.Context) error {
	p.client.NetworkChanged()
	if _, err := p.current(); err != nil {
		return nil
	}
	return p.RestartICE(ctx)
}

// renegotiate makes a re-offer and waits for its answer. One that crosses the
// other side's is withdrawn and tried again (RFC 3264, section 4).
func (p *Participant) renegotiate(ctx context.Context, s *session, restart bool) error {
	for attempt := 1; ; attempt++ {
		err := p.reoffer(ctx, s, restart)
		var problem *signaling.Problem
		if !errors.As(err, &problem) || problem.Code != signaling.CodeGlare || attempt == attempts {
			return err
		}
		timer := time.NewTimer(max(problem.RetryAfter(), 50*time.Millisecond))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (p *Participant) reoffer(ctx context.Context, s *session, restart bool) error {
	if err := p.negotiate(ctx); err != nil {
		return err
	}
	defer p.release()
	if restart {
		if err := s.refresh(ctx); err != nil {
			return err
		}
	}
	s.inbox.hold()
	offer, err := s.endpoint.Offer(restart)
	if err != nil {
		return err
	}
	var candidates []signaling.Candidate
	if restart {
		if candidates, err = s.outbox.take(ctx); err != nil {
			return err
		}
	}
	p.change(func() { s.answered = nil })
	if err := p.client.Update(ctx, s.id, s.local(signaling.Offer, offer), candidates...); err != nil {
		return errors.Join(fmt.Errorf("re-offer: %w", err), s.withdraw())
	}
	s.outbox.release(s.trickle)
	if restart {
		p.change(func() { s.restarts++ })
	}
	return s.awaitAnswer(ctx)
}

// withdraw takes back an offer that did not go out.
func (s *session) withdraw() error {
	err := s.endpoint.Rollback()
	s.unusable(s.inbox.release(s.endpoint))
	s.outbox.release(s.trickle)
	return err
}

func (s *session) awaitAnswer(ctx context.Context) error {
	var n *signaling.Notification
	err := s.p.until(ctx, func() (bool, error) {
		if s.answered == nil && s.ended {
			return false, s.errEnded()
		}
		n, s.answered = s.answered, nil
		return n != nil, s.p.lost()
	})
	if err != nil {
		return fmt.Errorf("no answer to the re-offer: %w", err)
	}
	if n.Description == nil || n.Description.Type != signaling.Answer {
		return errors.Join(errors.New("the other side declined the re-offer"), s.withdraw())
	}
	if err := s.endpoint.Accept(s.remote(n.Description)); err != nil {
		return err
	}
	s.candidates(n.Candidates)
	s.unusable(s.inbox.release(s.endpoint))
	return nil
}

// refresh gets servers and a credential for a new generation of candidates.
func (s *session) refresh(ctx context.Context) error {
	servers, err := s.p.servers(ctx, s.id)
	if err != nil {
		return err
	}
	s.outbox.gathering(relayName(servers))
	return s.endpoint.Servers(servers)
}

// reoffered answers the other side's re-offer.
func (s *session) reoffered(n signaling.Notification) error {
	ctx := s.p.ctx
	restart := attribute(n.Description.SDP, "ice-ufrag") != s.remoteUfrag
	if restart {
		if err := s.refresh(ctx); err != nil {
			return errors.Join(err, s.decline(ctx))
		}
	}
	answer, err := s.endpoint.Answer(s.remote(n.Description))
	if err != nil {
		return errors.Join(err, s.decline(ctx))
	}
	s.candidates(n.Candidates)
	s.unusable(s.inbox.release(s.endpoint))
	var candidates []signaling.Candidate
	if restart {
		if candidates, err = s.outbox.take(ctx); err != nil {
			return err
		}
	}
	if err := s.p.client.Update(ctx, s.id, s.local(signaling.Answer, answer), candidates...); err != nil {
		return errors.Join(fmt.Errorf("answer to the re-offer: %w", err), s.decline(ctx))
	}
	s.outbox.release(s.trickle)
	if restart {
		s.p.change(func() { s.restarts++ })
	}
	return nil
}

// decline tells the other side that its re-offer cannot be taken.
func (s *session) decline(ctx context.Context) error {
	s.p.cfg.Recorder.Failure("ice", "a re-offer was declined")
	return s.p.client.Update(ctx, s.id, signaling.Description{Type: signaling.Rollback})
}

var _ endpoint.Events = (*session)(nil)
