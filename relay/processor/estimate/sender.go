package estimate

import (
	"time"

	"github.com/pion/rtcp"
)

// Config bounds an estimate. Rates are in bit/s. A field that is 0 has its default.
type Config struct {
	Initial uint64 // 300 kbit/s
	Min     uint64 // 30 kbit/s
	Max     uint64 // 50 Mbit/s
}

// Sender estimates the path to one receiver.
type Sender struct{ cfg Config }

// NewSender makes a Sender.
func NewSender(cfg Config) *Sender { return &Sender{cfg: cfg} }

// Next returns the transport-wide sequence number for a packet of so many bytes (as
// sealed) that is sent now. probe says that it is sent because of Probe.
func (s *Sender) Next(bytes int, probe bool, now time.Time) uint16 { return 0 }

// Feedback takes in a transport-wide congestion control packet: one RTCP packet with its
// header, opened. The error says what is malformed; then nothing of it is taken in.
func (s *Sender) Feedback(packet []byte, now time.Time) error { return nil }

// REMB takes in a receiver's estimated maximum bitrate, in bit/s. It holds for 5 s.
func (s *Sender) REMB(bitrate uint64, now time.Time) {}

// Loss takes in the fraction lost of a receiver report's block (RFC 3550, section 6.4.1;
// in 1/256). It counts only while no transport-wide feedback comes.
func (s *Sender) Loss(fraction uint8, now time.Time) {}

// Want says how much the receiver could use, in bit/s: the sum of the best layers of all
// its slots. Nothing is probed for beyond it.
func (s *Sender) Want(bitrate uint64) {}

// Probe says whether to send more for a moment, and what. It is called every 10 ms or so
// while the receiver could use more than the estimate. While a probe goes on it
// returns false.
func (s *Sender) Probe(now time.Time) (p Probe, ok bool) { return Probe{}, false }

// Probe is what to send beside the media: packets that have Bytes together, within
// Duration, at a steady pace. It may be padding (RFC 3550, section 5.1) in a
// retransmission stream, or old packets again there. Media that is sent meanwhile is a
// part of it.
type Probe struct {
	Rate     uint64 // bit/s, with the media
	Bytes    int
	Duration time.Duration
}

// Bitrate returns the estimate in bit/s, as of now.
func (s *Sender) Bitrate(now time.Time) uint64 { return s.cfg.Initial }

// RTT returns the round-trip time as feedback shows it, which includes how long the
// receiver gathers feedback; 0 when it is not known.
func (s *Sender) RTT() time.Duration { return 0 }

// Stats are for humans and tests.
type Stats struct {
	// Delay, Loss and REMB are the bounds by the three, in bit/s; 0 when there is none.
	Delay, LossBased, REMB uint64
	// Delivered is what arrived in the last half second, in bit/s.
	Delivered uint64
	// Lost is the part of the packets that did not arrive, from 0 to 1, smoothed.
	Lost float64
	// Overuses counts how often delay had grown too much.
	Overuses uint64
	Probes   uint64
	// Malformed and Unknown count feedback: packets that were malformed, and sequence
	// numbers that are too old or were never sent.
	Malformed, Unknown uint64
}

// Stats returns the figures.
func (s *Sender) Stats() Stats { return Stats{} }

// ParseREMB reads the bitrate of a REMB packet: one RTCP packet with its header, opened.
// ok is false when it is not one, or malformed.
func ParseREMB(packet []byte) (bitrate uint64, ok bool) { return 0, false }

// Recorder makes the feedback for one publisher's transport.
type Recorder struct{}

// NewRecorder makes a Recorder. ssrc is what the feedback has as its sender.
func NewRecorder(ssrc uint32) *Recorder { return &Recorder{} }

// Record says that a packet with a transport-wide sequence number has come. ssrc is its
// stream's.
func (r *Recorder) Record(ssrc uint32, seq uint16, now time.Time) {}

// Build appends the feedback for what has come since the last call: nothing when nothing
// has. It is called every 50 to 100 ms; it allocates.
func (r *Recorder) Build(to []rtcp.Packet) []rtcp.Packet { return to }
