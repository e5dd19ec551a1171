package turn

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/callpath/callpath/relay/forward/kernel"
)

// Transport is how a client reaches the relay.
type Transport string

// The transports of RFC 8656, section 2.1. Between relay and peer it is always UDP.
const (
	UDP  Transport = "udp"
	TCP  Transport = "tcp"
	TLS  Transport = "tls"
	DTLS Transport = "dtls"
)

// The range of relay ports that RFC 8656, section 7.2 recommends.
const (
	DefaultMinPort = 49152
	DefaultMaxPort = 65535
)

// Listener accepts connections from clients. For TLS and DTLS it is the listener
// that makes the handshake (tls.NewListener, dtls.NewListener); DTLS connections
// must keep message boundaries.
type Listener struct {
	Transport Transport
	net.Listener
}

// Config says what a relay listens on and what it permits. Only Realm, Secrets,
// Addresses and at least one of PacketConns and Listeners are required.
type Config struct {
	// Realm is the authentication realm of the relay (RFC 8489, section 9.2).
	Realm string
	// Secrets are the shared secrets of time-limited credentials. All verify, so
	// that a secret can be replaced without refusing the credentials already
	// issued: put the new one first, and remove the old one when the last of its
	// credentials has expired.
	Secrets [][]byte
	// PacketConns are the UDP sockets to listen on. The Server closes them.
	PacketConns []net.PacketConn
	// Listeners accept TCP, TLS and DTLS connections. The Server closes them.
	Listeners []Listener
	// Addresses are those on which relayed transport addresses are made. A
	// family without an address is refused with 440. With several of one family
	// they are used in turn.
	Addresses []netip.Addr
	// OwnAddresses are further addresses of the relay's machine, for example a
	// public one that a NAT translates. Clients cannot have them as peers.
	OwnAddresses []netip.Addr
	// ListenPacket opens relay sockets: network is "udp4" or "udp6". Nil means the
	// machine's own sockets.
	ListenPacket func(ctx context.Context, network, address string) (net.PacketConn, error)
	// MinPort and MaxPort bound the relay ports, both included; 0 means
	// DefaultMinPort and DefaultMaxPort.
	MinPort, MaxPort uint16
	// Peers says which peers are permitted. Its zero value is safe.
	Peers PeerPolicy
	// Quota bounds what users can hold. Its zero value has defaults.
	Quota Quota
	// Limits bound what can be had without a credential. Its zero value has
	// defaults.
	Limits Limits
	// Lifetimes are those of RFC 8656. Its zero value has the RFC's.
	Lifetimes Lifetimes
	// KeepExpired lets a credential that has expired go on serving what it
	// allocated in its time, so that calls may outlast it: no client can change
	// the credential of a live allocation. It makes no new allocations.
	KeepExpired bool
	// Kernel, when not nil, forwards the packets of bound channels before they come
	// to the sockets, where it can. The Server closes it.
	Kernel *kernel.Path
	// Rand picks relay ports; nil means the runtime's, which cannot be predicted.
	Rand rand.Source
	// Now is the clock that credentials are checked by; nil means time.Now. The
	// lifetimes run on the runtime's timers.
	Now func() time.Time
	// OnEvent is told what was decided. It is called from many goroutines, some of
	// them holding locks of the protocol engine: it must be quick, and must not
	// call Close.
	OnEvent func(Event)
	// OnRelayed is told of each payload that is relayed, under the same rules. All
	// packets go through the protocol engine then.
	OnRelayed func(Relayed)
	// Watch is told of each payload between an allocation and a peer, under the same
	// rules, until it returns false for these two; then their packets go the fast
	// way. Of the peers of one allocation 64 are watched. The last payload of an
	// allocation may come at the same time as AllocationDeleted.
	Watch func(Relayed) bool
	// Log receives what is no event; nil means nothing does. EventLog receives
	// one record for each event; nil means Log.
	Log, EventLog *slog.Logger

	// machine is true when the sockets are the machine's own.
	machine bool
}

// Quota bounds what users can hold at a time. Zero means the default.
type Quota struct {
	// PerUser bounds the allocations of one user, over all of its calls,
	// addresses and transports; default 10.
	PerUser int
	// Total bounds the allocations in all; default 10000.
	Total int
	// Permissions and Channels bound those of one allocation; default 128.
	Permissions, Channels int
	// UserBandwidth and TotalBandwidth bound the payloads that are relayed for a
	// user and in all, in bytes a second, both directions together. What is over
	// is dropped and counted. Default is no limit.
	UserBandwidth, TotalBandwidth int64
}

// Limits bound what can be had without a credential. Zero means the default, a
// negative value no limit. A source is an IPv4 address, or the /64 of an IPv6
// address.
type Limits struct {
	// Requests is how many requests without a valid credential a source may send
	// in a second, in the long run; default 100. RequestsAtOnce is how many may
	// come at once; default 500. What is over is passed over, so that a source
	// that was forged gets nothing.
	Requests, RequestsAtOnce int
	// Sources bounds how many sources are remembered; default 65536.
	Sources int
	// Connections bounds TCP, TLS and DTLS connections in all; default 10000.
	// ConnectionsPerSource bounds those of a source; default 500. Handshakes
	// bounds how many are made at once; default 500.
	Connections, ConnectionsPerSource, Handshakes int
	// Idle is how long a connection may stay without an allocation; default 30 s.
	Idle time.Duration
}

// Lifetimes are how long things live without a refresh. Zero means the RFC's.
type Lifetimes struct {
	// Allocation is for clients that ask for none, or for more than an hour;
	// default 10 minutes (RFC 8656, section 7.2).
	Allocation time.Duration
	// Permission defaults to 5 minutes (section 9), Channel to 10 (section 12).
	Permission, Channel time.Duration
	// Nonce is how long a nonce is good for; default 1 hour, the most that RFC
	// 8656, section 5 recommends.
	Nonce time.Duration
}

// Relayed is one payload on its way through the relay.
type Relayed struct {
	Time time.Time
	// User and Call are those of the credential.
	User, Call string
	Transport  Transport
	// Client is the client's address as the relay sees it, Relay the relayed
	// transport address, Peer the peer's.
	Client, Relay, Peer netip.AddrPort
	// ToPeer is true on the way from client to peer.
	ToPeer bool
	// Payload is valid during the call only.
	Payload []byte
}

// Stats are figures of a relay since its start; Allocations, Permissions, Channels
// and Connections are what there is now.
type Stats struct {
	Allocations int
	Permissions int
	Channels    int
	// Connections counts TCP, TLS and DTLS connections of clients.
	Connections int
	// Packets counts relayed payloads in both directions; BytesIn are the bytes of
	// payloads received for relaying, BytesOut of those sent on. They are equal
	// when nothing was dropped in between.
	Packets, BytesIn, BytesOut uint64
	// Dropped counts datagrams that were not relayed: from peers without a
	// permission, to own addresses, too long, or impossible to send.
	Dropped uint64
	// KernelPackets are those among Packets that were forwarded in the kernel.
	KernelPackets uint64
	// OverBandwidth counts payloads that were dropped by a bandwidth quota.
	OverBandwidth uint64
	// Malformed counts messages that are neither STUN nor ChannelData; on a
	// connection one such message ends it.
	Malformed uint64
	// Limited counts requests that were passed over by Limits.Requests, and
	// TurnedAway connections that were closed by the limits of connections.
	Limited, TurnedAway uint64
	// StaleNonces counts requests that were answered with 438.
	StaleNonces uint64
	// Unauthenticated counts requests that were refused for their credentials.
	Unauthenticated uint64
	// Refused counts allocations, permissions and channels that were refused to
	// authenticated users.
	Refused uint64
}

// complete returns the config with its defaults, or an error that names the field.
func (c Config) complete() (Config, error) {
	if c.Realm == "" {
		return c, fmt.Errorf("realm is empty: give the relay's domain name")
	}
	if err := checkSecrets(c.Secrets); err != nil {
		return c, err
	}
	if len(c.PacketConns)+len(c.Listeners) == 0 {
		return c, fmt.Errorf("nothing to listen on: give packet conns, listeners or both")
	}
	for i, pc := range c.PacketConns {
		if pc == nil {
			return c, fmt.Errorf("packet conns[%d] is nil", i)
		}
	}
	for i, l := range c.Listeners {
		if l.Listener == nil {
			return c, fmt.Errorf("listeners[%d] is nil", i)
		}
		switch l.Transport {
		case TCP, TLS, DTLS:
		default:
			return c, fmt.Errorf("listeners[%d]: transport %q; valid: tcp, tls, dtls", i, l.Transport)
		}
	}
	if len(c.Addresses) == 0 {
		return c, fmt.Errorf("addresses is empty: relayed transport addresses need at least one")
	}
	addresses := make([]netip.Addr, len(c.Addresses))
	for i, a := range c.Addresses {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return c, fmt.Errorf("addresses[%d]: %v is not an address that peers can send to", i, a)
		}
		addresses[i] = a.Unmap()
	}
	c.Addresses = addresses
	if c.MinPort == 0 {
		c.MinPort = DefaultMinPort
	}
	if c.MaxPort == 0 {
		c.MaxPort = DefaultMaxPort
	}
	if c.MinPort > c.MaxPort {
		return c, fmt.Errorf("min port %d is above max port %d", c.MinPort, c.MaxPort)
	}
	for _, q := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"per user", &c.Quota.PerUser, 10}, {"total", &c.Quota.Total, 10000},
		{"permissions", &c.Quota.Permissions, 128}, {"channels", &c.Quota.Channels, 128},
	} {
		if *q.value < 0 {
			return c, fmt.Errorf("quota: %s is %d; valid: 1 or more, or 0 for %d", q.name, *q.value, q.fallback)
		}
		if *q.value == 0 {
			*q.value = q.fallback
		}
	}
	for _, l := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"allocation", &c.Lifetimes.Allocation, 10 * time.Minute},
		{"permission", &c.Lifetimes.Permission, 5 * time.Minute},
		{"channel", &c.Lifetimes.Channel, 10 * time.Minute},
		{"nonce", &c.Lifetimes.Nonce, time.Hour},
	} {
		if *l.value < 0 {
			return c, fmt.Errorf("lifetimes: %s is %v; valid: above 0, or 0 for %v", l.name, *l.value, l.fallback)
		}
		if *l.value == 0 {
			*l.value = l.fallback
		}
	}
	c.Limits = c.Limits.complete()
	if c.ListenPacket == nil {
		c.machine = true
		c.ListenPacket = (&net.ListenConfig{}).ListenPacket
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.EventLog == nil {
		c.EventLog = c.Log
	}
	return c, nil
}

func (l Limits) complete() Limits {
	for _, f := range []struct {
		value    *int
		fallback int
	}{
		{&l.Requests, 100}, {&l.RequestsAtOnce, 500}, {&l.Sources, 1 << 16},
		{&l.Connections, 10000}, {&l.ConnectionsPerSource, 500}, {&l.Handshakes, 500},
	} {
		if *f.value == 0 {
			*f.value = f.fallback
		}
	}
	if l.Idle == 0 {
		l.Idle = 30 * time.Second
	}
	return l
}
