package load

import "encoding/binary"

// StampSize is the size of the stamp at the beginning of every payload.
const StampSize = 28

// Stamp says which packet a payload is.
type Stamp struct {
	// Session tells the packets of one generator from any others.
	Session uint32
	// Phase is the part of the session that the packet belongs to: what is still
	// under way when the next begins does not count there.
	Phase uint32
	// Source is who sent it, and Sequence the how manieth in the phase, from 0.
	Source, Sequence uint32
	// Due is when the packet was meant to leave, in nanoseconds of Unix time.
	Due int64
}

// magic begins with a byte that RFC 7983 leaves to RTP, which relays pass on.
const magic = 0x80e36261

// Put writes the stamp to the beginning of a payload.
func (s Stamp) Put(p []byte) {
	_ = p[StampSize-1]
	binary.BigEndian.PutUint32(p[0:], magic)
	binary.BigEndian.PutUint32(p[4:], s.Session)
	binary.BigEndian.PutUint32(p[8:], s.Phase)
	binary.BigEndian.PutUint32(p[12:], s.Source)
	binary.BigEndian.PutUint32(p[16:], s.Sequence)
	binary.BigEndian.PutUint64(p[20:], uint64(s.Due))
}

// ReadStamp reads the stamp of a payload; false when it has none.
func ReadStamp(p []byte) (Stamp, bool) {
	if len(p) < StampSize || binary.BigEndian.Uint32(p) != magic {
		return Stamp{}, false
	}
	return Stamp{
		Session: binary.BigEndian.Uint32(p[4:]), Phase: binary.BigEndian.Uint32(p[8:]),
		Source: binary.BigEndian.Uint32(p[12:]), Sequence: binary.BigEndian.Uint32(p[16:]),
		Due: int64(binary.BigEndian.Uint64(p[20:])),
	}, true
}
