// Package host is a machine of the simulated internet: a whole TCP/IP stack in
// user space (gVisor's), with network interfaces whose packets the simulation
// carries, and with sockets that look like those of Go's package net and of
// pion's transport.Net. TLS, HTTP, DNS, TURN and WebRTC run over them
// unchanged.
//
// It knows nothing of what stands between hosts: a packet goes out by
// [Config].Send and comes in by [Host.Deliver], as raw IPv4 or IPv6.
//
// Interfaces follow the strong host model (RFC 1122, section 3.3.4.2), as
// Windows and macOS do: a socket that is bound to an address sends through the
// interface that has the address, if one of its routes covers the destination,
// even if another interface has a more specific one. A socket that is not bound
// takes the most specific route and that interface's address. So a VPN is a
// second interface whose routes cover what is tunnelled, and a split tunnel is
// a more specific route.
//
// There is no ARP, no neighbour discovery, no router advertisement and no
// multicast: an interface is a point-to-point link to its router, and its
// addresses are configured. DNS names resolve by queries to the configured
// servers over the simulated network itself.
//
// Start reading at [Host]; [UDPConn] and [TCPConn] are the sockets; the file
// stack.go has the stack's settings.
package host
