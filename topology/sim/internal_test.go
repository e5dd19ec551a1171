package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/packet"
)

// events is an observer that notes in one line each what happens.
type events struct {
	mu   sync.Mutex
	all  []string
	news chan struct{}
}

func (e *events) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprintf(format, args...))
	select {
	case e.news <- struct{}{}:
	default:
	}
}

func (e *events) Captured(Capture) {}
func (e *events) Delivered(d Delivery) {
	p, err := packet.Parse(d.Packet)
	if err != nil {
		e.note("delivered %v", err)
		return
	}
	e.note("%s to %s: %s", d.From, d.To, p.String())
}
func (e *events) Dropped(d Drop) { e.note("at %s: %s %s", d.Where.Name, d.Why, d.Rule) }

// wait waits for an event that has all the words in it.
func (e *events) wait(t *testing.T, words ...string) {
	t.Helper()
	limit := time.After(5 * time.Second)
	for {
		e.mu.Lock()
		all := slices.Clone(e.all)
		e.mu.Unlock()
		for _, line := range all {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		}
		select {
		case <-e.news:
		case <-limit:
			t.Fatalf("nothing with %q happened, but:\n%s", words, strings.Join(all, "\n"))
		}
	}
}

func (e *events) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = nil
}

// office is a site with an inner router and a VPN, and a public one.
func office(t *testing.T, edit func(*topology.Network)) *topology.Network {
	t.Helper()
	prefix, address := netip.MustParsePrefix, netip.MustParseAddr
	n := &topology.Network{
		Name: "office",
		Sites: []topology.Site{
			{
				Name: "office", Kind: topology.CustomerNetwork,
				Subnets: []topology.Subnet{
					{Name: "lan", Prefixes: []netip.Prefix{prefix("10.1.0.0/24"), prefix("2001:db8:1::/64")}, Router: "inner"},
				},
				Routers: []topology.Router{{Name: "inner"}},
				Routes: []topology.Route{
					{To: prefix("10.1.0.0/24"), Via: "inner"}, {To: prefix("2001:db8:1::/64"), Via: "inner"}},
				NAT: &topology.NAT{Mapping: topology.EndpointIndependent, Filtering: topology.EndpointIndependent,
					Addresses: []netip.Addr{address("192.0.2.1")}, PortPreservation: true},
			},
			{
				Name: "public", Kind: topology.CommunicationServices,
				Subnets: []topology.Subnet{{Name: "net", Prefixes: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:9::/64")}}},
			},
		},
		VPNs: []topology.VPN{{Name: "vpn0", Site: "office", Concentrator: address("192.0.2.100"), Pool: prefix("10.9.0.0/24"),
			Tunnelled: []string{"office"}}},
		Hosts: []topology.Host{
			{Name: "alice", Site: "office", Subnet: "lan", Addresses: []netip.Addr{address("10.1.0.10"), address("2001:db8:1::10")}},
			{Name: "bob", Site: "office", Subnet: "lan", Addresses: []netip.Addr{address("10.1.0.11")}},
			{Name: "carol", Site: "public", Subnet: "net", VPN: "vpn0",
				Addresses: []netip.Addr{address("198.51.100.10"), address("2001:db8:9::10")}},
			{Name: "dave", Site: "public", Subnet: "net", VPN: "vpn0", Addresses: []netip.Addr{address("198.51.100.11")}},
		},
	}
	if edit != nil {
		edit(n)
	}
	if err := n.Complete(); err != nil {
		t.Fatal(err)
	}
	return n
}

func start(t *testing.T, edit func(*topology.Network)) (*Internet, *events) {
	t.Helper()
	return startNetwork(t, office(t, edit))
}

func startNetwork(t *testing.T, n *topology.Network) (*Internet, *events) {
	t.Helper()
	e := &events{news: make(chan struct{}, 1)}
	i, err := New(Config{Network: n, Seed: 1, Observer: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	e.clear()
	return i, e
}

func end(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// withTTL gives a packet another time to live.
func withTTL(data []byte, ttl byte) []byte {
	if data[0]>>4 == 6 {
		data[7] = ttl
	} else {
		data[8] = ttl
		packet.Finish(data)
	}
	return data
}

// Packets whose time to live ends early show the routers on the way, as in
// traceroute.
func TestTraceroute(t *testing.T) {
	i, e := start(t, nil)
	tunnel := i.network.Host("carol").Tunnel.String()
	inTunnel := netip.AddrPortFrom(i.network.Host("carol").Tunnel, 5000)
	for _, c := range []struct {
		from, iface, source, destination string
		places                           []string // where a TTL of 1, 2, … ends
	}{
		{"alice", primary, "10.1.0.10:5000", "198.51.100.10:9", []string{"inner", "office", "internet", "public"}},
		{"alice", primary, "[2001:db8:1::10]:5000", "[2001:db8:9::10]:9", []string{"inner", "office", "internet", "public"}},
		{"carol", primary, "198.51.100.10:6000", "192.0.2.1:5000", []string{"public", "internet", "office", "inner"}},
		{"carol", "vpn0", inTunnel.String(), "10.1.0.11:9", []string{"office", "inner"}},
		{"alice", primary, "10.1.0.10:5000", tunnel + ":9", []string{"inner", "office"}},
	} {
		for k, place := range c.places {
			e.clear()
			i.ports[c.from].send(c.iface, withTTL(packet.NewUDP(end(c.source), end(c.destination), []byte("trace")), byte(k+1)))
			e.wait(t, "at "+place+": "+WhyTTL)
			e.wait(t, place+" to "+c.from, "icmp")
		}
		e.clear()
		i.ports[c.from].send(c.iface, withTTL(packet.NewUDP(end(c.source), end(c.destination), []byte("trace")), byte(len(c.places)+1)))
		e.wait(t, c.from+" to ", "udp")
	}
}

func TestWhatIsDroppedAndWhere(t *testing.T) {
	big := func(from, to string, size int) []byte {
		data := packet.NewUDP(end(from), end(to), make([]byte, size-28))
		data[6] |= 0x40
		packet.Finish(data)
		return data
	}
	for _, c := range []struct {
		name        string
		edit        func(*topology.Network)
		host, iface string
		data        []byte
		words       [][]string
	}{
		{"malformed", nil, "alice", primary, []byte{0x45, 0}, [][]string{{"at alice", WhyMalformed}}},
		{"to a group", nil, "alice", primary, packet.NewUDP(end("10.1.0.10:5353"), end("224.0.0.251:5353"), nil),
			[][]string{{"at alice", WhyMulticast}}},
		{"no such interface", nil, "alice", "eth9", packet.NewUDP(end("10.1.0.10:1"), end("10.1.0.11:1"), nil),
			[][]string{{"at alice", WhyNoRoute}}},
		{"no such neighbour", nil, "alice", primary, packet.NewUDP(end("10.1.0.10:1"), end("10.1.0.99:1"), nil),
			[][]string{{"at inner", WhyNoHost}, {"inner to alice", "icmp type 3 code 1"}}},
		{"no such host over IPv6", nil, "alice", primary, packet.NewUDP(end("[2001:db8:1::10]:1"), end("[2001:db8:9::99]:1"), nil),
			[][]string{{"at public", WhyNoHost}, {"public to alice", "icmp type 1 code 3"}}},
		{"no such site over IPv6", nil, "alice", primary, packet.NewUDP(end("[2001:db8:1::10]:1"), end("[2001:db8:77::99]:1"), nil),
			[][]string{{"at internet", WhyNoRoute}, {"internet to alice", "icmp type 1 code 0"}}},
		{"no such subnet in a site", func(n *topology.Network) {
			n.Sites[1].Subnets[0].Prefixes[0] = netip.MustParsePrefix("198.51.100.0/25")
			n.Sites[1].Subnets = append(n.Sites[1].Subnets, topology.Subnet{Name: "more", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.128/25")}})
		}, "alice", primary, packet.NewUDP(end("10.1.0.10:1"), end("198.51.100.200:1"), nil),
			[][]string{{"at public", WhyNoHost}}},
		{"too big for the own link", func(n *topology.Network) { n.Sites[0].Subnets[0].Link.MTU = 1400 },
			"alice", primary, big("10.1.0.10:1", "198.51.100.10:1", 1450),
			[][]string{{"at alice", WhyTooBig}, {"inner to alice", "icmp type 3 code 4"}}},
		{"too big for the own uplink", func(n *topology.Network) { n.Sites[0].Uplink.MTU = 1400 },
			"alice", primary, big("10.1.0.10:1", "198.51.100.10:1", 1450),
			[][]string{{"at office", WhyTooBig}, {"office to alice", "icmp type 3 code 4"}}},
		{"too big for their uplink", func(n *topology.Network) { n.Sites[1].Uplink.MTU = 1400 },
			"alice", primary, big("10.1.0.10:1", "198.51.100.10:1", 1450),
			[][]string{{"at internet", WhyTooBig}, {"internet to alice", "icmp type 3 code 4"}}},
		{"too big for their link", func(n *topology.Network) { n.Sites[1].Subnets[0].Link.MTU = 1400 },
			"alice", primary, big("10.1.0.10:1", "198.51.100.10:1", 1450),
			[][]string{{"at public", WhyTooBig}, {"public to alice", "icmp type 3 code 4"}}},
		{"IPv6 too big", func(n *topology.Network) { n.Sites[1].Uplink.MTU = 1300 },
			"alice", primary, packet.NewUDP(end("[2001:db8:1::10]:1"), end("[2001:db8:9::10]:1"), make([]byte, 1350)),
			[][]string{{"at internet", WhyTooBig}, {"internet to alice", "icmp type 2 code 0"}}},
		{"not the NAT's protocol", nil, "alice", primary, func() []byte {
			data := packet.NewUDP(end("10.1.0.10:1"), end("198.51.100.10:1"), nil)
			data[9] = 47
			packet.Finish(data)
			return data
		}(), [][]string{{"at office", "NAT cannot translate it"}}},
		{"unknown to the NAT", nil, "carol", primary, packet.NewUDP(end("198.51.100.10:1"), end("192.0.2.1:1"), nil),
			[][]string{{"at office", "NAT has no mapping"}}},
		{"hairpinning is off", nil, "alice", primary, packet.NewUDP(end("10.1.0.10:1"), end("192.0.2.1:1"), nil),
			[][]string{{"at office", "NAT does no hairpinning"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, e := start(t, c.edit)
			i.ports[c.host].send(c.iface, c.data)
			for _, words := range c.words {
				e.wait(t, words...)
			}
		})
	}
}

func TestInboundRejects(t *testing.T) {
	i, e := start(t, func(n *topology.Network) {
		n.Sites[1].Firewall = &topology.Firewall{Inbound: topology.Reject}
	})
	i.ports["alice"].send(primary, packet.NewUDP(end("10.1.0.10:5000"), end("198.51.100.10:1"), nil))
	e.wait(t, "at public", WhyRejected, "default")
	e.wait(t, "public to alice", "icmp type 3 code 13")
	i.ports["alice"].send(primary, packet.NewTCP(end("10.1.0.10:5000"), end("198.51.100.10:1"), packet.SYN, 1, 0, nil))
	e.wait(t, "public to alice", "tcp 198.51.100.10:1 -> 10.1.0.10:5000")
}

func TestMovedHostIsNotFoundAtItsOldPlace(t *testing.T) {
	i, e := start(t, nil)
	alice := i.ports["alice"]
	old := alice.plug.Load()
	if err := i.Move("alice", "public", "net"); err != nil {
		t.Fatal(err)
	}
	i.ports["bob"].send(primary, packet.NewUDP(end("10.1.0.11:1"), end("10.1.0.10:1"), nil))
	e.wait(t, "at inner", WhyNoHost)
	// What was on the link when the host left.
	e.clear()
	p, err := packet.Parse(packet.NewUDP(end("10.1.0.11:1"), end("10.1.0.10:1"), nil))
	if err != nil {
		t.Fatal(err)
	}
	old.receive(newFrame(p, "bob", old.hop))
	e.wait(t, "at inner", WhyNoHost)
}

// Rules and tunnels that name a host follow it.
func TestNamesFollowAHostThatMoves(t *testing.T) {
	i, e := start(t, func(n *topology.Network) {
		n.Sites[0].Firewall = &topology.Firewall{Rules: []topology.Rule{
			{Name: "not-eve", Direction: topology.Outbound, To: []string{"eve"}, Action: topology.Deny},
		}}
		n.Sites = append(n.Sites, topology.Site{Name: "branch", Kind: topology.Internet,
			Subnets: []topology.Subnet{{Name: "net", Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}}})
		n.Hosts = append(n.Hosts, topology.Host{Name: "eve", Site: "branch", Subnet: "net"})
		n.VPNs[0].Tunnelled = []string{"eve"}
	})
	eve := func() netip.AddrPort { return netip.AddrPortFrom(i.Network().Host("eve").Addresses[0], 9) }
	toEve := func() {
		e.clear()
		i.ports["alice"].send(primary, packet.NewUDP(end("10.1.0.10:1"), eve(), nil))
	}
	tunnelled := func() bool {
		ifaces, err := i.interfaces(i.network.Host("carol"))
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(ifaces[1].Routes, netip.PrefixFrom(eve().Addr(), 32))
	}
	toEve()
	e.wait(t, "at office", "not-eve")
	if !tunnelled() {
		t.Error("eve is not behind the tunnel")
	}
	if err := i.Move("eve", "office", "lan"); err != nil {
		t.Fatal(err)
	}
	toEve()
	e.wait(t, "alice to eve")
	if !tunnelled() {
		t.Error("eve is not behind the tunnel any more")
	}
	if err := i.Move("eve", "branch", "net"); err != nil {
		t.Fatal(err)
	}
	toEve()
	e.wait(t, "at office", "not-eve")
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no network: no error")
	}
	for name, edit := range map[string]func(*topology.Network){
		"uplink":                func(n *topology.Network) { n.Sites[0].Uplink.Loss = 2 },
		"subnet's link":         func(n *topology.Network) { n.Sites[0].Subnets[0].Link.Queue = -1 },
		"subnet's router":       func(n *topology.Network) { n.Sites[0].Subnets[0].Router = "nobody" },
		"route":                 func(n *topology.Network) { n.Sites[0].Routes[0].Via = "nobody" },
		"router's route":        func(n *topology.Network) { n.Sites[0].Routers[0].Routes = []topology.Route{{Via: "inner"}} },
		"NAT":                   func(n *topology.Network) { n.Sites[0].NAT.Mapping = "" },
		"firewall":              func(n *topology.Network) { n.Sites[0].Firewall = &topology.Firewall{Inbound: "perhaps"} },
		"VPN's firewall":        func(n *topology.Network) { n.VPNs[0].Firewall = &topology.Firewall{Inbound: "perhaps"} },
		"VPN's concentrator":    func(n *topology.Network) { n.VPNs[0].Concentrator = netip.Addr{} },
		"VPN's tunnelled names": func(n *topology.Network) { n.VPNs[0].Tunnelled = []string{"nobody"} },
		"host's addresses":      func(n *topology.Network) { n.Hosts[0].Addresses = nil },
		"host's subnet":         func(n *topology.Network) { n.Hosts[0].Subnet = "nowhere" },
		"host's prefix":         func(n *topology.Network) { n.Hosts[0].Addresses[0] = netip.MustParseAddr("10.5.0.1") },
		"address taken":         func(n *topology.Network) { n.Hosts[1].Addresses = n.Hosts[0].Addresses[:1] },
		"host's VPN":            func(n *topology.Network) { n.Hosts[2].VPN = "nobody" },
		"host's tunnel address": func(n *topology.Network) { n.Hosts[2].Tunnel = netip.Addr{} },
		"probe's addresses":     func(n *topology.Network) { n.Hosts[3].Role = topology.STUNProbe },
	} {
		n := office(t, nil)
		edit(n)
		if i, err := New(Config{Network: n}); err == nil {
			t.Errorf("%s: no error", name)
			_ = i.Close()
		}
	}
}
