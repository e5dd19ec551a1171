package host

import (
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The conversions between the three ways to write an address: netip inside,
// package net at the edge to callers, tcpip at the edge to the stack. IPv4 is
// never written as an IPv4-mapped IPv6 address, except to a dual-stack endpoint.

func address(a netip.Addr) tcpip.Address {
	if a.Is4() {
		return tcpip.AddrFrom4(a.As4())
	}
	return tcpip.AddrFrom16(a.As16())
}

func addr(a tcpip.Address) netip.Addr {
	switch a.Len() {
	case 4:
		return netip.AddrFrom4(a.As4())
	case 16:
		return netip.AddrFrom16(a.As16()).Unmap()
	}
	return netip.Addr{}
}

func addrPort(f tcpip.FullAddress) netip.AddrPort {
	return netip.AddrPortFrom(addr(f.Addr), f.Port)
}

// fullAddress writes an address for an endpoint of the given family.
func fullAddress(ap netip.AddrPort, family tcpip.NetworkProtocolNumber) tcpip.FullAddress {
	if a := ap.Addr(); family == header.IPv6ProtocolNumber && a.Is4() {
		return tcpip.FullAddress{Addr: tcpip.AddrFrom16(a.As16()), Port: ap.Port()}
	}
	return tcpip.FullAddress{Addr: address(ap.Addr()), Port: ap.Port()}
}

func protocolAddress(p netip.Prefix) tcpip.ProtocolAddress {
	return tcpip.ProtocolAddress{
		Protocol:          familyOf(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()},
	}
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()}.Subnet()
}

func familyOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// unmapped returns ap with IPv4 written as IPv4, and without a zone, which has
// no meaning on a host without link-local addresses.
func unmapped(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// udpAddr makes the address and its bytes in one allocation.
func udpAddr(ap netip.AddrPort) *net.UDPAddr {
	if !ap.Addr().IsValid() {
		return nil
	}
	v := &struct {
		net.UDPAddr
		ip [16]byte
	}{}
	v.IP, v.Port = ipInto(&v.ip, ap.Addr()), int(ap.Port())
	return &v.UDPAddr
}

func tcpAddr(ap netip.AddrPort) *net.TCPAddr {
	if !ap.Addr().IsValid() {
		return nil
	}
	return &net.TCPAddr{IP: ap.Addr().AsSlice(), Port: int(ap.Port())}
}

func ipInto(buf *[16]byte, a netip.Addr) net.IP {
	if a.Is4() {
		b := a.As4()
		copy(buf[:4], b[:])
		return buf[:4:4]
	}
	*buf = a.As16()
	return buf[:]
}
