package turn

import (
	"net/netip"
	"slices"
)

// PeerPolicy says which peers clients may reach through the relay. A relay stands
// where its clients do not, so every peer that it can reach and they cannot is a
// way into somebody's network; the zero value therefore permits public unicast
// addresses only, the relay's own excepted.
//
// Deny wins over everything, Allow over the defaults. Documentation and benchmark
// ranges are permitted, as nothing real is there.
type PeerPolicy struct {
	Allow, Deny []netip.Prefix
	// Services are servers beside the relay, such as a media processor, that clients
	// reach at these transport addresses even where the defaults deny the address; its
	// other ports stay as closed as without. Deny wins over them, too.
	Services []netip.AddrPort
}

// rule is one of the defaults.
type rule struct {
	name   string
	prefix netip.Prefix
}

// defaultRules are what is denied unless allowed. The first that matches names the
// refusal. Sources: the special-purpose address registries (RFC 6890).
var defaultRules = []rule{
	{"this-network", netip.MustParsePrefix("0.0.0.0/8")},
	{"private", netip.MustParsePrefix("10.0.0.0/8")},
	{"shared-address", netip.MustParsePrefix("100.64.0.0/10")},
	{"loopback", netip.MustParsePrefix("127.0.0.0/8")},
	{"link-local", netip.MustParsePrefix("169.254.0.0/16")},
	{"private", netip.MustParsePrefix("172.16.0.0/12")},
	{"protocol-assignments", netip.MustParsePrefix("192.0.0.0/24")},
	{"private", netip.MustParsePrefix("192.168.0.0/16")},
	{"multicast", netip.MustParsePrefix("224.0.0.0/4")},
	{"broadcast", netip.MustParsePrefix("255.255.255.255/32")},
	{"reserved", netip.MustParsePrefix("240.0.0.0/4")},
	// Looks public, but is the platform's own endpoint inside Azure.
	{"platform", netip.MustParsePrefix("168.63.129.16/32")},

	{"unspecified", netip.MustParsePrefix("::/128")},
	{"loopback", netip.MustParsePrefix("::1/128")},
	{"discard", netip.MustParsePrefix("100::/64")},
	{"unique-local", netip.MustParsePrefix("fc00::/7")},
	{"link-local", netip.MustParsePrefix("fe80::/10")},
	{"site-local", netip.MustParsePrefix("fec0::/10")},
	{"multicast", netip.MustParsePrefix("ff00::/8")},
	// A translator's own prefix (RFC 8215): where in the address it puts the
	// IPv4 address is its affair, so none can be judged.
	{"nat64", netip.MustParsePrefix("64:ff9b:1::/48")},
}

// embedding is a kind of IPv6 address that has an IPv4 address in it, to which
// some translator or tunnel would deliver.
type embedding struct {
	name string
	// The address has pattern from byte start on, and the IPv4 address from byte
	// at on; inverted means that its bits are flipped.
	start    int
	pattern  []byte
	at       int
	inverted bool
}

var embeddings = []embedding{
	{name: "ipv4-compatible", pattern: make([]byte, 12), at: 12},                                 // RFC 4291, 2.5.5.1
	{name: "ipv4-translated", pattern: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, at: 12}, // RFC 2765, 2.1
	{name: "nat64", pattern: []byte{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, at: 12},     // RFC 6052, 2.1
	{name: "6to4", pattern: []byte{0x20, 0x02}, at: 2},                                           // RFC 3056, 2
	{name: "teredo", pattern: []byte{0x20, 0x01, 0, 0}, at: 4},                                   // RFC 4380, 4: the server
	{name: "teredo", pattern: []byte{0x20, 0x01, 0, 0}, at: 12, inverted: true},                  // RFC 4380, 4: the client
	{name: "isatap", start: 8, pattern: []byte{0x00, 0x00, 0x5e, 0xfe}, at: 12},                  // RFC 5214, 6.1
	{name: "isatap", start: 8, pattern: []byte{0x02, 0x00, 0x5e, 0xfe}, at: 12},                  // RFC 5214, 6.1, universal bit set
}

// form is an address that a peer's address leads to: itself, or one within it.
type form struct {
	addr netip.Addr
	// via names the embedding; empty for the address itself.
	via string
}

func (f form) rule(name string) string {
	if f.via == "" {
		return name
	}
	return name + " (" + f.via + ")"
}

// formsOf returns the address itself first. An IPv4-mapped address is not one that
// leads to an IPv4 address but another way to write it: sockets treat it so.
func formsOf(peer netip.Addr) []form {
	if peer.Is4In6() {
		return []form{{peer.Unmap(), "ipv4-mapped"}}
	}
	peer = peer.WithZone("")
	forms := []form{{addr: peer}}
	if peer.Is4() {
		return forms
	}
	bytes := peer.As16()
	for _, e := range embeddings {
		if !slices.Equal(bytes[e.start:e.start+len(e.pattern)], e.pattern) {
			continue
		}
		inner := [4]byte(bytes[e.at : e.at+4])
		if e.inverted {
			for i := range inner {
				inner[i] = ^inner[i]
			}
		}
		forms = append(forms, form{netip.AddrFrom4(inner), e.name})
	}
	return forms
}

// Check says whether peer may be reached from a relay whose own addresses are own,
// and the rule by which not: "loopback", "private", "own-address" and the like, or
// "deny" and a prefix of Deny. IPv6 addresses that hold an IPv4 address are judged
// by both; the rule then says how it was held, as in "private (6to4)".
func (p PeerPolicy) Check(own []netip.Addr, peer netip.Addr) (rule string, allowed bool) {
	if !peer.IsValid() {
		return "invalid", false
	}
	forms := formsOf(peer)
	for _, f := range forms {
		if prefix, ok := find(p.Deny, f.addr); ok {
			return f.rule("deny " + prefix.String()), false
		}
	}
	if _, ok := find(p.Allow, forms[0].addr); ok {
		return "", true
	}
	for _, f := range forms {
		if _, ok := find(p.Allow, f.addr); ok {
			continue
		}
		for _, d := range defaultRules {
			if d.prefix.Contains(f.addr) {
				return f.rule(d.name), false
			}
		}
		if slices.ContainsFunc(own, func(a netip.Addr) bool { return a.Unmap() == f.addr }) {
			return f.rule("own-address"), false
		}
	}
	return "", true
}

// find returns the first prefix that contains addr. A prefix written in the
// IPv4-mapped form means the IPv4 prefix.
func find(prefixes []netip.Prefix, addr netip.Addr) (netip.Prefix, bool) {
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.Contains(addr) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
