package negotiation

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Config configures a Recorder. The zero Config records without events.
type Config struct {
	// Leg names the endpoint whose interface is read.
	Leg string
	// Log gets one line per event; nil discards.
	Log *slog.Logger
	// OnEvent gets each event; nil discards. It must not call the Recorder.
	OnEvent func(Event)
	// Keys allows SRTP keys to be derived from KeyLog lines, so that packets can
	// be verified. Keys stay in memory: no record, event or log line has them.
	Keys bool
}

// Event is one thing that happened. Name is one of the Event constants.
type Event struct {
	Time  time.Time
	Leg   string
	Name  string
	Attrs []slog.Attr
}

// Recorder makes a Record of what it is shown. All methods may be called from
// several goroutines; it has none of its own.
type Recorder struct {
	cfg Config

	mu sync.Mutex
}

// NewRecorder returns a Recorder of one leg.
func NewRecorder(cfg Config) *Recorder { return &Recorder{cfg: cfg} }

// Packet takes one IP packet at the leg's host interface.
func (r *Recorder) Packet(t time.Time, outbound bool, packet []byte) {}

// Stream takes a piece of the plaintext of a TLS connection to the relay.
func (r *Recorder) Stream(t time.Time, outbound bool, local, remote netip.AddrPort, protocol string, data []byte) {
}

// Description takes an offer or answer as it was exchanged; kind is "offer",
// "pranswer" or "answer".
func (r *Recorder) Description(local bool, kind, sdp string) {}

// Candidate takes a trickled candidate line (RFC 8839, section 5.1).
func (r *Recorder) Candidate(local bool, line string) {}

// Selected takes the pair that the ICE agent says it uses.
func (r *Recorder) Selected(local, remote Candidate, why string) {}

// KeyLog takes one line of an NSS key log.
func (r *Recorder) KeyLog(line string) {}

// Write implements io.Writer: each line of p is given to KeyLog.
func (r *Recorder) Write(p []byte) (int, error) { return len(p), nil }

// ClockRate tells the clock of a payload type, without which there is no jitter.
func (r *Recorder) ClockRate(payloadType uint8, hz uint32) {}

// Failure takes what a stack reported: layer is "ice", "turn", "dtls" or "srtp".
func (r *Recorder) Failure(layer, text string) {}

// Record returns what is known so far; it is the caller's own copy.
func (r *Recorder) Record() Record { return Record{Leg: r.cfg.Leg} }
