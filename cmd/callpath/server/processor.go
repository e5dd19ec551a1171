package server

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/signaling"
)

// host is the media processor with what joins it to signaling: offers that the
// controller lets through come in, and layouts go out to it.
type host struct {
	processor *processor.Processor
	sockets   []net.PacketConn
	// candidates are where clients, and the relay for them, reach it.
	candidates []netip.AddrPort
	// changed has an element when somebody's media has ended.
	changed chan struct{}

	// legs are the recorders of the negotiation log.
	mu   sync.Mutex
	legs map[leg]*negotiation.Recorder
	made int
}

// leg is one participant's at the media processor.
type leg struct{ conference, participant string }

var _ signaling.MediaProcessor = (*host)(nil)

// openProcessor opens the processor's sockets; nil when the configuration has none.
// Its Run ends them.
func (s *Server) openProcessor(ctx context.Context) (*host, error) {
	if !s.cfg.hosting() {
		return nil, nil
	}
	h := &host{changed: make(chan struct{}, 1), legs: map[leg]*negotiation.Recorder{}}
	cfg := s.cfg.processorConfig()
	// Those of one family, then as many of the other: the processor pairs them.
	for _, a := range s.cfg.processorAddresses(s.sockets.addresses) {
		for _, port := range s.cfg.Processor.UDP {
			lc := net.ListenConfig{Control: receiveBuffer(listenBuffer)}
			pc, err := lc.ListenPacket(ctx, "udp"+familyOf(a), netip.AddrPortFrom(a, port).String())
			if err != nil {
				h.close()
				return nil, err
			}
			h.sockets = append(h.sockets, pc)
			h.candidates = append(h.candidates, s.cfg.processorPublic(addrPort(pc.LocalAddr())))
		}
	}
	cfg.Sockets, cfg.Public = h.sockets, h.candidates
	cfg.OnLayout = func(l processor.Layout) {
		slots := make([]signaling.Slot, len(l.Slots))
		for i, slot := range l.Slots {
			slots[i] = signaling.Slot{Mid: slot.Mid, Kind: slot.Kind, Participant: slot.Participant}
		}
		s.controller.MediaLayout(l.Conference, l.Participant, slots)
	}
	cfg.OnEvent = func(e processor.Event) {
		s.metrics.hosted(e)
		s.audit.processor(e)
		h.happened(e)
	}
	if log := s.negotiation.processor(); log != nil {
		cfg.Recorder = func(conference, participant string) *negotiation.Recorder {
			return h.record(leg{conference, participant}, log)
		}
	}
	// The audit has the events.
	cfg.Log = slog.New(slog.DiscardHandler)
	var err error
	if h.processor, err = processor.New(cfg); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// close closes the sockets; Run has done so when it has run.
func (h *host) close() {
	if h == nil {
		return
	}
	for _, pc := range h.sockets {
		_ = pc.Close()
	}
}

// run runs the processor until ctx ends, and then ends the log of the legs that are
// left.
func (h *host) run(ctx context.Context) error {
	err := h.processor.Run(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, recorder := range h.legs {
		recorder.Tell()
	}
	clear(h.legs)
	return err
}

// services are what the relay opens for its clients.
func (h *host) services() []netip.AddrPort {
	if h == nil {
		return nil
	}
	return h.candidates
}

// Join implements signaling.MediaProcessor.
func (h *host) Join(ctx context.Context, conference, participant, offer string, mix bool) (string, error) {
	return h.processor.Join(ctx, processor.Join{Conference: conference, Participant: participant, Offer: offer, Mix: mix})
}

// Leave implements signaling.MediaProcessor.
func (h *host) Leave(conference, participant string) { h.processor.Leave(conference, participant) }

// End implements signaling.MediaProcessor.
func (h *host) End(conference string) { h.processor.End(conference) }

// gone are the events after which a participant's leg is no more.
var gone = map[processor.EventKind]bool{
	processor.EventLeft:        true,
	processor.EventConsent:     true,
	processor.EventFingerprint: true,
	processor.EventFailed:      true,
}

// happened ends the log of a leg that has ended, and says that it has.
func (h *host) happened(e processor.Event) {
	if !gone[e.Kind] {
		return
	}
	h.mu.Lock()
	at := leg{e.Conference, e.Participant}
	recorder := h.legs[at]
	delete(h.legs, at)
	h.mu.Unlock()
	if recorder != nil {
		recorder.Tell()
	}
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// record begins the log of a leg, which has a name of its own and no user's.
func (h *host) record(at leg, log *slog.Logger) *negotiation.Recorder {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before := h.legs[at]; before != nil {
		before.Tell()
	}
	h.made++
	r := negotiation.NewRecorder(negotiation.Config{Leg: "processor-" + strconv.Itoa(h.made), Log: log, Brief: true})
	h.legs[at] = r
	return r
}

// drain waits until nobody has media any more, or ctx ends, and returns how many are
// left.
func (h *host) drain(ctx context.Context) int {
	if h == nil {
		return 0
	}
	for {
		left := h.processor.Stats().Participants
		if left == 0 {
			return 0
		}
		select {
		case <-h.changed:
		case <-ctx.Done():
			return left
		}
	}
}

// processors are those of the controller.
func (h *host) processors() map[string]signaling.MediaProcessor {
	if h == nil {
		return nil
	}
	return map[string]signaling.MediaProcessor{"": h}
}

// kept are the kinds of event that are security decisions, and how they were decided.
var kept = map[processor.EventKind]bool{
	processor.EventNegotiated:  true,
	processor.EventFingerprint: false,
	processor.EventFailed:      false,
}

// ruleFingerprint decides on a participant's media: the certificate is that of the
// offer.
const ruleFingerprint = "fingerprint"

// processor records an event of the media processor.
func (a audit) processor(e processor.Event) {
	allowed, decides := kept[e.Kind]
	attrs := []slog.Attr{slog.String("event", "audit"), slog.String("part", "processor"), slog.String("what", string(e.Kind))}
	for _, f := range []struct{ key, value string }{{"user", e.Participant}, {"meeting", e.Conference}, {"reason", e.Reason}} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	if e.Remote.IsValid() {
		attrs = append(attrs, slog.String("client", e.Remote.String()))
	}
	if n := e.Negotiated; n != nil {
		attrs = append(attrs, slog.String("version", n.Version), slog.String("cipher_suite", n.CipherSuite),
			slog.String("srtp_profile", n.SRTPProfile), slog.String("fingerprint", n.Fingerprint))
	}
	if !decides {
		a.log.LogAttrs(context.Background(), slog.LevelDebug, "processor", attrs...)
		return
	}
	a.write(allowed, append(attrs, slog.Bool("allowed", allowed), slog.String("rule", ruleFingerprint)))
}
