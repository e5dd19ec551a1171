package sim

import (
	"net/netip"
	"time"

	"github.com/callpath/callpath/topology"
)

// Observer is told what happens to packets. Its methods are called from the
// network's goroutines and concurrently: an implementation guards its own state,
// returns quickly, and does not call into the network or send through a host.
// Slices are valid only during the call.
type Observer interface {
	// Captured is called for each IP packet that enters or leaves a host's
	// interface.
	Captured(Capture)
	// Delivered is called for each IP packet that reached a host, with its
	// whole way.
	Delivered(Delivery)
	// Dropped is called for each IP packet that went no further.
	Dropped(Drop)
}

// Capture is one IP packet at a host's interface.
type Capture struct {
	Time time.Time
	// Host and Interface name where the packet was seen.
	Host, Interface string
	// Outbound packets leave the host.
	Outbound bool
	// Packet is the whole IP packet.
	Packet []byte
}

// Delivery is one IP packet that reached a host.
type Delivery struct {
	Time time.Time
	// From and To are the names of the hosts that sent and received it. From is
	// the router's or site's name when a router or edge made the packet (an ICMP
	// error), and either is the VPN's name for a tunnel's outer packet at the
	// concentrator.
	From, To string
	// Packet is the packet as received, that is, after every translation.
	Packet []byte
	// SentFrom and SentTo are source and destination as the sender wrote them,
	// before any NAT. Their port is zero for protocols without ports and for later
	// fragments; in an ICMP query the identifier stands in for it.
	SentFrom, SentTo netip.AddrPort
	// Way is every place that the packet went through.
	Way topology.Way
}

// Drop is one IP packet that went no further.
type Drop struct {
	Time time.Time
	// Where is the place that dropped the packet.
	Where topology.Hop
	// Why says it in words: one of the Why constants, or what a link or a NAT says
	// (link.Fate, nat.Verdict).
	Why string
	// Rule is the name of the firewall rule that decided, or "default"; empty
	// when no firewall did.
	Rule string
	// Packet is the packet as it was when it was dropped.
	Packet []byte
}

// Reasons why packets are dropped, beyond those of links and NATs.
const (
	WhyTTL       = "time to live is used up"
	WhyNoRoute   = "no route to the destination"
	WhyNoHost    = "no host has the destination address"
	WhyTooBig    = "larger than the MTU and not to be fragmented"
	WhyDenied    = "denied by a firewall"
	WhyRejected  = "rejected by a firewall"
	WhyMalformed = "malformed"
	WhyMulticast = "multicast is not carried"
	WhyNoService = "nothing listens there"
)

func (i *Internet) captured(p *port, iface string, outbound bool, data []byte) {
	if i.observer == nil {
		return
	}
	i.observer.Captured(Capture{Time: i.now(), Host: p.name, Interface: iface, Outbound: outbound, Packet: data})
}

func (i *Internet) delivered(to string, f *frame) {
	if i.observer == nil {
		return
	}
	i.observer.Delivered(Delivery{
		Time: i.now(), From: f.from, To: to, Packet: f.p.Bytes(),
		SentFrom: f.sentFrom, SentTo: f.sentTo, Way: f.way,
	})
}

// drop ends a packet's way.
func (i *Internet) drop(f *frame, where topology.Hop, why, rule string) {
	if i.observer != nil {
		i.observer.Dropped(Drop{Time: i.now(), Where: where, Why: why, Rule: rule, Packet: f.p.Bytes()})
	}
	f.free()
}

// dropBytes is drop for what is not even a packet.
func (i *Internet) dropBytes(data []byte, where topology.Hop, why string) {
	if i.observer != nil {
		i.observer.Dropped(Drop{Time: i.now(), Where: where, Why: why, Packet: data})
	}
}
