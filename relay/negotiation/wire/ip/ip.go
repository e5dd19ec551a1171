// Package ip finds the UDP datagram or TCP segment in an IP packet (RFC 791,
// 8200, 768, 9293). It allocates nothing, so that it can stand in front of every
// packet of media. It puts no fragments together and checks no checksums: it
// reads packets that a host sent or accepted.
//
// Start reading at Parse.
package ip

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Protocol numbers of the Segment's payload.
const (
	TCP = 6
	UDP = 17
)

// TCP flags (RFC 9293, section 3.1).
const (
	FIN = 1 << 0
	SYN = 1 << 1
	RST = 1 << 2
)

// Errors of Parse.
var (
	// ErrMalformed is a packet whose lengths contradict each other.
	ErrMalformed = errors.New("malformed IP packet")
	// ErrFragment is a fragment other than a whole packet.
	ErrFragment = errors.New("fragment of an IP packet")
	// ErrProtocol is a packet that carries neither UDP nor TCP.
	ErrProtocol = errors.New("IP packet with neither UDP nor TCP")
)

// Segment is one UDP datagram or TCP segment.
type Segment struct {
	Source, Destination netip.AddrPort
	// Protocol is UDP or TCP.
	Protocol uint8
	// Payload is a part of the packet, not a copy.
	Payload []byte
	// Sequence and Flags are TCP's, zero for UDP.
	Sequence uint32
	Flags    uint8
}

// maxExtensions bounds the chain of IPv6 extension headers that is followed.
const maxExtensions = 8

// IPv6 extension headers (RFC 8200, section 4).
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	destination = 60
)

// Parse reads one IPv4 or IPv6 packet.
func Parse(packet []byte) (Segment, error) {
	if len(packet) == 0 {
		return Segment{}, ErrMalformed
	}
	switch packet[0] >> 4 {
	case 4:
		return parse4(packet)
	case 6:
		return parse6(packet)
	}
	return Segment{}, ErrMalformed
}

func parse4(p []byte) (Segment, error) {
	if len(p) < 20 {
		return Segment{}, ErrMalformed
	}
	header := int(p[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(p[2:]))
	if header < 20 || total < header || total > len(p) {
		return Segment{}, ErrMalformed
	}
	const moreFragments, offset = 0x2000, 0x1fff
	if binary.BigEndian.Uint16(p[6:])&(moreFragments|offset) != 0 {
		return Segment{}, ErrFragment
	}
	from := netip.AddrFrom4([4]byte(p[12:16]))
	to := netip.AddrFrom4([4]byte(p[16:20]))
	return transport(from, to, p[9], p[header:total])
}

func parse6(p []byte) (Segment, error) {
	if len(p) < 40 {
		return Segment{}, ErrMalformed
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if 40+length > len(p) {
		return Segment{}, ErrMalformed
	}
	from := netip.AddrFrom16([16]byte(p[8:24])).Unmap()
	to := netip.AddrFrom16([16]byte(p[24:40])).Unmap()
	next, body := p[6], p[40:40+length]
	for range maxExtensions {
		switch next {
		case hopByHop, routing, destination:
			if len(body) < 8 || len(body) < 8+8*int(body[1]) {
				return Segment{}, ErrMalformed
			}
			next, body = body[0], body[8+8*int(body[1]):]
		case fragment:
			if len(body) < 8 {
				return Segment{}, ErrMalformed
			}
			const offsetAndMore = 0xfff9
			if binary.BigEndian.Uint16(body[2:])&offsetAndMore != 0 {
				return Segment{}, ErrFragment
			}
			next, body = body[0], body[8:]
		default:
			return transport(from, to, next, body)
		}
	}
	return Segment{}, ErrMalformed
}

func transport(from, to netip.Addr, protocol uint8, body []byte) (Segment, error) {
	s := Segment{Protocol: protocol}
	switch protocol {
	case UDP:
		if len(body) < 8 {
			return Segment{}, ErrMalformed
		}
		length := int(binary.BigEndian.Uint16(body[4:]))
		if length < 8 || length > len(body) {
			return Segment{}, ErrMalformed
		}
		s.Payload = body[8:length]
	case TCP:
		if len(body) < 20 {
			return Segment{}, ErrMalformed
		}
		header := int(body[12]>>4) * 4
		if header < 20 || header > len(body) {
			return Segment{}, ErrMalformed
		}
		s.Sequence = binary.BigEndian.Uint32(body[4:])
		s.Flags = body[13]
		s.Payload = body[header:]
	default:
		return Segment{}, ErrProtocol
	}
	s.Source = netip.AddrPortFrom(from, binary.BigEndian.Uint16(body))
	s.Destination = netip.AddrPortFrom(to, binary.BigEndian.Uint16(body[2:]))
	return s, nil
}
