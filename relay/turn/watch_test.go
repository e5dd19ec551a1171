package turn_test

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
)

// The beginning of a flow is shown; what comes after goes the fast way, unseen.
func TestAFlowIsWatchedAndThenForwarded(t *testing.T) {
	const wanted, rest = 10, 40
	for _, transport := range []turn.Transport{turn.UDP, turn.TCP} {
		t.Run(string(transport), func(t *testing.T) {
			var mu sync.Mutex
			seen := map[bool]int{}
			r := newRig(t, func(c *turn.Config) {
				c.Watch = func(p turn.Relayed) bool {
					mu.Lock()
					defer mu.Unlock()
					if p.User != "alice" || p.Transport != transport || len(p.Payload) < 100 {
						t.Errorf("watched %+v", p)
					}
					seen[p.ToPeer]++
					return seen[true]+seen[false] < wanted
				}
			})
			peer := echo(t)
			username, password := r.credential("alice", "call-1")
			relayed, err := allocate5(t, r, transport, username, password)
			ok(t, err)
			exchange(t, relayed, peer, 1)
			r.await(turn.ChannelBound, 1)
			exchange(t, relayed, peer, wanted/2-1)
			if n := r.server.Forwarded(); n != 0 {
				t.Errorf("the core forwarded %d payloads while the flow was watched; wanted none", n)
			}
			exchange(t, relayed, peer, rest/2)
			mu.Lock()
			if seen[true] != wanted/2 || seen[false] != wanted/2 {
				t.Errorf("watched %v; wanted %d payloads each way", seen, wanted/2)
			}
			mu.Unlock()
			if n := r.server.Forwarded(); transport == turn.UDP && runtime.GOOS == "linux" && n != rest {
				t.Errorf("the core forwarded %d payloads; wanted all %d after the watch", n, rest)
			}
			if s := r.server.Stats(); s.Packets != wanted+rest {
				t.Errorf("relayed %d payloads; wanted %d", s.Packets, wanted+rest)
			}
			ok(t, relayed.Close())
			r.await(turn.AllocationDeleted, 1)
		})
	}
}

// An allocation with more peers than can be watched serves the others unseen.
func TestTheWatchOfAnAllocationIsBounded(t *testing.T) {
	const peers = 70
	var mu sync.Mutex
	seen := map[netip.AddrPort]bool{}
	r := newRig(t, func(c *turn.Config) {
		c.Watch = func(p turn.Relayed) bool {
			mu.Lock()
			defer mu.Unlock()
			seen[p.Peer] = true
			return true
		}
	})
	w := r.wire(r.credential("alice", "call-1"))
	w.mustAllocate()
	var all []net.PacketConn
	for i := range peers {
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		ok(t, err)
		t.Cleanup(func() { pc.Close() })
		all = append(all, pc)
		channel := 0x4000 + uint16(i)
		if code := codeOf(w.channel(channel, addrPortOf(pc.LocalAddr()))); code != 0 {
			t.Fatalf("channel %d refused with %d", i, code)
		}
		_, err = w.conn.Write([]byte{byte(channel >> 8), byte(channel), 0, 4, 'p', 'i', 'n', 'g'})
		ok(t, err)
	}
	for i, pc := range all {
		ok(t, pc.SetReadDeadline(time.Now().Add(patience)))
		if n, _, err := pc.ReadFrom(make([]byte, 100)); err != nil || n != 4 {
			t.Fatalf("peer %d: %d bytes, %v; wanted 4", i, n, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 64 {
		t.Errorf("watched %d peers; wanted 64", len(seen))
	}
}
