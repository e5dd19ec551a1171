// Package iptest makes IP packets for tests of what reads them. Checksums are
// left zero, since nothing that reads a capture checks them.
package iptest

import (
	"encoding/binary"
	"net/netip"
)

// UDP wraps a payload into a UDP datagram in an IPv4 or IPv6 packet.
func UDP(from, to netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	ports(b, from, to)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return IP(from.Addr(), to.Addr(), 17, append(b, payload...))
}

// TCP wraps a payload into a TCP segment with the given sequence number and flags.
func TCP(from, to netip.AddrPort, sequence uint32, flags uint8, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	ports(b, from, to)
	binary.BigEndian.PutUint32(b[4:], sequence)
	b[12] = 5 << 4
	b[13] = flags
	return IP(from.Addr(), to.Addr(), 6, append(b, payload...))
}

func ports(b []byte, from, to netip.AddrPort) {
	binary.BigEndian.PutUint16(b, from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
}

// IP puts an IPv4 or IPv6 header before body.
func IP(from, to netip.Addr, protocol uint8, body []byte) []byte {
	from, to = from.Unmap(), to.Unmap()
	if from.Is4() {
		h := make([]byte, 20, 20+len(body))
		h[0] = 0x45
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(body)))
		h[8], h[9] = 64, protocol
		copy(h[12:], from.AsSlice())
		copy(h[16:], to.AsSlice())
		return append(h, body...)
	}
	h := make([]byte, 40, 40+len(body))
	h[0] = 0x60
	binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
	h[6], h[7] = protocol, 64
	copy(h[8:], from.AsSlice())
	copy(h[24:], to.AsSlice())
	return append(h, body...)
}
