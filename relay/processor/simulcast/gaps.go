package simulcast

import "math/bits"

// gaps closes the gaps that left-out numbers leave in a source's numbering: to the
// receiver nothing is missing, so that it asks for nothing again. It remembers which of
// the last numbers were left out, so that what comes late gets the number that was kept
// for it.
//
// What comes so late that others were numbered behind it cannot be left out any more: its
// number stays unused.
type gaps struct {
	begun  bool
	newest uint16
	closed uint16 // how many were left out up to newest
	// out has a bit for each of the last numbers, by its low bits.
	out [memory / 64]uint64
}

// memory is how many numbers back something may come. It is more than an Opener's window
// (relay/forward/srtp) lets pass.
const memory = 1024

// reach moves on to a number, and says whether it is a new one.
func (g *gaps) reach(seq uint16) (ahead bool) {
	if !g.begun {
		g.begun, g.newest = true, seq
		return true
	}
	by := int(int16(seq - g.newest))
	if by <= 0 {
		return false
	}
	if by >= memory {
		g.out = [memory / 64]uint64{}
	} else {
		for n := g.newest + 1; n != seq+1; n++ {
			g.out[n%memory/64] &^= 1 << (n % 64)
		}
	}
	g.newest = seq
	return true
}

// leave leaves a number out. ok is false when it is too late for that.
func (g *gaps) leave(seq uint16) (ok bool) {
	if !g.reach(seq) {
		return false
	}
	g.out[seq%memory/64] |= 1 << (seq % 64)
	g.closed++
	return true
}

// left says whether a number was left out.
func (g *gaps) left(seq uint16) bool {
	return g.begun && g.newest-seq < memory && g.out[seq%memory/64]&(1<<(seq%64)) != 0
}

// pass returns what a number is without those left out before it.
func (g *gaps) pass(seq uint16) uint16 {
	g.reach(seq)
	closed := g.closed
	for n := g.newest; n != seq && g.newest-n < memory-1; {
		// The numbers n, n-1 and so on to seq+1, as far as they are in one word.
		count := min(n-seq, n%64+1)
		closed -= uint16(bits.OnesCount64(g.out[n%memory/64] << (63 - n%64) >> (64 - count)))
		n -= count
	}
	return seq - closed
}
