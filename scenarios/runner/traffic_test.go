package runner

import (
	"net/netip"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

var (
	aliceAddr = netip.MustParseAddrPort("10.0.1.10:50000")
	bobAddr   = netip.MustParseAddrPort("203.0.113.9:50001")
	relayAddr = netip.MustParseAddrPort("20.202.0.10:3478")
	srtp      = []byte{0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	dtls      = []byte{22, 254, 253, 0}
	binding   = []byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
)

func twoSites() *topology.Network {
	return &topology.Network{
		Name: "two-sites",
		Sites: []topology.Site{
			{Name: "office", Kind: topology.CustomerNetwork},
			{Name: "home", Kind: topology.Internet},
			{Name: "communication-services", Kind: topology.CommunicationServices},
		},
		Hosts: []topology.Host{
			{Name: "alice-pc", Role: topology.Client, Site: "office"},
			{Name: "bob-phone", Role: topology.Client, Site: "home"},
			{Name: "relay", Role: topology.TransportRelay, Site: "communication-services"},
			{Name: "signaling", Role: topology.SignalingController, Site: "communication-services"},
			{Name: "dns", Role: topology.DNSServer, Site: "communication-services"},
		},
	}
}

func wayBetween(from, fromSite, to, toSite string) topology.Way {
	return topology.Way{
		{Kind: topology.HopHost, Name: from, Site: fromSite},
		{Kind: topology.HopEdge, Name: fromSite, Site: fromSite},
		{Kind: topology.HopInternet},
		{Kind: topology.HopEdge, Name: toSite, Site: toSite},
		{Kind: topology.HopHost, Name: to, Site: toSite},
	}
}

func delivery(from, to string, protocol byte, src, dst netip.AddrPort, payload []byte) sim.Delivery {
	sites := map[string]string{"alice-pc": "office", "bob-phone": "home", "relay": "communication-services",
		"signaling": "communication-services", "dns": "communication-services"}
	return sim.Delivery{
		Time: time.Unix(1000, 0), From: from, To: to,
		Packet: ipPacket(protocol, src, dst, payload),
		Way:    wayBetween(from, sites[from], to, sites[to]),
	}
}

func at(addr netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr(), port)
}

func TestTrafficIsToldApartByWhatPacketsHold(t *testing.T) {
	channel := func(b []byte) []byte { return append([]byte{0x40, 0, 0, byte(len(b))}, b...) }
	for _, c := range []struct {
		name     string
		d        sim.Delivery
		want     result.Traffic
		protocol string
		media    uint64
	}{
		{"a query", delivery("alice-pc", "dns", 17, aliceAddr, at(relayAddr, 53), []byte{1}), result.TrafficDNS, "udp", 0},
		{"its answer", delivery("dns", "alice-pc", 17, at(relayAddr, 53), aliceAddr, []byte{1}), result.TrafficDNS, "udp", 0},
		{"HTTPS", delivery("alice-pc", "signaling", 6, aliceAddr, at(relayAddr, 443), nil), result.TrafficSignaling, "tcp", 0},
		{"a request to the relay", delivery("alice-pc", "relay", 17, aliceAddr, relayAddr, binding), result.TrafficTURN, "udp", 0},
		{"media in a channel", delivery("alice-pc", "relay", 17, aliceAddr, relayAddr, channel(srtp)), result.TrafficMedia, "udp", 1},
		{"media to a client in a channel", delivery("relay", "alice-pc", 17, relayAddr, aliceAddr, channel(srtp)), result.TrafficMedia, "udp", 1},
		{"a check in a channel", delivery("alice-pc", "relay", 17, aliceAddr, relayAddr, channel(binding)), result.TrafficChecks, "udp", 0},
		{"a handshake in a channel", delivery("alice-pc", "relay", 17, aliceAddr, relayAddr, channel(dtls)), result.TrafficMedia, "udp", 0},
		{"relayed media to the peer", delivery("relay", "bob-phone", 17, at(relayAddr, 50000), bobAddr, srtp), result.TrafficMedia, "udp", 1},
		{"a direct check", delivery("alice-pc", "bob-phone", 17, aliceAddr, bobAddr, binding), result.TrafficChecks, "udp", 0},
		{"direct media", delivery("bob-phone", "alice-pc", 17, bobAddr, aliceAddr, srtp), result.TrafficMedia, "udp", 1},
		{"a stream to the relay without media", delivery("alice-pc", "relay", 6, aliceAddr, at(relayAddr, 443), nil), result.TrafficTURN, "tls", 0},
		{"a sealed packet", delivery("alice-pc", "office-vpn", 17, at(aliceAddr, 4500), at(bobAddr, 4500), srtp), result.TrafficOther, "udp", 0},
		{"something else", delivery("alice-pc", "bob-phone", 17, aliceAddr, bobAddr, []byte{255}), result.TrafficOther, "udp", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTraffic(twoSites())
			tr.delivered(c.d)
			legs := tr.all(twoSites())
			if len(legs) != 1 {
				t.Fatalf("got %d legs, wanted 1", len(legs))
			}
			l := legs[0]
			if l.Traffic != c.want || l.Protocol != c.protocol || l.Media != c.media || l.Packets != 1 || l.From != c.d.From || l.To != c.d.To {
				t.Errorf("got %+v, wanted %s over %s with %d of media; packet %x", l.Leg, c.want, c.protocol, c.media, c.d.Packet)
			}
		})
	}
}

// What TLS hides from the network, the relay knows.
func TestAStreamThatCarriedSRTPIsMedia(t *testing.T) {
	tr := newTraffic(twoSites())
	seenByRelay := netip.MustParseAddrPort("198.51.100.7:61000")
	tr.delivered(delivery("alice-pc", "relay", 6, seenByRelay, at(relayAddr, 443), nil))
	back := delivery("relay", "alice-pc", 6, at(relayAddr, 443), aliceAddr, nil)
	back.SentTo = seenByRelay
	tr.delivered(back)
	other := delivery("bob-phone", "relay", 6, bobAddr, at(relayAddr, 443), nil)
	tr.delivered(other)
	tr.relayed(seenByRelay, true, srtp, time.Unix(1001, 0))
	tr.relayed(seenByRelay, true, binding, time.Unix(1002, 0))
	tr.relayed(seenByRelay, false, srtp, time.Unix(1001, 0))
	tr.relayed(bobAddr, true, binding, time.Unix(1002, 0))
	legs := tr.all(twoSites())
	if len(legs) != 3 {
		t.Fatalf("got %d legs, wanted 3: %+v", len(legs), legs)
	}
	for _, l := range legs {
		want := result.TrafficMedia
		if l.From == "bob-phone" {
			want = result.TrafficTURN
		} else {
			if l.Media != 1 || !l.last.Equal(time.Unix(1001, 0)) {
				t.Errorf("got %d of media, last at %s; wanted 1 at second 1001", l.Media, l.last)
			}
		}
		if l.Traffic != want || l.Protocol != "tls" {
			t.Errorf("%s to %s: got %s over %s, wanted %s over tls", l.From, l.To, l.Traffic, l.Protocol, want)
		}
	}
}

func TestPacketsOfOneWayAreOneLeg(t *testing.T) {
	tr := newTraffic(twoSites())
	for range 3 {
		tr.delivered(delivery("alice-pc", "bob-phone", 17, aliceAddr, bobAddr, srtp))
	}
	other := delivery("alice-pc", "bob-phone", 17, aliceAddr, bobAddr, srtp)
	other.Way = append(topology.Way{other.Way[0], {Kind: topology.HopTunnel, Name: "vpn"}}, other.Way[1:]...)
	tr.delivered(other)
	legs := tr.all(twoSites())
	if len(legs) != 2 {
		t.Fatalf("got %d legs, wanted one for each way", len(legs))
	}
	total := legs[0].Packets + legs[1].Packets
	if total != 4 {
		t.Errorf("got %d packets in all, wanted 4", total)
	}
	tunnels := 0
	for _, l := range legs {
		if l.tunnelled() == "vpn" {
			tunnels++
		}
	}
	if tunnels != 1 {
		t.Errorf("got %d legs in the tunnel, wanted 1", tunnels)
	}
}
