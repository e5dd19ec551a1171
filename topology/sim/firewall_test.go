package sim_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

func TestFirewallBlocksUDPAndLetsTCPPass(t *testing.T) {
	r := newRecorder()
	n := twoSites()
	n.Sites[0].Firewall = &topology.Firewall{
		Inbound: topology.Deny,
		Rules: []topology.Rule{
			{Name: "no-udp", Direction: topology.Outbound, Protocol: topology.UDP, Action: topology.Deny},
		},
	}
	i := run(t, n, r)
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
	send(t, alice, end(publicServer+":3478"), "lost")
	d := r.waitDrop(t, "UDP outbound", func(d sim.Drop) bool { return d.Rule != "" })
	if d.Rule != "no-udp" || d.Why != sim.WhyDenied || d.Where != (topology.Hop{Kind: topology.HopEdge, Name: "office", Site: "office"}) {
		t.Errorf("drop: rule %q, why %q, where %v", d.Rule, d.Why, d.Where)
	}
	serveEcho(t, i, "server", publicServer+":443")
	echo(t, dial(t, i, "alice", "tcp", publicServer+":443"), 1<<16)
}

// serveEcho returns what is written to a TCP address, until the test ends.
func serveEcho(t *testing.T, i *sim.Internet, host, address string) {
	t.Helper()
	l, err := i.Host(host).Listen(context.Background(), "tcp", address)
	if err != nil {
		t.Fatalf("%s: listen %s: %v", host, address, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// The other end may be gone without a word.
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			serving.Go(func() {
				defer stop()
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
}

func dial(t *testing.T, i *sim.Internet, host, network, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := i.Host(host).DialContext(ctx, network, address)
	if err != nil {
		t.Fatalf("%s: dial %s: %v", host, address, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFirewallRejectsWithResetAndAdminProhibited(t *testing.T) {
	n := twoSites()
	n.Sites[0].Firewall = &topology.Firewall{Rules: []topology.Rule{
		{Name: "only-https", Direction: topology.Outbound, Protocol: topology.TCP,
			Ports: []topology.PortRange{{First: 1, Last: 442}}, Action: topology.Reject},
		{Name: "no-stun", Direction: topology.Outbound, Protocol: topology.UDP,
			Ports: []topology.PortRange{{First: 3478, Last: 3481}}, To: []string{"public"}, Action: topology.Reject},
	}}
	r := newRecorder()
	i := run(t, n, r)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := i.Host("alice").DialContext(ctx, "tcp", publicServer+":80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("TCP: %v, want connection refused", err)
	}
	c := dial(t, i, "alice", "udp", publicServer+":3480")
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r.waitCapture(t, "administratively prohibited", func(c sim.Capture) bool {
		return isError(c, 3, 13) && c.Host == "alice"
	})
}

// isError says whether an inbound packet is an ICMP error of a type and code. Only
// a port that is unreachable gets as far as a UDP socket, as on a real host.
func isError(c sim.Capture, kind, code byte) bool {
	return !c.Outbound && c.Packet[0] == 0x45 && c.Packet[9] == 1 && c.Packet[20] == kind && c.Packet[21] == code
}

// ICMP errors come back through the NAT to the socket that they are about (RFC
// 5508, REQ-4).
func TestPortUnreachableReachesTheSocketBehindNAT(t *testing.T) {
	i := run(t, twoSites(), nil)
	c := dial(t, i, "alice", "udp", publicServer+":9")
	if _, err := c.Write([]byte("anyone?")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("read gives %v, want connection refused", err)
	}
}

func TestNoRouteIsAnsweredByTheInternet(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	c := dial(t, i, "alice", "udp", "203.0.113.77:9")
	if _, err := c.Write([]byte("anyone?")); err != nil {
		t.Fatal(err)
	}
	r.waitCapture(t, "net unreachable", func(c sim.Capture) bool { return isError(c, 3, 0) && c.Host == "alice" })
	want := []string{"internet > edge office > alice"}
	if got := r.ways("internet", "alice"); !slices.Equal(got, want) {
		t.Errorf("the error's way: %q, want %q", got, want)
	}
}

func TestSetFirewallStopsUDPInMidCallAndLetsItGoOn(t *testing.T) {
	r := newRecorder()
	i := run(t, twoSites(), r)
	server := listenUDP(t, i, "server", publicServer+":7000")
	alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
	outside := mapped(t, alice, server)
	send(t, server, outside, "before")
	expect(t, alice, "before")

	blocked := &topology.Firewall{Rules: []topology.Rule{
		{Name: "cut", Direction: topology.Outbound, Protocol: topology.UDP, Action: topology.Deny},
	}}
	if err := i.SetFirewall("office", blocked); err != nil {
		t.Fatal(err)
	}
	if got := i.Network().Site("office").Firewall; got == nil || len(got.Rules) != 1 {
		t.Errorf("network's firewall: %+v", got)
	}
	send(t, alice, end(publicServer+":7000"), "lost")
	r.waitDrop(t, "outbound", func(d sim.Drop) bool { return d.Rule == "cut" })
	// The firewall lets anything begin inbound, but this flow began outbound.
	send(t, server, outside, "lost too")
	r.waitDrop(t, "inbound", func(d sim.Drop) bool {
		return d.Rule == "cut" && slices.Equal(d.Packet[len(d.Packet)-8:], []byte("lost too"))
	})

	if err := i.SetFirewall("office", nil); err != nil {
		t.Fatal(err)
	}
	send(t, server, outside, "after")
	expect(t, alice, "after")
}

func TestChangesToWhatIsNotThere(t *testing.T) {
	i := run(t, twoSites(), nil)
	for _, c := range []struct {
		what string
		err  error
	}{
		{"uplink", i.SetUplink("nowhere", topology.Link{})},
		{"uplink's loss", i.SetUplink("office", topology.Link{Loss: 2})},
		{"subnet link's site", i.SetSubnetLink("nowhere", "lan", topology.Link{})},
		{"subnet link's subnet", i.SetSubnetLink("office", "nowhere", topology.Link{})},
		{"subnet link's MTU", i.SetSubnetLink("office", "lan", topology.Link{MTU: 1})},
		{"firewall", i.SetFirewall("nowhere", nil)},
		{"firewall's action", i.SetFirewall("office", &topology.Firewall{Inbound: "perhaps"})},
		{"move's host", i.Move("nobody", "home", "lan")},
		{"move's subnet", i.Move("alice", "home", "nowhere")},
		{"move's site", i.Move("alice", "nowhere", "lan")},
	} {
		if c.err == nil {
			t.Errorf("%s: no error", c.what)
		}
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if err := i.SetUplink("office", topology.Link{}); !errors.Is(err, sim.ErrClosed) {
		t.Errorf("after close: %v, want ErrClosed", err)
	}
}
