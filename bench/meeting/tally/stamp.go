package tally

import "encoding/binary"

// Stamp is the end of the payload of a media packet: whose it is, and when it was due.
// It is at the end, since a media processor may rewrite a payload's beginning.
type Stamp struct {
	// Due is in nanoseconds of Unix time.
	Due int64
	// Sender is the sender's number, from 0.
	Sender uint32
}

// StampSize is how many bytes a stamp has.
const StampSize = 16

// mark tells a stamp from what other senders have at the end of their packets.
const mark = 0xca11_9a7d

// Put writes the stamp to the end of a payload, which is at least StampSize long.
func (s Stamp) Put(payload []byte) {
	end := payload[len(payload)-StampSize:]
	binary.BigEndian.PutUint32(end, mark)
	binary.BigEndian.PutUint32(end[4:], s.Sender)
	binary.BigEndian.PutUint64(end[8:], uint64(s.Due))
}

// ReadStamp reads it again; ok is false of a payload that has none.
func ReadStamp(payload []byte) (s Stamp, ok bool) {
	if len(payload) < StampSize {
		return s, false
	}
	end := payload[len(payload)-StampSize:]
	if binary.BigEndian.Uint32(end) != mark {
		return s, false
	}
	return Stamp{Sender: binary.BigEndian.Uint32(end[4:]), Due: int64(binary.BigEndian.Uint64(end[8:]))}, true
}
