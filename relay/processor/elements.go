package processor

import (
	"encoding/binary"

	"github.com/callpath/callpath/relay/processor/description"
)

// elements are the header extension elements (RFC 8285) of a packet that matter here.
type elements struct {
	// has has a bit for each that is there, by its index in description.Extensions.
	has                uint8
	level              byte
	transport          uint16
	mid, rid, repaired []byte
}

// scan reads an RTP header that has been checked for its length.
func scan(header []byte, ids *description.Extensions) (e elements) {
	if header[0]&0x10 == 0 {
		return e
	}
	at := 12 + 4*int(header[0]&0x0f)
	profile, rest := binary.BigEndian.Uint16(header[at:]), header[at+4:]
	two := profile&0xfff0 == 0x1000
	if profile != 0xbede && !two {
		return e
	}
	for len(rest) > 0 {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		id, size, head := rest[0]>>4, int(rest[0]&0x0f)+1, 1
		if two {
			if len(rest) < 2 {
				return e
			}
			id, size, head = rest[0], int(rest[1]), 2
		}
		if head+size > len(rest) || id == 15 && !two || id == 0 {
			return e
		}
		e.add(ids, id, rest[head:head+size])
		rest = rest[head+size:]
	}
	return e
}

func (e *elements) add(ids *description.Extensions, id uint8, value []byte) {
	switch id {
	case ids[description.Mid]:
		e.mid = value
	case ids[description.RID]:
		e.rid = value
	case ids[description.RepairedRID]:
		e.repaired = value
	case ids[description.TransportCC]:
		if len(value) >= 2 {
			e.transport = binary.BigEndian.Uint16(value)
			e.has |= 1 << description.TransportCC
		}
	case ids[description.AudioLevel]:
		if len(value) >= 1 {
			e.level = value[0]
			e.has |= 1 << description.AudioLevel
		}
	}
}
