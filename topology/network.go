package topology

import (
	"net/netip"
	"time"
)

// Network is a topology: sites joined by the internet, the hosts in them, and the
// VPNs that tunnel between them. It is data; package sim runs it. A Network from
// Parse, FromDocument or Named has been validated and has every address filled in;
// one made by hand goes through Complete first.
type Network struct {
	// Name is the identifier by which scenarios refer to the network.
	Name string `yaml:"name" json:"name"`
	// Title says in one line who talks to whom.
	Title string `yaml:"title" json:"title"`
	// Source names the document and figure that the network reproduces.
	Source string `yaml:"source" json:"source"`
	// Description is free text for readers.
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	// Sites are the networks, each joined to the internet by its edge.
	Sites []Site `yaml:"sites" json:"sites"`
	// VPNs are tunnels from hosts outside a site into it.
	VPNs []VPN `yaml:"vpns,omitempty" json:"vpns,omitempty"`
	// Hosts are the machines, in the order in which they get their addresses.
	Hosts []Host `yaml:"hosts" json:"hosts"`
}

// SiteKind says to which of the documented networks a site belongs.
type SiteKind string

// The documented networks ("Call flow topologies", section on network types).
const (
	// CustomerNetwork is a network that an organisation manages.
	CustomerNetwork SiteKind = "customer-network"
	// Internet is the access network of nomadic users, or a public server.
	Internet SiteKind = "internet"
	// CommunicationServices is the provider's network.
	CommunicationServices SiteKind = "communication-services"
	// Telephony is a PSTN carrier behind a session border controller.
	Telephony SiteKind = "telephony"
)

// Site is one network and its edge router, which holds its NAT and its
// perimeter firewall.
type Site struct {
	Name string   `yaml:"name" json:"name"`
	Kind SiteKind `yaml:"kind" json:"kind"`
	// Region says where on the earth the site is, for the principle that the
	// first participant of a group call decides which region hosts it; empty is
	// the only region that there is.
	Region  string   `yaml:"region,omitempty" json:"region,omitempty"`
	Subnets []Subnet `yaml:"subnets" json:"subnets"`
	// Routers are the routers behind the edge; none means that the edge joins
	// all subnets.
	Routers []Router `yaml:"routers,omitempty" json:"routers,omitempty"`
	// Routes is the edge's own table, for prefixes behind Routers.
	Routes []Route `yaml:"routes,omitempty" json:"routes,omitempty"`
	// NAT translates between the subnets and the internet; nil means that the
	// subnets' addresses are global.
	NAT *NAT `yaml:"nat,omitempty" json:"nat,omitempty"`
	// Firewall is the perimeter firewall; nil lets everything pass.
	Firewall *Firewall `yaml:"firewall,omitempty" json:"firewall,omitempty"`
	// Uplink joins the edge to the internet; it applies in each direction.
	Uplink Link `yaml:"uplink,omitempty" json:"uplink"`
}

// Subnet is a link-local segment of a site.
type Subnet struct {
	Name string `yaml:"name" json:"name"`
	// Prefixes holds at most one IPv4 and one IPv6 prefix.
	Prefixes []netip.Prefix `yaml:"prefixes" json:"prefixes"`
	// Router names the router that serves the subnet; empty is the edge.
	Router string `yaml:"router,omitempty" json:"router,omitempty"`
	// Link joins each host of the subnet to its router, in each direction.
	Link Link `yaml:"link,omitempty" json:"link"`
}

// Router is a router inside a site. Its default route leads to the edge, unless
// Routes has another.
type Router struct {
	Name   string  `yaml:"name" json:"name"`
	Routes []Route `yaml:"routes,omitempty" json:"routes,omitempty"`
}

// Route sends a prefix to a router of the same site.
type Route struct {
	To netip.Prefix `yaml:"to" json:"to"`
	// Via is a router's name, or "edge".
	Via string `yaml:"via" json:"via"`
}

// Behavior is a class of RFC 4787, section 4.1 (mapping) or 5 (filtering).
type Behavior string

// The behaviours of RFC 4787.
const (
	EndpointIndependent     Behavior = "endpoint-independent"
	AddressDependent        Behavior = "address-dependent"
	AddressAndPortDependent Behavior = "address-and-port-dependent"
)

// NAT is a network address and port translator (RFC 4787 for UDP, RFC 5382 for
// TCP, RFC 5508 for ICMP). In YAML a NAT is a mapping, or one of the older words
// (RFC 3489) full-cone, restricted-cone, port-restricted-cone and symmetric.
type NAT struct {
	Mapping   Behavior `yaml:"mapping" json:"mapping"`
	Filtering Behavior `yaml:"filtering" json:"filtering"`
	// Addresses are the external addresses; paired pooling (RFC 4787, REQ-2).
	// Empty takes one that Complete assigns.
	Addresses []netip.Addr `yaml:"addresses,omitempty" json:"addresses,omitempty"`
	// PortPreservation keeps the internal port where it is free.
	PortPreservation bool `yaml:"port-preservation,omitempty" json:"port_preservation,omitempty"`
	// Hairpinning lets two internal hosts talk by their external addresses
	// (RFC 4787, REQ-9).
	Hairpinning bool `yaml:"hairpinning,omitempty" json:"hairpinning,omitempty"`
	// UDPTimeout is how long an idle UDP mapping lives; zero is 5 minutes.
	UDPTimeout Duration `yaml:"udp-timeout,omitempty" json:"udp_timeout,omitempty"`
	// TCPTimeout is how long an idle established TCP mapping lives; zero is
	// 2 hours 4 minutes (RFC 5382, REQ-5).
	TCPTimeout Duration `yaml:"tcp-timeout,omitempty" json:"tcp_timeout,omitempty"`
}

// Action is what a firewall does to a packet.
type Action string

// The actions. Deny drops in silence; Reject answers with an ICMP
// administratively-prohibited error or a TCP reset.
const (
	Allow  Action = "allow"
	Deny   Action = "deny"
	Reject Action = "reject"
)

// Direction is seen from inside the site.
type Direction string

// The directions.
const (
	Outbound Direction = "outbound"
	Inbound  Direction = "inbound"
)

// Protocol is a transport protocol that a firewall rule names.
type Protocol string

// The protocols. The empty Protocol is AnyProtocol.
const (
	AnyProtocol Protocol = "any"
	UDP         Protocol = "udp"
	TCP         Protocol = "tcp"
	ICMP        Protocol = "icmp"
)

// Firewall is stateful: what answers an allowed packet passes. The first rule
// that fits decides. It sees internal addresses, that is, it stands on the
// inner side of the NAT.
type Firewall struct {
	// Inbound and Outbound are the defaults; empty is Allow.
	Inbound  Action `yaml:"inbound,omitempty" json:"inbound,omitempty"`
	Outbound Action `yaml:"outbound,omitempty" json:"outbound,omitempty"`
	Rules    []Rule `yaml:"rules,omitempty" json:"rules,omitempty"`
}

// Rule is one line of a firewall.
type Rule struct {
	Name      string    `yaml:"name" json:"name"`
	Direction Direction `yaml:"direction" json:"direction"`
	Protocol  Protocol  `yaml:"protocol,omitempty" json:"protocol,omitempty"`
	// Ports are destination ports, for UDP and TCP; empty is all.
	Ports []PortRange `yaml:"ports,omitempty" json:"ports,omitempty"`
	// From and To are the names of sites, hosts or subnets ("site/subnet"),
	// addresses or prefixes; empty is anywhere.
	From   []string `yaml:"from,omitempty" json:"from,omitempty"`
	To     []string `yaml:"to,omitempty" json:"to,omitempty"`
	Action Action   `yaml:"action" json:"action"`
}

// PortRange is an inclusive range, written 443 or "3478-3481".
type PortRange struct{ First, Last uint16 }

// VPN is a tunnel between the hosts that name it and a site's concentrator.
// Tunnelled packets travel encrypted between the host's own address and
// Concentrator, so that they cross the host's NAT and uplink like any other.
type VPN struct {
	Name string `yaml:"name" json:"name"`
	// Site is where the concentrator stands.
	Site string `yaml:"site" json:"site"`
	// Concentrator is the public address at the site's edge; the zero Addr
	// takes one that Complete assigns.
	Concentrator netip.Addr `yaml:"concentrator,omitempty" json:"concentrator,omitempty"`
	// Pool is the prefix from which clients get their address in the tunnel.
	Pool netip.Prefix `yaml:"pool" json:"pool"`
	// Tunnelled lists what goes through the tunnel: names of sites, hosts or
	// subnets, addresses or prefixes. Empty is everything.
	Tunnelled []string `yaml:"tunnelled,omitempty" json:"tunnelled,omitempty"`
	// Firewall stands at the concentrator; outbound is from client to site.
	// Split tunnelling for media routes media outside and denies it inside.
	Firewall *Firewall `yaml:"firewall,omitempty" json:"firewall,omitempty"`
	// MTU is that of the tunnel interface in bytes; zero is 1400.
	MTU int `yaml:"mtu,omitempty" json:"mtu,omitempty"`
}

// Role is what runs on a host.
type Role string

// The roles, with Microsoft's names.
const (
	Client              Role = "client"
	TransportRelay      Role = "transport-relay"
	SignalingController Role = "signaling-controller"
	MediaProcessor      Role = "media-processor"
	DNSServer           Role = "dns"
	// STUNProbe is a STUN server with the two addresses of RFC 5780.
	STUNProbe Role = "stun-probe"
)

// Host is one machine with an interface in a subnet.
type Host struct {
	Name string `yaml:"name" json:"name"`
	// Role is Client when empty.
	Role Role   `yaml:"role,omitempty" json:"role"`
	Site string `yaml:"site" json:"site"`
	// Subnet is the first of the site when empty.
	Subnet string `yaml:"subnet,omitempty" json:"subnet"`
	// Addresses are in the subnet's prefixes; empty takes the next free ones.
	Addresses []netip.Addr `yaml:"addresses,omitempty" json:"addresses"`
	// Names are DNS names that resolve to the host.
	Names []string `yaml:"names,omitempty" json:"names,omitempty"`
	// VPN names the tunnel of which the host is a client.
	VPN string `yaml:"vpn,omitempty" json:"vpn,omitempty"`
	// Tunnel is the host's address in the VPN, set by Complete.
	Tunnel netip.Addr `yaml:"-" json:"tunnel,omitzero"`
}

// Link says what one direction of a link does to packets. The zero Link is
// perfect: no delay, no loss, no limit.
type Link struct {
	Delay Duration `yaml:"delay,omitempty" json:"delay,omitempty"`
	// Jitter is the standard deviation of a normal distribution around Delay;
	// packets keep their order unless Reorder says otherwise.
	Jitter Duration `yaml:"jitter,omitempty" json:"jitter,omitempty"`
	// Loss and Reorder are fractions from 0 to 1, written "2%" or 0.02.
	Loss    Fraction `yaml:"loss,omitempty" json:"loss,omitempty"`
	Reorder Fraction `yaml:"reorder,omitempty" json:"reorder,omitempty"`
	// Bandwidth is in bits per second, written "10mbit"; zero has no limit.
	Bandwidth Bandwidth `yaml:"bandwidth,omitempty" json:"bandwidth,omitempty"`
	// Queue is the number of packets that may wait for Bandwidth; zero is 100.
	Queue int `yaml:"queue,omitempty" json:"queue,omitempty"`
	// MTU in bytes; zero is 1500.
	MTU int `yaml:"mtu,omitempty" json:"mtu,omitempty"`
	// Cut drops everything.
	Cut bool `yaml:"cut,omitempty" json:"cut,omitempty"`
}

// Duration is a time.Duration, written "20ms".
type Duration time.Duration

// Fraction is from 0 to 1, written "2%" or 0.02.
type Fraction float64

// Bandwidth is in bits per second, written "512kbit", "10mbit" or "1gbit".
type Bandwidth uint64
