package packet

import (
	"encoding/binary"
	"net/netip"
)

// SetSource rewrites the sending endpoint and adjusts the checksums. The port is
// written where Source reads it; it is ignored where Source has none. The address
// must be of the packet's family.
func (p *Packet) SetSource(to netip.AddrPort) {
	at, size := 12, 4
	if p.version == 6 {
		at, size = 8, 16
	}
	p.rewrite(at, size, p.sourcePort(), to)
}

// SetDestination rewrites the receiving endpoint; see SetSource.
func (p *Packet) SetDestination(to netip.AddrPort) {
	at, size := 16, 4
	if p.version == 6 {
		at, size = 24, 16
	}
	p.rewrite(at, size, p.destinationPort(), to)
}

func (p *Packet) rewrite(at, size, port int, to netip.AddrPort) {
	var address [16]byte
	if p.version == 4 {
		if !to.Addr().Is4() {
			return
		}
		a := to.Addr().As4()
		copy(address[:], a[:])
	} else {
		if !to.Addr().Is6() {
			return
		}
		address = to.Addr().As16()
	}
	sum := p.checksum()
	pseudo := sum
	if p.protocol == ICMP {
		pseudo = nil // its checksum does not cover the addresses
	}
	none := p.protocol == UDP && sum != nil && p.version == 4 && sum[0]|sum[1] == 0
	for i := 0; i < size; i += 2 {
		was := binary.BigEndian.Uint16(p.data[at+i:])
		is := binary.BigEndian.Uint16(address[i:])
		if was == is {
			continue
		}
		copy(p.data[at+i:], address[i:i+2])
		if p.version == 4 {
			adjust(p.data[10:12], was, is)
		}
		if pseudo != nil && !none {
			adjust(pseudo, was, is)
		}
	}
	if port != 0 {
		was := binary.BigEndian.Uint16(p.data[port:])
		binary.BigEndian.PutUint16(p.data[port:], to.Port())
		if sum != nil && !none {
			adjust(sum, was, to.Port())
		}
	}
	// A sum of zero is sent as all ones: zero means that there is none (RFC 768).
	if p.protocol == UDP && sum != nil && !none && sum[0]|sum[1] == 0 {
		sum[0], sum[1] = 0xff, 0xff
	}
}

// checksum is the two bytes of the transport checksum, or nil where the packet
// has none: in a later fragment, an unknown protocol, or a cut-off embedded one.
func (p *Packet) checksum() []byte {
	if p.offset > 0 {
		return nil
	}
	at := p.transport
	switch p.protocol {
	case UDP:
		at += 6
	case TCP:
		at += 16
	case ICMP, ICMPv6:
		at += 2
	default:
		return nil
	}
	if at+2 > len(p.data) {
		return nil
	}
	return p.data[at : at+2]
}

// adjust changes a checksum for one word that changed: HC' = ~(~HC + ~m + m')
// (RFC 1624, equation 3).
func adjust(sum []byte, was, is uint16) {
	s := uint32(^binary.BigEndian.Uint16(sum)) + uint32(^was) + uint32(is)
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(sum, ^uint16(s))
}

// add adds bytes to a one's complement sum, as big-endian words.
func add(sum uint32, data []byte) uint32 {
	wide := uint64(sum)
	for len(data) >= 2 {
		wide += uint64(binary.BigEndian.Uint16(data))
		data = data[2:]
	}
	if len(data) == 1 {
		wide += uint64(data[0]) << 8
	}
	for wide > 0xffffffff {
		wide = wide&0xffffffff + wide>>32
	}
	return uint32(wide)
}

func fold(sum uint32) uint16 {
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	return uint16(sum)
}

// pseudoHeader is the sum of what the transport checksum covers of the IP header.
func (p *Packet) pseudoHeader() uint32 {
	if p.protocol == ICMP {
		return 0
	}
	addresses := p.data[12:20]
	if p.version == 6 {
		addresses = p.data[8:40]
	}
	return add(uint32(p.protocol)+uint32(len(p.data)-p.transport), addresses)
}

// finish writes length-independent checksums anew; for packets made here.
func (p *Packet) finish() {
	if p.version == 4 {
		p.finishHeader()
	}
	sum := p.checksum()
	if sum == nil {
		return
	}
	sum[0], sum[1] = 0, 0
	value := ^fold(add(p.pseudoHeader(), p.data[p.transport:]))
	if value == 0 && p.protocol == UDP {
		value = 0xffff
	}
	binary.BigEndian.PutUint16(sum, value)
}

func (p *Packet) finishHeader() {
	h := p.data[:p.transport]
	h[10], h[11] = 0, 0
	binary.BigEndian.PutUint16(h[10:], ^fold(add(0, h)))
}

// ChecksumsRight verifies IPv4's header checksum and the transport checksum,
// where the packet is whole and has one.
func (p *Packet) ChecksumsRight() bool {
	if p.version == 4 && fold(add(0, p.data[:p.transport])) != 0xffff {
		return false
	}
	sum := p.checksum()
	if sum == nil || p.IsFragment() || p.embedded {
		return true
	}
	if p.protocol == UDP && sum[0]|sum[1] == 0 {
		return p.version == 4 // IPv6 has no UDP without checksum (RFC 8200, 8.1)
	}
	return fold(add(p.pseudoHeader(), p.data[p.transport:])) == 0xffff
}
