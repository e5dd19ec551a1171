package negotiation

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// RelayView is what a transport relay itself can see in what it relays: what kind
// of packets they are, and whether media stands in them unencrypted. Its methods
// may be called from several goroutines at once.
type RelayView struct {
	counts    [kinds]atomic.Uint64
	searched  atomic.Uint64
	plaintext atomic.Uint64

	mu      sync.RWMutex // guards needles
	needles needles
}

// NewRelayView returns a view that has seen nothing.
func NewRelayView() *RelayView { return &RelayView{} }

// Needle adds a piece of media that a participant sends, before encryption, to
// what Payload looks for. Of each piece 16 bytes are kept: the first, from its
// middle on, that are not too monotonous to be evidence, such as silence is; the
// beginnings of pieces have headers in common. A piece without such bytes is passed
// over. The latest 32,768 pieces are kept, in about 11 MB.
func (v *RelayView) Needle(piece []byte) {
	kept := telling(piece)
	if kept == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.needles.add([needleSize]byte(kept))
}

// Payload takes one payload as it was relayed.
func (v *RelayView) Payload(p []byte) {
	v.counts[kindOf(p)].Add(1)
	v.mu.RLock()
	defer v.mu.RUnlock()
	if len(v.needles.ring) == 0 {
		return
	}
	v.searched.Add(1)
	if v.needles.in(p) {
		v.plaintext.Add(1)
	}
}

// Counts returns how many payloads there were of each kind (stun, dtls, srtp,
// srtcp, other), in how many media was looked for, which is all since the first
// Needle, and in how many it was found.
func (v *RelayView) Counts() (payloads map[string]uint64, searched, plaintext uint64) {
	payloads = map[string]uint64{}
	for k := range kinds {
		name := kindNames[k]
		if k == kindChannel { // a relay's payload has no channels of its own
			name = kindNames[kindOther]
		}
		if n := v.counts[k].Load(); n > 0 {
			payloads[name] += n
		}
	}
	return payloads, v.searched.Load(), v.plaintext.Load()
}

const (
	needleSize   = 16
	windowLength = 8
	maxNeedles   = 1 << 15
	// maxChain bounds how many needles with one window in common are compared;
	// the latest are.
	maxChain = 16
	// minDistinct is how many different bytes make 16 bytes telling.
	minDistinct = 8
)

// telling returns bytes of a piece that are worth looking for.
func telling(piece []byte) []byte {
	if half := len(piece) / 2; len(piece)-half >= needleSize {
		if found := tellingFrom(piece[half:]); found != nil {
			return found
		}
	}
	return tellingFrom(piece)
}

func tellingFrom(piece []byte) []byte {
	for len(piece) >= needleSize {
		var seen [256]bool
		distinct := 0
		for _, b := range piece[:needleSize] {
			if !seen[b] {
				seen[b] = true
				distinct++
			}
		}
		if distinct >= minDistinct {
			return piece[:needleSize]
		}
		piece = piece[needleSize/2:]
	}
	return nil
}

// needles finds any of many pieces of 16 bytes in a payload. A piece has a window
// of 8 bytes at each of its first 8 offsets, and wherever it stands in a payload,
// one of them begins at a multiple of 8: only those positions are looked up.
type needles struct {
	ring    []needle
	oldest  int
	windows map[uint64]link
}

// needle is one piece; after[i] is the next with the same window as at offset i.
type needle struct {
	piece [needleSize]byte
	after [windowLength]link
}

// link is a window of a needle: 8 times its place in the ring, plus the offset,
// plus 1. 0 is none.
type link uint32

func (l link) at() (place, offset int) { return int(l-1) / windowLength, int(l-1) % windowLength }

func (n *needles) add(piece [needleSize]byte) {
	if n.in(piece[:]) {
		return // position 0 finds it where it begins
	}
	if n.windows == nil {
		n.windows = map[uint64]link{}
	}
	place := len(n.ring)
	if place < maxNeedles {
		n.ring = append(n.ring, needle{})
	} else {
		place = n.oldest
		n.oldest = (n.oldest + 1) % maxNeedles
		n.remove(place)
	}
	n.ring[place] = needle{piece: piece}
	for offset := range windowLength {
		window := binary.LittleEndian.Uint64(piece[offset:])
		n.ring[place].after[offset] = n.windows[window]
		mine := link(place*windowLength + offset + 1)
		n.windows[window] = mine
		n.shorten(mine)
	}
}

// shorten cuts a chain, whose oldest needles are at its end.
func (n *needles) shorten(l link) {
	for count := 1; l != 0; count++ {
		place, offset := l.at()
		if count == maxChain {
			n.ring[place].after[offset] = 0
		}
		l = n.ring[place].after[offset]
	}
}

// remove takes a needle's windows out of their chains.
func (n *needles) remove(place int) {
	for offset := range windowLength {
		window := binary.LittleEndian.Uint64(n.ring[place].piece[offset:])
		mine := link(place*windowLength + offset + 1)
		after := n.ring[place].after[offset]
		l := n.windows[window]
		if l == mine {
			if after == 0 {
				delete(n.windows, window)
			} else {
				n.windows[window] = after
			}
			continue
		}
		for l != 0 {
			p, o := l.at()
			next := n.ring[p].after[o]
			if next == mine {
				n.ring[p].after[o] = after
				break
			}
			l = next
		}
	}
}

// in tells whether one of the needles stands in a payload.
func (n *needles) in(payload []byte) bool {
	for position := 0; position+windowLength <= len(payload); position += windowLength {
		for l := n.windows[binary.LittleEndian.Uint64(payload[position:])]; l != 0; {
			place, offset := l.at()
			begin := position - offset
			if begin >= 0 && begin+needleSize <= len(payload) &&
				[needleSize]byte(payload[begin:]) == n.ring[place].piece {
				return true
			}
			l = n.ring[place].after[offset]
		}
	}
	return false
}
