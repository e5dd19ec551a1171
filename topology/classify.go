package topology

import "slices"

// Classify returns the documented flows that a way crosses, each once, in the
// order in which it crosses them. It looks only at the places that the packet went
// through:
//
//   - a tunnel is flow 2*. What follows inside the concentrator's own network is
//     the end of that flow, not another one; what leaves that network again is the
//     flow of a host in it.
//   - from one site to another over the internet, the kinds of the two sites
//     decide.
//   - between two hosts of one customer network it is flow 5.
//
// A way that the article has no number for has no flows: one inside the provider's
// own network, or that of a nomadic user's lookup to a name server on the internet,
// since flow 6 is between users. A server counts by the site in which it stands.
func Classify(n *Network, w Way) []Flow {
	var flows []Flow
	add := func(f Flow) {
		if f != "" && !slices.Contains(flows, f) {
			flows = append(flows, f)
		}
	}
	// The way falls into stretches, each between two tunnels or ends.
	var stretch Way
	tunnelled := false
	for _, h := range w {
		if h.Kind != HopTunnel {
			stretch = append(stretch, h)
			continue
		}
		add(n.crossed(stretch, true))
		add(Flow2Star)
		stretch, tunnelled = nil, true
	}
	add(n.crossed(stretch, tunnelled))
	return flows
}

// between gives the flow for the kinds of two sites that the internet joins.
var between = map[[2]SiteKind]Flow{
	{CustomerNetwork, Internet}:              Flow2,
	{CustomerNetwork, CustomerNetwork}:       Flow2, // each is on the internet to the other
	{Internet, CommunicationServices}:        Flow3,
	{CustomerNetwork, CommunicationServices}: Flow4,
	{Internet, Internet}:                     Flow6,
}

// crossed is the flow of a stretch without tunnels; atTunnel is true when the
// stretch begins or ends at one.
func (n *Network) crossed(stretch Way, atTunnel bool) Flow {
	var sites []string // in order, neighbours distinct
	internet := false
	for _, h := range stretch {
		internet = internet || h.Kind == HopInternet
		if h.Site != "" && (len(sites) == 0 || sites[len(sites)-1] != h.Site) {
			sites = append(sites, h.Site)
		}
	}
	if len(sites) == 0 {
		return ""
	}
	first, last := n.Site(sites[0]), n.Site(sites[len(sites)-1])
	if first == nil || last == nil {
		return ""
	}
	if internet {
		f, ok := between[[2]SiteKind{first.Kind, last.Kind}]
		if !ok {
			f = between[[2]SiteKind{last.Kind, first.Kind}]
		}
		if f == Flow6 && !n.users(stretch) {
			return ""
		}
		return f
	}
	if !atTunnel && len(stretch) > 1 && first.Kind == CustomerNetwork && len(sites) == 1 {
		return Flow5
	}
	return ""
}

// users says whether the hosts at the ends of a stretch, where it has them, are
// clients.
func (n *Network) users(stretch Way) bool {
	for _, h := range stretch {
		if h.Kind != HopHost {
			continue
		}
		if host := n.Host(h.Name); host != nil && host.Role != Client && host.Role != "" {
			return false
		}
	}
	return true
}
