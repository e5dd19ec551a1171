package rig

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// TestRig: names resolve, and what is dropped does not arrive.
func TestRig(t *testing.T) {
	r := New(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	got, err := r.Hosts["alice"].LookupNetIP(ctx, "ip4", RelayName)
	if err != nil || len(got) != 1 || got[0] != Machines["relay"] {
		t.Fatalf("%s is %v, %v, want %s", RelayName, got, err, Machines["relay"])
	}
	servers, err := r.ICEServers("alice", "call")
	if err != nil || len(servers) != 2 || servers[1].Credential == "" {
		t.Errorf("ICE servers are %v, %v", servers, err)
	}
	seen := make(chan Packet, 16)
	r.Switch.Drop(func(p Packet) bool {
		select {
		case seen <- p:
		default:
		}
		return p.Between("bob")
	})
	conn, err := r.Hosts["alice"].ListenPacket(ctx, "udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := r.Hosts["alice"].DialContext(ctx, "udp4", netip.AddrPortFrom(Machines["bob"], 9).String()); err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(Machines["bob"], 9)
	if _, err := conn.(interface {
		WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	}).WriteToUDPAddrPort([]byte{1}, to); err != nil {
		t.Fatal(err)
	}
	if p := <-seen; !p.UDP || p.To != to || !p.Port(9) {
		t.Errorf("the switch saw %+v, want UDP to %s", p, to)
	}
	if n := r.Relayed(); n != 0 || len(r.Refused()) != 0 {
		t.Errorf("%d relayed, %v refused, want none", n, r.Refused())
	}
}
