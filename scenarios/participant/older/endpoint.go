package older

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/olderturn"
	"github.com/callpath/callpath/signaling"
)

// Endpoint is an ICE agent with DTLS and SRTP on it.
type Endpoint struct {
	cfg         endpoint.Config
	agent       *ice.Agent
	dialer      *endpoint.Dialer
	turn        *olderturn.Allocation // nil: the agent's own TURN client
	loggers     *endpoint.Loggers
	certificate tls.Certificate
	formats     []media.Format
	sent        []media.Format
	senders     []*sender
	chain       interceptor.Interceptor
	control     interceptor.RTCPWriter // to the other side
	inbound     interceptor.RTCPReader // from it, for what is in packet

	// ctx ends with Close; running are the goroutines that then end.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	// What negotiates is called by one goroutine at a time; it alone uses these.
	local    local
	offering bool // an offer of this side waits for its answer
	started  bool

	mu       sync.Mutex
	remote   *remote // the last that was applied
	lines    []line  // as agreed
	secured  *secured
	gathered []string
}

var _ endpoint.Endpoint = (*Endpoint)(nil)

// New builds an endpoint; nothing is gathered or sent before Offer or Answer, apart
// from the allocation of an older TURN client.
func New(ctx context.Context, cfg endpoint.Config) (*Endpoint, error) {
	e := &Endpoint{cfg: cfg, dialer: endpoint.NewDialer(cfg), loggers: endpoint.NewLoggers(cfg.Log, nil)}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.build(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Offer implements endpoint.Endpoint.
func (e *Endpoint) Offer(restart bool) (string, error) {
	lines := e.agreed()
	if lines == nil {
		lines = offered(e.formats, e.sent)
		e.agree(lines)
	}
	if err := e.gather(restart, !e.started && e.local.ufrag == ""); err != nil {
		return "", err
	}
	e.offering = true
	return e.write("actpass", lines), nil
}

// gather begins a generation of candidates when it is the first, or a restart.
func (e *Endpoint) gather(restart, first bool) error {
	if restart && !first {
		e.mu.Lock()
		e.gathered = nil
		e.mu.Unlock()
		if err := e.agent.Restart("", ""); err != nil {
			return fmt.Errorf("ICE restart: %w", err)
		}
	}
	var err error
	if e.local.ufrag, e.local.pwd, err = e.agent.GetLocalUserCredentials(); err != nil {
		return fmt.Errorf("ICE credentials: %w", err)
	}
	if restart || first {
		if err := e.agent.GatherCandidates(); err != nil {
			return fmt.Errorf("gather: %w", err)
		}
	}
	return nil
}

func (e *Endpoint) write(setup string, lines []line) string {
	e.local.setup = setup
	e.local.version++
	e.mu.Lock()
	e.local.candidates = slices.Clone(e.gathered)
	e.mu.Unlock()
	return e.local.write(lines)
}

// Answer implements endpoint.Endpoint.
func (e *Endpoint) Answer(offer string) (string, error) {
	r, err := parse(offer)
	if err != nil {
		return "", err
	}
	lines := slices.Clone(r.lines)
	for i := range lines {
		lines[i].sends = lines[i].wanted && slices.ContainsFunc(e.sent, func(f media.Format) bool {
			_, ok := lines[i].payloadType(f.Codec)
			return ok
		})
		lines[i].refused = lines[i].refused || len(lines[i].order) == 0
	}
	first := !e.started
	restart := !first && r.ufrag != e.peer().ufrag
	if err := e.gather(restart, first); err != nil {
		return "", err
	}
	e.agree(lines)
	if err := e.apply(r, restart); err != nil {
		return "", err
	}
	setup := e.role()
	if first {
		e.start(false, setup == "active")
	}
	return e.write(setup, lines), nil
}

// role is what this side answers for a=setup. It keeps it in later answers: the
// DTLS association goes on (RFC 8842, section 5.5).
func (e *Endpoint) role() string {
	switch {
	case e.started && e.local.setup != "" && e.local.setup != "actpass":
		return e.local.setup
	case e.cfg.Spec.DTLS.Setup != "":
		return e.cfg.Spec.DTLS.Setup
	}
	return "active"
}

// Accept implements endpoint.Endpoint.
func (e *Endpoint) Accept(answer string) error {
	r, err := parse(answer)
	if err != nil {
		return err
	}
	if !e.offering {
		return errors.New("an answer without an offer")
	}
	e.offering = false
	lines := e.agreed()
	if len(r.lines) != len(lines) {
		return fmt.Errorf("the answer has %d m-lines and the offer %d", len(r.lines), len(lines))
	}
	lines = slices.Clone(lines)
	for i, l := range r.lines {
		lines[i].wanted = l.wanted
	}
	e.agree(lines)
	first := !e.started
	if err := e.apply(r, !first && r.ufrag != e.peer().ufrag); err != nil {
		return err
	}
	if first {
		e.start(true, r.setup == "passive")
	}
	return nil
}

// apply takes the other side's description; restart says that its credentials are
// new.
func (e *Endpoint) apply(r *remote, restart bool) error {
	e.mu.Lock()
	e.remote = r
	e.mu.Unlock()
	if restart {
		if err := e.agent.SetRemoteCredentials(r.ufrag, r.pwd); err != nil {
			return fmt.Errorf("remote credentials: %w", err)
		}
	}
	for _, c := range r.candidates {
		if err := e.Add(signaling.Candidate{Candidate: c}); err != nil {
			return err
		}
	}
	return nil
}

// Rollback implements endpoint.Endpoint. New credentials of a withdrawn restart
// stay; the next offer has them.
func (e *Endpoint) Rollback() error {
	e.offering = false
	return nil
}

// Servers implements endpoint.Endpoint. An older TURN client keeps its allocation.
func (e *Endpoint) Servers(list []signaling.ICEServer) error {
	if e.turn != nil {
		return nil
	}
	e.dialer.Servers(list)
	urls, err := uris(list)
	if err != nil {
		return err
	}
	return e.agent.UpdateOptions(ice.WithUrls(urls))
}

// Add implements endpoint.Endpoint.
func (e *Endpoint) Add(c signaling.Candidate) error {
	line := strings.TrimPrefix(c.Candidate, "candidate:")
	if line == "" {
		return nil
	}
	parsed, err := ice.UnmarshalCandidate(line)
	if err != nil {
		return fmt.Errorf("remote candidate %q: %w", c.Candidate, err)
	}
	if ufrag, ok := parsed.GetExtension("ufrag"); ok && ufrag.Value != e.peer().ufrag {
		return nil // of a generation that is over (RFC 8838, section 12)
	}
	return e.agent.AddRemoteCandidate(parsed)
}

func (e *Endpoint) peer() remote {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.remote == nil {
		return remote{}
	}
	return *e.remote
}

func (e *Endpoint) agreed() []line {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lines
}

func (e *Endpoint) agree(lines []line) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = lines
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
func (e *Endpoint) Control(packets ...rtcp.Packet) error {
	_, err := e.control.Write(packets, interceptor.Attributes{})
	return err
}

// Stats implements endpoint.Endpoint.
func (e *Endpoint) Stats() endpoint.Stats {
	pair, ok := e.agent.GetSelectedCandidatePairStats()
	if !ok {
		return endpoint.Stats{}
	}
	return endpoint.Stats{RTT: seconds(pair.CurrentRoundTripTime)}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Close implements endpoint.Endpoint.
func (e *Endpoint) Close() error {
	e.cancel()
	e.dialer.Close()
	var errs []error
	if e.chain != nil {
		errs = append(errs, e.chain.Close())
	}
	e.mu.Lock()
	up := e.secured
	e.mu.Unlock()
	if up != nil {
		// It tells the other side (RFC 6347, section 4.1.2.7), if there is a path.
		_ = up.dtls.Close()
	}
	if e.agent != nil {
		errs = append(errs, e.agent.GracefulClose())
	}
	e.running.Wait()
	return errors.Join(append(errs, e.turn.Close())...)
}

// candidate is told of each gathered one; nil is the end.
func (e *Endpoint) candidate(c ice.Candidate) {
	if c == nil {
		e.cfg.Events.Candidate(signaling.Candidate{})
		return
	}
	line := e.turn.Relabel("candidate:" + c.Marshal())
	e.mu.Lock()
	e.gathered = append(e.gathered, line)
	e.mu.Unlock()
	mid, index := "0", uint16(0)
	e.cfg.Events.Candidate(signaling.Candidate{Candidate: line, SDPMid: &mid, SDPMLineIndex: &index})
}

func (e *Endpoint) selected(l, r ice.Candidate) {
	e.cfg.Events.Selected(e.turn.Candidate(converted(l)), converted(r))
}

func converted(c ice.Candidate) negotiation.Candidate {
	out := negotiation.Candidate{
		Type:       c.Type().String(),
		Address:    addrPort(c.Address(), c.Port()),
		Protocol:   c.NetworkType().NetworkShort(),
		Priority:   c.Priority(),
		Foundation: c.Foundation(),
	}
	if related := c.RelatedAddress(); related != nil {
		out.Related = addrPort(related.Address, related.Port)
	}
	if relay, ok := c.(interface{ RelayProtocol() string }); ok {
		out.RelayProtocol = relay.RelayProtocol()
	}
	return out
}
