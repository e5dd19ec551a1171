package packet

import (
	"encoding/binary"
	"net/netip"
)

// ICMP's and ICMPv6's types (RFC 792, RFC 4443).
const (
	type4EchoReply    = 0
	type4Unreachable  = 3
	type4Quench       = 4
	type4Redirect     = 5
	type4Echo         = 8
	type4TimeExceeded = 11
	type4Parameter    = 12

	type6Unreachable  = 1
	type6TooBig       = 2
	type6TimeExceeded = 3
	type6Parameter    = 4
	type6LastError    = 127
	type6Echo         = 128
	type6EchoReply    = 129
	type6Redirect     = 137
)

type echo uint8

const (
	notEcho echo = iota
	echoRequest
	echoReply
)

func (p *Packet) echo() echo {
	if p.offset > 0 || p.transport >= len(p.data) {
		return notEcho
	}
	switch kind := p.data[p.transport]; {
	case p.version == 4 && p.protocol == ICMP && kind == type4Echo,
		p.version == 6 && p.protocol == ICMPv6 && kind == type6Echo:
		return echoRequest
	case p.version == 4 && p.protocol == ICMP && kind == type4EchoReply,
		p.version == 6 && p.protocol == ICMPv6 && kind == type6EchoReply:
		return echoReply
	}
	return notEcho
}

// IsEchoRequest says whether the packet is an ICMP query.
func (p *Packet) IsEchoRequest() bool { return p.echo() == echoRequest }

// IsEchoReply says whether the packet answers an ICMP query.
func (p *Packet) IsEchoReply() bool { return p.echo() == echoReply }

// IsICMPError says whether the packet is an ICMP error message, that is, one that
// has the beginning of another packet in it.
func (p *Packet) IsICMPError() bool {
	if p.offset > 0 || p.transport >= len(p.data) {
		return false
	}
	kind := p.data[p.transport]
	switch {
	case p.version == 4 && p.protocol == ICMP:
		switch kind {
		case type4Unreachable, type4Quench, type4Redirect, type4TimeExceeded, type4Parameter:
			return true
		}
	case p.version == 6 && p.protocol == ICMPv6:
		return kind <= type6LastError || kind == type6Redirect
	}
	return false
}

// Embedded is the packet that an ICMP error is about, as far as it is there: its
// ports are, its checksum and payload need not be. Rewriting the returned Packet
// leaves the error's own checksum wrong; use RewriteEmbedded.
func (p *Packet) Embedded() (Packet, bool) {
	if !p.IsICMPError() {
		return Packet{}, false
	}
	e, err := parse(p.data[p.transport+icmpHeader:], true)
	if err != nil || e.version != p.version {
		return Packet{}, false
	}
	return e, true
}

// RewriteEmbedded gives the packet inside an ICMP error other endpoints, and makes
// the error's checksum right again (RFC 5508, section 4). A zero AddrPort leaves
// that endpoint as it is. It returns false when there is no packet inside.
func (p *Packet) RewriteEmbedded(source, destination netip.AddrPort) bool {
	e, ok := p.Embedded()
	if !ok {
		return false
	}
	if source.IsValid() {
		e.SetSource(source)
	}
	if destination.IsValid() {
		e.SetDestination(destination)
	}
	p.finish()
	return true
}

// Reason is why a router sends an ICMP error.
type Reason uint8

// The reasons.
const (
	TimeExceeded Reason = iota + 1
	NoRoute
	HostUnreachable
	PortUnreachable
	AdminProhibited
	TooBig
)

// types gives type and code of each reason, for IPv4 and IPv6.
var types = map[Reason]struct{ type4, code4, type6, code6 byte }{
	TimeExceeded:    {type4TimeExceeded, 0, type6TimeExceeded, 0},
	NoRoute:         {type4Unreachable, 0, type6Unreachable, 0},
	HostUnreachable: {type4Unreachable, 1, type6Unreachable, 3},
	PortUnreachable: {type4Unreachable, 3, type6Unreachable, 4},
	AdminProhibited: {type4Unreachable, 13, type6Unreachable, 1},
	TooBig:          {type4Unreachable, 4, type6TooBig, 0},
}

// Longest ICMP errors in bytes (RFC 1812, section 4.3.2.3; RFC 4443, 2.4 c).
const (
	longestError4 = 576
	longestError6 = 1280
)

// Answerable says whether a router may answer the packet with an ICMP error: not
// when it is one itself, nor for later fragments or packets to or from groups
// (RFC 1122, section 3.2.2; RFC 4443, section 2.4 e).
func (p *Packet) Answerable() bool {
	source, destination := p.SourceAddr(), p.DestinationAddr()
	return p.offset == 0 && !p.IsICMPError() &&
		!source.IsUnspecified() && !source.IsMulticast() && !source.IsLoopback() &&
		!destination.IsMulticast() && destination != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// Error makes the ICMP error that a router with the given address sends about the
// packet, to its source. The MTU is for TooBig only. It returns nil when the
// packet is not Answerable or the address is not of its family.
func (p *Packet) Error(reason Reason, router netip.Addr, mtu int) []byte {
	if !p.Answerable() || router.Is4() != (p.version == 4) {
		return nil
	}
	kind, ok := types[reason]
	if !ok {
		return nil
	}
	header, longest, protocol := ipv4Header, longestError4, ICMP
	if p.version == 6 {
		header, longest, protocol = ipv6Header, longestError6, ICMPv6
	}
	about := p.data[:min(len(p.data), longest-header-icmpHeader)]
	e := ip(protocol, router, p.SourceAddr(), icmpHeader+len(about))
	body := e.data[e.transport:]
	copy(body[icmpHeader:], about)
	body[0], body[1] = kind.type4, kind.code4
	if p.version == 6 {
		body[0], body[1] = kind.type6, kind.code6
	}
	if reason == TooBig {
		if p.version == 4 {
			binary.BigEndian.PutUint16(body[6:], uint16(min(mtu, 0xffff))) // RFC 1191, section 4
		} else {
			binary.BigEndian.PutUint32(body[4:], uint32(mtu))
		}
	}
	e.finish()
	return e.data
}

// Reset makes the TCP reset that a firewall answers the packet with, in the name
// of its destination (RFC 9293, section 3.5.2). It returns nil for anything but
// TCP, and for a reset.
func (p *Packet) Reset() []byte {
	if p.protocol != TCP || p.offset > 0 || p.TCPFlags()&RST != 0 {
		return nil
	}
	head := p.data[p.transport:]
	seq, ack := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	if p.TCPFlags()&ACK != 0 {
		return NewTCP(p.Destination(), p.Source(), RST, ack, 0, nil)
	}
	length := uint32(len(p.Payload()))
	if p.TCPFlags()&SYN != 0 {
		length++
	}
	if p.TCPFlags()&FIN != 0 {
		length++
	}
	return NewTCP(p.Destination(), p.Source(), RST|ACK, 0, seq+length, nil)
}
