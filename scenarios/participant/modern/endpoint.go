package modern

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/olderturn"
	"github.com/callpath/callpath/signaling"
)

// Endpoint is a PeerConnection with the tracks of one participant.
type Endpoint struct {
	cfg     endpoint.Config
	pc      *webrtc.PeerConnection
	dialer  *endpoint.Dialer
	older   *olderturn.Allocation // nil: the stack's own TURN client
	sent    []media.Format
	senders []*sender
	readers sync.WaitGroup
	// pending is a re-offer that has no answer yet; who negotiates has it.
	pending *webrtc.SessionDescription

	mu      sync.Mutex
	closing bool            // no reader begins any more
	takes   map[string]bool // by mid: the other side receives
}

var _ endpoint.Endpoint = (*Endpoint)(nil)

// New builds an endpoint; nothing is gathered or sent before Offer or Answer, apart
// from the allocation of an older TURN client.
func New(ctx context.Context, cfg endpoint.Config) (*Endpoint, error) {
	e := &Endpoint{cfg: cfg, dialer: endpoint.NewDialer(cfg)}
	if err := e.build(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Endpoint) build(ctx context.Context) error {
	var err error
	if e.sent, err = endpoint.Sent(e.cfg.Spec); err != nil {
		return err
	}
	formats, err := endpoint.Formats(e.cfg.Spec)
	if err != nil {
		return err
	}
	engine, err := codecs(formats)
	if err != nil {
		return err
	}
	registry, err := interceptors(engine)
	if err != nil {
		return err
	}
	setting, err := settings(e.cfg, e.dialer, endpoint.NewLoggers(e.cfg.Log, e.complaint))
	if err != nil {
		return err
	}
	key, err := endpoint.Key(e.cfg.Spec)
	if err != nil {
		return err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	configuration := webrtc.Configuration{
		ICEServers:    servers(e.cfg.Servers),
		BundlePolicy:  webrtc.BundlePolicyMaxBundle,
		RTCPMuxPolicy: webrtc.RTCPMuxPolicyRequire,
		Certificates:  []webrtc.Certificate{*certificate},
	}
	if configuration.ICETransportPolicy, err = policy(e.cfg.Spec.ICE); err != nil {
		return err
	}
	if e.cfg.Spec.TURNClient == "v3" {
		if e.older, err = olderturn.Allocate(ctx, e.cfg, e.dialer); err != nil {
			return err
		}
		setting.SetICEUDPMux(e.older.Mux)
		configuration.ICEServers, configuration.ICETransportPolicy = nil, webrtc.ICETransportPolicyAll
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(setting))
	if e.pc, err = api.NewPeerConnection(configuration); err != nil {
		return fmt.Errorf("peer connection: %w", err)
	}
	e.pc.OnICECandidate(e.candidate)
	e.pc.OnConnectionStateChange(e.state)
	e.pc.OnTrack(e.track)
	e.pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(e.selected)
	return e.addTracks()
}

func (e *Endpoint) addTracks() error {
	for _, f := range e.sent {
		track, err := webrtc.NewTrackLocalStaticRTP(capability(f), f.Kind, e.cfg.Spec.Name)
		if err != nil {
			return fmt.Errorf("track %s: %w", f.Codec, err)
		}
		rtpSender, err := e.pc.AddTrack(track)
		if err != nil {
			return fmt.Errorf("track %s: %w", f.Codec, err)
		}
		e.senders = append(e.senders, &sender{endpoint: e, format: f, track: track, rtp: rtpSender})
		e.read(rtpSender.ReadRTCP)
	}
	return e.addScreen()
}

// Offer implements endpoint.Endpoint. The first offer has an m-line for each kind:
// what a participant does not send, it receives.
func (e *Endpoint) Offer(restart bool) (string, error) {
	if err := e.receive(); err != nil {
		return "", err
	}
	offer, err := e.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: restart})
	if err != nil {
		return "", fmt.Errorf("offer: %w", err)
	}
	if e.pc.CurrentRemoteDescription() != nil {
		// A local offer cannot be rolled back in this stack, so a re-offer
		// becomes the local description together with its answer.
		e.pending = &offer
	} else if err := e.pc.SetLocalDescription(offer); err != nil {
		return "", fmt.Errorf("local offer: %w", err)
	}
	return e.older.Relabel(e.withContent(offer.SDP)), nil
}

// Answer implements endpoint.Endpoint.
func (e *Endpoint) Answer(offer string) (string, error) {
	if err := e.remote(webrtc.SDPTypeOffer, offer); err != nil {
		return "", err
	}
	answer, err := e.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	if err := e.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("local answer: %w", err)
	}
	return e.older.Relabel(answer.SDP), nil
}

// Accept implements endpoint.Endpoint.
func (e *Endpoint) Accept(answer string) error {
	if e.pending != nil {
		if err := e.pc.SetLocalDescription(*e.pending); err != nil {
			return fmt.Errorf("local offer: %w", err)
		}
		e.pending = nil
	}
	return e.remote(webrtc.SDPTypeAnswer, answer)
}

// remote applies a description of the other side.
func (e *Endpoint) remote(kind webrtc.SDPType, text string) error {
	var parsed sdp.SessionDescription
	if err := parsed.UnmarshalString(text); err != nil {
		return fmt.Errorf("remote %s: %w", kind, err)
	}
	takes := map[string]bool{}
	for _, m := range parsed.MediaDescriptions {
		mid, _ := m.Attribute("mid")
		_, sendonly := m.Attribute("sendonly")
		_, inactive := m.Attribute("inactive")
		takes[mid] = m.MediaName.Port.Value != 0 && !sendonly && !inactive
	}
	e.mu.Lock()
	e.takes = takes
	e.mu.Unlock()
	if err := e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: text}); err != nil {
		return fmt.Errorf("remote %s: %w", kind, err)
	}
	return nil
}

// Rollback implements endpoint.Endpoint. New credentials of a withdrawn restart
// stay. The first offer cannot be withdrawn: its call ends.
func (e *Endpoint) Rollback() error {
	if e.pending == nil {
		return errors.New("there is no re-offer to roll back")
	}
	e.pending = nil
	return nil
}

// Servers implements endpoint.Endpoint. An older TURN client keeps its allocation.
func (e *Endpoint) Servers(list []signaling.ICEServer) error {
	if e.older != nil {
		return nil
	}
	e.dialer.Servers(list)
	configuration := e.pc.GetConfiguration()
	configuration.ICEServers = servers(list)
	if err := e.pc.SetConfiguration(configuration); err != nil {
		return fmt.Errorf("ICE servers: %w", err)
	}
	return nil
}

// Add implements endpoint.Endpoint.
func (e *Endpoint) Add(c signaling.Candidate) error {
	err := e.pc.AddICECandidate(webrtc.ICECandidateInit{
		Candidate:        c.Candidate,
		SDPMid:           c.SDPMid,
		SDPMLineIndex:    c.SDPMLineIndex,
		UsernameFragment: c.UsernameFragment,
	})
	if err != nil {
		return fmt.Errorf("remote candidate %q: %w", c.Candidate, err)
	}
	return nil
}

// Senders implements endpoint.Endpoint.
func (e *Endpoint) Senders() []endpoint.Sender {
	out := make([]endpoint.Sender, 0, len(e.senders))
	for _, s := range e.senders {
		out = append(out, s)
	}
	return out
}

// Control implements endpoint.Endpoint.
func (e *Endpoint) Control(packets ...rtcp.Packet) error { return e.pc.WriteRTCP(packets) }

// Close implements endpoint.Endpoint.
func (e *Endpoint) Close() error {
	e.dialer.Close()
	if e.pc == nil {
		return e.older.Close()
	}
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	err := e.pc.GracefulClose()
	e.readers.Wait()
	return errors.Join(err, e.older.Close())
}

// sender is one track.
type sender struct {
	endpoint *Endpoint
	format   media.Format
	track    *webrtc.TrackLocalStaticRTP
	rtp      *webrtc.RTPSender
}

func (s *sender) Format() media.Format { return s.format }

func (s *sender) SSRC() uint32 {
	if encodings := s.rtp.GetParameters().Encodings; len(encodings) > 0 {
		return uint32(encodings[0].SSRC)
	}
	return 0
}

func (s *sender) PayloadType() uint8 { return s.format.PayloadType }

// Negotiated implements endpoint.Sender: the other side's m-line receives.
func (s *sender) Negotiated() bool {
	for _, t := range s.endpoint.pc.GetTransceivers() {
		if t.Sender() == s.rtp {
			s.endpoint.mu.Lock()
			defer s.endpoint.mu.Unlock()
			return s.endpoint.takes[t.Mid()]
		}
	}
	return false
}

// Send implements endpoint.Sender. The track writes the negotiated payload type.
func (s *sender) Send(p *rtp.Packet) error { return s.track.WriteRTP(p) }

// Stats implements endpoint.Endpoint.
func (e *Endpoint) Stats() endpoint.Stats {
	pair, ok := e.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok {
		return endpoint.Stats{}
	}
	return endpoint.Stats{RTT: seconds(pair.CurrentRoundTripTime)}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
