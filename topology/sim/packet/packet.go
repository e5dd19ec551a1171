package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Protocol is an IP protocol number.
type Protocol uint8

// The protocols that this package looks into.
const (
	ICMP   Protocol = 1
	TCP    Protocol = 6
	UDP    Protocol = 17
	ICMPv6 Protocol = 58
)

// The IPv6 extension headers that Parse steps over (RFC 8200, section 4).
const (
	hopByHop    Protocol = 0
	routing     Protocol = 43
	fragment    Protocol = 44
	noNext      Protocol = 59
	destOptions Protocol = 60
)

// Fixed header lengths in bytes.
const (
	ipv4Header = 20
	ipv6Header = 40
	udpHeader  = 8
	tcpHeader  = 20
	icmpHeader = 8
)

// Errors from Parse. They are wrapped with what was found.
var (
	ErrTruncated = errors.New("packet is cut short")
	ErrVersion   = errors.New("neither IPv4 nor IPv6")
	ErrHeader    = errors.New("malformed header")
)

// Packet is a view of one IP packet: the bytes, and where in them the parts are.
// It is a small value and refers to the bytes, so that copies of it rewrite the
// same packet. It is not safe for concurrent use.
type Packet struct {
	data      []byte // whole packet, without what a link may have padded
	transport int    // where the transport header begins
	protocol  Protocol
	version   uint8
	embedded  bool // the packet is part of an ICMP error and may be cut short
	// fragmentation
	fragmentHeader int // where IPv6's fragment header begins, or 0
	offset         int // of this fragment's payload in bytes
	more           bool
}

// Parse finds the parts of an IP packet. Bytes beyond the length that the header
// states are left out. The transport header of a whole packet or a first fragment
// is present in full (a first fragment that is too small for it is an attack, RFC
// 1858); that of a later fragment is not looked for.
func Parse(data []byte) (Packet, error) { return parse(data, false) }

func parse(data []byte, embedded bool) (Packet, error) {
	if len(data) == 0 {
		return Packet{}, fmt.Errorf("empty packet: %w", ErrTruncated)
	}
	p := Packet{data: data, version: data[0] >> 4, embedded: embedded}
	var err error
	switch p.version {
	case 4:
		err = p.parse4()
	case 6:
		err = p.parse6()
	default:
		err = fmt.Errorf("version %d: %w", p.version, ErrVersion)
	}
	if err != nil {
		return Packet{}, err
	}
	if p.offset > 0 {
		return p, nil
	}
	if need := p.minimum(); len(p.data)-p.transport < need {
		return Packet{}, fmt.Errorf("protocol %d with %d of at least %d bytes: %w",
			p.protocol, len(p.data)-p.transport, need, ErrTruncated)
	}
	return p, nil
}

// minimum is how long the transport header is at least. In an ICMP error only its
// first 8 bytes are certain (RFC 792).
func (p *Packet) minimum() int {
	switch p.protocol {
	case TCP:
		if p.embedded {
			return 8
		}
		return tcpHeader
	case UDP:
		return udpHeader
	case ICMP, ICMPv6:
		return icmpHeader
	}
	return 0
}

func (p *Packet) parse4() error {
	d := p.data
	if len(d) < ipv4Header {
		return fmt.Errorf("%d bytes of IPv4: %w", len(d), ErrTruncated)
	}
	header, total := int(d[0]&0x0f)*4, int(binary.BigEndian.Uint16(d[2:]))
	if header < ipv4Header || total < header {
		return fmt.Errorf("IPv4 header of %d bytes in a packet of %d: %w", header, total, ErrHeader)
	}
	if total > len(d) {
		if !p.embedded || header > len(d) {
			return fmt.Errorf("%d of %d bytes of IPv4: %w", len(d), total, ErrTruncated)
		}
		total = len(d)
	}
	p.data = d[:total]
	p.transport = header
	p.protocol = Protocol(d[9])
	flags := binary.BigEndian.Uint16(d[6:])
	p.offset, p.more = int(flags&0x1fff)*8, flags&0x2000 != 0
	return nil
}

func (p *Packet) parse6() error {
	d := p.data
	if len(d) < ipv6Header {
		return fmt.Errorf("%d bytes of IPv6: %w", len(d), ErrTruncated)
	}
	total := ipv6Header + int(binary.BigEndian.Uint16(d[4:]))
	if total > len(d) {
		if !p.embedded {
			return fmt.Errorf("%d of %d bytes of IPv6: %w", len(d), total, ErrTruncated)
		}
		total = len(d)
	}
	d = d[:total]
	p.data = d
	next, at := Protocol(d[6]), ipv6Header
	// Each extension header is 8 bytes at least, so that the loop ends.
	for {
		var size int
		switch next {
		case hopByHop, routing, destOptions:
			if len(d)-at < 8 {
				return fmt.Errorf("extension header %d: %w", next, ErrTruncated)
			}
			size = 8 + int(d[at+1])*8
		case fragment:
			if len(d)-at < 8 {
				return fmt.Errorf("fragment header: %w", ErrTruncated)
			}
			if p.fragmentHeader != 0 {
				return fmt.Errorf("two fragment headers: %w", ErrHeader)
			}
			size = 8
			p.fragmentHeader = at
			flags := binary.BigEndian.Uint16(d[at+2:])
			p.offset, p.more = int(flags&0xfff8), flags&1 != 0
		default:
			p.protocol, p.transport = next, at
			return nil
		}
		if len(d)-at < size {
			return fmt.Errorf("extension header %d of %d bytes: %w", next, size, ErrTruncated)
		}
		next = Protocol(d[at])
		at += size
		if p.offset > 0 {
			p.protocol, p.transport = next, at
			return nil
		}
	}
}

// Bytes is the whole packet. It is the slice that was parsed, not a copy.
func (p *Packet) Bytes() []byte { return p.data }

// Len is the packet's length in bytes, IP header included.
func (p *Packet) Len() int { return len(p.data) }

// Version is 4 or 6.
func (p *Packet) Version() int { return int(p.version) }

// Protocol is the transport protocol, behind any extension headers.
func (p *Packet) Protocol() Protocol { return p.protocol }

// Payload is what follows the UDP or TCP header, and the whole transport part of
// any other packet and of a later fragment. It is nil for a malformed TCP segment.
func (p *Packet) Payload() []byte {
	d := p.data[p.transport:]
	if p.offset > 0 {
		return d
	}
	switch p.protocol {
	case UDP:
		return d[udpHeader:]
	case TCP:
		if len(d) < tcpHeader { // embedded, and cut short
			return nil
		}
		if n := int(d[12]>>4) * 4; n >= tcpHeader && n <= len(d) {
			return d[n:]
		}
		return nil
	}
	return d
}

// IsFragment says whether the packet is one of several fragments.
func (p *Packet) IsFragment() bool { return p.offset > 0 || p.more }

// DontFragment says whether a router must not split the packet: IPv4 with the DF
// flag, and IPv6 always.
func (p *Packet) DontFragment() bool { return p.version == 6 || p.data[6]&0x40 != 0 }

// SourceAddr is the address in the IP header.
func (p *Packet) SourceAddr() netip.Addr {
	if p.version == 4 {
		return netip.AddrFrom4([4]byte(p.data[12:16]))
	}
	return netip.AddrFrom16([16]byte(p.data[8:24]))
}

// DestinationAddr is the address in the IP header.
func (p *Packet) DestinationAddr() netip.Addr {
	if p.version == 4 {
		return netip.AddrFrom4([4]byte(p.data[16:20]))
	}
	return netip.AddrFrom16([16]byte(p.data[24:40]))
}

// Source is the sending endpoint. The port is that of UDP or TCP. In an ICMP echo
// message the identifier stands in for it, on the side that asked: the source of
// a request, the destination of a reply; so that a query looks like any other
// flow (RFC 5508, section 3.1). Otherwise it is zero.
func (p *Packet) Source() netip.AddrPort {
	return netip.AddrPortFrom(p.SourceAddr(), p.port(p.sourcePort()))
}

// Destination is the receiving endpoint; see Source.
func (p *Packet) Destination() netip.AddrPort {
	return netip.AddrPortFrom(p.DestinationAddr(), p.port(p.destinationPort()))
}

func (p *Packet) port(at int) uint16 {
	if at == 0 {
		return 0
	}
	return binary.BigEndian.Uint16(p.data[at:])
}

// sourcePort is where the source's port, or what stands in for it, is in the
// packet; 0 where there is none.
func (p *Packet) sourcePort() int {
	switch {
	case p.offset > 0:
	case p.protocol == UDP, p.protocol == TCP:
		return p.transport
	case p.echo() == echoRequest:
		return p.transport + 4
	}
	return 0
}

func (p *Packet) destinationPort() int {
	switch {
	case p.offset > 0:
	case p.protocol == UDP, p.protocol == TCP:
		return p.transport + 2
	case p.echo() == echoReply:
		return p.transport + 4
	}
	return 0
}

// TTL is the time to live, or IPv6's hop limit.
func (p *Packet) TTL() uint8 {
	if p.version == 4 {
		return p.data[8]
	}
	return p.data[7]
}

// Age takes one from the time to live, as a router does that forwards the packet.
// It changes nothing and returns false when the packet has come to its end.
func (p *Packet) Age() bool {
	if p.TTL() <= 1 {
		return false
	}
	if p.version == 6 {
		p.data[7]--
		return true
	}
	old := binary.BigEndian.Uint16(p.data[8:])
	p.data[8]--
	adjust(p.data[10:12], old, binary.BigEndian.Uint16(p.data[8:]))
	return true
}

// Flags are TCP's control bits.
type Flags uint8

// The control bits that matter to state keeping (RFC 9293, section 3.1).
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// TCPFlags returns TCP's control bits, and none for any other protocol.
func (p *Packet) TCPFlags() Flags {
	if p.protocol != TCP || p.offset > 0 || len(p.data)-p.transport < 14 {
		return 0
	}
	return Flags(p.data[p.transport+13])
}

// String gives protocol, endpoints and length, for logs and failing tests.
func (p *Packet) String() string {
	name := fmt.Sprintf("protocol %d", p.protocol)
	switch p.protocol {
	case UDP:
		name = "udp"
	case TCP:
		name = "tcp"
	case ICMP, ICMPv6:
		name = "icmp"
		if p.offset == 0 {
			name = fmt.Sprintf("icmp type %d code %d", p.data[p.transport], p.data[p.transport+1])
		}
	}
	return fmt.Sprintf("%s %v -> %v, %d bytes", name, p.Source(), p.Destination(), p.Len())
}
