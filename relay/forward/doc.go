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
// A worker (worker_linux.go) waits for its sockets with epoll, as a goroutine that the
// runtime has parked (waiter_linux.go). What has come is read
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
// permission, and datagrams from peers with a channel and a permission. Everything else is the
// engine's, as are connections (TCP, TLS, DTLS): their ChannelData is cut from a
// stream that may wait for the client, and workers must not wait.
//
// With Config.Kernel, most packets of bound channels do not come here at all: package
// kernel forwards them in the kernel, and leaves the others to the sockets.
//
// # What pays
//
// Server processor time per packet of builds that differ in one thing, interleaved, in
// three network namespaces, 50 flows of 1,000 packets a second; the processes measured had
// real-time priority on two cores that others used too. Medians of two or three rounds,
// without those in which others took nearly all of the machine, so a tenth more or less
// means nothing:
//
//	chrt -f 1 callpath bench --studies cost --loads spread --subjects callpath --duration 1s
//
// coturn 4.6.1 takes 13.0 µs there, pion/turn v5 14.2; a bare forwarder is not below them,
// as about 10 are the kernel's work of handing a packet to the next host.
//
//   - Parking a worker that waits, instead of blocking it in epoll_wait: 12.4 instead of
//     14.5 µs. The runtime's monitor takes the processor from a thread that blocks, and
//     waking it to do so and taking the processor back were a third of the profile.
//   - Letting packets gather for a tenth of a millisecond (pace): 9.9 instead of 12.5 µs,
//     0.75 of coturn's and 0.7 of pion's, and less for the receivers, who are woken for
//     several at once. It adds half of that to each packet's way: p50 103 instead of
//     48 µs, p99 in the calmest rounds about 200 instead of 140 (coturn: 45 and 150). So
//     it is done only when a worker has work for more than half of its time. Shorter pauses, with the timers'
//     slack off, save less: 35 µs 10.4, 20 µs 12.3.
//   - Runs out (UDP_SEGMENT), with the load bursty: 2.1 instead of 5.7 µs for messages of
//     one socket in one sendmmsg alone; runs in (UDP_GRO): 2.1 instead of 4.0.
//   - System calls that the runtime's scheduler is not told of: 7.6 instead of 8.7 µs, and
//     reading up to 128 datagrams of a listening socket and 16 of a relay socket at a time
//     instead of 32 and 1: nothing at 50,000 packets a second, 4.0 instead of 5.9 µs at
//     150,000. These two on loopback, by TestLoad:
//     CALLPATH_LOAD="flows=50 rate=1000 rounds=5" go test -run TestLoad -v ./relay/forward
//
// All together, on two cores of which others used 5 %, medians of two rounds:
//
//	callpath bench --peer coturn --subjects callpath,callpath-kernel,pion-v5 --studies cost,peak,latency,flows --loads spread,bursty --flow-counts 10,10000 --rounds 2 --duration 1s
//
// 50 flows of 1,000 packets a second cost 9.6 µs a packet, 0.86 of coturn's and 0.75 of
// pion's; runs of 16 packets 0.33 of coturn's. The peak is at least 2.0 times coturn's and
// 2.4 times pion's, where the generator ends; p99 at half of the lowest peak is 0.65 of
// coturn's, at nine tenths of it 1.5 times. With 10,000 flows a packet costs 1.26 times
// what it costs with 10. 5,000 flows of 10 packets a second (--loads audio-5000 --rate
// 50000): 0.88 of coturn's, 0.75 of pion's.
//
// # What does not
//
//   - Busy polling, for 50 µs before parking: 17 instead of 12.5 µs, and latency is the
//     same. Every packet finds the worker awake, at the price of the waits in between.
//   - Relay sockets connected to their peer, which spares the look-up of the route: 12.4
//     instead of 12.5 µs, within the noise, for a second socket for each channel.
//   - Several workers on SO_REUSEPORT sockets (ListenUDP is there for it): not shown, as
//     two cores have room for one worker beside the load's generator.
//   - io_uring: not tried. Most of the time is in the kernel's sending, which it does not
//     change; it could save the entries into the kernel, which profiles show to be little.
//
// # Memory
//
// Ten thousand allocations with a channel each add 10.4 kB each to the process, without
// channels 8.0, where coturn's add 23.1 and 22.6:
//
//	callpath bench --studies flows --subjects callpath --peer coturn --flow-counts 10000
//
// 7 kB of the heap live; 3.9 of those are a map that the protocol engine makes for 64
// permissions of each allocation, which only another engine could spare. What was spared:
// a goroutine with its buffer and stack for each allocation (Allocation.Deliver), queues
// and maps of its own, and inboxes that the collector of garbage counted.
//
// Start reading at Core, then end.ready and Relay.ready, then outbox.
package forward
