package packet

import (
	"encoding/binary"
	"net/netip"
)

// defaultTTL is the time to live of packets made here (RFC 1700).
const defaultTTL = 64

// ip makes a packet with room for size bytes of transport, and its IP header but
// for the checksum. IPv4 packets may be fragmented.
func ip(protocol Protocol, source, destination netip.Addr, size int) Packet {
	if source.Is4() {
		d := make([]byte, ipv4Header+size)
		d[0] = 4<<4 | ipv4Header/4
		binary.BigEndian.PutUint16(d[2:], uint16(len(d)))
		d[8], d[9] = defaultTTL, byte(protocol)
		s, t := source.As4(), destination.As4()
		copy(d[12:], s[:])
		copy(d[16:], t[:])
		return Packet{data: d, version: 4, protocol: protocol, transport: ipv4Header}
	}
	d := make([]byte, ipv6Header+size)
	d[0] = 6 << 4
	binary.BigEndian.PutUint16(d[4:], uint16(size))
	d[6], d[7] = byte(protocol), defaultTTL
	s, t := source.As16(), destination.As16()
	copy(d[8:], s[:])
	copy(d[24:], t[:])
	return Packet{data: d, version: 6, protocol: protocol, transport: ipv6Header}
}

// NewUDP makes a UDP packet. Both endpoints must be of one family, and the whole
// must fit an IP packet; this holds for NewTCP and NewEcho too.
func NewUDP(source, destination netip.AddrPort, payload []byte) []byte {
	data, room := NewUDPRoom(source, destination, len(payload))
	copy(room, payload)
	Finish(data)
	return data
}

// NewUDPRoom makes a UDP packet with room for a payload, which the caller writes
// before it calls Finish on the packet.
func NewUDPRoom(source, destination netip.AddrPort, size int) (data, payload []byte) {
	p := ip(UDP, source.Addr(), destination.Addr(), udpHeader+size)
	h := p.data[p.transport:]
	binary.BigEndian.PutUint16(h, source.Port())
	binary.BigEndian.PutUint16(h[2:], destination.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(udpHeader+size))
	return p.data, h[udpHeader:]
}

// Finish computes the checksums of a packet anew.
func Finish(data []byte) {
	if p, err := Parse(data); err == nil {
		p.finish()
	}
}

// NewTCP makes a TCP packet without options.
func NewTCP(source, destination netip.AddrPort, flags Flags, seq, ack uint32, payload []byte) []byte {
	p := ip(TCP, source.Addr(), destination.Addr(), tcpHeader+len(payload))
	h := p.data[p.transport:]
	binary.BigEndian.PutUint16(h, source.Port())
	binary.BigEndian.PutUint16(h[2:], destination.Port())
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], ack)
	h[12], h[13] = tcpHeader/4<<4, byte(flags)
	if flags&RST == 0 {
		binary.BigEndian.PutUint16(h[14:], 0xffff) // window
	}
	copy(h[tcpHeader:], payload)
	p.finish()
	return p.data
}

// NewEcho makes an ICMP echo request, or a reply to one.
func NewEcho(source, destination netip.Addr, reply bool, id, seq uint16, payload []byte) []byte {
	protocol, kind := ICMP, byte(type4Echo)
	if reply {
		kind = type4EchoReply
	}
	if source.Is6() {
		protocol, kind = ICMPv6, type6Echo
		if reply {
			kind = type6EchoReply
		}
	}
	p := ip(protocol, source, destination, icmpHeader+len(payload))
	h := p.data[p.transport:]
	h[0] = kind
	binary.BigEndian.PutUint16(h[4:], id)
	binary.BigEndian.PutUint16(h[6:], seq)
	copy(h[icmpHeader:], payload)
	p.finish()
	return p.data
}
