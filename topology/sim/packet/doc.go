// Package packet reads and rewrites IPv4 and IPv6 packets with UDP, TCP and ICMP
// in them, as routers, NATs and firewalls need it: in place, without allocation,
// and with checksums that stay as right (or as wrong) as they were.
//
// It also makes the packets that a router makes itself: ICMP errors, TCP resets
// and fragments. It keeps no state, but for Reassembler, and knows nothing of the
// network in which packets travel. It is not a full decoder: options and
// extension headers are stepped over.
//
// It follows RFC 791 and 792 (IPv4, ICMP), 8200 and 4443 (IPv6, ICMPv6), 768
// (UDP), 9293 (TCP), 1624 (incremental checksums), 1812 (what routers answer)
// and 4884 (multi-part ICMP, in so far as it is left alone). Start reading at
// Packet.
package packet
