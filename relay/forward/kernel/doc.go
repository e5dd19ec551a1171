// Package kernel forwards the packets of bound channels within the Linux kernel: they
// never come to the relay's sockets. It is the shorter way of relay/forward, which
// says what is bound and remains the way of everything else.
//
// # What it does
//
// A program (bpf/relay.c) is attached to where packets come in on the chosen
// interfaces (tcx, in Linux 6.6 and later, with any driver; and on lo). It looks each
// datagram of UDP up by its addresses and ports and, when it may be ChannelData, its
// channel. What is found is rewritten in place: the header of ChannelData (RFC 8656,
// section 12.4) is taken off or put on, addresses, ports, lengths and checksums are
// changed, TTL or hop limit go down by one, DSCP and ECN stay (section 14). Then it
// leaves by its route.
//
// The checksum of UDP is not made anew but changed by the difference, so that a
// packet that was damaged on its way to the relay is still found to be so at its end.
//
// # What it leaves to the sockets
//
// Packets that nothing is bound for, as STUN messages; malformed ones; those with
// more than 252 bytes of padding; fragments, IP options and extension headers; those
// for which the outgoing path is too narrow, or whose TTL ends here; those that were
// merged on their way in (a run that a process of the same machine sends by
// UDP_SEGMENT); VLAN tags; and as a whole: channels between address families, clients
// of a socket on the unspecified address, routes through tunnels, and whatever does
// not fit into the tables.
//
// From a client of this relay to another, by the relayed addresses of both, a packet
// goes in one step, and counts as in two.
//
// # Rules
//
// They are relay/forward's. There is one clock: the engine's timers end a binding,
// Unbind takes it out of the tables, and with that it has ended for the next packet.
// So that a relay that hangs does not leave bindings behind, the program forwards only
// under a lease that a goroutine prolongs every quarter of a second; when the process
// ends, however it ends, the program is gone. Counters are in memory that both sides
// share and can be read at any time. Bandwidth is taken from meters in such memory,
// by both ways of a flow. What a peer sends needs its permission too: without one, that
// way of the channel leaves the tables until there is one again (RFC 8656, section 12.7).
//
// What is not as on the sockets' way: packets do not pass through netfilter's hooks
// (no rules of iptables or nft for input and output, no connection tracking), IPsec
// policies, or reverse path filtering, and packet captures show them once on each
// side. That is why it is off unless asked for.
//
// Routes are asked for when a channel is bound, again within a second when the
// system's routes, addresses or links change, and now and then, as the MTU of a path
// can change. Of several equal routes a flow keeps to one. Neighbours are the kernel's.
//
// # What it costs
//
// Against coturn 4.6.1, in three network namespaces, on two CPUs of which others used
// 15 %, medians of three interleaved rounds:
//
//	callpath bench --subjects callpath,callpath-kernel,coturn --studies cost,peak --loads spread,bursty --rounds 3 --duration 500ms
//
// What came out:
//
//   - 50 flows of 1,000 packets a second: 0.2 µs of the machine's time added for a packet,
//     where coturn adds 14.8 and the sockets' way 13.8. In other runs, on a machine that
//     was busier, it added 2.0 µs to coturn's 17.0 and 24.0, so it is 0.02 to 0.12 of
//     coturn's; by the time of all processes, 0.05 to 0.3.
//   - In runs of 16: 0.04 to 0.2 of coturn's, by the time of all processes.
//   - The relay's own process: 0.06 µs a packet, where coturn's has 12.9.
//   - The latency at that load, p99: 0.1 ms, where coturn's is 1.5 ms.
//   - Most packets per second that the benchmark's own generator finds: 2.7 to 4.2 times
//     coturn's in runs of 16, 1.8 of single packets. That is the generator's limit, which
//     sends by sockets: straight to the sink, 2.4 times what coturn carries.
//
// The limit of the relay is found by a generator without sockets (package
// bench/generator), on the same machine while others used much of it, 50 flows of 160
// bytes in turn, less than 0.1 % lost, medians (and all) of three interleaved rounds, in
// thousands of packets per second:
//
//	CALLPATH_PEAK=callpath-kernel,callpath,pion-v5,coturn:3 go test -run TestPeak -v ./bench
//
//	                 from clients           × coturn   to clients             × coturn
//	without relay    1,590
//	callpath-kernel    795 (472 to 867)     17         538 (153 to 761)       9.5
//	callpath            46 (38 to 48)       1.0         54 (38 to 77)         1.0
//	pion-v5             38 (37 to 38)       0.8         59 (57 to 64)         1.0
//	coturn              46 (40 to 54)       1           57 (57 to 59)         1
//
// Over all runs it was 9 to 17 times coturn's from clients, and 4 to 14 to clients, where
// the low ones are of rounds in which others held the generator up. One CPU, of two, is
// the relay's: its process, and what its host does with packets that come in, in the
// kernel's threads (threaded NAPI), which go before the process as a card's interrupts
// would. The generator and its sink have the other, in which alone, without a relay,
// they do twice what comes through the kernel here.
//
// A channel takes two structures of 64 bytes, in memory that is there from the start
// (2.5 MB for 20,000 channels), and about 400 bytes in the table while it is bound.
//
// # What does not pay
//
//   - Of the 9 to 12 µs that it takes to send a packet through this host to another, on
//     the same busy machine, the program has 0.5 to 0.8 (go test -bench Program), the
//     move of the payload by four bytes included. So the payload is moved, and not the
//     headers before it (bpf_skb_adjust_room), which would leave the place of a checksum
//     that a card is still to make where it was, wrong by four bytes.
//   - Routes that the program asks for itself (bpf_fib_lookup): refused where the machine
//     does not forward IP (BPF_FIB_LKUP_RET_FWD_DISABLED), which a relay's need not. The
//     relay asks for them instead.
//   - To have what comes in handled on another CPU than the sender's (RPS): 3.1 times
//     coturn's most packets in runs of 16 instead of 2.7, and 1.7 instead of 1.8 of single
//     packets, within what they differ from run to run.
//
// Not tried: XDP. It comes before a card's driver has made a packet of what it received,
// and is cheaper for that, where the driver supports it; in its generic mode it is not,
// and it cannot tell which packets of this machine still lack their checksum, nor have
// the kernel find the neighbour. Of the time of the thread that receives, at 600,000
// packets a second (perf), about a third is in the program and what it calls, a tenth in
// merging (GRO), which finds nothing to merge, and the rest in making and sending
// packets, which XDP would save in part.
//
// Start reading at Path, then Bind, then forward in bpf/relay.c.
package kernel

// The object is made by clang 14 of bpf/relay.c, and committed, so that building needs
// nothing but Go.
//
//go:generate clang-14 -O2 -g -target bpfel -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -I/usr/include/x86_64-linux-gnu -ffile-prefix-map=.=. -c bpf/relay.c -o bpf/relay.o
//go:generate llvm-strip-14 -g bpf/relay.o
