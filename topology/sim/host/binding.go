package host

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// binding says to what an endpoint is bound.
type binding struct {
	// addr may be the zero AddrPort or have an unspecified address, for all
	// addresses; a zero port takes an ephemeral one.
	addr netip.AddrPort
	// family is that of the endpoint. An IPv6 endpoint on all addresses takes
	// IPv4 as well, unless only6 is set.
	family tcpip.NetworkProtocolNumber
	only6  bool
}

func (b binding) bind(ep tcpip.Endpoint) tcpip.Error {
	if b.only6 {
		ep.SocketOptions().SetV6Only(true)
	}
	to := tcpip.FullAddress{Port: b.addr.Port()}
	if a := b.addr.Addr(); a.IsValid() && !a.IsUnspecified() {
		to = fullAddress(b.addr, b.family)
	}
	return ep.Bind(to)
}

// bound returns the address to which the endpoint is bound, which is the
// unspecified one of its family when it takes all.
func bound(ep tcpip.Endpoint, family tcpip.NetworkProtocolNumber) netip.AddrPort {
	// The only error is that of an endpoint which just ended; its address
	// does not matter any more.
	full, _ := ep.GetLocalAddress()
	local := addrPort(full)
	if a := local.Addr(); !a.IsValid() || a.IsUnspecified() {
		all := netip.IPv6Unspecified()
		if family == header.IPv4ProtocolNumber {
			all = netip.IPv4Unspecified()
		}
		return netip.AddrPortFrom(all, full.Port)
	}
	return local
}
