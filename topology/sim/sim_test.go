package sim_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is an observer that keeps what it is told.
type recorder struct {
	mu         sync.Mutex
	captures   []sim.Capture
	deliveries []sim.Delivery
	drops      []sim.Drop
	news       chan struct{} // signals that there is more
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{}, 1)} }

func (r *recorder) Captured(c sim.Capture) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Packet = slices.Clone(c.Packet)
	r.captures = append(r.captures, c)
	r.signal()
}

func (r *recorder) Delivered(d sim.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d.Packet, d.Way = slices.Clone(d.Packet), slices.Clone(d.Way)
	r.deliveries = append(r.deliveries, d)
}

func (r *recorder) Dropped(d sim.Drop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d.Packet = slices.Clone(d.Packet)
	r.drops = append(r.drops, d)
	r.signal()
}

func (r *recorder) signal() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// ways lists the ways of what came from one host to another, each once.
func (r *recorder) ways(from, to string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, d := range r.deliveries {
		if d.From != from || d.To != to {
			continue
		}
		if w := wayString(d.Way); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func wayString(w topology.Way) string {
	kinds := map[topology.HopKind]string{
		topology.HopHost: "", topology.HopRouter: "router ", topology.HopEdge: "edge ",
		topology.HopInternet: "", topology.HopTunnel: "tunnel ",
	}
	var hops []string
	for _, h := range w {
		hops = append(hops, kinds[h.Kind]+h.Name)
	}
	return strings.Join(hops, " > ")
}

// waitDrop waits for a drop that satisfies a condition.
func (r *recorder) waitDrop(t *testing.T, what string, is func(sim.Drop) bool) sim.Drop {
	t.Helper()
	return waitFor(t, r, what, func() []sim.Drop { return r.drops }, is)
}

// waitCapture waits for a capture that satisfies a condition.
func (r *recorder) waitCapture(t *testing.T, what string, is func(sim.Capture) bool) sim.Capture {
	t.Helper()
	return waitFor(t, r, what, func() []sim.Capture { return r.captures }, is)
}

func waitFor[T any](t *testing.T, r *recorder, what string, list func() []T, is func(T) bool) T {
	t.Helper()
	limit := time.After(5 * time.Second)
	for {
		r.mu.Lock()
		all := list()
		n := slices.IndexFunc(all, is)
		var found T
		if n >= 0 {
			found = all[n]
		}
		r.mu.Unlock()
		if n >= 0 {
			return found
		}
		select {
		case <-r.news:
		case <-limit:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func address(s string) netip.Addr  { return netip.MustParseAddr(s) }
func end(s string) netip.AddrPort  { return netip.MustParseAddrPort(s) }
func ms(n int) topology.Duration   { return topology.Duration(time.Duration(n) * time.Millisecond) }

// publicServer is the address of the host "server" in every network here.
const publicServer = "198.51.100.10"

// twoSites is an office behind a NAT with hosts alice and bob, a home behind a NAT
// with host carol, and a public site with the hosts server and, for discovery,
// probe.
func twoSites() *topology.Network {
	return &topology.Network{
		Name: "test",
		Sites: []topology.Site{
			{
				Name: "office", Kind: topology.CustomerNetwork,
				Subnets: []topology.Subnet{
					{Name: "lan", Prefixes: []netip.Prefix{prefix("10.1.0.0/24"), prefix("2001:db8:1::/64")}},
					{Name: "lab", Prefixes: []netip.Prefix{prefix("10.1.1.0/24")}, Router: "inner"},
				},
				Routers: []topology.Router{{Name: "inner"}},
				Routes:  []topology.Route{{To: prefix("10.1.1.0/24"), Via: "inner"}},
				NAT: &topology.NAT{
					Mapping: topology.EndpointIndependent, Filtering: topology.AddressAndPortDependent,
					Addresses: []netip.Addr{address("192.0.2.1")}, Hairpinning: true,
				},
			},
			{
				Name: "home", Kind: topology.Internet,
				Subnets: []topology.Subnet{{Name: "lan", Prefixes: []netip.Prefix{prefix("10.2.0.0/24"), prefix("2001:db8:2::/64")}}},
				NAT: &topology.NAT{
					Mapping: topology.EndpointIndependent, Filtering: topology.EndpointIndependent,
					Addresses: []netip.Addr{address("192.0.2.2")},
				},
			},
			{
				Name: "public", Kind: topology.CommunicationServices,
				Subnets: []topology.Subnet{{Name: "net", Prefixes: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:99::/64")}}},
			},
		},
		Hosts: []topology.Host{
			{Name: "alice", Site: "office", Subnet: "lan", Addresses: []netip.Addr{address("10.1.0.10"), address("2001:db8:1::10")}},
			{Name: "bob", Site: "office", Subnet: "lab", Addresses: []netip.Addr{address("10.1.1.10")}},
			{Name: "carol", Site: "home", Subnet: "lan", Addresses: []netip.Addr{address("10.2.0.10"), address("2001:db8:2::10")}},
			{Name: "server", Site: "public", Subnet: "net", Role: topology.SignalingController, Names: []string{"server.test"},
				Addresses: []netip.Addr{address(publicServer), address("2001:db8:99::10")}},
			{Name: "dns", Site: "public", Subnet: "net", Role: topology.DNSServer, Addresses: []netip.Addr{address("198.51.100.53")}},
			{Name: "probe", Site: "public", Subnet: "net", Role: topology.STUNProbe,
				Addresses: []netip.Addr{address("198.51.100.20"), address("198.51.100.21")}},
		},
	}
}

// run starts a network, and closes it at the end of the test.
func run(t testing.TB, n *topology.Network, o sim.Observer) *sim.Internet {
	t.Helper()
	if err := n.Complete(); err != nil {
		t.Fatalf("complete: %v", err)
	}
	i, err := sim.New(sim.Config{Network: n, Seed: 1, Observer: o, Log: nil})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return i
}

func listenUDP(t testing.TB, i *sim.Internet, host, addr string) net.PacketConn {
	t.Helper()
	pc, err := i.Host(host).ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		t.Fatalf("%s: listen %s: %v", host, addr, err)
	}
	if err := pc.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return pc
}

func send(t testing.TB, pc net.PacketConn, to netip.AddrPort, text string) {
	t.Helper()
	if _, err := pc.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatalf("send %q to %v: %v", text, to, err)
	}
}

// expect reads one packet, checks its text, and returns its sender.
func expect(t testing.TB, pc net.PacketConn, text string) netip.AddrPort {
	t.Helper()
	buf := make([]byte, 65536)
	n, from, err := pc.ReadFrom(buf)
	if err != nil {
		t.Fatalf("read: %v; want %q", err, text)
	}
	if got := string(buf[:n]); got != text {
		t.Fatalf("read %.80q, want %.80q", got, text)
	}
	a := from.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func TestUDPThroughNAT(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	server := listenUDP(t, i, "server", publicServer+":7000")
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")

	send(t, alice, end(publicServer+":7000"), "hello")
	from := expect(t, server, "hello")
	if from.Addr() != address("192.0.2.1") {
		t.Errorf("server sees %v, want the NAT's address 192.0.2.1", from)
	}
	send(t, server, from, "welcome")
	if got := expect(t, alice, "welcome"); got != end(publicServer+":7000") {
		t.Errorf("alice's answer is from %v", got)
	}

	want := []string{"alice > edge office > internet > edge public > server"}
	if got := r.ways("alice", "server"); !slices.Equal(got, want) {
		t.Errorf("way out: %q, want %q", got, want)
	}
	want = []string{"server > edge public > internet > edge office > alice"}
	if got := r.ways("server", "alice"); !slices.Equal(got, want) {
		t.Errorf("way back: %q, want %q", got, want)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.deliveries {
		if d.From == "alice" && (d.SentFrom != end("10.1.0.10:5000") || d.SentTo != end(publicServer+":7000")) {
			t.Errorf("sent from %v to %v, want the sender's own addresses", d.SentFrom, d.SentTo)
		}
	}
	if len(r.drops) != 0 {
		t.Errorf("drops: %v", r.drops)
	}
}
