package participant

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
)

// session is one call of a participant. It takes the events of the call's
// endpoint.
type session struct {
	p      *Participant
	peer   string
	caller bool
	// conference is set when the other side is a media processor.
	conference *conference

	endpoint     endpoint.Endpoint // set once, before anything is sent
	outbox       *outbox
	transmission *transmission
	reception    *reception

	inbox inbox
	// mirror and remoteUfrag, of the other side's last description, are used
	// with the turn to negotiate only.
	mirror      mirror
	remoteUfrag string

	// The participant's mu guards what follows.
	id       string // the controller's
	state    endpoint.State
	failure  string
	everUp   bool
	answered *signaling.Notification // the answer to the re-offer under way
	holding  bool                    // this side has put the call on hold
	held     bool                    // the other side has
	ended    bool
	reason   string
	selected [2]negotiation.Candidate
	chosen   bool // selected is set
	restarts int
	rejoins  int
	// Of a conference: the m-line of each SSRC, and the media processor's
	// certificate.
	slots             map[uint32]string
	remoteFingerprint string

	closing  sync.Once
	closeErr error
}

// begin makes the session of a new call. It replaces one that has ended.
func (p *Participant) begin(peer string, caller bool) (*session, error) {
	p.mu.Lock()
	old := p.session
	busy := old != nil && !old.ended
	p.mu.Unlock()
	if busy {
		return nil, fmt.Errorf("%s is in a call with %s", p.cfg.User, old.peer)
	}
	if old != nil {
		if err := old.close(); err != nil {
			return nil, fmt.Errorf("end of the last call: %w", err)
		}
	}
	s := &session{p: p, peer: peer, caller: caller, outbox: newOutbox()}
	s.transmission = newTransmission(s)
	s.reception = newReception(s)
	p.change(func() { p.session = s })
	return s, nil
}

// close ends the media and the endpoint and waits for their goroutines.
func (s *session) close() error {
	s.closing.Do(func() {
		s.reception.close() // its watch is one of the transmission's goroutines
		s.closeErr = s.retire()
	})
	return s.closeErr
}

// retire is close without the reception, which goes on with another session.
func (s *session) retire() error {
	s.outbox.close()
	s.transmission.close()
	if s.endpoint != nil {
		return s.endpoint.Close()
	}
	return nil
}

// end notes the end of the call, once, and stops the media.
func (s *session) end(reason string) {
	s.p.change(func() {
		if !s.ended {
			s.ended, s.reason = true, reason
		}
	})
	s.reception.finish()
	s.transmission.stop()
}

// current is the session, or an error when there is none or it has ended.
func (p *Participant) current() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.session == nil:
		return nil, fmt.Errorf("%s is in no call", p.cfg.User)
	case p.session.ended:
		return nil, fmt.Errorf("the call of %s has ended: %s", p.cfg.User, p.session.reason)
	}
	return p.session, nil
}

// Candidate implements endpoint.Events.
func (s *session) Candidate(c signaling.Candidate) {
	if c.Candidate != "" {
		s.p.cfg.Recorder.Candidate(true, c.Candidate)
	}
	if s.outbox.add(c) {
		name, to := result.StepAllocateCallee, s.outbox.relayName()
		switch {
		case s.conference != nil:
			name = stepAllocate
		case s.caller:
			name = result.StepAllocateCaller
		}
		s.p.step(name, to, "relayed address "+candidateAddress(c.Candidate))
	}
}

// Selected implements endpoint.Events.
func (s *session) Selected(local, remote negotiation.Candidate) {
	s.p.cfg.Recorder.Selected(local, remote, "")
	first := false
	s.p.change(func() {
		first = !s.chosen
		s.chosen = true
		s.selected = [2]negotiation.Candidate{local, remote}
	})
	if first {
		s.p.step(result.StepChecks, s.peer, fmt.Sprintf("%s %s to %s %s",
			local.Type, local.Address, remote.Type, remote.Address))
	}
}

// State implements endpoint.Events.
func (s *session) State(state endpoint.State, reason string) {
	s.p.change(func() {
		s.state = state
		if state == endpoint.Failed {
			s.failure = reason
		} else {
			s.failure = ""
		}
		s.everUp = s.everUp || state == endpoint.Connected
	})
	if state == endpoint.Connected {
		s.transmission.start()
	}
	if s.conference != nil && (state == endpoint.Disconnected || state == endpoint.Failed) {
		s.p.mediaLost()
	}
}

// Packet implements endpoint.Events.
func (s *session) Packet(f media.Format, p *rtp.Packet, arrived time.Time) {
	s.reception.packet(f, p, arrived)
}

// Control implements endpoint.Events.
func (s *session) Control(p rtcp.Packet, arrived time.Time) {
	switch p := p.(type) {
	case *rtcp.ReceiverReport:
		s.reception.reports(p.Reports, arrived)
	case *rtcp.SenderReport:
		s.reception.reports(p.Reports, arrived)
	case *rtcp.PictureLossIndication:
		s.transmission.rewind(p.MediaSSRC)
	}
}

// errEnded says why a wait for something in the call is over.
func (s *session) errEnded() error {
	if s.reason == "" {
		return errors.New("the call has ended")
	}
	return fmt.Errorf("the call has ended: %s", s.reason)
}
