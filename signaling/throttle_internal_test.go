package signaling

import (
	"net/netip"
	"testing"
	"time"
)

func TestMissesAreCountedByUserAndNetwork(t *testing.T) {
	alice, bob := &user{}, &user{client: "x"}
	for _, tc := range []struct {
		name string
		a, b missKey
		same bool
	}{
		{"another port", newMissKey(alice, "192.0.2.1:1"), newMissKey(alice, "192.0.2.1:2"), true},
		{"IPv4 in IPv6", newMissKey(alice, "192.0.2.1:1"), newMissKey(alice, "[::ffff:192.0.2.1]:1"), true},
		{"another address", newMissKey(alice, "192.0.2.1:1"), newMissKey(alice, "192.0.2.2:1"), false},
		{"the same /64", newMissKey(alice, "[2001:db8::1]:1"), newMissKey(alice, "[2001:db8::ffff:2]:1"), true},
		{"another /64", newMissKey(alice, "[2001:db8::1]:1"), newMissKey(alice, "[2001:db8:0:1::1]:1"), false},
		{"another user", newMissKey(alice, "192.0.2.1:1"), newMissKey(bob, "192.0.2.1:1"), false},
		{"no addresses", newMissKey(nil, "pipe"), newMissKey(nil, ""), true},
	} {
		if (tc.a == tc.b) != tc.same {
			t.Errorf("%s: %v and %v, wanted same=%v", tc.name, tc.a, tc.b, tc.same)
		}
	}
}

func TestMissesAreBounded(t *testing.T) {
	var m misses
	now := time.Unix(0, 0)
	key := func(i int) missKey {
		return newMissKey(nil, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1).String())
	}
	for i := range maxMisses + 100 {
		m.add(key(i), now)
	}
	if len(m.byKey) != maxMisses {
		t.Errorf("%d are kept, wanted %d", len(m.byKey), maxMisses)
	}
	m.add(missKey{}, now.Add(missWindow))
	if len(m.byKey) != 1 {
		t.Errorf("%d are kept once the others are over, wanted 1", len(m.byKey))
	}
}
