// Package sim runs a topology: a small internet in user space, of real IPv4 and
// IPv6 packets. Its hosts have a TCP/IP stack each (package sim/host), so that any
// protocol that runs over Go's net interfaces runs over it unchanged.
//
// # What a packet meets
//
//	host ── link ── router ── edge: firewall, NAT ── uplink ── internet ── uplink ── edge: NAT, firewall ── …
//
// A host hands its packets to its port, which puts them on the link to the subnet's
// router. Routers forward by longest prefix, count the time to live down, and answer
// with ICMP errors what they cannot forward: no route, no such host, too large. The
// edge's firewall sees internal addresses; its NAT stands between that and the
// uplink. The internet in the middle is one router that knows every site.
//
// Inner routers are joined to their edge without a link of their own: a topology
// gives links to subnets and uplinks only.
//
// A VPN client has a second interface, named after the VPN. What the host sends
// there is sealed (package sim/esp) and goes to the concentrator, at the edge of the
// VPN's site, as an ordinary UDP packet from the host's own address, with a Way of
// its own. The inner packet's Way has the tunnel as one hop.
//
// # What is simplified
//
// There is no link layer: no Ethernet, ARP or neighbour discovery, and multicast is
// not carried. Fragments are put together at edges, so that firewalls and NATs see
// whole packets, and are split again behind them, no larger than they were; that is
// how stateful middleboxes do it. Routers fragment IPv4 packets without the DF flag,
// of any protocol; never IPv6. Edges lower the segment size that TCP connections
// announce to their uplink's MTU. An interface has an MTU of 1280 at least. Routers
// have addresses only to send ICMP errors from. A host that asks a DNS server which
// has moved asks in vain: hosts learn its address once.
//
// # Goroutines and order
//
// Over perfect links a packet runs through the whole network on the goroutine that
// sent it, up to the receiving stack. On a link with delay or a bandwidth it waits on
// a schedule (link.Schedule), of which there are a few, with one goroutine each;
// packets of a link keep their order, unless it reorders. No lock is held while a
// packet moves from place to place, and places do not change once built: a host that
// moves gets a new attachment, and the tables by which hosts are found are copied.
//
// Each link direction, NAT and host draws from a generator of its own, seeded by the
// run's seed and its name. So equal seeds make equal decisions about equal packets;
// how packets of different senders interleave, the real time decides.
//
// Start reading at New, then port.send in port.go, router.go and edge.go.
package sim
