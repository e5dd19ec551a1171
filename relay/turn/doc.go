// Package turn is the transport relay: a TURN server (RFC 8656) for clients that
// cannot reach each other directly. It listens on whatever sockets it is given,
// the machine's own or a simulated host's, and opens relay sockets by a function
// that it is given, so it runs the same in a scenario and as a server.
//
// What it adds to the protocol engine, pion/turn/v5: time-limited credentials with
// several secrets at once, a peer policy that is safe when nothing is configured,
// quotas, answers that the engine leaves out, an event for everything that is
// decided, and an end at which no goroutine is left.
//
// What it is not: it holds no keys and looks into no payload. TCP allocations (RFC
// 6062) are refused, and DONT-FRAGMENT where relay sockets are not Linux's own
// (whole.go); ICMP errors of peers are not passed on, mobility (RFC 8016) and
// additional address families are not offered, and messages are signed with HMAC-SHA1
// only: MESSAGE-INTEGRITY-SHA256 and PASSWORD-ALGORITHMS (RFC 8489, section 14.6 and
// 14.11) are not in the STUN library.
//
// # How a packet goes
//
// Each UDP socket and each TCP or TLS connection has a front (front.go): a
// net.PacketConn between the socket and an engine of its own. An engine asks its
// front for the next message only when it has dealt with the one before, so what
// happens between two reads belongs to one request. That is why the hooks of the
// engine, which are told little, can know the whole request: who asks, for what,
// signed with which secret, and whether it was answered.
//
// The front authenticates requests itself, before the engine sees them
// (challenge.go): strangers are metered by their source, nonces belong to one client,
// and secrets can change while the relay runs. What is good is signed again for the
// engine. Connections are counted at the door (connections.go).
//
// On the other side of the engine, each allocation has a relay socket wrapped in
// an allocation (allocation.go), which counts, reports and filters what passes.
//
// On the machine's own sockets the forwarding core (relay/forward) stands in the
// place of both sockets, of the front's and of the allocation's (core.go): packets
// of bound channels between UDP clients and peers do not come to the engine at all,
// and everything else does as before. The engine's events of channels and
// permissions say what is bound. On simulated sockets, on systems other than Linux,
// and when Config.OnRelayed wants to see each payload, all packets go through the
// engine; so do those of clients on TCP, TLS and DTLS, and those whose beginning
// Config.Watch wants to see, until it has (watch.go).
//
// A client's credential says user and call; quotas count by user, and what one call
// allocated only the same user in the same call can use (credential.go). Which peers
// may be reached is decided twice: for the address, when a permission is asked for
// (peers.go), and for the port, when it is one of the relay's own (own.go).
//
// Start reading at Config, then Server, then front.
package turn
