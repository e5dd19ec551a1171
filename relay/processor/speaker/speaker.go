package speaker

import (
	"math/bits"
	"time"
)

// Speaker is one who can speak: a stream of audio.
type Speaker struct {
	// Name is the caller's; it is not looked at.
	Name string

	d *Detector
	// unit is the one that is being gathered, and steps the loudest of it; heard says
	// that a packet came in it.
	unit  int64
	steps int
	heard bool
	// last is what the last packet said, and since the unit that it came in.
	last  int
	since int64
	// floor is the noise below which nothing is voice, in dB over silence.
	floor float64
	// voiced: the client has set the flag V before, so that its absence means something.
	voiced bool
	// active has a bit for each of the last units, the newest the lowest: loud enough.
	active uint64
	// now are the steps of the newest complete unit, and loudness is their average.
	now      int
	loudness float64
}

// How levels become steps: what is over the floor by margin dB is worth one step for each
// stepSize dB. A unit is active from activeSteps on.
const (
	quietest    = 57 // of floors, in dB over silence: -70 dBov
	margin      = 6
	stepSize    = 2.5
	mostSteps   = 13
	activeSteps = 5
	// floorRise is how fast the floor follows noise upwards, in dB each second; down it
	// goes at once. Between two words of speech is enough silence to hold it down.
	floorRise = 2
	// smoothing is the time constant of loudness.
	smoothing = 400 * time.Millisecond
)

// Level says what a packet's audio level extension says: level is in -dBov, from 0 (the
// loudest) to 127 (silence); a larger one counts as 127. voice is the flag V, which is false where the client does
// not know.
func (s *Speaker) Level(level uint8, voice bool, now time.Time) {
	s.advance(s.d.unitOf(now))
	over := float64(127 - min(level, 127))
	s.floor = min(s.floor, max(over, quietest))
	steps := min(max(int((over-s.floor-margin)/stepSize), 0), mostSteps)
	if voice {
		s.voiced = true
	} else if s.voiced {
		steps /= 2
	}
	s.steps = max(s.steps, steps)
	s.last, s.since, s.heard = steps, s.unit, true
}

// Silent says that the speaker is muted, so that it is silent at once.
func (s *Speaker) Silent() {
	s.active, s.now, s.loudness = 0, 0, 0
	s.steps, s.last, s.heard = 0, 0, false
}

// advance completes the units before unit.
func (s *Speaker) advance(unit int64) {
	if unit-s.unit > memory {
		s.active, s.now, s.loudness, s.steps, s.last = 0, 0, 0, 0, 0
		s.unit, s.heard = unit, false
		return
	}
	for ; s.unit < unit; s.unit++ {
		if !s.heard && s.unit-s.since <= s.d.silence {
			s.steps = s.last // packets of more than one unit, or one was lost
		}
		s.active <<= 1
		if s.steps >= activeSteps {
			s.active |= 1
		}
		s.now = s.steps
		s.loudness += (float64(s.steps) - s.loudness) * s.d.share
		if s.heard {
			s.floor = min(s.floor+s.d.rise, 127)
		}
		s.steps, s.heard = 0, false
	}
}

// medium returns how many of the last few units were active: those of a syllable or two.
func (s *Speaker) medium() int { return bits.OnesCount64(s.active & (1<<mediumUnits - 1)) }

// long returns how many of the last second's blocks of units had voice in most of them.
func (s *Speaker) long() int {
	n := 0
	for block := range longBlocks {
		if bits.OnesCount64(s.active>>(block*mediumUnits)&(1<<mediumUnits-1)) > mediumUnits/2 {
			n++
		}
	}
	return n
}

// ParseLevel reads an audio level (RFC 6464, section 3), the first byte of its element.
// In the two-byte form of header extensions some senders pad it.
func ParseLevel(b byte) (level uint8, voice bool) { return b & 0x7f, b&0x80 != 0 }
