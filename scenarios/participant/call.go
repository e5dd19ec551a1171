package participant

import (
	"context"
	"errors"
	"fmt"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

// Call gathers candidates and sends an invite (steps 2 and 3). It returns once
// the controller has taken it; the answer is awaited by AwaitMedia.
func (p *Participant) Call(ctx context.Context, callee string) error {
	if err := p.negotiate(ctx); err != nil {
		return err
	}
	defer p.release()
	s, err := p.begin(callee, true)
	if err != nil {
		return err
	}
	p.resolvedFirst()
	if err := p.dial(ctx, s); err != nil {
		s.end(err.Error())
		return err
	}
	return nil
}

func (p *Participant) dial(ctx context.Context, s *session) error {
	if err := s.build(ctx); err != nil {
		return err
	}
	offer, err := s.endpoint.Offer(false)
	if err != nil {
		return err
	}
	candidates, err := s.outbox.take(ctx)
	if err != nil {
		return err
	}
	description := s.local(signaling.Offer, offer)
	id, err := p.client.Invite(ctx, s.peer, description, candidates...)
	if err != nil {
		return fmt.Errorf("invite %s: %w", s.peer, err)
	}
	p.change(func() { s.id = id })
	s.outbox.release(s.trickle)
	return nil
}

// build opens the endpoint with the servers of the moment.
func (s *session) build(ctx context.Context) error {
	servers, err := s.p.servers(ctx, s.id)
	if err != nil {
		return err
	}
	s.outbox.gathering(relayName(servers))
	opened, err := s.p.open(ctx, s, servers)
	if err != nil {
		return fmt.Errorf("endpoint of %s: %w", s.p.cfg.User, err)
	}
	s.endpoint = opened
	s.p.askPermission(s, servers)
	return nil
}

// trickle sends candidates that were gathered after their description had gone.
func (s *session) trickle(ctx context.Context, batch []signaling.Candidate) {
	s.p.mu.Lock()
	id := s.id
	s.p.mu.Unlock()
	if err := s.p.client.Candidate(ctx, id, batch...); err != nil && ctx.Err() == nil {
		s.p.log.Debug("participant.trickle_failed", "error", err)
	}
}

// local is a description of the stack as it goes to the other side, shown to the
// recorder.
func (s *session) local(kind signaling.DescriptionType, sdp string) signaling.Description {
	s.p.mu.Lock()
	holding, held := s.holding, s.held
	s.p.mu.Unlock()
	var sent []string
	for _, sender := range s.endpoint.Senders() {
		sent = append(sent, sender.Format().Kind)
	}
	sdp = outgoing(sdp, sent, holding, held)
	if kind == signaling.Answer {
		sdp = s.mirror.answering(sdp)
	}
	if s.p.cfg.Spec.Fingerprint == "wrong" {
		sdp = forge(sdp)
	}
	s.shown(true, kind, sdp)
	return signaling.Description{Type: kind, SDP: sdp}
}

// remote is a description of the other side as the stack is to have it.
func (s *session) remote(d *signaling.Description) string {
	s.shown(false, d.Type, d.SDP)
	s.reception.expect(kinds(d.SDP))
	s.remoteUfrag = attribute(d.SDP, "ice-ufrag")
	forStack, held := s.mirror.incoming(d.SDP)
	var before bool
	s.p.change(func() { before, s.held = s.held, held })
	if before != held {
		s.reception.pause()
	}
	return forStack
}

func (s *session) shown(local bool, kind signaling.DescriptionType, sdp string) {
	s.p.cfg.Recorder.Description(local, string(kind), sdp)
	for payloadType, hz := range clockRates(sdp) {
		s.p.cfg.Recorder.ClockRate(payloadType, hz)
	}
}

// AwaitInvite waits until somebody calls.
func (p *Participant) AwaitInvite(ctx context.Context) error {
	err := p.until(ctx, func() (bool, error) {
		if p.invite == nil {
			return false, p.lost()
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("%s waits for an invite: %w", p.cfg.User, err)
	}
	return nil
}

// lost is why no notification will come any more; mu is held.
func (p *Participant) lost() error {
	if err := p.client.Err(); err != nil {
		return fmt.Errorf("notifications ended: %w", err)
	}
	return nil
}

// take takes the invite.
func (p *Participant) take() (*signaling.Notification, error) {
	var invite *signaling.Notification
	p.change(func() { invite, p.invite = p.invite, nil })
	if invite == nil || invite.Description == nil {
		return nil, fmt.Errorf("nobody calls %s", p.cfg.User)
	}
	return invite, nil
}

// Answer accepts the invite that AwaitInvite waited for (steps 5 and 6).
func (p *Participant) Answer(ctx context.Context) error {
	if err := p.negotiate(ctx); err != nil {
		return err
	}
	defer p.release()
	invite, err := p.take()
	if err != nil {
		return err
	}
	s, err := p.called(invite)
	if err != nil {
		return err
	}
	if err := p.pickUp(ctx, s, invite); err != nil {
		s.end(err.Error())
		return err
	}
	return nil
}

// called is the session of an invite, with the candidates that came since.
func (p *Participant) called(invite *signaling.Notification) (*session, error) {
	s, err := p.begin(invite.From, false)
	if err != nil {
		return nil, err
	}
	p.change(func() { s.id = invite.Call })
	s.candidates(invite.Candidates)
	return s, nil
}

func (p *Participant) pickUp(ctx context.Context, s *session, invite *signaling.Notification) error {
	if err := s.build(ctx); err != nil {
		return err
	}
	answer, err := s.endpoint.Answer(s.remote(invite.Description))
	if err != nil {
		return err
	}
	s.unusable(s.inbox.release(s.endpoint))
	candidates, err := s.outbox.take(ctx)
	if err != nil {
		return err
	}
	if err := p.client.Answer(ctx, s.id, s.local(signaling.Answer, answer), candidates...); err != nil {
		return fmt.Errorf("answer %s: %w", s.peer, err)
	}
	s.outbox.release(s.trickle)
	return nil
}

// candidates takes those of the other side.
func (s *session) candidates(list []signaling.Candidate) {
	for _, c := range list {
		if c.Candidate != "" {
			s.p.cfg.Recorder.Candidate(false, c.Candidate)
		}
	}
	s.unusable(s.inbox.add(list...))
}

// unusable notes candidates that the stack refused: they are lost, the call is
// not.
func (s *session) unusable(err error) {
	if err != nil {
		s.p.cfg.Recorder.Failure("ice", err.Error())
	}
}

// Reject declines the invite that AwaitInvite waited for.
func (p *Participant) Reject(ctx context.Context, reason string) error {
	invite, err := p.take()
	if err != nil {
		return err
	}
	s, err := p.called(invite)
	if err != nil {
		return err
	}
	if err := p.client.Reject(ctx, s.id, reason); err != nil {
		return fmt.Errorf("reject the call of %s: %w", s.peer, err)
	}
	s.end(reason)
	return nil
}

// Hangup ends the call in any state.
func (p *Participant) Hangup(ctx context.Context, reason string) error {
	s, err := p.current()
	if err != nil {
		return err
	}
	p.mu.Lock()
	id := s.id
	p.mu.Unlock()
	s.end(reason)
	if id == "" {
		return nil // the invite never went out
	}
	if err := p.client.Hangup(ctx, id, reason); err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	return nil
}

// Ended is true once the call has ended, with the reason.
func (p *Participant) Ended() (bool, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session == nil {
		return false, ""
	}
	return p.session.ended, p.session.reason
}

// AwaitMedia waits for the first intact packet of each kind of media that the
// other side sends. Its error says how far the call came.
func (p *Participant) AwaitMedia(ctx context.Context) error {
	var at string
	err := p.until(ctx, func() (bool, error) {
		s := p.session
		if s == nil {
			at = "there is no call"
			return false, nil
		}
		met, missing := s.reception.complete()
		at = progress(s, missing)
		switch {
		case met && s.everUp:
			return true, nil
		case s.ended:
			return false, s.errEnded()
		case s.state == endpoint.Failed:
			return false, errors.New(s.failure)
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("%s has no media: %w (%s)", p.cfg.User, err, at)
	}
	return nil
}

// progress says how far a session has come.
func progress(s *session, missing []string) string {
	switch {
	case s.id == "":
		return "the invite has not gone out"
	case missing == nil:
		return "the other side has not answered"
	case !s.chosen:
		return "no candidate pair was selected"
	case !s.everUp:
		return "a pair was selected, but DTLS is not complete"
	}
	return fmt.Sprintf("connected, but no intact %v came", missing)
}
