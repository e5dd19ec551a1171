package mixer

import (
	"time"

	"github.com/callpath/callpath/relay/processor/codec"
)

// Interval is the length of a frame.
const Interval = codec.Frame * time.Millisecond

// Config is how a Mixer works. A field that is 0 has its default.
type Config struct {
	// MinDelay and MaxDelay bound what the jitter buffers wait: 40 ms and 400 ms by
	// default. In between they follow the jitter.
	MinDelay, MaxDelay time.Duration
}

// Mixer mixes one conference. One goroutine uses it and its Legs.
type Mixer struct{ cfg Config }

// New makes a Mixer without legs.
func New(cfg Config) *Mixer { return &Mixer{cfg: cfg} }

// LegConfig is what was negotiated with a participant.
type LegConfig struct {
	// Name is the caller's; it is not looked at.
	Name string
	// Receive has the codec of each payload type that the participant may send. What
	// is not in it is dropped.
	Receive map[uint8]codec.Codec
	// Send is the codec in which the participant gets its mix, and PayloadType that of
	// the frames. A Send without a name is for a participant who only speaks.
	Send        codec.Codec
	PayloadType uint8
}

// Leg is a participant's audio.
type Leg struct{ cfg LegConfig }

// Name returns the caller's name for it.
func (l *Leg) Name() string { return l.cfg.Name }

// Add gives the conference a participant.
func (m *Mixer) Add(cfg LegConfig) (*Leg, error) { return &Leg{cfg: cfg}, nil }

// Remove takes a participant away, at once. Its Leg must not be used any more then.
func (m *Mixer) Remove(l *Leg) {}

// Push gives a packet that the participant has sent to its jitter buffer, which copies
// the payload. A change of SSRC is said by Restart before it.
func (l *Leg) Push(payloadType uint8, seq uint16, timestamp uint32, payload []byte, now time.Time) {}

// Restart forgets what has come of the participant: what comes now is another stream.
func (l *Leg) Restart() {}

// Frame is what is to be sent to a participant: 20 ms of its mix.
type Frame struct {
	Leg         *Leg
	PayloadType uint8
	// Marker is set on the first frame of a leg (RFC 3551, section 4.1).
	Marker bool
	// Timestamp counts from 0 in the codec's RTP clock. Sequence numbers are the
	// caller's: one more with each frame.
	Timestamp uint32
	// Payload may be shared with other frames, and is good until the next Tick.
	Payload []byte
}

// Tick mixes the next 20 ms, if they are due, and returns a frame for each leg that
// receives. The caller calls it until ok is false, since more than one may be due; after a
// pause of more than 200 ms what is overdue is left out. The slice is good until the
// next call.
func (m *Mixer) Tick(now time.Time) (frames []Frame, ok bool) { return nil, false }

// Next returns when the next frame is due; the zero time before the first Tick.
func (m *Mixer) Next() time.Time { return time.Time{} }

// LegStats count what became of a participant's packets.
type LegStats struct {
	Packets   uint64
	Repeats   uint64
	Late      uint64 // too late to be heard
	Malformed uint64 // did not decode, or of a payload type that was not negotiated
	Concealed uint64 // samples at 48 kHz that were made up
	// Delay is what the jitter buffer waits now, and Jitter that of arrivals (RFC 3550,
	// section 6.4.1).
	Delay, Jitter time.Duration
}

// Stats returns the figures of a leg.
func (l *Leg) Stats() LegStats { return LegStats{} }
