package older

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/olderturn"
	"github.com/callpath/callpath/signaling"
)

func (e *Endpoint) build(ctx context.Context) error {
	var err error
	if e.sent, err = endpoint.Sent(e.cfg.Spec); err != nil {
		return err
	}
	if e.formats, err = endpoint.Formats(e.cfg.Spec); err != nil {
		return err
	}
	if err := e.describe(); err != nil {
		return err
	}
	if err := e.intercept(); err != nil {
		return err
	}
	options, err := e.options(ctx)
	if err != nil {
		return err
	}
	if e.agent, err = ice.NewAgentWithOptions(options...); err != nil {
		return fmt.Errorf("ICE agent: %w", err)
	}
	return errors.Join(
		e.agent.OnCandidate(e.candidate),
		e.agent.OnSelectedCandidatePairChange(e.selected),
		e.agent.OnConnectionStateChange(e.state),
	)
}

// describe makes the certificate and what the descriptions say of this side.
func (e *Endpoint) describe() error {
	key, err := endpoint.Key(e.cfg.Spec)
	if err != nil {
		return err
	}
	if e.certificate, err = selfsign.SelfSign(key); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	sum := sha256.Sum256(e.certificate.Certificate[0])
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return fmt.Errorf("session number: %w", err)
	}
	e.local = local{
		fingerprint: colons(sum[:]),
		session:     binary.BigEndian.Uint64(random[:]) >> 2,
		name:        e.cfg.Spec.Name,
		ssrc:        map[string]uint32{},
	}
	for i, f := range e.sent {
		ssrc := binary.BigEndian.Uint32(random[8+4*i:])
		e.local.ssrc[f.Kind] = ssrc
		e.senders = append(e.senders, &sender{endpoint: e, format: f, ssrc: ssrc})
	}
	return nil
}

// colons is a fingerprint as RFC 8122, section 5, writes it.
func colons(sum []byte) string {
	pairs := make([]string, len(sum))
	for i, octet := range sum {
		pairs[i] = fmt.Sprintf("%02X", octet)
	}
	return strings.Join(pairs, ":")
}

// options are the agent's.
func (e *Endpoint) options(ctx context.Context) ([]ice.AgentOption, error) {
	options := []ice.AgentOption{
		ice.WithNet(e.cfg.Machine.Net()),
		ice.WithLoggerFactory(e.loggers),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithProxyDialer(e.dialer),
		ice.WithDisconnectedTimeout(endpoint.DisconnectedAfter),
		ice.WithFailedTimeout(endpoint.FailedAfter),
		ice.WithKeepaliveInterval(endpoint.Keepalive),
		ice.WithSTUNGatherTimeout(endpoint.STUNTimeout),
		ice.WithSrflxAcceptanceMinWait(endpoint.ReflexiveWait),
		ice.WithPrflxAcceptanceMinWait(endpoint.ReflexiveWait),
		ice.WithRelayAcceptanceMinWait(endpoint.RelayWait),
		ice.WithMaxBindingRequests(endpoint.BindingRequests),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithDisableActiveTCP(),
	}
	if e.cfg.Spec.TURNClient == "v3" {
		var err error
		if e.turn, err = olderturn.Allocate(ctx, e.cfg, e.dialer); err != nil {
			return nil, err
		}
		return append(options, ice.WithUDPMux(e.turn.Mux),
			ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost})), nil
	}
	switch e.cfg.Spec.ICE {
	case "", "all":
	case "relay":
		options = append(options, ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeRelay}))
	default:
		return nil, fmt.Errorf("no ICE policy %q; valid: all, relay", e.cfg.Spec.ICE)
	}
	urls, err := uris(e.cfg.Servers)
	return append(options, ice.WithUrls(urls)), err
}

func uris(servers []signaling.ICEServer) ([]*stun.URI, error) {
	var out []*stun.URI
	for _, s := range servers {
		for _, text := range s.URLs {
			u, err := stun.ParseURI(text)
			if err != nil {
				return nil, fmt.Errorf("ICE server %q: %w", text, err)
			}
			u.Username, u.Password = s.Username, s.Credential
			out = append(out, u)
		}
	}
	return out, nil
}
