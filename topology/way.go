package topology

// HopKind is a kind of place that a packet goes through.
type HopKind uint8

// The kinds of place, in the order in which a packet from a client might meet
// them.
const (
	// HopHost is a host that sends or receives.
	HopHost HopKind = iota + 1
	// HopRouter is a router inside a site, or the edge acting as one between
	// two subnets.
	HopRouter
	// HopEdge is a site's edge, crossed from or to the internet.
	HopEdge
	// HopInternet is the core between the sites.
	HopInternet
	// HopTunnel is a VPN tunnel, from client to concentrator or back.
	HopTunnel
)

// Hop is one place on a packet's way.
type Hop struct {
	Kind HopKind `json:"kind"`
	// Name is the host's, router's or VPN's name, and the site's for an edge.
	Name string `json:"name"`
	// Site is where the place is; empty for the internet.
	Site string `json:"site,omitempty"`
}

// Way is every place that one packet went through, from the sending host to the
// receiving one, as the running network recorded it. A tunnelled packet has the
// hops of its inner journey: the client, HopTunnel, the concentrator's edge, and
// on from there; what the tunnel itself crosses is another packet's Way.
type Way []Hop

// Flow is one of the numbered flows of "Call flow topologies". The article's list
// swaps the texts of 2 and 2*; its figures use them as here.
type Flow string

// The documented flows.
const (
	Flow2     Flow = "2"  // customer network to internet
	Flow2Star Flow = "2*" // remote user to customer network, in a VPN tunnel
	Flow3     Flow = "3"  // remote user to Communication Services
	Flow4     Flow = "4"  // customer network to Communication Services
	Flow5     Flow = "5"  // peer to peer inside the customer network
	Flow6     Flow = "6"  // remote user to remote user over the internet
)
