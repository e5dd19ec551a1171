// Package nat is a network address and port translator: it rewrites the packets
// that leave and enter a site, and says which may not.
//
// UDP follows RFC 4787, TCP RFC 5382 (with the state machine of RFC 6146, section
// 3.5.2, and the corrections of RFC 7857), ICMP queries and errors RFC 5508. Each
// behaviour of mapping and filtering that RFC 4787 names can be chosen; what
// fields of a remote endpoint a behaviour looks at is decided by one function,
// scope, so that the translator has no branches for them.
//
// The NAT translates within a family (IPv4 to IPv4, IPv6 to IPv6) and only a
// family of which it has external addresses. It does no application-level
// gateways, no port overloading, no port parity, and takes whole packets only:
// fragments are put together before they get here (packet.Reassembler). What it does
// not let in it drops in silence, an unsolicited TCP SYN too (RFC 5382, REQ-4, wants
// no answer for 6 seconds; here there is none). It forgets idle mappings when
// packets pass, so that it needs no goroutine.
//
// Start reading at NAT.Outbound.
package nat
