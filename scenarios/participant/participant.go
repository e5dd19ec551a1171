package participant

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/scenarios/participant/modern"
	"github.com/callpath/callpath/scenarios/participant/older"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/topology/sim/host"
)

// Config configures a Participant. Spec, Host, Signaling, User, Secret, Recorder
// and Ledger are required.
type Config struct {
	// Spec is what the scenario says of the participant.
	Spec language.Participant
	// Host is where it runs; all its sockets are the host's.
	Host *host.Host
	// Signaling is the controller's base URL, for example
	// "https://signaling.callpath.test".
	Signaling string
	// RootCAs verifies the controller and the relay's TLS.
	RootCAs *x509.CertPool
	// User and Secret sign in.
	User, Secret string
	// Recorder gets the leg's descriptions, candidates, selected pair, key log
	// and the plaintext of TLS connections to the relay.
	Recorder *negotiation.Recorder
	// Ledger is shared by the run: it knows who sent what.
	Ledger *media.Ledger
	// KeyLog gets NSS key log lines too; nil discards them.
	KeyLog io.Writer
	// Seed makes where in its media files the participant begins repeatable.
	Seed uint64
	// Start is the beginning of the run, to which times in results refer; now
	// when zero.
	Start time.Time
	// Conference says how many of each kind of media the participant takes at once
	// from a media processor.
	Conference endpoint.Conference
	// OnNotification, when not nil, gets each notification of meetings, groups and
	// chats, in order, after the participant has heeded it. It must return soon.
	OnNotification func(signaling.Notification)
	// OnStep is told of the documented steps that the participant itself does:
	// resolve, allocate-caller or -callee, checks and telemetry, without flows.
	// It is called from several goroutines, and must return soon.
	OnStep func(result.Step)
	// Log is discarded when nil.
	Log *slog.Logger
}

// Participant is one client, in at most one call at a time. Its methods may be
// called from several goroutines; whoever made it closes it.
type Participant struct {
	cfg     Config
	log     *slog.Logger
	machine endpoint.Machine
	client  *signaling.Client
	// ctx ends with Close; running are the goroutines that then end.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	// turn is held, as its one token, by who negotiates: by whoever makes an
	// offer until it is answered, and by the reader of notifications for what
	// the other side sends.
	turn chan struct{}

	mu sync.Mutex
	// changed is closed, and replaced, when anything below or in the session
	// changes.
	changed  chan struct{}
	resolved *result.Step
	invite   *signaling.Notification // the last one that was not taken yet
	session  *session                // the call, also after its end; nil before
	muted    bool
	joined   *conference // the meeting or group that it is in, or waits to get into
	// listening is true once the right to send is lost.
	listening bool
	broken    chan struct{} // holds one token when the media of a conference is lost
}

// New checks cfg; it opens no connection.
func New(cfg Config) (*Participant, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Start.IsZero() {
		cfg.Start = time.Now()
	}
	if cfg.OnNotification == nil {
		cfg.OnNotification = func(signaling.Notification) {}
	}
	if cfg.OnStep == nil {
		cfg.OnStep = func(result.Step) {}
	}
	switch {
	case cfg.Host == nil:
		return nil, errors.New("participant: Host is missing")
	case cfg.Recorder == nil:
		return nil, errors.New("participant: Recorder is missing")
	case cfg.Ledger == nil:
		return nil, errors.New("participant: Ledger is missing")
	}
	return newOn(cfg, cfg.Host)
}

// newOn is New on any machine.
func newOn(cfg Config, machine endpoint.Machine) (*Participant, error) {
	if err := check(cfg.Spec); err != nil {
		return nil, fmt.Errorf("participant %s: %w", cfg.User, err)
	}
	client, err := signaling.NewClient(signaling.ClientConfig{
		BaseURL: cfg.Signaling,
		Dial:    machine.DialContext,
		RootCAs: cfg.RootCAs,
		User:    cfg.User,
		Secret:  cfg.Secret,
		Log:     cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("participant %s: %w", cfg.User, err)
	}
	p := &Participant{
		cfg: cfg, log: cfg.Log, machine: machine, client: client,
		turn: make(chan struct{}, 1), changed: make(chan struct{}), broken: make(chan struct{}, 1),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// check refuses a specification that no endpoint can be built from.
func check(spec language.Participant) error {
	if _, err := endpoint.Sent(spec); err != nil {
		return err
	}
	if _, err := endpoint.Profiles(spec); err != nil {
		return err
	}
	if _, err := endpoint.CipherSuites(spec.DTLS.CipherSuites); err != nil {
		return err
	}
	for _, field := range []struct {
		name, value string
		valid       []string
	}{
		{"ice", spec.ICE, []string{"all", "relay"}},
		{"dtls.stack", spec.DTLS.Stack, []string{"v3", "v2"}},
		{"dtls.setup", spec.DTLS.Setup, []string{"active", "passive"}},
		{"dtls.certificate", spec.DTLS.Certificate, []string{"ecdsa", "rsa"}},
		{"fingerprint", spec.Fingerprint, []string{"right", "wrong"}},
		{"credential", spec.Credential, []string{"valid", "expired", "forged"}},
		{"turn-client", spec.TURNClient, []string{"v5", "v3"}},
	} {
		if err := oneOf(field.name, field.value, field.valid); err != nil {
			return err
		}
	}
	for _, t := range spec.Transports {
		if err := oneOf("transports", t, []string{"udp", "tcp", "tls"}); err != nil {
			return err
		}
	}
	return nil
}

func oneOf(name, value string, valid []string) error {
	if value == "" {
		return nil
	}
	for _, v := range valid {
		if v == value {
			return nil
		}
	}
	return fmt.Errorf("%s is %q; valid: %v", name, value, valid)
}

// open builds the endpoint that the specification asks for.
func (p *Participant) open(ctx context.Context, s *session, servers []signaling.ICEServer) (endpoint.Endpoint, error) {
	cfg := endpoint.Config{
		Spec:     p.cfg.Spec,
		Machine:  p.machine,
		Servers:  servers,
		RootCAs:  p.cfg.RootCAs,
		Recorder: p.cfg.Recorder,
		KeyLog:   p.cfg.KeyLog,
		Events:   s,
		Log:      p.log,
	}
	if s.conference != nil {
		cfg.Conference = &p.cfg.Conference
	}
	if p.Listens() {
		cfg.Spec.Media, cfg.Spec.Screen = []string{}, ""
	}
	if p.cfg.Spec.DTLS.Stack == "v2" {
		return older.New(ctx, cfg)
	}
	return modern.New(ctx, cfg)
}

// Signaling is the participant's connection to the controller, for what it does in
// meetings beside joining and leaving.
func (p *Participant) Signaling() *signaling.Client { return p.client }

// SignIn looks the controller's name up, signs in and connects the notifications:
// from then on the user can be called.
func (p *Participant) SignIn(ctx context.Context) error {
	base, err := url.Parse(p.cfg.Signaling)
	if err != nil {
		return fmt.Errorf("signaling: %w", err)
	}
	addresses, err := p.machine.LookupNetIP(ctx, "ip", base.Hostname())
	if err != nil {
		return fmt.Errorf("look up %s: %w", base.Hostname(), err)
	}
	p.change(func() {
		p.resolved = &result.Step{
			Name: result.StepResolve, At: p.since(time.Now()), From: p.cfg.User, To: "dns",
			Carried: base.Hostname() + " is " + inWords(addresses),
		}
	})
	if err := p.client.SignIn(ctx); err != nil {
		return fmt.Errorf("sign in as %s: %w", p.cfg.User, err)
	}
	if err := p.client.Connect(ctx); err != nil {
		return fmt.Errorf("connect the notifications of %s: %w", p.cfg.User, err)
	}
	p.running.Go(p.read)
	return nil
}

// inWords lists addresses for people.
func inWords(addresses []netip.Addr) string {
	words := make([]string, len(addresses))
	for i, a := range addresses {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// Close ends media, connections and goroutines, and waits for them. It does not
// hang up.
func (p *Participant) Close() error {
	p.cancel()
	err := p.client.Close()
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	if s != nil {
		err = errors.Join(err, s.close())
	}
	p.running.Wait()
	return err
}

// change changes what mu guards and wakes those that wait.
func (p *Participant) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits for a condition on what mu guards; done is called with mu held. An
// error from it ends the wait.
func (p *Participant) until(ctx context.Context, done func() (bool, error)) error {
	for {
		p.mu.Lock()
		met, err := done()
		changed := p.changed
		p.mu.Unlock()
		if met || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ctx.Done():
			return errors.New("the participant is closed")
		}
	}
}

// negotiate takes the turn to negotiate; release gives it back.
func (p *Participant) negotiate(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ctx.Done():
		return errors.New("the participant is closed")
	}
}

func (p *Participant) release() { <-p.turn }

func (p *Participant) since(t time.Time) result.Duration { return result.Duration(t.Sub(p.cfg.Start)) }

// step tells of a documented step that happens now.
func (p *Participant) step(name, to, carried string) {
	p.cfg.OnStep(result.Step{
		Number: result.Number(name), Name: name, At: p.since(time.Now()),
		From: p.cfg.User, To: to, Carried: carried,
	})
}
