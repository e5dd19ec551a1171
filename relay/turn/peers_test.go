package turn

import (
	"net/netip"
	"strings"
	"testing"
)

func TestPeerPolicyPrecedence(t *testing.T) {
	policy := PeerPolicy{
		Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:192.168.7.0/120"), netip.MustParsePrefix("2002:ac10::/32")},
		Deny:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("203.0.113.0/24")},
	}
	own := []netip.Addr{netip.MustParseAddr("::ffff:198.51.100.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}
	for _, c := range []struct{ peer, rule string }{
		{"10.2.3.4", ""},
		{"10.1.2.3", "deny 10.1.0.0/16"},
		{"::ffff:10.1.2.3", "deny 10.1.0.0/16 (ipv4-mapped)"},
		{"64:ff9b::10.1.2.3", "deny 10.1.0.0/16 (nat64)"},
		{"2002:cb00:7101::1", "deny 203.0.113.0/24 (6to4)"},
		{"192.168.7.9", ""},
		{"192.168.8.9", "private"},
		{"2002:ac10:1::1", ""}, // 172.16.0.1 inside, but allowed as it is
		{"10.0.0.1", ""},       // own, but allowed
		{"198.51.100.1", "own-address"},
		{"2002:c633:6401::", "own-address (6to4)"},
		{"2001:db8::1", "own-address"},
		{"2001:db8::1%eth0", "own-address"},
		{"fe80::1%eth0", "link-local"},
		{"198.18.0.1", ""},
		{"192.0.2.1", ""},
		// Teredo: the server in the clear, the client with its bits flipped.
		{"2001:0:7f00:1::", "loopback (teredo)"},
		{"2001:0:cb00:7200:0:1:80ff:fffe", "loopback (teredo)"},
		{"2001:db8::5efe:192.168.0.1", "private (isatap)"},
		{"2001:db8::200:5efe:192.168.0.1", "private (isatap)"},
		{"::ffff:0:127.0.0.1", "loopback (ipv4-translated)"},
		{"2600::1", ""},
	} {
		rule, allowed := policy.Check(own, netip.MustParseAddr(c.peer))
		if rule != c.rule || allowed != (c.rule == "") {
			t.Errorf("%s: wanted rule %q, got %q, allowed %v", c.peer, c.rule, rule, allowed)
		}
	}
	if rule, allowed := policy.Check(nil, netip.Addr{}); allowed || rule != "invalid" {
		t.Errorf("no address: got %q, %v", rule, allowed)
	}
}

// No way to write an IPv4 address that is denied gets past the policy.
func FuzzPeerPolicy(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{203, 0, 113, 7})
	f.Add([]byte{169, 254, 169, 254})
	for _, a := range []string{"::1", "2002:7f00:1::", "64:ff9b::a00:1", "::ffff:10.0.0.1", "fe80::1", "2001::1"} {
		f.Add(netip.MustParseAddr(a).AsSlice())
	}
	policy := PeerPolicy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	own := []netip.Addr{netip.MustParseAddr("198.51.100.1")}
	f.Fuzz(func(t *testing.T, b []byte) {
		peer, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		rule, allowed := policy.Check(own, peer)
		if allowed != (rule == "") {
			t.Fatalf("%v: rule %q, allowed %v", peer, rule, allowed)
		}
		if !peer.Is4() {
			if special := peer.IsLoopback() || peer.IsPrivate() || peer.IsLinkLocalUnicast() || peer.IsMulticast() || peer.IsUnspecified(); special && allowed {
				t.Fatalf("%v is permitted", peer)
			}
			return
		}
		v4 := peer.As4()
		for name, inner := range map[string]netip.Addr{
			"ipv4-mapped":     netip.AddrFrom16(peer.As16()),
			"ipv4-compatible": at(make([]byte, 16), 12, v4),
			"ipv4-translated": at([]byte{8: 0xff, 9: 0xff, 15: 0}, 12, v4),
			"nat64":           at([]byte{1: 0x64, 2: 0xff, 3: 0x9b, 15: 0}, 12, v4),
			"6to4":            at([]byte{0: 0x20, 1: 0x02, 15: 1}, 2, v4),
			"teredo":          at([]byte{0: 0x20, 1: 0x01, 12: 0x34, 13: 0xff, 14: 0x8e, 15: 0xfe}, 4, v4), // client 203.0.113.1 would be denied
			"isatap":          at([]byte{0: 0x26, 10: 0x5e, 11: 0xfe, 15: 0}, 12, v4),
		} {
			innerRule, innerAllowed := policy.Check(own, inner)
			if !allowed && innerAllowed {
				t.Fatalf("%v is denied by %q, but as %v (%s) it is permitted", peer, rule, inner, name)
			}
			if name == "ipv4-mapped" && strings.TrimSuffix(innerRule, " (ipv4-mapped)") != rule {
				t.Fatalf("%v is denied by %q, mapped by %q", peer, rule, innerRule)
			}
		}
	})
}

func at(b []byte, i int, v4 [4]byte) netip.Addr {
	copy(b[i:], v4[:])
	return netip.AddrFrom16([16]byte(b))
}
