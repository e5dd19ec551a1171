package forward

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
)

func TestAnEndpointIsTheSameInBothFormsOfAnIPv4Address(t *testing.T) {
	for _, s := range []string{"192.0.2.1:5", "[::ffff:192.0.2.1]:5", "[2001:db8::1]:5", "[fe80::1%7]:65535", "[::]:0"} {
		a := netip.MustParseAddrPort(s)
		e := endpointOf(a)
		if want := netip.AddrPortFrom(a.Addr().Unmap(), a.Port()); e.addrPort() != want {
			t.Errorf("%s: wanted %v, got %v", s, want, e.addrPort())
		}
		if e.isIPv4() != a.Addr().Unmap().Is4() {
			t.Errorf("%s: IPv4 is %v", s, e.isIPv4())
		}
	}
	if endpointOf(netip.MustParseAddrPort("192.0.2.1:5")) != endpointOf(netip.MustParseAddrPort("[::ffff:192.0.2.1]:5")) {
		t.Error("an IPv4 address and its mapped form differ")
	}
	if zoneIndex("lo") == 0 || zoneIndex("no such interface") != 0 {
		t.Errorf("zone of lo: %d, of none: %d", zoneIndex("lo"), zoneIndex("no such interface"))
	}
}

// A table is a map, whatever is done to it.
func TestATableHoldsWhatAMapWould(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	table, want := newTable[int](), map[endpoint]int{}
	key := func() endpoint { return endpoint{lo: random.Uint64N(200), port: uint16(random.UintN(3))} }
	for range 20000 {
		switch k := key(); random.IntN(3) {
		case 0, 1:
			v := 1 + random.IntN(1000)
			table.set(k, v)
			want[k] = v
		default:
			v := want[k]
			if random.IntN(4) == 0 {
				v++ // not the value that is there
			} else {
				delete(want, k)
			}
			table.remove(k, v)
		}
		if k := key(); table.get(k) != want[k] {
			t.Fatalf("%v: wanted %d, got %d", k, want[k], table.get(k))
		}
	}
	if table.count != len(want) {
		t.Errorf("wanted %d keys counted, got %d", len(want), table.count)
	}
}

// Who reads while others write sees what was or what is, and all that does not
// change.
func TestATableIsReadWhileItIsWritten(t *testing.T) {
	table := newTable[int]()
	const steady = 100
	for i := range steady {
		table.set(endpoint{lo: uint64(i)}, i+1)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i = (i + 1) % steady {
				if got := table.get(endpoint{lo: uint64(i)}); got != i+1 {
					t.Errorf("key %d: wanted %d, got %d", i, i+1, got)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 5000 {
		k := endpoint{hi: 1, lo: uint64(i)}
		table.set(k, i+1)
		if i%3 == 0 {
			table.remove(k, i+1)
		}
	}
	close(stop)
	readers.Wait()
}

func TestFlowsAreFoundByChannelAndByPeer(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 17, 128} {
		var all []*flow
		for i := range n {
			peer := netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:%d", i%8, 4000+i/8))
			all = append(all, &flow{channel: uint16(minChannel + 64*i), peer: endpointOf(peer)})
		}
		f := newFlows(all)
		for _, x := range all {
			if f.byChannel(x.channel) != x || f.byPeer(x.peer) != x {
				t.Errorf("of %d: channel 0x%04x or peer %v is not found", n, x.channel, x.peer.addrPort())
			}
		}
		if f.byChannel(0x4001) != nil || f.byPeer(endpointOf(netip.MustParseAddrPort("192.0.2.200:1"))) != nil {
			t.Errorf("of %d: found what is not there", n)
		}
	}
}
