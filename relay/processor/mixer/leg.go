package mixer

import (
	"time"

	"github.com/callpath/callpath/relay/processor/codec"
)

// LegConfig is what was negotiated with a participant.
type LegConfig struct {
	// Name is the caller's; it is not looked at.
	Name string
	// Receive has the codec of each payload type that the participant may send. What
	// is not in it is not heard, such as telephone-events.
	Receive map[uint8]codec.Codec
	// Send is the codec in which the participant gets its mix, and PayloadType that of
	// the frames. A Send without a name is for a participant who only speaks.
	Send        codec.Codec
	PayloadType uint8
}

// Leg is a participant's audio.
type Leg struct {
	cfg    LegConfig
	buffer buffer
	// own is the frame that it is heard with now, if it sounds; quiet is for how many
	// frames it has not.
	own    [frame]int16
	sounds bool
	quiet  int
	// loud is the power of its last frames. elected: it is one of those who are heard;
	// heard: it was so in the last frame, or there was nothing to be heard.
	loud           float32
	elected, heard bool
	out            *outlet // nil: it only speaks
	first          uint32  // the tick of its first frame
	sent           bool
	failed         uint64
}

// LegStats count what became of a participant's packets.
type LegStats struct {
	Packets uint64
	Repeats uint64
	Late    uint64 // too late to be heard
	// Ignored were of a payload type that is not heard, or too large.
	Ignored   uint64
	Malformed uint64 // did not decode
	// Concealed is what was made up, and LeftOut what was not played to shorten the
	// delay, in samples at 48 kHz.
	Concealed, LeftOut uint64
	Failed             uint64 // frames that could not be encoded
	// Delay is what the jitter buffer waits now, and Jitter that of arrivals (RFC 3550,
	// section 6.4.1).
	Delay, Jitter time.Duration
}

// Name returns the caller's name for it.
func (l *Leg) Name() string { return l.cfg.Name }

// Sounds says whether the participant is in the mix of the last frame.
func (l *Leg) Sounds() bool { return l.sounds }

// Push gives a packet that the participant has sent to its jitter buffer, which copies
// the payload (without padding). A change of SSRC is said by Restart before it.
func (l *Leg) Push(payloadType uint8, seq uint16, timestamp uint32, payload []byte, now time.Time) {
	l.buffer.push(payloadType, seq, timestamp, payload, now)
}

// Restart forgets what has come of the participant: what comes now is another stream.
func (l *Leg) Restart() { l.buffer.reset() }

// Stats returns the figures.
func (l *Leg) Stats() LegStats {
	s := l.buffer.stats
	s.Failed = l.failed
	s.Delay, s.Jitter = l.buffer.delay(), time.Duration(l.buffer.jitter*float64(time.Second))
	return s
}

const (
	// loudShare is how much of the loudness is the last frame's.
	loudShare = 0.1
	// incumbent is by how much who is heard counts as louder, so that it does not change
	// with each frame.
	incumbent = 4
)

// weigh takes in the loudness of a frame.
func (l *Leg) weigh() {
	var power float32
	if l.sounds {
		for _, s := range &l.own {
			power += float32(s) * float32(s)
		}
	}
	l.loud += (power/frame - l.loud) * loudShare
}

// weight is what a leg is elected by.
func (l *Leg) weight() float32 {
	if l.heard {
		return incumbent * l.loud
	}
	return l.loud
}

// fade makes the frame of a leg silent that is not elected: softly, if it was heard before,
// as it comes back softly.
func (l *Leg) fade() {
	if !l.sounds {
		l.heard = true // what begins is not faded
		return
	}
	switch {
	case l.elected && l.heard:
		return
	case l.elected:
		for i := range l.own {
			l.own[i] = int16(int(l.own[i]) * i / frame)
		}
	case l.heard:
		for i := range l.own {
			l.own[i] = int16(int(l.own[i]) * (frame - i) / frame)
		}
	default:
		l.sounds = false
	}
	l.heard = l.elected
}
