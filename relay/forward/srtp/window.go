package srtp

const (
	windowWords = 16
	// Window is how many packets behind the newest one of its stream a packet may be:
	// two seconds of video at 500 packets a second. One word of the ring is not
	// counted, since it holds bits of both ends.
	Window = (windowWords - 1) * 64
)

// window remembers which indices of a stream were seen (RFC 3711 section 3.3.2). The
// bits are a ring of words, so that the window slides without shifting (RFC 6479).
// The zero value has seen nothing.
type window struct {
	top  uint64 // the highest index seen
	any  bool   // whether there is one
	bits [windowWords]uint64
}

// check says whether an index may come now; mark is for after it has proved authentic.
func (w *window) check(index uint64) error {
	switch {
	case !w.any || index > w.top:
		return nil
	case w.top-index >= Window:
		return ErrStale
	case w.bits[index>>6%windowWords]&(1<<(index&63)) != 0:
		return ErrReplayed
	}
	return nil
}

// mark remembers an index that check has allowed.
func (w *window) mark(index uint64) {
	if !w.any || index > w.top {
		first, last := w.top>>6+1, index>>6
		if !w.any || last-w.top>>6 >= windowWords {
			w.bits = [windowWords]uint64{}
		} else {
			for ; first <= last; first++ {
				w.bits[first%windowWords] = 0
			}
		}
		w.top, w.any = index, true
	}
	w.bits[index>>6%windowWords] |= 1 << (index & 63)
}
