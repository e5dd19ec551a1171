package media

import (
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/pion/rtp"
)

// remembered is how many packets of a stream a ledger keeps, a power of two: more
// than a minute of audio and video at the rates here.
const remembered = 1 << 13

// Ledger knows what each participant of a run sent. It is safe for concurrent
// use.
type Ledger struct {
	seed   maphash.Seed
	onSend func(payload []byte)

	mu      sync.RWMutex
	streams map[uint32]*Stream

	// marks has who sent each marked content; see Origin.
	marking sync.RWMutex
	marks   map[uint64][]*Stream
}

// NewLedger returns an empty ledger. onSend, when not nil, is told of each payload
// before it is sent and encrypted; the slice is valid only during the call.
func NewLedger(onSend func(payload []byte)) *Ledger {
	return &Ledger{seed: maphash.MakeSeed(), onSend: onSend, streams: map[uint32]*Stream{}, marks: map[uint64][]*Stream{}}
}

// Stream is what one sender sent with one SSRC. It is safe for concurrent use.
type Stream struct {
	ledger *Ledger
	sender string
	codec  Codec
	kind   string // Audio, Video or Slides
	crowd  bool   // its contents go into Ledger.marks

	mu    sync.Mutex
	sent  Sent
	slots [remembered]slot
}

// slot remembers one packet; sum is a hash of its payload.
type slot struct {
	used bool
	seq  uint16
	sum  uint64
}

// Sent counts what a stream sent.
type Sent struct {
	Packets uint64
	// Bytes are those of RTP payload.
	Bytes uint64
}

// Open begins a stream. The error says that the SSRC is in use: RFC 3550, section
// 8, has senders choose another then.
func (l *Ledger) Open(sender string, codec Codec, ssrc uint32) (*Stream, error) {
	return l.open(&Stream{ledger: l, sender: sender, codec: codec}, ssrc)
}

func (l *Ledger) open(s *Stream, ssrc uint32) (*Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.streams[ssrc]; other != nil {
		return nil, fmt.Errorf("media: SSRC %d of %s is %s's already", ssrc, s.sender, other.sender)
	}
	l.streams[ssrc] = s
	return s, nil
}

// Send enters a packet; it is to be called before the packet is sent. Sending the
// same packet again, as an answer to a NACK, needs no entry.
func (s *Stream) Send(p *rtp.Packet) {
	sum := maphash.Bytes(s.ledger.seed, p.Payload)
	if s.ledger.onSend != nil {
		s.ledger.onSend(p.Payload)
	}
	if s.crowd {
		s.enter(p.Payload)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.Packets++
	s.sent.Bytes += uint64(len(p.Payload))
	s.slots[p.SequenceNumber%remembered] = slot{true, p.SequenceNumber, sum}
}

// Sent returns what was sent with an SSRC, and by whom; ok is false when nobody
// uses it.
func (l *Ledger) Sent(ssrc uint32) (sender string, codec Codec, sent Sent, ok bool) {
	s := l.stream(ssrc)
	if s == nil {
		return "", "", Sent{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sender, s.codec, s.sent, true
}

func (l *Ledger) stream(ssrc uint32) *Stream {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.streams[ssrc]
}

// Verdict is what comparing a received packet with what was sent came to.
type Verdict int

// The verdicts. Only Corrupt, Misdirected and Unknown are failures.
const (
	// Intact is equal to what was sent under this SSRC and sequence number.
	Intact Verdict = iota
	// Corrupt differs from it.
	Corrupt
	// Misdirected was sent, but by somebody else or as part of another stream.
	Misdirected
	// Unknown was sent by nobody.
	Unknown
	// Old is of a stream of the right sender, but older than the ledger
	// remembers.
	Old
	// Mixed is of a media processor that mixed what several sent.
	Mixed
)

// String is the verdict in a word.
func (v Verdict) String() string {
	return [...]string{"intact", "corrupt", "misdirected", "unknown", "old", "mixed"}[v]
}

// Comparer holds what arrives at one participant against what the other side
// sent. It is safe for concurrent use.
type Comparer struct {
	ledger *Ledger
	from   string
}

// Comparer returns a comparer of what from sends.
func (l *Ledger) Comparer(from string) *Comparer { return &Comparer{ledger: l, from: from} }

// Compare judges one received packet. Receiving one twice gives the same verdict.
func (c *Comparer) Compare(p *rtp.Packet) Verdict {
	sum := maphash.Bytes(c.ledger.seed, p.Payload)
	s := c.ledger.stream(p.SSRC)
	if s == nil {
		if c.ledger.anywhere(sum) {
			return Misdirected
		}
		return Unknown
	}
	if s.sender != c.from {
		return Misdirected
	}
	switch kept, same, current := s.look(p.SequenceNumber, sum); {
	case kept && same:
		return Intact
	case c.ledger.anywhere(sum):
		return Misdirected
	case kept:
		return Corrupt
	case current:
		return Unknown
	}
	return Old
}

// look says whether the sequence number is kept, whether its payload is the same,
// and, when it is not kept, whether it is one that was never sent: then its slot
// is empty.
func (s *Stream) look(seq uint16, sum uint64) (kept, same, current bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.slots[seq%remembered]
	kept = at.used && at.seq == seq
	return kept, kept && at.sum == sum, !at.used
}

// anywhere looks for a payload in all streams. It is slow, and reached only by a
// packet that failed.
func (l *Ledger) anywhere(sum uint64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.streams {
		if s.holds(sum) {
			return true
		}
	}
	return false
}

func (s *Stream) holds(sum uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if s.slots[i].used && s.slots[i].sum == sum {
			return true
		}
	}
	return false
}
