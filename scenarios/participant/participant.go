package participant

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/result"
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
	// OnStep is told of the documented steps that the participant itself does:
	// resolve, allocate-caller or -callee, checks and telemetry, without flows.
	// It is called from several goroutines, and must return soon.
	OnStep func(result.Step)
	// Log is discarded when nil.
	Log *slog.Logger
}

// Participant is one client in one call. Its methods may be called from several
// goroutines; whoever made it closes it.
type Participant struct {
	cfg Config
}

// New checks cfg; it opens no connection.
func New(cfg Config) (*Participant, error) { return &Participant{cfg: cfg}, nil }

// SignIn looks the controller's name up, signs in and connects the notifications:
// from then on the user can be called.
func (p *Participant) SignIn(ctx context.Context) error { return nil }

// Call gathers candidates and sends an invite.
func (p *Participant) Call(ctx context.Context, callee string) error { return nil }

// AwaitInvite waits until somebody calls.
func (p *Participant) AwaitInvite(ctx context.Context) error { return nil }

// Answer accepts the invite that AwaitInvite waited for.
func (p *Participant) Answer(ctx context.Context) error { return nil }

// Reject declines the invite that AwaitInvite waited for.
func (p *Participant) Reject(ctx context.Context, reason string) error { return nil }

// AwaitMedia waits for the first intact packet of each kind of media that the
// other side sends. Its error says how far the call came.
func (p *Participant) AwaitMedia(ctx context.Context) error { return nil }

// Hold asks the other side to stop sending (RFC 3264, section 8.4), and sends
// silence meanwhile.
func (p *Participant) Hold(ctx context.Context) error { return nil }

// Resume ends Hold.
func (p *Participant) Resume(ctx context.Context) error { return nil }

// Mute sends silence in place of audio, and no video.
func (p *Participant) Mute() {}

// Unmute ends Mute.
func (p *Participant) Unmute() {}

// Hangup ends the call in any state.
func (p *Participant) Hangup(ctx context.Context, reason string) error { return nil }

// RestartICE renegotiates with new ICE credentials (RFC 8445, section 9).
func (p *Participant) RestartICE(ctx context.Context) error { return nil }

// NetworkChanged is called when the host has moved to another network: it
// connects to the controller again and restarts ICE.
func (p *Participant) NetworkChanged(ctx context.Context) error { return nil }

// Ended is true once the call has ended, with the reason.
func (p *Participant) Ended() (bool, string) { return false, "" }

// Telemetry sends what was measured to the controller.
func (p *Participant) Telemetry(ctx context.Context) error { return nil }

// Result is what the participant did and saw so far. Flows, SignalingFlows and
// Relayed are left to who sees the packets.
func (p *Participant) Result() result.Participant { return result.Participant{} }

// Close ends media, connections and goroutines, and waits for them. It does not
// hang up.
func (p *Participant) Close() error { return nil }
