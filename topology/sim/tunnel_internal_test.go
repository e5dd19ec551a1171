package sim

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/esp"
	"github.com/callpath/callpath/topology/sim/packet"
)

func TestTunnelRefusesWhatIsNotItsOwn(t *testing.T) {
	i, e := start(t, nil)
	carol, dave := i.ports["carol"], i.ports["dave"]
	from, to := end("198.51.100.10:4500"), end("192.0.2.100:4500")
	outer := func(t *tunnel, inner []byte) packet.Packet {
		var f *frame
		if inner != nil {
			p, err := packet.Parse(inner)
			if err != nil {
				panic(err)
			}
			f = &frame{p: p}
		}
		p, err := t.toSite.wrap(from, to, f)
		if err != nil {
			panic(err)
		}
		return p
	}

	forged := outer(carol.tunnel, nil)
	forged.Payload()[20] ^= 1
	packet.Finish(forged.Bytes())
	carol.send(primary, forged.Bytes())
	e.wait(t, "at office", esp.ErrForged.Error())

	once := outer(carol.tunnel, nil)
	carol.send(primary, slices.Clone(once.Bytes()))
	carol.send(primary, once.Bytes())
	e.wait(t, "at office", esp.ErrReplay.Error())

	carol.send(primary, packet.NewUDP(from, to, []byte{0xff}))
	e.wait(t, "at office", "nobody's packet")
	carol.send(primary, packet.NewUDP(from, end("192.0.2.100:500"), nil))
	e.wait(t, "at office", WhyNoService)

	// A client may not use another's address.
	spoofed := netip.AddrPortFrom(dave.tunnel.address, 1)
	carol.send("vpn0", packet.NewUDP(spoofed, end("10.1.0.10:1"), nil))
	e.wait(t, "at office", "not from the client's address")

	// The client's end refuses as well.
	back, err := carol.tunnel.toClient.wrap(to, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	back.Payload()[20] ^= 1
	packet.Finish(back.Bytes())
	i.core.originate(newFrame(back, "attacker", coreHop))
	e.wait(t, "at carol", esp.ErrForged.Error())
}

func TestTunnelDestinations(t *testing.T) {
	i, e := start(t, func(n *topology.Network) {
		n.VPNs[0].Firewall = &topology.Firewall{Rules: []topology.Rule{
			{Name: "no-dns", Direction: topology.Outbound, Protocol: topology.UDP, Ports: []topology.PortRange{{First: 53, Last: 53}}, Action: topology.Reject},
			{Name: "no-smb", Direction: topology.Inbound, Protocol: topology.UDP, Ports: []topology.PortRange{{First: 445, Last: 445}}, Action: topology.Deny},
		}}
	})
	carol, dave := i.ports["carol"], i.ports["dave"]
	inside := func(p *port) netip.AddrPort { return netip.AddrPortFrom(p.tunnel.address, 1) }

	carol.send("vpn0", packet.NewUDP(inside(carol), inside(dave), []byte("to a fellow client")))
	e.wait(t, "carol to dave", inside(carol).String()+" -> "+inside(dave).String())

	carol.send("vpn0", packet.NewUDP(inside(carol), end("10.1.0.10:53"), nil))
	e.wait(t, "at vpn0", WhyRejected, "no-dns")
	e.wait(t, "office to carol", "icmp type 3 code 13")

	alice := i.ports["alice"]
	alice.send(primary, packet.NewUDP(end("10.1.0.10:1"), netip.AddrPortFrom(carol.tunnel.address, 445), nil))
	e.wait(t, "at vpn0", WhyDenied, "no-smb")
	alice.send(primary, packet.NewUDP(end("10.1.0.10:1"), end("10.9.0.200:1"), nil))
	e.wait(t, "at office", WhyNoHost)
	e.wait(t, "office to alice", "icmp type 3 code 1")
	alice.send(primary, packet.NewUDP(end("10.1.0.10:1"), inside(carol), make([]byte, 1450)))
	e.wait(t, "at office", WhyTooBig)

	e.clear()
	alice.send(primary, packet.NewEcho(end("10.1.0.10:1").Addr(), carol.tunnel.address, false, 7, 1, nil))
	e.wait(t, "alice to carol", "icmp type 8")
	e.wait(t, "carol to alice", "icmp type 0")
}

func TestTunnelThatIsNotUp(t *testing.T) {
	i, e := start(t, func(n *topology.Network) { n.Sites[1].Uplink.Cut = true })
	i.ports["alice"].send(primary, packet.NewUDP(end("10.1.0.10:1"), netip.AddrPortFrom(i.ports["carol"].tunnel.address, 1), nil))
	e.wait(t, "at office", "tunnel is not up")
}

func TestTunnelFromInsideTheSiteNeedsNoNAT(t *testing.T) {
	n := office(t, nil)
	n.Hosts[1].VPN, n.Hosts[1].Tunnel = "vpn0", netip.MustParseAddr("10.9.0.77") // a file may not say so
	i, e := startNetwork(t, n)
	bob := i.ports["bob"]
	bob.send("vpn0", packet.NewUDP(netip.AddrPortFrom(bob.tunnel.address, 1), end("10.1.0.10:1"), []byte("the long way")))
	e.wait(t, "bob to vpn0", "10.1.0.11:4500 -> 192.0.2.100:4500")
	e.wait(t, "bob to alice")
	i.ports["alice"].send(primary, packet.NewUDP(end("10.1.0.10:1"), netip.AddrPortFrom(bob.tunnel.address, 1), []byte("and back")))
	e.wait(t, "vpn0 to bob", "192.0.2.100:4500 -> 10.1.0.11:4500")
	e.wait(t, "alice to bob")
}

func TestTunnelIsKeptAlive(t *testing.T) {
	i, e := start(t, nil)
	c := i.concentrators["vpn0"]
	c.beat = time.Millisecond
	i.ports["carol"].tunnel.keepAlive()
	for range 3 {
		e.clear()
		e.wait(t, "carol to vpn0")
	}
}
