package fanout

import "encoding/binary"

// Element returns the data of a header extension element (RFC 8285) of an RTP packet:
// the first that has this id, which is 1 to 14 in the one-byte form and 1 to 255 in the
// two-byte form. It aliases the packet, so that what has a constant size, as a
// transport-wide sequence number, can be written in its place. It is nil when there is
// none, and empty but not nil for an element without data.
func Element(packet []byte, id uint8) []byte {
	kind, rest := elements(packet)
	switch {
	case id == 0:
		return nil
	case kind == oneByte:
		return elementOne(rest, id)
	case kind&twoByteMask == twoByte:
		return elementTwo(rest, id)
	}
	return nil
}

// elements returns the kind and the data of a packet's header extension.
func elements(packet []byte) (kind uint16, data []byte) {
	if len(packet) < 12 || packet[0]&0x10 == 0 {
		return 0, nil
	}
	at := 12 + 4*int(packet[0]&0x0f)
	if len(packet) < at+4 {
		return 0, nil
	}
	size := 4 * int(binary.BigEndian.Uint16(packet[at+2:]))
	if len(packet) < at+4+size {
		return 0, nil
	}
	return binary.BigEndian.Uint16(packet[at:]), packet[at+4 : at+4+size]
}

func elementOne(rest []byte, id uint8) []byte {
	for len(rest) > 0 {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		is, size := rest[0]>>4, int(rest[0]&0x0f)+2
		if is == 0 || is == stop || size > len(rest) {
			return nil
		}
		if is == id {
			return rest[1:size:size]
		}
		rest = rest[size:]
	}
	return nil
}

func elementTwo(rest []byte, id uint8) []byte {
	for len(rest) > 0 {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		if len(rest) < 2 || 2+int(rest[1]) > len(rest) {
			return nil
		}
		size := 2 + int(rest[1])
		if rest[0] == id {
			return rest[2:size:size]
		}
		rest = rest[size:]
	}
	return nil
}
