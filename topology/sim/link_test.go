package sim_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

func TestIPv6PassesTheNATUntranslated(t *testing.T) {
	i := run(t, twoSites(), nil)
	server := listenUDP(t, i, "server", "[2001:db8:99::10]:7000")
	alice := listenUDP(t, i, "alice", "[2001:db8:1::10]:5000")
	send(t, alice, end("[2001:db8:99::10]:7000"), "six")
	if from := expect(t, server, "six"); from != end("[2001:db8:1::10]:5000") {
		t.Errorf("server sees %v, want alice's own address", from)
	}
	send(t, server, end("[2001:db8:1::10]:5000"), "six back")
	expect(t, alice, "six back")
}

func TestTCPOverIPv6(t *testing.T) {
	i := run(t, twoSites(), nil)
	serveEcho(t, i, "server", "[2001:db8:99::10]:443")
	echo(t, dial(t, i, "carol", "tcp", "[2001:db8:99::10]:443"), 1<<18)
}

// A path with a small link in its middle: edges keep TCP to what fits it.
func TestSmallMTU(t *testing.T) {
	for _, c := range []struct {
		name       string
		edit       func(*topology.Network)
		server, to string
	}{
		{"own uplink", func(n *topology.Network) { n.Sites[0].Uplink.MTU = 1300 }, publicServer, "4"},
		{"their uplink", func(n *topology.Network) { n.Sites[2].Uplink.MTU = 1300 }, publicServer, "4"},
		{"their subnet", func(n *topology.Network) { n.Sites[2].Subnets[0].Link.MTU = 1300 }, publicServer, "4"},
		{"IPv6", func(n *topology.Network) { n.Sites[2].Uplink.MTU = 1300 }, "2001:db8:99::10", "6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := twoSites()
			c.edit(n)
			i := run(t, n, nil)
			address := net.JoinHostPort(c.server, "443")
			serveEcho(t, i, "server", address)
			echo(t, dial(t, i, "alice", "tcp"+c.to, address), 1<<17)
		})
	}
}

func TestLargeUDPIsFragmentedAndPassesTheNAT(t *testing.T) {
	for _, mtu := range []int{0, 600} {
		n := twoSites()
		n.Sites[0].Uplink.MTU = mtu
		n.Sites[0].Firewall = &topology.Firewall{Inbound: topology.Deny}
		i := run(t, n, nil)
		server := listenUDP(t, i, "server", publicServer+":7000")
		alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
		long := strings.Repeat("0123456789abcdef", 300)
		send(t, alice, end(publicServer+":7000"), long)
		from := expect(t, server, long)
		send(t, server, from, long+"back")
		expect(t, alice, long+"back")
	}
}

func TestDelayAndOrder(t *testing.T) {
	n := twoSites()
	n.Sites[0].Uplink = topology.Link{Delay: ms(10), Jitter: ms(5)}
	i := run(t, n, nil)
	server := listenUDP(t, i, "server", publicServer+":7000")
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
	start := time.Now()
	for k := range 50 {
		send(t, alice, end(publicServer+":7000"), string(rune('A'+k)))
	}
	for k := range 50 {
		expect(t, server, string(rune('A'+k)))
	}
	// Jitter may shorten a single delay, but never below nothing; that some time
	// passes is what a link with delay is for.
	if time.Since(start) <= 0 {
		t.Error("no time passed")
	}
}

func TestCutAndLossLive(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	server := listenUDP(t, i, "server", publicServer+":7000")
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
	for _, c := range []struct {
		text, why string
		set       func(topology.Link) error
		link      topology.Link
	}{
		{"cut uplink", "link is cut", func(l topology.Link) error { return i.SetUplink("office", l) }, topology.Link{Cut: true}},
		{"lossy subnet", "lost on the link", func(l topology.Link) error { return i.SetSubnetLink("office", "lan", l) }, topology.Link{Loss: 1}},
	} {
		if err := c.set(c.link); err != nil {
			t.Fatal(err)
		}
		send(t, alice, end(publicServer+":7000"), c.text)
		r.waitDrop(t, c.text, func(d sim.Drop) bool { return d.Why == c.why })
		if err := c.set(topology.Link{}); err != nil {
			t.Fatal(err)
		}
		send(t, alice, end(publicServer+":7000"), "after "+c.text)
		expect(t, server, "after "+c.text)
	}
}

// TCP on a connection that stands learns of a smaller link (RFC 1191) from the
// ICMP error, which comes back through the NAT.
func TestPathMTUDiscoveryThroughNAT(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	serveEcho(t, i, "server", publicServer+":443")
	c := dial(t, i, "alice", "tcp4", publicServer+":443")
	echo(t, c, 1000)
	if err := i.SetUplink("public", topology.Link{MTU: 1300}); err != nil {
		t.Fatal(err)
	}
	echo(t, c, 1500)
	r.waitCapture(t, "fragmentation needed", func(c sim.Capture) bool { return isError(c, 3, 4) && c.Host == "alice" })
}

func TestSetSubnetLinkChangesTheHostsMTU(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	server := listenUDP(t, i, "server", publicServer+":7000")
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
	long := strings.Repeat("x", 1400)
	for _, mtu := range []int{1500, 1400, 1000} {
		if err := i.SetSubnetLink("office", "lan", topology.Link{MTU: mtu, Delay: ms(1)}); err != nil {
			t.Fatal(err)
		}
		if got := i.Network().Site("office").Subnets[0].Link; got.MTU != mtu {
			t.Errorf("network's link: %+v", got)
		}
		send(t, alice, end(publicServer+":7000"), long)
		send(t, server, expect(t, server, long), long+"back")
		expect(t, alice, long+"back")
	}
	// 1400 is met by the host, 1000 by the link's end: no host has less than 1280.
	largest := 0
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.captures {
		if c.Host == "alice" && c.Outbound && c.Packet[6]&0x20 != 0 {
			largest = max(largest, len(c.Packet))
		}
	}
	if largest == 0 || largest > 1400 {
		t.Errorf("alice's largest fragment has %d bytes, want at most 1400", largest)
	}
}

func TestMoveGivesNewAddresses(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	server := listenUDP(t, i, "server", publicServer+":7000")
	old := listenUDP(t, i, "alice", "10.1.0.10:5000")
	send(t, old, end(publicServer+":7000"), "from the office")
	expect(t, server, "from the office")

	if err := i.Move("alice", "home", "lan"); err != nil {
		t.Fatal(err)
	}
	h := i.Network().Host("alice")
	if h.Site != "home" || len(h.Addresses) != 2 || !prefix("10.2.0.0/24").Contains(h.Addresses[0]) {
		t.Fatalf("alice is at %s with %v, want addresses of the home", h.Site, h.Addresses)
	}
	if got := i.Host("alice").Addresses(); !slices.Contains(got, h.Addresses[0]) || slices.Contains(got, address("10.1.0.10")) {
		t.Errorf("the host has %v, want %v", got, h.Addresses)
	}
	next := listenUDP(t, i, "alice", "0.0.0.0:6000")
	send(t, next, end(publicServer+":7000"), "from home")
	from := expect(t, server, "from home")
	if from.Addr() != address("192.0.2.2") {
		t.Errorf("server sees %v, want the home's NAT", from)
	}
	send(t, server, from, "found you")
	expect(t, next, "found you")
	if got := r.ways("alice", "server"); len(got) != 2 || got[1] != "alice > edge home > internet > edge public > server" {
		t.Errorf("ways: %q", got)
	}
}

// A server that moves is found by its name at its new address.
func TestMoveChangesNames(t *testing.T) {
	i := run(t, twoSites(), nil)
	lookup := func() string {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		a, err := i.Host("carol").LookupNetIP(ctx, "ip4", "server.test")
		if err != nil || len(a) != 1 {
			t.Fatalf("lookup: %v, %v", a, err)
		}
		return a[0].Unmap().String()
	}
	if got := lookup(); got != publicServer {
		t.Errorf("server.test is %s, want %s", got, publicServer)
	}
	if err := i.Move("server", "office", "lab"); err != nil {
		t.Fatal(err)
	}
	if got, want := lookup(), i.Network().Host("server").Addresses[0].String(); got != want {
		t.Errorf("server.test is %s, want %s", got, want)
	}
}
