package mixer

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/processor/codec"
)

// Interval is the length of a frame.
const Interval = codec.Frame * time.Millisecond

const (
	// silence is how loud a frame may be, at its loudest sample, to count as nothing: a
	// step of mu-law from nothing is 8.
	silence = 16
	// hangover is for how many frames after its last sound a leg has an encoder of its own:
	// until what that and the shared one remember is the same.
	hangover = 50
	// overdue is how much is left out rather than made up for.
	overdue = 200 * time.Millisecond
)

// Config is how a Mixer works. A field that is 0 has its default.
type Config struct {
	// MinDelay and MaxDelay bound what the jitter buffers wait: 40 ms and 400 ms by
	// default. In between they follow the jitter.
	MinDelay, MaxDelay time.Duration
	// Speakers is how many are heard at once, the loudest ones; 16 by default. It bounds
	// what a mix costs, since each who is heard gets one of its own, and keeps the noise
	// of many open microphones out.
	Speakers int
}

// Mixer mixes one conference. One goroutine uses it and its Legs.
type Mixer struct {
	cfg  Config
	legs []*Leg
	// next is when the next frame is due, and tick its number.
	next    time.Time
	started bool
	tick    uint32
	// sum is that of all legs that sound, and mix what is encoded of it.
	sum [frame]int32
	mix [frame]int16
	// shared encode the mix of those who are silent.
	shared []*share
	frames []Frame
}

// share is the outlet of one codec for all who are silent.
type share struct {
	*outlet
	tick uint32 // of its payload
	some bool
}

// New makes a Mixer without legs.
func New(cfg Config) *Mixer {
	if cfg.MinDelay <= 0 {
		cfg.MinDelay = 2 * Interval
	}
	if cfg.MaxDelay <= 0 {
		cfg.MaxDelay = 20 * Interval
	}
	cfg.MaxDelay = max(cfg.MaxDelay, cfg.MinDelay)
	if cfg.Speakers <= 0 {
		cfg.Speakers = 16
	}
	return &Mixer{cfg: cfg}
}

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

// Add gives the conference a participant.
func (m *Mixer) Add(cfg LegConfig) (*Leg, error) {
	for payloadType, c := range cfg.Receive {
		if _, err := codec.NewResampler(c.Rate, rate); err != nil || c.ClockRate <= 0 || rate%c.ClockRate != 0 {
			return nil, fmt.Errorf("payload type %d: codec %q with %d samples a second on a clock of %d Hz; valid: those of codec.All", payloadType, c.Name, c.Rate, c.ClockRate)
		}
	}
	l := &Leg{cfg: cfg, buffer: newBuffer(cfg, m.cfg.MinDelay, m.cfg.MaxDelay), quiet: hangover}
	if cfg.Send.Name != "" {
		var err error
		if l.out, err = newOutlet(cfg.Send); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(m.shared, func(s *share) bool { return s.codec.Name == cfg.Send.Name }) {
			o, err := newOutlet(cfg.Send)
			if err != nil {
				return nil, err
			}
			m.shared = append(m.shared, &share{outlet: o})
		}
	}
	m.legs = append(m.legs, l)
	return l, nil
}

// Remove takes a participant away, at once. Its Leg must not be used any more then.
func (m *Mixer) Remove(l *Leg) {
	m.legs = slices.DeleteFunc(m.legs, func(other *Leg) bool { return other == l })
}

// Next returns when the next frame is due; the zero time before the first Tick.
func (m *Mixer) Next() time.Time { return m.next }

// Tick mixes the next 20 ms, if they are due, and returns a frame for each leg that
// receives. The first call begins. The caller calls it until ok is false, since more than
// one may be due; after a pause of more than 200 ms what is overdue is left out. The
// slice is good until the next call.
func (m *Mixer) Tick(now time.Time) (frames []Frame, ok bool) {
	if !m.started {
		m.started, m.next = true, now
	}
	late := now.Sub(m.next)
	if late < 0 {
		return nil, false
	}
	if late > overdue {
		left := late / Interval
		m.tick += uint32(left)
		m.next = m.next.Add(left * Interval)
	}
	m.gather(m.next)
	for _, l := range m.legs {
		m.part(l)
	}
	m.frames = m.frames[:0]
	for _, l := range m.legs {
		if l.out == nil {
			continue
		}
		payload, err := m.payload(l)
		if err != nil {
			l.failed++
			continue
		}
		if !l.sent {
			l.first = m.tick
		}
		m.frames = append(m.frames, Frame{
			Leg: l, PayloadType: l.cfg.PayloadType, Marker: !l.sent,
			Timestamp: (m.tick - l.first) * uint32(l.cfg.Send.ClockRate*codec.Frame/1000), Payload: payload,
		})
		l.sent = true
	}
	m.tick++
	m.next = m.next.Add(Interval)
	return m.frames, true
}

// gather takes the next frame of each leg, and adds up those that are heard.
func (m *Mixer) gather(now time.Time) {
	clear(m.sum[:])
	sounding := 0
	for _, l := range m.legs {
		l.sounds = l.buffer.pull(l.own[:], now)
		l.weigh()
		if l.sounds {
			sounding++
		}
	}
	if sounding > m.cfg.Speakers {
		m.elect()
	} else {
		for _, l := range m.legs {
			l.elected = l.sounds
		}
	}
	for _, l := range m.legs {
		l.fade()
		if !l.sounds {
			l.quiet = min(l.quiet+1, hangover)
			continue
		}
		for i, s := range &l.own {
			m.sum[i] += int32(s)
		}
	}
}

// elect chooses the loudest of those who sound.
func (m *Mixer) elect() {
	for _, l := range m.legs {
		l.elected = false
	}
	for range m.cfg.Speakers {
		var best *Leg
		for _, l := range m.legs {
			if l.sounds && !l.elected && (best == nil || l.weight() > best.weight()) {
				best = l
			}
		}
		if best == nil {
			return
		}
		best.elected = true
	}
}

// shares says whether a leg gets the mix that all get who are silent.
func (l *Leg) shares() bool { return l.quiet >= hangover }

// part gives a leg that begins to sound an encoder of its own, which goes on from the
// shared one. That comes before any encodes this frame.
func (m *Mixer) part(l *Leg) {
	begins := l.sounds && l.shares()
	if l.sounds {
		l.quiet = 0
	}
	if !begins || l.out == nil || !l.sent {
		return
	}
	if err := l.out.follow(m.shareOf(l).outlet); err != nil {
		l.failed++
	}
}

func (m *Mixer) shareOf(l *Leg) *share {
	return m.shared[slices.IndexFunc(m.shared, func(s *share) bool { return s.codec.Name == l.cfg.Send.Name })]
}

// payload returns what a leg gets: the sum without its own part, saturated.
func (m *Mixer) payload(l *Leg) ([]byte, error) {
	if !l.shares() {
		for i, s := range &m.sum {
			if l.sounds {
				s -= int32(l.own[i])
			}
			m.mix[i] = saturate(s)
		}
		err := l.out.encode(m.mix[:])
		return l.out.payload, err
	}
	shared := m.shareOf(l)
	if shared.some && shared.tick == m.tick {
		return shared.payload, nil
	}
	if l.sent && shared.some && shared.tick != m.tick-1 {
		// Nobody was silent until now. What this one has heard is what all would have.
		if err := shared.follow(l.out); err != nil {
			return nil, err
		}
	}
	for i, s := range &m.sum {
		m.mix[i] = saturate(s)
	}
	shared.tick, shared.some = m.tick, true
	err := shared.encode(m.mix[:])
	return shared.payload, err
}

func saturate(v int32) int16 { return int16(min(max(v, math.MinInt16), math.MaxInt16)) }
