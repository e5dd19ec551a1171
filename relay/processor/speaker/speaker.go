package speaker

import "time"

// Config is how a Detector judges. A field that is 0 has its default.
type Config struct {
	// Interval is the unit of time over which levels are gathered; 20 ms by default.
	Interval time.Duration
	// Silence is after how long without a packet a speaker counts as silent; 500 ms by
	// default.
	Silence time.Duration
	// Hold is how long a dominant speaker is at least that, unless it leaves; 1 s by
	// default.
	Hold time.Duration
}

// Detector knows the speakers of one conference.
type Detector struct{ cfg Config }

// Speaker is one who can speak: a stream of audio.
type Speaker struct {
	// Name is the caller's; it is not looked at.
	Name string
}

// New makes a Detector of a conference in which nobody is.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Add makes a Speaker, who has been silent so far.
func (d *Detector) Add(name string) *Speaker { return &Speaker{Name: name} }

// Remove takes a Speaker away. It must not be used any more then. The next Update may
// find another dominant one.
func (d *Detector) Remove(s *Speaker) {}

// Level says what a packet's audio level extension says: level is in -dBov, from 0 (the
// loudest) to 127 (silence); voice is the flag V, which is false where the client does
// not know.
func (s *Speaker) Level(level uint8, voice bool, now time.Time) {}

// Silent says that the speaker is muted, so that it is silent at once.
func (s *Speaker) Silent() {}

// Update judges. It is called at least every 300 ms, and as often as changes should be
// seen; every 100 ms is right. dominant is nil when nobody has spoken yet; changed says
// that it is another one than at the call before.
func (d *Detector) Update(now time.Time) (dominant *Speaker, changed bool) { return nil, false }

// Dominant returns the dominant speaker as of the last Update; nil when there is none.
func (d *Detector) Dominant() *Speaker { return nil }

// Loudest appends the n speakers who should be heard, in an order that does not matter,
// as of the last Update. Who was among them stays there until somebody is clearly
// louder, so that slots do not change with each word; those who are silent are among
// them only after those who are not.
func (d *Detector) Loudest(to []*Speaker, n int) []*Speaker { return to }

// Recent appends all speakers, the one first who was dominant last, then who was before,
// and so on: the order in which they get the slots for video.
func (d *Detector) Recent(to []*Speaker) []*Speaker { return to }

// ParseLevel reads the data of an audio level element (RFC 6464, section 3): one byte.
// In the two-byte form of header extensions some senders pad it; what follows the first
// byte is not looked at. ok is false for an empty element.
func ParseLevel(element []byte) (level uint8, voice, ok bool) {
	if len(element) == 0 {
		return 0, false, false
	}
	return element[0] & 0x7f, element[0]&0x80 != 0, true
}
