package participant

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// The steps of a conference, which have no number among the documented ones.
const (
	stepAllocate = "allocate"
	stepOffer    = "media-offer"
	stepAnswer   = "media-answer"
)

// conference is one meeting or group call of a participant. The participant's mu
// guards place; the rest does not change.
type conference struct {
	id    string
	group bool
	media bool // it wants media once it is in
	place policy.Place
}

// JoinMeeting asks to get into a meeting. In the lobby it returns at once, and the
// participant goes in by itself when it is admitted; with media it then negotiates
// with the media processor. A refusal is a *signaling.Problem.
func (p *Participant) JoinMeeting(ctx context.Context, id string, media bool) (signaling.Admission, error) {
	return p.join(ctx, &conference{id: id, media: media}, p.client.JoinMeeting)
}

// JoinGroup joins the group call of an ID, with media.
func (p *Participant) JoinGroup(ctx context.Context, id string) (signaling.Admission, error) {
	return p.join(ctx, &conference{id: id, group: true, media: true}, p.client.JoinGroup)
}

func (p *Participant) join(ctx context.Context, c *conference, ask func(context.Context, string) (signaling.Admission, error)) (signaling.Admission, error) {
	p.resolvedFirst()
	// Being admitted may be told before the answer to the join has been read.
	p.change(func() { c.place, p.joined, p.listening = policy.Outside, c, false })
	admission, err := ask(ctx, c.id)
	if err != nil {
		p.change(func() { p.joined = nil })
		return admission, fmt.Errorf("join: %w", err)
	}
	enter := false
	p.change(func() {
		if c.place == policy.Outside {
			c.place = admission.Place
			enter = c.place == policy.Present
		}
	})
	if enter && c.media {
		return admission, p.enter(ctx, c)
	}
	return admission, nil
}

// resolvedFirst tells of the look-up of the controller's name, once.
func (p *Participant) resolvedFirst() {
	var step *result.Step
	p.change(func() { step, p.resolved = p.resolved, nil })
	if step != nil {
		step.Number = result.Number(step.Name)
		p.cfg.OnStep(*step)
	}
}

// enter negotiates media with the media processor.
func (p *Participant) enter(ctx context.Context, c *conference) error {
	if err := p.negotiate(ctx); err != nil {
		return err
	}
	defer p.release()
	s, err := p.beginIn(c)
	if err != nil {
		return err
	}
	p.running.Go(func() { p.keepMedia(s.reception) })
	if err := s.negotiateMedia(ctx); err != nil {
		return fmt.Errorf("media of %s: %w", p.cfg.User, err)
	}
	return nil
}

// beginIn makes the session of a conference; it replaces one that has ended.
func (p *Participant) beginIn(c *conference) (*session, error) {
	p.mu.Lock()
	old := p.session
	busy := old != nil && !old.ended
	p.mu.Unlock()
	if busy {
		return nil, fmt.Errorf("%s has media elsewhere", p.cfg.User)
	}
	if old != nil {
		if err := old.close(); err != nil {
			return nil, fmt.Errorf("end of the last media: %w", err)
		}
	}
	s := newConferenceSession(p, c)
	s.reception = newReception(s)
	p.change(func() { p.session = s })
	return s, nil
}

func newConferenceSession(p *Participant, c *conference) *session {
	s := &session{p: p, peer: "processor", caller: true, conference: c, outbox: newOutbox()}
	s.transmission = newTransmission(s)
	return s
}

// negotiateMedia opens an endpoint, and exchanges the one offer and the one answer.
func (s *session) negotiateMedia(ctx context.Context) error {
	servers, err := s.conferenceServers(ctx)
	if err != nil {
		return err
	}
	s.outbox.gathering(relayName(servers))
	opened, err := s.p.open(ctx, s, servers)
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	s.endpoint = opened
	offer, err := s.endpoint.Offer(false)
	if err != nil {
		return err
	}
	answer, err := s.exchange(ctx, offer)
	if err != nil {
		return err
	}
	return s.accept(answer)
}

// exchange sends an offer to the media processor and returns its answer. The
// candidates stay here: an ICE-lite agent learns them from checks (RFC 8445,
// section 2.5).
func (s *session) exchange(ctx context.Context, offer string) (answer string, err error) {
	if s.p.cfg.Spec.Fingerprint == "wrong" {
		offer = forge(offer)
	}
	s.shown(true, signaling.Offer, offer)
	send := s.p.client.MeetingMedia
	if s.conference.group {
		send = s.p.client.GroupMedia
	}
	s.p.step(stepOffer, "signaling", fmt.Sprintf("%d m-lines", strings.Count(offer, "\nm=")))
	answer, err = send(ctx, s.conference.id, offer, s.p.cfg.Spec.Mix)
	if err != nil {
		return "", fmt.Errorf("media offer: %w", err)
	}
	s.p.step(stepAnswer, s.p.cfg.User, candidatesInWords(answer))
	s.shown(false, signaling.Answer, answer)
	return answer, nil
}

// candidatesInWords lists the candidates of an answer.
func candidatesInWords(sdp string) string {
	var words []string
	for text := range strings.Lines(sdp) {
		if line, ok := strings.CutPrefix(strings.TrimRight(text, "\r\n"), "a=candidate:"); ok {
			kind := "candidate"
			if f := strings.Fields(line); len(f) > 7 {
				kind = f[7]
			}
			if word := kind + " " + candidateAddress(line); len(words) == 0 || words[len(words)-1] != word {
				words = append(words, word)
			}
		}
	}
	return strings.Join(words, ", ")
}

// accept applies the answer.
func (s *session) accept(answer string) error {
	slots := slotsOf(answer)
	s.p.change(func() {
		if s.slots == nil {
			s.slots = map[uint32]string{}
		}
		all := maps.Clone(s.slots) // a reader may have the old one
		maps.Copy(all, slots)
		s.slots, s.remoteFingerprint = all, attribute(answer, "fingerprint")
	})
	if err := s.endpoint.Accept(answer); err != nil {
		return err
	}
	for text := range strings.Lines(answer) {
		if line := strings.TrimRight(text, "\r\n"); strings.HasPrefix(line, "a=candidate:") {
			s.p.cfg.Recorder.Candidate(false, strings.TrimPrefix(line, "a="))
		}
	}
	return nil
}

// conferenceServers gets the ICE servers, with credentials that are tied to the
// conference.
func (s *session) conferenceServers(ctx context.Context) ([]signaling.ICEServer, error) {
	get := s.p.client.MeetingICEServers
	if s.conference.group {
		get = s.p.client.GroupICEServers
	}
	list, err := get(ctx, s.conference.id)
	if err != nil {
		return nil, fmt.Errorf("ICE servers of %s: %w", s.p.cfg.User, err)
	}
	return s.p.reduce(ctx, list)
}

// Leave leaves the conference, or its lobby.
func (p *Participant) Leave(ctx context.Context) error {
	c, err := p.in()
	if err != nil {
		return err
	}
	leave := p.client.LeaveMeeting
	if c.group {
		leave = p.client.LeaveGroup
	}
	if err := leave(ctx, c.id); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	p.out(c, "left")
	return nil
}

// in is the conference that the participant has asked to get into.
func (p *Participant) in() (*conference, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.joined == nil {
		return nil, fmt.Errorf("%s is in no meeting", p.cfg.User)
	}
	return p.joined, nil
}

// out ends what the participant has in a conference.
func (p *Participant) out(c *conference, reason string) {
	var s *session
	p.change(func() {
		c.place = policy.Outside
		if p.joined == c {
			p.joined = nil
		}
		if p.session != nil && p.session.conference == c {
			s = p.session
		}
	})
	if s != nil {
		s.end(reason)
	}
}

// heed does what a notification of a conference asks of the participant.
func (p *Participant) heed(n signaling.Notification) {
	p.mu.Lock()
	c := p.joined
	p.mu.Unlock()
	if c == nil || c.id != n.Meeting {
		return
	}
	switch n.Type {
	case signaling.NotifyMeetingAdmitted:
		was := policy.Present
		p.change(func() { was, c.place = c.place, policy.Present })
		if was != policy.Present && c.media {
			p.running.Go(func() {
				if err := p.enter(p.ctx, c); err != nil && p.ctx.Err() == nil {
					p.cfg.Recorder.Failure("signaling", err.Error())
				}
			})
		}
	case signaling.NotifyMeetingMediaEnded:
		p.running.Go(func() { p.listen(c) })
	case signaling.NotifyMeetingRejected, signaling.NotifyMeetingRemoved, signaling.NotifyMeetingEnded:
		p.out(c, string(n.Type))
	}
}

// listen offers anew without what the participant sent, which it may not send any
// more: so it gets back what it receives.
func (p *Participant) listen(c *conference) {
	var s *session
	p.change(func() {
		p.listening = true
		if p.session != nil && p.session.conference == c {
			s = p.session
		}
	})
	if s != nil {
		p.rejoinUntil(p.ctx, s)
	}
}

// Listens is true for a participant that has lost the right to send what it sent.
func (p *Participant) Listens() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listening
}

// Alone says that nobody else is in the conference any more: until somebody is,
// there is no gap in what comes.
func (p *Participant) Alone() {
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	if s != nil {
		s.reception.pause()
	}
}

// Heard is what the participant has received in its conference so far.
func (p *Participant) Heard() Heard {
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	if s == nil || s.conference == nil {
		return Heard{}
	}
	return s.reception.soFar()
}

// Place is where the participant stands, as far as it has been told.
func (p *Participant) Place() policy.Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.joined == nil {
		return policy.Outside
	}
	return p.joined.place
}

// AwaitHeard waits until the participant has media and enough says so of what it has
// received in its conference so far. enough may ask other participants.
func (p *Participant) AwaitHeard(ctx context.Context, enough func(Heard) bool) error {
	at := "it has no media"
	for {
		p.mu.Lock()
		s, changed := p.session, p.changed
		var state endpoint.State
		var failure string
		if s != nil && !s.ended {
			state = s.state
			if state == endpoint.Failed && !s.everUp {
				failure = s.failure
			}
		}
		p.mu.Unlock()
		if state != "" {
			heard := s.reception.soFar()
			if state == endpoint.Connected && enough(heard) {
				return nil
			}
			at = p.conferenceProgress(s, heard)
		}
		err := ctx.Err()
		if failure != "" {
			err = errors.New(failure)
		}
		if err != nil {
			return fmt.Errorf("%s has not got what the others send: %w (%s)", p.cfg.User, err, at)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// conferenceProgress says how far the media of a session has come.
func (p *Participant) conferenceProgress(s *session, heard Heard) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !s.chosen:
		return "no candidate pair was selected"
	case !s.everUp:
		return "a pair was selected, but DTLS is not complete"
	}
	return "connected, got " + heard.Text()
}
