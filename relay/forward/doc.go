// Package forward moves media packets between sockets: what a TURN relay (RFC 8656)
// has bound a channel for goes from client to peer and from peer to client without
// coming to the relay's protocol engine. It opens nothing, decrypts nothing, and
// knows no users, calls or timers.
//
// A Core stands between an engine and its UDP sockets. The engine's owner gives the
// listening socket to Core.Listen and each allocation's relay socket to
// Listener.Relay, and reads from what it gets instead: the same messages, but for
// those that the core has forwarded. By Relay.Bind, Relay.Unbind and Relay.Permit it
// says what is bound and permitted. Expiry is not a second clock here: the engine's
// timers end a binding, and its owner calls Unbind.
//
// # How a packet goes
//
// A worker (worker_linux.go) waits for its sockets with epoll. What has come is read
// into the worker's inbox, found in tables that are read without locks (table.go,
// flow.go), and put into an outbox, which sends all of it at once: packets of one
// flow, of one size, as one message that the kernel cuts (UDP_SEGMENT), and messages
// of one socket in one system call. Likewise the kernel gives packets of one sender
// that came together as one (UDP_GRO). Nothing is allocated for a packet, and no
// goroutine waits for another. What is not for the core goes into a queue, from which
// the engine reads.
//
// What the core takes: ChannelData of a bound channel, Send indications that have
// nothing but the peer's address and data, if the peer has a channel and a
// permission, and datagrams from peers with a channel. Everything else is the
// engine's, as are connections (TCP, TLS, DTLS): their ChannelData is cut from a
// stream that may wait for the client, and workers must not wait.
//
// With Config.Kernel, most packets of bound channels do not come here at all: package
// kernel forwards them in the kernel, and leaves the others to the sockets.
//
// # What pays
//
// Measured by TestLoad, server processor time per packet, medians of interleaved runs
// of builds that differ in one thing, on two busy cores over loopback:
//
//		CALLPATH_LOAD="flows=50 rate=1000 rounds=5" go test -run TestLoad -v ./relay/forward
//
//	  - Letting packets gather for a tenth of a millisecond when they come fast but one
//	    by one (pace, worker_linux.go): 7.6 instead of 9.0 µs. Being woken and waking
//	    receivers is the largest part of what a spread load costs.
//	  - System calls that the runtime's scheduler is not told of: 7.6 instead of 8.7 µs.
//	  - Reading up to 128 datagrams of a listening socket and 16 of a relay socket at a
//	    time, instead of 32 and 1: nothing at 50,000 packets a second, but 4.0 instead of
//	    5.9 µs at 150,000, as an overloaded core then finds several packets of a flow and
//	    makes runs of them, and does not lose any where it had lost a quarter.
//	  - Runs (UDP_GRO, UDP_SEGMENT) and messages of one socket in one call: with
//	    burst=16 a packet costs 2.3 µs, where one packet a call costs 7 to 8.
//
// The first two were also compared by switches within one build, where nothing could be
// told apart; only separate builds showed them. Not measured by separate builds yet:
// UDP_SEGMENT against sendmmsg alone, sendmsg for single messages, waiting in the
// runtime's poller, several workers on SO_REUSEPORT sockets (ListenUDP), which two
// cores shared with the load's generator cannot show. Not tried: io_uring, connected
// sockets.
//
// Start reading at Core, then end.ready and Relay.ready, then outbox.
package forward
