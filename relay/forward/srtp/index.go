package srtp

// maxIndex is the highest index of an SRTP packet: a key is good for 2^48 packets of a
// stream (RFC 3711 section 9.2).
const maxIndex = 1<<48 - 1

// stream is what a context knows of the packets of one SSRC.
type stream struct {
	ssrc uint32
	// roc is the rollover counter of a stream's first packet.
	roc  uint32
	seen window
}

// index estimates the index of the packet with a sequence number: the one next to the
// highest so far (RFC 3711 section 3.3.1 and appendix A). A packet that would be older
// than the stream belongs to its first 2^16 packets: it can only be authentic if the
// sender skipped more than half of them.
func (s *stream) index(seq uint16) (uint64, error) {
	if !s.seen.any {
		return uint64(s.roc)<<16 | uint64(seq), nil
	}
	top := s.seen.top
	switch ahead := seq - uint16(top); {
	case ahead == 1<<15: // as far ahead as behind: the RFC stays with the counter
		return top&^0xffff | uint64(seq), nil
	case ahead < 1<<15:
		if top+uint64(ahead) > maxIndex {
			return 0, ErrExhausted
		}
		return top + uint64(ahead), nil
	default:
		behind := uint64(-ahead)
		if behind > top {
			return uint64(seq), nil
		}
		return top - behind, nil
	}
}
