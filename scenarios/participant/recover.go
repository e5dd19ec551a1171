package participant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

// How a client gets its media of a conference back: first by an ICE restart on the
// session that there is, which keeps its keys; when that does not help, or another
// media processor answers it, by joining with a new session.
const (
	// restartPatience is how long a restarted session has to find a path.
	restartPatience = 10 * time.Second
	// rejoinPatience is the same for a new session.
	rejoinPatience = 12 * time.Second
	// rejoinPause is between two attempts, and requestPatience how long the
	// controller and the media processor behind it have for an answer.
	rejoinPause     = 500 * time.Millisecond
	requestPatience = 5 * time.Second
)

// errOtherProcessor is an answer of another media processor than before: its
// certificate is not the one of the session.
var errOtherProcessor = errors.New("another media processor has answered")

// mediaLost wakes who gets media back. It is called from the stack's goroutines.
func (p *Participant) mediaLost() {
	select {
	case p.broken <- struct{}{}:
	default:
	}
}

// keepMedia gets the media of a conference back whenever it is lost, until the
// reception has ended.
func (p *Participant) keepMedia(r *reception) {
	for {
		select {
		case <-p.broken:
		case <-r.done:
			return
		case <-p.ctx.Done():
			return
		}
		s, err := p.current()
		if err != nil || s.reception != r || !p.isBroken(s) {
			continue
		}
		p.log.Info("participant.media_lost", slog.String("user", p.cfg.User))
		if err := p.restartMedia(p.ctx, s); err == nil {
			continue
		} else if p.ctx.Err() == nil {
			p.log.Info("participant.restart_failed", slog.String("user", p.cfg.User), slog.String("error", err.Error()))
			p.rejoinUntil(p.ctx, s)
		}
	}
}

// isBroken is true while a session that has had media has none.
func (p *Participant) isBroken(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.everUp && !s.ended && (s.state == endpoint.Disconnected || s.state == endpoint.Failed)
}

// restartMedia renegotiates with new ICE credentials, and waits for a path.
func (p *Participant) restartMedia(ctx context.Context, s *session) error {
	asking, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	if err := p.restartConference(asking, s); err != nil {
		return err
	}
	waiting, stop := context.WithTimeout(ctx, restartPatience)
	defer stop()
	return p.awaitUp(waiting, s)
}

// restartConference is an ICE restart with the media processor.
func (p *Participant) restartConference(ctx context.Context, s *session) error {
	if err := p.negotiate(ctx); err != nil {
		return err
	}
	defer p.release()
	servers, err := s.conferenceServers(ctx)
	if err != nil {
		return err
	}
	s.outbox.gathering(relayName(servers))
	if err := s.endpoint.Servers(servers); err != nil {
		return err
	}
	offer, err := s.endpoint.Offer(true)
	if err != nil {
		return err
	}
	answer, err := s.exchange(ctx, offer)
	if err != nil {
		return errors.Join(err, s.endpoint.Rollback())
	}
	if before := s.remoteFingerprint; attribute(answer, "fingerprint") != before {
		return errors.Join(errOtherProcessor, s.endpoint.Rollback())
	}
	if err := s.accept(answer); err != nil {
		return err
	}
	p.change(func() { s.restarts++ })
	return nil
}

// awaitUp waits until a session is connected.
func (p *Participant) awaitUp(ctx context.Context, s *session) error {
	return p.until(ctx, func() (bool, error) {
		if s.ended {
			return false, s.errEnded()
		}
		return s.state == endpoint.Connected, nil
	})
}

// rejoinUntil joins with new sessions until one has media, or the participant is out.
func (p *Participant) rejoinUntil(ctx context.Context, s *session) {
	for ctx.Err() == nil {
		next, err := p.rejoin(ctx, s)
		if err == nil {
			return
		}
		p.log.Info("participant.rejoin_failed", slog.String("user", p.cfg.User), slog.String("error", err.Error()))
		s = next
		p.mu.Lock()
		over := s.ended
		p.mu.Unlock()
		if over || isRefusal(err) {
			return
		}
		timer := time.NewTimer(rejoinPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// isRefusal is true for an answer that asking again does not change.
func isRefusal(err error) bool {
	var problem *signaling.Problem
	return errors.As(err, &problem) && (problem.Status == http.StatusForbidden || problem.Status == http.StatusNotFound)
}

// rejoin takes the place of a session whose media is lost with a new one, which
// receives into the same measurements.
func (p *Participant) rejoin(ctx context.Context, old *session) (*session, error) {
	if err := p.negotiate(ctx); err != nil {
		return old, err
	}
	s := newConferenceSession(p, old.conference)
	s.reception, s.restarts, s.rejoins = old.reception, old.restarts, old.rejoins+1
	err := func() error {
		defer p.release()
		if err := old.retire(); err != nil {
			p.log.Debug("participant.session_retired", slog.String("error", err.Error()))
		}
		old.reception.move(s)
		p.change(func() {
			p.session = s
			s.ended, s.reason, s.slots = old.ended, old.reason, old.slots
		})
		asking, cancel := context.WithTimeout(ctx, requestPatience)
		defer cancel()
		return s.negotiateMedia(asking)
	}()
	if err != nil {
		return s, fmt.Errorf("rejoin: %w", err)
	}
	waiting, stop := context.WithTimeout(ctx, rejoinPatience)
	defer stop()
	return s, p.awaitUp(waiting, s)
}
