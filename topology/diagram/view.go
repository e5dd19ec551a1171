package diagram

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/callpath/callpath/topology"
)

// view is what every form of the drawing shows.
type view struct {
	n *topology.Network
	// services are the sites drawn on the far side of the internet: the
	// provider's, carriers', and those of servers. users are the others:
	// customer networks first, then those of nomadic users.
	services, users []*topology.Site
	// flows are those that the network makes possible, in the article's order.
	flows []flowUse
	// uplink are the flows that cross a site's edge to the internet, inside
	// those within a site, tunnel those in a VPN.
	uplink, inside, tunnel map[string][]topology.Flow
	// guests are the hosts that a path met in another site than their own: they
	// moved while the network ran.
	guests []topology.Hop
}

// flowUse is a flow and the pairs of hosts between which it runs.
type flowUse struct {
	flow  topology.Flow
	pairs []string
}

// about says what the article's flows are, in our words.
var about = []struct {
	flow topology.Flow
	text string
}{
	{topology.Flow2, "customer network – internet: name lookups, direct media"},
	{topology.Flow2Star, "remote user – customer network, in the VPN tunnel: signaling"},
	{topology.Flow3, "remote user – Communication Services: signaling, media to relay or media processor"},
	{topology.Flow4, "customer network – Communication Services: signaling, media to relay or media processor"},
	{topology.Flow5, "user – user inside the customer network: direct media"},
	{topology.Flow6, "remote user – remote user over the internet: direct media"},
}

// kindNames are the words for kinds of site.
var kindNames = map[topology.SiteKind]string{
	topology.CustomerNetwork:       "customer network",
	topology.Internet:              "internet access",
	topology.CommunicationServices: "Communication Services",
	topology.Telephony:             "telephony",
}

// roleNames are the words for roles.
var roleNames = map[topology.Role]string{
	topology.Client:              "client",
	topology.TransportRelay:      "transport relay",
	topology.SignalingController: "signaling controller",
	topology.MediaProcessor:      "media processor",
	topology.DNSServer:           "name server",
	topology.STUNProbe:           "STUN server",
}

func look(n *topology.Network, o Options) *view {
	v := &view{n: n, uplink: map[string][]topology.Flow{}, inside: map[string][]topology.Flow{}, tunnel: map[string][]topology.Flow{}}
	var nomadic, servers []*topology.Site
	for i := range n.Sites {
		s := &n.Sites[i]
		switch {
		case s.Kind == topology.CommunicationServices:
			v.services = append(v.services, s)
		case s.Kind == topology.CustomerNetwork:
			v.users = append(v.users, s)
		case s.Kind == topology.Internet && v.hasClients(s):
			nomadic = append(nomadic, s)
		default:
			servers = append(servers, s)
		}
	}
	v.services = append(v.services, servers...)
	v.users = append(v.users, nomadic...)
	v.trace()
	v.meet(o.Paths)
	return v
}

// meet finds the guests.
func (v *view) meet(paths []Path) {
	for _, p := range paths {
		for _, h := range p.Way {
			if h.Kind != topology.HopHost || v.n.Site(h.Site) == nil || slices.Contains(v.guests, h) {
				continue
			}
			if host := v.n.Host(h.Name); host != nil && host.Site != h.Site {
				v.guests = append(v.guests, h)
			}
		}
	}
}

func (v *view) hasClients(s *topology.Site) bool {
	return slices.ContainsFunc(v.n.Hosts, func(h topology.Host) bool {
		return h.Site == s.Name && (h.Role == topology.Client || h.Role == "")
	})
}

// siteTitle names a site and its kind.
func siteTitle(s *topology.Site) string {
	kind := kindNames[s.Kind]
	if strings.EqualFold(strings.ReplaceAll(s.Name, "-", " "), kind) {
		return kind
	}
	return s.Name + " – " + kind
}

// hosts are those of a subnet.
func (v *view) hosts(site, subnet string) []*topology.Host {
	var all []*topology.Host
	for i := range v.n.Hosts {
		if h := &v.n.Hosts[i]; h.Site == site && h.Subnet == subnet {
			all = append(all, h)
		}
	}
	return all
}

// concentrators are the VPNs that end at a site.
func (v *view) concentrators(site string) []*topology.VPN {
	var all []*topology.VPN
	for i := range v.n.VPNs {
		if v.n.VPNs[i].Site == site {
			all = append(all, &v.n.VPNs[i])
		}
	}
	return all
}

// trace finds the flows that the network makes possible: between clients, and from
// each client to each service. Firewalls are not asked; what they let through is
// for a run to show.
func (v *view) trace() {
	pairs := map[topology.Flow][]string{}
	for i := range v.n.Hosts {
		from := &v.n.Hosts[i]
		if from.Role != topology.Client && from.Role != "" {
			continue
		}
		for j := range v.n.Hosts {
			to := &v.n.Hosts[j]
			if client := to.Role == topology.Client || to.Role == ""; i == j || (client && j < i) {
				continue
			}
			way := v.way(from, to)
			v.note(way)
			for _, f := range topology.Classify(v.n, way) {
				pairs[f] = append(pairs[f], from.Name+" – "+to.Name)
			}
		}
	}
	for _, a := range about {
		if list := pairs[a.flow]; list != nil {
			v.flows = append(v.flows, flowUse{a.flow, list})
		}
	}
}

// way is the one that a packet takes by addresses and routes alone.
func (v *view) way(from, to *topology.Host) topology.Way {
	w := topology.Way{{Kind: topology.HopHost, Name: from.Name, Site: from.Site}}
	at := from.Site
	if vpn := v.n.VPN(from.VPN); vpn != nil && v.tunnelled(vpn, to) {
		at = vpn.Site
		w = append(w, topology.Hop{Kind: topology.HopTunnel, Name: vpn.Name, Site: vpn.Site})
	}
	if at != from.Site || at != to.Site {
		w = append(w, topology.Hop{Kind: topology.HopEdge, Name: at, Site: at})
	}
	if at != to.Site {
		w = append(w, topology.Hop{Kind: topology.HopInternet, Name: "internet"},
			topology.Hop{Kind: topology.HopEdge, Name: to.Site, Site: to.Site})
	}
	return append(w, topology.Hop{Kind: topology.HopHost, Name: to.Name, Site: to.Site})
}

// tunnelled says whether a service is reached through a VPN. Between clients media
// is drawn, and that has to stay outside.
func (v *view) tunnelled(vpn *topology.VPN, to *topology.Host) bool {
	if to.Role == topology.Client || to.Role == "" {
		return false
	}
	if len(vpn.Tunnelled) == 0 {
		return true
	}
	for _, name := range vpn.Tunnelled {
		prefixes, err := v.n.Prefixes(name)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool {
			return slices.ContainsFunc(to.Addresses, p.Contains)
		}) {
			return true
		}
	}
	return false
}

// note writes down where the flows of a way cross.
func (v *view) note(w topology.Way) {
	for _, s := range stretches(w) {
		if s.tunnel != "" {
			v.tunnel[s.tunnel] = addFlows(v.tunnel[s.tunnel], []topology.Flow{topology.Flow2Star})
			continue
		}
		flows := topology.Classify(v.n, s.way)
		internet := slices.ContainsFunc(s.way, func(h topology.Hop) bool { return h.Kind == topology.HopInternet })
		for _, h := range s.way {
			switch {
			case internet && h.Kind == topology.HopEdge:
				v.uplink[h.Site] = addFlows(v.uplink[h.Site], flows)
			case !internet && !s.afterTunnel && h.Kind == topology.HopHost:
				v.inside[h.Site] = addFlows(v.inside[h.Site], flows)
			}
		}
	}
}

// stretch is a part of a way: a tunnel, or what is between tunnels and ends.
type stretch struct {
	tunnel      string // a VPN's name
	site        string // the concentrator's
	way         topology.Way
	afterTunnel bool
}

// stretches cuts a way at its tunnels.
func stretches(w topology.Way) []stretch {
	var all []stretch
	current := stretch{}
	for _, h := range w {
		if h.Kind != topology.HopTunnel {
			current.way = append(current.way, h)
			continue
		}
		all = append(all, current, stretch{tunnel: h.Name, site: h.Site})
		current = stretch{afterTunnel: true}
	}
	return append(all, current)
}

// addFlows adds those that are not there yet, in the article's order.
func addFlows(have, more []topology.Flow) []topology.Flow {
	for _, f := range more {
		if !slices.Contains(have, f) {
			have = append(have, f)
		}
	}
	slices.Sort(have) // "2" < "2*" < "3"
	return have
}

// flowText is "2, 4".
func flowText(flows []topology.Flow) string {
	text := make([]string, len(flows))
	for i, f := range flows {
		text[i] = string(f)
	}
	return strings.Join(text, ", ")
}

// wayText names the places of a way, without the internet between two edges.
func wayText(w topology.Way) string {
	var places []string
	for i, h := range w {
		switch h.Kind {
		case topology.HopInternet:
			places = append(places, "internet")
		case topology.HopEdge:
			places = append(places, h.Site+" edge")
		case topology.HopTunnel:
			places = append(places, "tunnel "+h.Name)
		case topology.HopRouter:
			if i > 0 && w[i-1].Name == h.Name {
				continue
			}
			places = append(places, h.Name)
		default:
			places = append(places, h.Name)
		}
	}
	return strings.Join(places, " → ")
}

// natText is the NAT in a line or two: its kind, then its addresses.
func natText(nat *topology.NAT) []string {
	if nat == nil {
		return nil
	}
	lines := []string{nat.Kind()}
	if len(nat.Addresses) > 0 {
		lines = append(lines, joinAddrs(nat.Addresses))
	}
	return lines
}

// firewallText is the firewall: its defaults, then each rule.
func firewallText(f *topology.Firewall) []string {
	if f == nil {
		return nil
	}
	var lines []string
	for _, r := range f.Rules {
		lines = append(lines, ruleText(r))
	}
	rest := fmt.Sprintf("%s out, %s in", orAllow(f.Outbound), orAllow(f.Inbound))
	if len(lines) > 0 {
		rest = "else: " + rest
	}
	return append(lines, rest)
}

func orAllow(a topology.Action) topology.Action {
	if a == "" {
		return topology.Allow
	}
	return a
}

// ruleText is a rule in short, for example "allow udp 53 out: dns".
func ruleText(r topology.Rule) string {
	words := []string{string(r.Action), string(r.Protocol)}
	if r.Protocol == "" {
		words[1] = string(topology.AnyProtocol)
	}
	for i, p := range r.Ports {
		if i == 2 {
			words = append(words, "…")
			break
		}
		words = append(words, p.String())
	}
	if r.Direction == topology.Inbound {
		words = append(words, "in:")
	} else {
		words = append(words, "out:")
	}
	return strings.Join(append(words, r.Name), " ")
}

func joinAddrs(list []netip.Addr) string {
	text := make([]string, len(list))
	for i, a := range list {
		text[i] = a.String()
	}
	return strings.Join(text, ", ")
}

func joinPrefixes(list []netip.Prefix) string {
	text := make([]string, len(list))
	for i, p := range list {
		text[i] = p.String()
	}
	return strings.Join(text, ", ")
}

// roleText is what runs on a host; nothing for a client.
func roleText(h *topology.Host) string {
	if h.Role == topology.Client || h.Role == "" {
		return ""
	}
	return roleNames[h.Role]
}
