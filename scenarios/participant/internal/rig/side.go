package rig

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

// Side is one endpoint of a call without signaling: it takes the endpoint's events
// and hands its candidates to the other side.
type Side struct {
	// Endpoint is set by the test, which closes it.
	Endpoint endpoint.Endpoint
	Config   endpoint.Config

	films map[int]*film // by sender; used by the test's goroutine

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when anything changes
	other    endpoint.Endpoint
	waiting  []signaling.Candidate
	state    endpoint.State
	reason   string
	selected [2]negotiation.Candidate
	packets  map[media.Codec]int
	controls map[string]int
}

// Side prepares one side on a machine of its name, with one TURN server over UDP.
func (r *Rig) Side(name string, spec language.Participant) *Side {
	spec.Name = name
	servers := r.Server(name, "turn:"+RelayName+":3478?transport=udp")
	s := &Side{films: map[int]*film{}, changed: make(chan struct{}), packets: map[media.Codec]int{}, controls: map[string]int{}}
	s.Config = endpoint.Config{
		Spec: spec, Machine: r.Hosts[name], Servers: servers, RootCAs: r.Authority.Pool(),
		Recorder: negotiation.NewRecorder(negotiation.Config{Leg: name}), Events: s, Log: slog.New(slog.DiscardHandler),
	}
	return s
}

// Connect exchanges offer and answer, and from then on candidates.
func Connect(offerer, answerer *Side) error {
	offer, err := offerer.Endpoint.Offer(false)
	if err != nil {
		return err
	}
	return complete(offerer, answerer, offer)
}

// Restart is Connect with new ICE credentials.
func Restart(offerer, answerer *Side) error {
	offerer.hold()
	answerer.hold()
	offer, err := offerer.Endpoint.Offer(true)
	if err != nil {
		return err
	}
	return complete(offerer, answerer, offer)
}

func complete(offerer, answerer *Side, offer string) error {
	answer, err := answerer.Endpoint.Answer(offer)
	if err != nil {
		return err
	}
	if err := offerer.Endpoint.Accept(answer); err != nil {
		return err
	}
	return errors.Join(offerer.release(answerer.Endpoint), answerer.release(offerer.Endpoint))
}

// Release has candidates exchanged, for a test that exchanges descriptions itself.
// What an endpoint refuses is left out.
func (s *Side) Release(other *Side) {
	_ = s.release(other.Endpoint)
	_ = other.release(s.Endpoint)
}

func (s *Side) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other, s.waiting = nil, nil
}

func (s *Side) release(to endpoint.Endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = to
	var errs []error
	for _, c := range s.waiting {
		errs = append(errs, to.Add(c))
	}
	s.waiting = nil
	return errors.Join(errs...)
}

// film is a stream as it goes on from one Send to the next.
type film struct {
	source     *media.Source
	packetizer *media.Packetizer
}

// Send sends the next n frames of each negotiated stream, without pacing.
func (s *Side) Send(n int) error {
	for i, sender := range s.Endpoint.Senders() {
		if !sender.Negotiated() {
			continue
		}
		f := s.films[i]
		if f == nil {
			source, err := media.NewSource(sender.Format().Codec, 1)
			if err != nil {
				return err
			}
			f = &film{source, media.NewPacketizer(sender.Format(), sender.SSRC(), sender.PayloadType(), 1)}
			s.films[i] = f
		}
		for range n {
			for _, p := range f.packetizer.Packets(f.source.Next()) {
				if err := sender.Send(p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Received is how many packets of each codec have come.
func (s *Side) Received() map[media.Codec]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.packets)
}

// Await waits until what was seen meets a condition.
func (s *Side) Await(ctx context.Context, met func(Seen) bool) error {
	for {
		s.mu.Lock()
		seen := Seen{State: s.state, Reason: s.reason, Local: s.selected[0], Remote: s.selected[1], Packets: s.packets, Controls: s.controls}
		ok := met(seen)
		changed := s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w; state %q %s", ctx.Err(), seen.State, seen.Reason)
		}
	}
}

// Seen is what an endpoint has told. Packets counts by codec, Controls by type.
type Seen struct {
	State         endpoint.State
	Reason        string
	Local, Remote negotiation.Candidate
	Packets       map[media.Codec]int
	Controls      map[string]int
}

func (s *Side) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Candidate implements endpoint.Events.
func (s *Side) Candidate(c signaling.Candidate) {
	s.mu.Lock()
	other := s.other
	if other == nil {
		s.waiting = append(s.waiting, c)
	}
	s.mu.Unlock()
	if other != nil {
		_ = other.Add(c) // it may be closed already
	}
}

// Selected implements endpoint.Events.
func (s *Side) Selected(local, remote negotiation.Candidate) {
	s.change(func() { s.selected = [2]negotiation.Candidate{local, remote} })
}

// State implements endpoint.Events.
func (s *Side) State(state endpoint.State, reason string) {
	s.change(func() { s.state, s.reason = state, reason })
}

// Packet implements endpoint.Events.
func (s *Side) Packet(f media.Format, _ *rtp.Packet, _ time.Time) {
	s.change(func() { s.packets[f.Codec]++ })
}

// Control implements endpoint.Events.
func (s *Side) Control(p rtcp.Packet, _ time.Time) {
	s.change(func() { s.controls[fmt.Sprintf("%T", p)]++ })
}
