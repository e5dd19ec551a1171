package sim_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim"
)

// Everyone talks to everyone, over TCP and UDP, to ports that are open and closed,
// while links, firewalls and places change: nothing may get stuck.
func TestNothingGetsStuck(t *testing.T) {
	n := withVPN("office")
	n.Sites[0].Uplink = topology.Link{Delay: ms(1), Jitter: ms(1), Loss: 0.01, Reorder: 0.01}
	i := run(t, n, newRecorder())
	serveEcho(t, i, "server", publicServer+":443")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, host := range []string{"alice", "bob", "carol", "server"} {
		h := i.Host(host)
		for _, address := range []string{publicServer + ":443", publicServer + ":81", "10.1.0.10:81", "10.1.1.10:81", "203.0.113.1:81"} {
			for _, network := range []string{"tcp4", "udp4"} {
				all.Go(func() {
					for ctx.Err() == nil {
						c, err := h.DialContext(ctx, network, address)
						if err != nil {
							continue
						}
						_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
						_, _ = c.Write(make([]byte, 1000))
						_, _ = c.Read(make([]byte, 1000))
						_ = c.Close()
					}
				})
			}
		}
	}
	changes := []func(int) error{
		func(k int) error { return i.SetUplink("office", topology.Link{Delay: ms(k % 3), Cut: k%5 == 0}) },
		func(k int) error { return i.SetSubnetLink("home", "lan", topology.Link{MTU: 1300 + k%200}) },
		func(int) error { return i.SetFirewall("office", &topology.Firewall{Inbound: topology.Reject}) },
		func(int) error { return i.SetFirewall("office", nil) },
		func(int) error { return i.Move("carol", "public", "net") },
		func(int) error { return i.Move("carol", "home", "lan") },
	}
	for k := 0; ctx.Err() == nil; k++ {
		if err := changes[k%len(changes)](k); err != nil {
			t.Errorf("change %d: %v", k, err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		panic("stuck") // for the stacks of all goroutines
	}
}

// The same seed loses the same packets, whatever else the network has.
func TestSeed(t *testing.T) {
	arrived := func(seed uint64, edit func(*topology.Network)) []string {
		n := twoSites()
		n.Sites[0].Uplink.Loss = 0.5
		if edit != nil {
			edit(n)
		}
		if err := n.Complete(); err != nil {
			t.Fatal(err)
		}
		r := newRecorder()
		i, err := sim.New(sim.Config{Network: n, Seed: seed, Observer: r})
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		alice := listenUDP(t, i, "alice", "10.1.0.10:5000")
		for k := range 100 {
			send(t, alice, netip.AddrPortFrom(address(publicServer), 9), fmt.Sprint("packet ", k))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		var out []string
		for _, d := range r.deliveries {
			if d.From == "alice" {
				out = append(out, string(d.Packet[28:]))
			}
		}
		return out
	}
	first := arrived(7, nil)
	if len(first) < 30 || len(first) > 70 {
		t.Errorf("%d of 100 packets arrived, want about half", len(first))
	}
	if again := arrived(7, func(n *topology.Network) { n.Hosts = append(n.Hosts, topology.Host{Name: "erin", Site: "home"}) }); !slices.Equal(first, again) {
		t.Error("the same seed loses other packets")
	}
	if other := arrived(8, nil); slices.Equal(first, other) {
		t.Error("another seed loses the same packets")
	}
}
