package topology_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/topology"
)

// way makes a Way of words: a host's name, "site:edge", "site:router", "vpn>site"
// and "internet".
func way(t *testing.T, n *topology.Network, text string) topology.Way {
	t.Helper()
	var w topology.Way
	for _, word := range strings.Fields(text) {
		site, router, isRouter := strings.Cut(word, ":")
		vpn, at, isTunnel := strings.Cut(word, ">")
		switch {
		case word == "internet":
			w = append(w, topology.Hop{Kind: topology.HopInternet, Name: "internet"})
		case isTunnel:
			w = append(w, topology.Hop{Kind: topology.HopTunnel, Name: vpn, Site: at})
		case isRouter && router == "edge":
			w = append(w, topology.Hop{Kind: topology.HopEdge, Name: site, Site: site})
		case isRouter:
			w = append(w, topology.Hop{Kind: topology.HopRouter, Name: router, Site: site})
		default:
			h := n.Host(word)
			if h == nil {
				t.Fatalf("no host %q", word)
			}
			w = append(w, topology.Hop{Kind: topology.HopHost, Name: word, Site: h.Site})
		}
	}
	return w
}

func TestClassifyNumbersTheDocumentedWays(t *testing.T) {
	for _, c := range []struct{ network, what, way, want string }{
		{"fig1-internet", "media between nomadic users", "alice-pc home:edge internet mobile:edge bob-pc", "6"},
		{"fig1-internet", "office user to relay", "carol-phone office:floor office:edge internet communication-services:edge relay", "4"},
		{"fig1-internet", "nomadic user to relay", "bob-pc mobile:edge internet communication-services:edge relay", "3"},
		{"fig1-internet", "office user looks up a name", "carol-phone office:edge internet resolver:edge dns", "2"},
		{"fig1-internet", "nomadic user looks up a name", "alice-pc home:edge internet resolver:edge dns", ""},
		{"fig2-intranet", "media between floors", "alice-pc office:core bob-pc", "5"},
		{"fig2-intranet", "hairpinned at the edge", "alice-pc office:core office:edge office:core bob-pc", "5"},
		{"fig2-intranet", "on one floor", "alice-pc bob-pc", "5"},
		{"fig3-external-relayed", "relay to office", "relay communication-services:edge internet office:edge alice-pc", "4"},
		{"fig3-external-relayed", "relay to mobile user", "relay communication-services:edge internet mobile:edge bob-pc", "3"},
		{"fig4-external-direct", "office to mobile user", "alice-pc office:edge internet mobile:edge bob-pc", "2"},
		{"fig4-external-direct", "mobile user to office", "bob-pc mobile:edge internet office:edge alice-pc", "2"},
		{"fig5-vpn-internal-relayed", "signaling of the VPN user", "alice-pc office-vpn>office office:edge internet communication-services:edge signaling", "2* 4"},
		{"fig5-vpn-internal-relayed", "and back", "signaling communication-services:edge internet office:edge office-vpn>office alice-pc", "4 2*"},
		{"fig5-vpn-internal-relayed", "VPN user's media to relay", "alice-pc home:edge internet communication-services:edge relay", "3"},
		{"fig5-vpn-internal-relayed", "media in the tunnel", "alice-pc office-vpn>office office:edge bob-pc", "2*"},
		{"fig5-vpn-internal-relayed", "media in the tunnel, back", "bob-pc office:edge office-vpn>office alice-pc", "2*"},
		{"fig5-vpn-internal-relayed", "between two VPN users", "alice-pc office-vpn>office office:edge office-vpn>office alice-pc", "2*"},
		{"fig6-vpn-internal-direct", "VPN user's direct media", "alice-pc home:edge internet office:edge bob-pc", "2"},
		{"fig7-vpn-external-direct", "VPN user to mobile user", "alice-pc home:edge internet mobile:edge bob-pc", "6"},
		{"fig7-vpn-external-direct", "VPN user to mobile user through the tunnel", "alice-pc office-vpn>office office:edge internet mobile:edge bob-pc", "2* 2"},
		{"case2-stun", "NAT to NAT", "alice-pc coffee-shop:edge internet home-office:edge bob-pc", "6"},
		{"case3-turn", "to the relay", "alice-pc coffee-shop:edge internet communication-services:edge relay", "3"},
		{"fig9-group", "office user to the media processor", "alice-pc office:edge internet communication-services:edge processor", "4"},
		{"fig9-group", "the media processor to a nomadic user", "processor communication-services:edge internet mobile:edge dave-phone", "3"},
		{"case4-group-tcp", "the relay to the media processor", "relay communication-services:edge processor", ""},
		{"case3-turn", "inside the provider's network", "signaling communication-services:edge relay", ""},
		{"case3-turn", "only the host itself", "alice-pc", ""},
		{"case3-turn", "nowhere", "", ""},
		{"case3-turn", "an unknown site", "alice-pc x:edge internet y:edge z:edge", ""},
	} {
		n := named(t, c.network)
		got := topology.Classify(n, way(t, n, c.way))
		var want []topology.Flow
		for _, f := range strings.Fields(c.want) {
			want = append(want, topology.Flow(f))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s, %s (%s): got %q, want %q", c.network, c.what, c.way, got, want)
		}
	}
}

func TestTwoCustomerNetworksMeetOnTheInternet(t *testing.T) {
	n := named(t, "fig4-external-direct")
	n.Site("mobile").Kind = topology.CustomerNetwork
	got := topology.Classify(n, way(t, n, "alice-pc office:edge internet mobile:edge bob-pc"))
	if !slices.Equal(got, []topology.Flow{topology.Flow2}) {
		t.Errorf("got %q, want 2", got)
	}
}

func TestTwoNomadicUsersInOneNetworkHaveNoFlow(t *testing.T) {
	n := named(t, "case2-stun")
	n.Host("bob-pc").Site = "coffee-shop"
	if got := topology.Classify(n, way(t, n, "alice-pc coffee-shop:edge bob-pc")); got != nil {
		t.Errorf("got %q, want none", got)
	}
}
