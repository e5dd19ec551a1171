package participant

import (
	"context"
	"fmt"

	"github.com/callpath/callpath/scenarios/result"
)

// Telemetry sends what was measured to the controller (step 8). It may be sent
// during the call and shortly after it.
func (p *Participant) Telemetry(ctx context.Context) error {
	p.mu.Lock()
	s := p.session
	id := ""
	if s != nil {
		id = s.id
	}
	p.mu.Unlock()
	if id == "" {
		return fmt.Errorf("%s is in no call", p.cfg.User)
	}
	r := p.Result()
	telemetry := struct {
		Path     string          `json:"path,omitempty"`
		Pair     [2]string       `json:"pair"`
		Protocol string          `json:"protocol,omitempty"`
		Streams  []result.Stream `json:"streams,omitempty"`
		Restarts int             `json:"restarts"`
		Gap      result.Duration `json:"gap,omitempty"`
	}{r.Path, r.Pair, r.Protocol, r.Streams, r.Restarts, r.Gap}
	if err := p.client.Telemetry(ctx, id, telemetry); err != nil {
		return fmt.Errorf("telemetry of %s: %w", p.cfg.User, err)
	}
	p.step(result.StepTelemetry, "signaling", fmt.Sprintf("%d streams", len(r.Streams)))
	return nil
}

// Result is what the participant did and saw so far. Flows, SignalingFlows and
// Relayed are left to who sees the packets.
func (p *Participant) Result() result.Participant {
	out := result.Participant{
		Name: p.cfg.User, Host: p.cfg.Spec.Host, Client: p.cfg.Spec.Client,
		Negotiation: p.cfg.Recorder.Record(),
	}
	if out.Client == "" {
		out.Client = "acs"
	}
	p.mu.Lock()
	s := p.session
	if s == nil {
		p.mu.Unlock()
		return out
	}
	local, remote := s.selected[0], s.selected[1]
	chosen := s.chosen
	slots := s.slots
	out.Restarts, out.Rejoins, out.Joined = s.restarts, s.rejoins, s.conference != nil && s.everUp
	p.mu.Unlock()
	if chosen {
		out.Pair = [2]string{local.Type, remote.Type}
		out.Protocol = local.Protocol
		if local.RelayProtocol != "" {
			out.Protocol = local.RelayProtocol
		}
		out.Path = fmt.Sprintf("%s → %s over %s", local.Type, remote.Type, out.Protocol)
	}
	s.reception.result(&out, slots)
	return out
}
