// Package udp is what the benchmark's load generator and its bare forwarders know
// of sockets: IPv4 UDP by plain system calls, one packet at a time, in batches
// (recvmmsg, sendmmsg) and in segments (UDP_SEGMENT, UDP_GRO), and a poller over
// thousands of them (epoll).
//
// It is not for servers: a Socket belongs to one goroutine, never waits in the
// runtime's own poller, and speaks only to addresses that the benchmark made. It
// works on Linux; elsewhere opening a socket fails.
//
// Start reading at Open, then Outbox and Inbox.
package udp

import (
	"encoding/binary"
	"net/netip"
)

// Address is an IPv4 address and port in the layout of the kernel's sockaddr_in,
// so that it can be handed over, compared and used as a key as it is.
type Address [16]byte

// familyIPv4 is AF_INET, which is the same on every system.
const familyIPv4 = 2

// AddressOf converts an IPv4 address. Of any other, it keeps the port only.
func AddressOf(ap netip.AddrPort) (a Address) {
	binary.NativeEndian.PutUint16(a[0:], familyIPv4)
	binary.BigEndian.PutUint16(a[2:], ap.Port())
	if ip := ap.Addr().Unmap(); ip.Is4() {
		ip4 := ip.As4()
		copy(a[4:], ip4[:])
	}
	return a
}

// AddrPort is the address as netip has it.
func (a Address) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), binary.BigEndian.Uint16(a[2:]))
}

// Options are how a socket is opened.
type Options struct {
	// Buffer is the size of the receive buffer in bytes; 0 leaves the system's.
	Buffer int
	// Coalesce lets the kernel hand over a run of packets as one message (UDP_GRO).
	Coalesce bool
	// Stamp has the kernel note when each message arrived.
	Stamp bool
}

// Message is one received message. Data is valid until the inbox's next Receive.
type Message struct {
	Data []byte
	From Address
	// Segment is the size of the packets that Data is made of, the last of which
	// may be shorter; 0 when it is one packet.
	Segment int
	// At is when the message arrived in nanoseconds of Unix time; 0 when the
	// socket does not stamp.
	At int64
}

// MaxSegments is the most packets that the kernel takes as one message.
const MaxSegments = 64

// MaxMessage is the size of the largest message.
const MaxMessage = 65507
