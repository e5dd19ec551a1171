// Package stunprobe finds out how a NAT maps and filters, by asking from inside:
// NAT behaviour discovery using STUN (RFC 5780). It has the server with two
// addresses and two ports, and the client side, Discover.
//
// It is the judge of package nat in tests, and a way for a scenario to show what
// stands between a host and the internet. Of RFC 5780 it has the mapping and
// filtering tests over UDP; the tests of lifetimes, hairpinning and fragments
// (PADDING, RESPONSE-PORT) are left out.
package stunprobe

import (
	"context"
	"net"
)

// ListenPacket opens a UDP socket, as host.Host and net.ListenConfig do. The
// network is udp4 or udp6.
type ListenPacket func(ctx context.Context, network, address string) (net.PacketConn, error)

// Ports are the server's primary and alternate port (RFC 5389, section 9, and RFC
// 5780, section 6).
var ports = [2]uint16{3478, 3479}

// Bits of CHANGE-REQUEST (RFC 5780, section 7.2).
const (
	changeIP   = 0x04
	changePort = 0x02
)
