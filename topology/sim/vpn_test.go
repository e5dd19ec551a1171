package sim_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

// withVPN makes carol, at home, a client of the office's VPN. Tunnelled is empty
// for everything.
func withVPN(tunnelled ...string) *topology.Network {
	n := twoSites()
	n.VPNs = []topology.VPN{{
		Name: "vpn0", Site: "office", Concentrator: address("192.0.2.100"),
		Pool: prefix("10.9.0.0/24"), Tunnelled: tunnelled,
	}}
	n.Hosts[2].VPN = "vpn0"
	return n
}

func interfaceAddress(t *testing.T, i *sim.Internet, host string) netip.Addr {
	t.Helper()
	a := i.Network().Host(host).Tunnel
	if !a.IsValid() {
		t.Fatalf("host %s has no address in a tunnel", host)
	}
	return a
}

func TestSplitTunnel(t *testing.T) {
	r := newRecorder()
	i := run(t, withVPN("office"), r)
	inTunnel := interfaceAddress(t, i, "carol")
	bob := listenUDP(t, i, "bob", "10.1.1.10:5000")
	server := listenUDP(t, i, "server", publicServer+":7000")
	carol := listenUDP(t, i, "carol", "0.0.0.0:5000")

	send(t, carol, end("10.1.1.10:5000"), "to the office: secret words")
	from := expect(t, bob, "to the office: secret words")
	if from.Addr() != inTunnel {
		t.Errorf("bob sees %v, want carol's address in the tunnel, %v", from, inTunnel)
	}
	send(t, bob, from, "from the office")
	expect(t, carol, "from the office")

	send(t, carol, end(publicServer+":7000"), "past the tunnel")
	if from := expect(t, server, "past the tunnel"); from.Addr() != address("192.0.2.2") {
		t.Errorf("server sees %v, want the home's NAT", from)
	}

	for _, c := range []struct{ from, to, want string }{
		{"carol", "bob", "carol > tunnel vpn0 > edge office > router inner > bob"},
		{"bob", "carol", "bob > router inner > edge office > tunnel vpn0 > carol"},
		{"carol", "vpn0", "carol > edge home > internet > edge office"},
		{"vpn0", "carol", "edge office > internet > edge home > carol"},
		{"carol", "server", "carol > edge home > internet > edge public > server"},
	} {
		if got := r.ways(c.from, c.to); !slices.Equal(got, []string{c.want}) {
			t.Errorf("way from %s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, c := range r.captures {
		if c.Host != "carol" {
			continue
		}
		open := bytes.Contains(c.Packet, []byte("secret words"))
		seen[c.Interface] = seen[c.Interface] || open
		if open && c.Interface == "eth0" {
			t.Error("the tunnel's contents are readable on eth0")
		}
	}
	if !seen["vpn0"] {
		t.Error("vpn0 shows no plaintext packet")
	}
}

func TestFullTunnelLeavesByTheOfficesNAT(t *testing.T) {
	r := newRecorder()
	i := run(t, withVPN(), r)
	server := listenUDP(t, i, "server", publicServer+":7000")
	carol := listenUDP(t, i, "carol", "0.0.0.0:5000")
	send(t, carol, end(publicServer+":7000"), "all of it")
	from := expect(t, server, "all of it")
	if from.Addr() != address("192.0.2.1") {
		t.Errorf("server sees %v, want the office's NAT", from)
	}
	send(t, server, from, "and back")
	expect(t, carol, "and back")
	for _, c := range []struct{ from, to, want string }{
		{"carol", "server", "carol > tunnel vpn0 > edge office > internet > edge public > server"},
		{"server", "carol", "server > edge public > internet > edge office > tunnel vpn0 > carol"},
	} {
		if got := r.ways(c.from, c.to); !slices.Equal(got, []string{c.want}) {
			t.Errorf("way from %s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
	echoOverTunnel(t, i)
}

// echoOverTunnel sends enough TCP to meet the tunnel's MTU.
func echoOverTunnel(t *testing.T, i *sim.Internet) {
	t.Helper()
	serveEcho(t, i, "server", publicServer+":443")
	echo(t, dial(t, i, "carol", "tcp", publicServer+":443"), 1<<18)
}

func TestVPNFirewallDeniesMedia(t *testing.T) {
	r := newRecorder()
	n := withVPN("office")
	n.VPNs[0].Firewall = &topology.Firewall{Rules: []topology.Rule{
		{Name: "no-media-in-vpn", Direction: topology.Outbound, Protocol: topology.UDP, Action: topology.Deny},
	}}
	i := run(t, n, r)
	carol := listenUDP(t, i, "carol", "0.0.0.0:5000")
	send(t, carol, end("10.1.0.10:5000"), "media")
	d := r.waitDrop(t, "UDP in the tunnel", func(d sim.Drop) bool { return d.Rule == "no-media-in-vpn" })
	if d.Where != (topology.Hop{Kind: topology.HopTunnel, Name: "vpn0", Site: "office"}) {
		t.Errorf("dropped at %v, want the tunnel", d.Where)
	}
	serveEcho(t, i, "alice", "10.1.0.10:443")
	echo(t, dial(t, i, "carol", "tcp", "10.1.0.10:443"), 1<<16)
}

// What fits the tunnel's interface may not fit the uplink once it is sealed; the
// outer packets are fragmented and put together again.
func TestTunnelOverASmallUplink(t *testing.T) {
	n := withVPN("office")
	n.Sites[1].Uplink.MTU = 1000
	i := run(t, n, nil)
	serveEcho(t, i, "alice", "10.1.0.10:443")
	echo(t, dial(t, i, "carol", "tcp", "10.1.0.10:443"), 1<<17)
}

func TestTunnelFollowsAHostThatMoves(t *testing.T) {
	i := run(t, withVPN("office"), nil)
	inTunnel := interfaceAddress(t, i, "carol")
	bob := listenUDP(t, i, "bob", "10.1.1.10:5000")
	carol := listenUDP(t, i, "carol", netip.AddrPortFrom(inTunnel, 5000).String())
	send(t, carol, end("10.1.1.10:5000"), "from home")
	expect(t, bob, "from home")
	if err := i.Move("carol", "public", "net"); err != nil {
		t.Fatal(err)
	}
	// The address in the tunnel is still carol's, and so is the socket.
	send(t, bob, netip.AddrPortFrom(inTunnel, 5000), "where are you?")
	expect(t, carol, "where are you?")
}
