package turn_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/turn"
)

// The figures of what the forwarding core relays are those of the relay, and the
// same as when the engine relays.
func TestFiguresAreTheSameWhoeverForwards(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(*testing.T) *rig
	}{
		{"core", func(t *testing.T) *rig { return newRig(t, nil) }},
		{"engine", newObservedRig},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.start(t)
			peer := echo(t)
			username, password := r.credential("alice", "call-1")
			relayed, err := allocate5(t, r, turn.UDP, username, password)
			ok(t, err)
			exchange(t, relayed, peer, 1)
			r.await(turn.ChannelBound, 1)
			exchange(t, relayed, peer, 20)
			want := turn.Stats{Packets: 42, BytesIn: 4580, BytesOut: 4580, Allocations: 1, Permissions: 1, Channels: 1}
			check := func() {
				t.Helper()
				got := r.server.Stats()
				got.StaleNonces, got.Unauthenticated = 0, 0
				if got != want {
					t.Errorf("figures: wanted %+v, got %+v", want, got)
				}
			}
			check()
			ok(t, relayed.Close())
			r.await(turn.AllocationDeleted, 1)
			want.Allocations, want.Permissions, want.Channels = 0, 0, 0
			check()
		})
	}
}

// The bandwidth quota holds for what the core forwards.
func TestTheCoreForwardsNoMoreThanTheBandwidthQuota(t *testing.T) {
	r := newRig(t, func(c *turn.Config) { c.Quota.UserBandwidth = 1000 })
	w := r.wire(r.credential("alice", "call-1"))
	w.mustAllocate()
	peer := echo(t)
	if code := codeOf(w.channel(0x4000, peer)); code != 0 {
		t.Fatalf("channel refused with %d", code)
	}
	frame := append([]byte{0x40, 0, 0x01, 0x2c}, make([]byte, 300)...)
	for range 10 {
		_, err := w.conn.Write(frame)
		ok(t, err)
	}
	deadline := time.Now().Add(patience)
	for s := r.server.Stats(); s.Packets+s.OverBandwidth < 10; s = r.server.Stats() {
		if time.Now().After(deadline) {
			t.Fatalf("figures: %+v; wanted 10 payloads relayed or over the bandwidth", s)
		}
		time.Sleep(time.Millisecond)
	}
	if s := r.server.Stats(); s.OverBandwidth == 0 || s.Packets == 0 || s.BytesIn > 2000 {
		t.Errorf("figures: %+v; wanted the first payloads relayed and the others dropped", s)
	}
}

// A channel to another client's relayed transport address ends to carry when that
// client's allocation ends, as the engine has it.
func TestTheCoreReachesOnlyLiveRelayedAddresses(t *testing.T) {
	r := newRig(t, func(c *turn.Config) { c.Peers = turn.PeerPolicy{} })
	alice, bob := r.wire(r.credential("alice", "call-1")), r.wire(r.credential("bob", "call-1"))
	atAlice, atBob := alice.mustAllocate(), bob.mustAllocate()
	for _, b := range []struct {
		w    *wire
		peer netip.AddrPort
	}{{alice, atBob}, {bob, atAlice}} {
		if code := codeOf(b.w.channel(0x4000, b.peer)); code != 0 {
			t.Fatalf("channel to %v refused with %d", b.peer, code)
		}
	}
	frame := []byte{0x40, 0, 0, 4, 'p', 'i', 'n', 'g'}
	_, err := alice.conn.Write(frame)
	ok(t, err)
	ok(t, bob.conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 100)
	n, err := bob.conn.Read(buf)
	ok(t, err)
	if string(buf[:n]) != string(frame) {
		t.Errorf("wanted %x, got %x", frame, buf[:n])
	}
	bob.free()
	r.await(turn.AllocationDeleted, 1)
	_, err = alice.conn.Write(frame)
	ok(t, err)
	if e := r.await(turn.DataDenied, 1); e.Peer != atBob {
		t.Errorf("wanted data to %v denied, got %v", atBob, e)
	}
}

// A client that frees its allocation and makes another at once keeps the other.
func TestANewAllocationOutlivesTheOldOne(t *testing.T) {
	r := newRig(t, nil)
	w := r.wire(r.credential("alice", "call-1"))
	peer := echo(t)
	for i := range 300 {
		w.mustAllocate()
		if code := codeOf(w.channel(0x4000, peer)); code != 0 {
			t.Fatalf("allocation %d: channel refused with %d", i, code)
		}
		w.free()
	}
}
