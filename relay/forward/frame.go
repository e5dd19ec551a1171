package forward

import "encoding/binary"

// What the relay's protocol engine takes for ChannelData, so does the core: a
// number of RFC 5766, section 11 (RFC 8656 has fewer), and at least as many bytes
// as the length says. What follows is padding, however long.
const (
	headerChannelData = 4
	minChannel        = 0x4000
	maxChannel        = 0x7fff
)

// maxDatagram is the size from which on the engine takes a datagram for one that
// may have been cut, and drops it.
const maxDatagram = 1600

// channelData returns channel and payload of a ChannelData message (RFC 8656,
// section 12.4).
func channelData(p []byte) (channel uint16, payload []byte, ok bool) {
	if len(p) < headerChannelData {
		return 0, nil, false
	}
	channel = binary.BigEndian.Uint16(p)
	size := int(binary.BigEndian.Uint16(p[2:]))
	if channel < minChannel || channel > maxChannel || size > len(p)-headerChannelData {
		return 0, nil, false
	}
	return channel, p[headerChannelData : headerChannelData+size], true
}

// putHeader writes the header of a ChannelData message. Over UDP padding is not
// required (RFC 8656, section 12.5), so there is none.
func putHeader(p []byte, channel uint16, size int) {
	binary.BigEndian.PutUint16(p, channel)
	binary.BigEndian.PutUint16(p[2:], uint16(size))
}

// Of STUN (RFC 8489, section 5) the core reads Send indications of the plainest form.
const (
	headerSTUN         = 20
	cookie             = 0x2112a442
	sendIndication     = 0x0016
	attrXORPeerAddress = 0x0012
	attrData           = 0x0013
	familyIPv4         = 1
	familyIPv6         = 2
)

// send returns peer and payload of a Send indication (RFC 8656, section 11.1) that
// has the two attributes it needs and no others. All others are the engine's.
func send(p []byte) (peer endpoint, payload []byte, ok bool) {
	if len(p) < headerSTUN || binary.BigEndian.Uint16(p) != sendIndication ||
		binary.BigEndian.Uint32(p[4:]) != cookie || int(binary.BigEndian.Uint16(p[2:])) != len(p)-headerSTUN {
		return endpoint{}, nil, false
	}
	var hasPeer, hasData bool
	for rest := p[headerSTUN:]; len(rest) > 0; {
		if len(rest) < 4 {
			return endpoint{}, nil, false
		}
		kind, size := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		padded := 4 + (size+3)&^3
		if padded > len(rest) {
			return endpoint{}, nil, false
		}
		value := rest[4 : 4+size]
		rest = rest[padded:]
		switch {
		case kind == attrXORPeerAddress && !hasPeer:
			if peer, hasPeer = xorAddress(value, p[4:headerSTUN]); !hasPeer {
				return endpoint{}, nil, false
			}
		case kind == attrData && !hasData:
			payload, hasData = value, true
		default:
			return endpoint{}, nil, false
		}
	}
	return peer, payload, hasPeer && hasData
}

// xorAddress reads an address that is masked with the cookie and the transaction's
// identifier, which are pad (RFC 8489, section 14.2).
func xorAddress(value, pad []byte) (endpoint, bool) {
	var e endpoint
	switch {
	case len(value) == 8 && binary.BigEndian.Uint16(value) == familyIPv4:
		e.lo = mappedIPv4 | uint64(binary.BigEndian.Uint32(value[4:])^binary.BigEndian.Uint32(pad))
	case len(value) == 20 && binary.BigEndian.Uint16(value) == familyIPv6:
		e.hi = binary.BigEndian.Uint64(value[4:]) ^ binary.BigEndian.Uint64(pad)
		e.lo = binary.BigEndian.Uint64(value[12:]) ^ binary.BigEndian.Uint64(pad[8:])
	default:
		return e, false
	}
	e.port = binary.BigEndian.Uint16(value[2:]) ^ cookie>>16
	return e, true
}
