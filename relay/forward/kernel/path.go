package kernel

import (
	"log/slog"
	"net/netip"
)

// Config says where and how much. Its zero value is good.
type Config struct {
	// Interfaces are those that packets of clients and peers come in by, by name.
	// None means all that are up, lo included. An interface that appears later is
	// not used.
	Interfaces []string
	// Channels is how many can be bound at most; 0 means 65536. Others are left to
	// the sockets.
	Channels int
	// Log is told when a route cannot be used; nil means nothing is.
	Log *slog.Logger
}

const defaultChannels = 1 << 16

// Channel is what Bind binds. All addresses are of one family.
type Channel struct {
	// Number is 0x4000 to 0x7fff (RFC 5766, section 11).
	Number uint16
	// Client and Server are the ends of the client's 5-tuple; Relay is the relayed
	// transport address and Peer the peer's.
	Client, Server, Relay, Peer netip.AddrPort
	// Within says that the peer is to be a relayed address of this relay. What is sent
	// to it goes to that allocation's client at once, if it has a channel to this one
	// bound here, and else through the sockets.
	Within bool
	// ToPeer says that the peer has no permission now: the channel is bound, but only
	// what the client sends goes this way, until Flow.Permit says otherwise.
	ToPeer bool
	// Meters, at most two, are asked for the bytes of each payload. When one says
	// no, the payload is dropped and counted.
	Meters []*Meter
}

// Count is what went one way.
type Count struct {
	// Packets and Bytes count payloads that were sent on, Over those that a meter
	// did not let pass.
	Packets, Bytes, Over uint64
}
