package media

import (
	"bytes"
	"encoding/binary"
	"sync"
)

const (
	// needleSize is the length of a piece of sent media that is searched for.
	// That 16 random bytes equal one of the pieces does not happen.
	needleSize = 16
	// needleCount is how many pieces are kept: those of the last minute, about.
	needleCount = 4096
	// needleVariety is how many different bytes a piece must have: silence and
	// padding say nothing.
	needleVariety = 8
)

// needles holds pieces of what was sent, to find them in what should be
// ciphertext. The zero value is empty and usable.
type needles struct {
	mu     sync.RWMutex
	pieces [][needleSize]byte // a ring once it is full
	next   int
	// heads counts the pieces by their first eight bytes; filter has a bit for
	// each head's hash, so that nearly every position of a packet costs one
	// multiplication. Its bits are not taken back: it fills slowly.
	heads  map[uint64]int
	filter [1 << 14]uint64
}

// add keeps one piece from the middle of a payload, where no header of the
// payload format stands.
func (n *needles) add(payload []byte) {
	at := len(payload) / 2
	if at+needleSize > len(payload) || !varied(payload[at:at+needleSize]) {
		return
	}
	piece := [needleSize]byte(payload[at:])
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.heads == nil {
		n.heads = map[uint64]int{}
	}
	if len(n.pieces) < needleCount {
		n.pieces = append(n.pieces, piece)
	} else {
		old := head(n.pieces[n.next][:])
		if n.heads[old]--; n.heads[old] == 0 {
			delete(n.heads, old)
		}
		n.pieces[n.next] = piece
	}
	n.next = (n.next + 1) % needleCount
	h := head(piece[:])
	n.heads[h]++
	bit := hash(h)
	n.filter[bit/64] |= 1 << (bit % 64)
}

// in is true when a piece stands in data.
func (n *needles) in(data []byte) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for i := 0; i+needleSize <= len(data); i++ {
		h := head(data[i:])
		if bit := hash(h); n.filter[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		if n.heads[h] > 0 && n.has(data[i:i+needleSize]) {
			return true
		}
	}
	return false
}

func (n *needles) has(piece []byte) bool {
	for i := range n.pieces {
		if bytes.Equal(n.pieces[i][:], piece) {
			return true
		}
	}
	return false
}

func head(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// hash is a position in the filter, 20 bits: Fibonacci hashing.
func hash(h uint64) uint64 { return h * 0x9e3779b97f4a7c15 >> 44 }

func varied(b []byte) bool {
	var seen [256]bool
	different := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			different++
		}
	}
	return different >= needleVariety
}

// Plaintext is true when a piece of media that was sent lately stands in data as
// it was before encryption.
func (l *Ledger) Plaintext(data []byte) bool { return l.needles.in(data) }

// Needles returns up to n pieces of 16 bytes of the media that was sent last, the
// newest first.
func (l *Ledger) Needles(n int) [][]byte {
	l.needles.mu.RLock()
	defer l.needles.mu.RUnlock()
	var out [][]byte
	for i := 1; i <= min(n, len(l.needles.pieces)); i++ {
		at := (l.needles.next - i + needleCount) % needleCount
		out = append(out, bytes.Clone(l.needles.pieces[at][:]))
	}
	return out
}
