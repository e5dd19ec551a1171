package runner

import (
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/topology"
)

func named(t *testing.T, name string) *topology.Network {
	t.Helper()
	n, err := topology.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestChangesBeforeARunAreMadeToTheNetwork(t *testing.T) {
	n := named(t, "fig3-external-relayed")
	bad := topology.Link{Delay: topology.Duration(time.Second)}
	err := changeBefore(n, []language.Change{
		// The block covers every later rule of its kind, and still the move,
		// which completes the network anew, must be possible.
		{Block: &language.BlockChange{Site: "office", Name: "no-udp", Protocol: topology.UDP, Direction: topology.Outbound}},
		{Unblock: &language.UnblockChange{Site: "office", Name: "block-direct-media"}},
		{NAT: &language.NATChange{Site: "mobile", To: topology.NAT{
			Mapping: topology.AddressAndPortDependent, Filtering: topology.AddressAndPortDependent}}},
		{Link: &language.LinkChange{Of: "mobile", To: bad}},
		{Link: &language.LinkChange{Of: "office/floor", To: bad}},
		{Move: &language.MoveChange{Host: "bob-pc", Site: "office", Subnet: "floor"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	office, mobile := n.Site("office"), n.Site("mobile")
	if got := office.Firewall.Rules[0].Name; got != "no-udp" {
		t.Errorf("the first rule is %q, wanted the block", got)
	}
	for _, r := range office.Firewall.Rules {
		if r.Name == "block-direct-media" {
			t.Error("block-direct-media is still there")
		}
	}
	if mobile.NAT.Mapping != topology.AddressAndPortDependent || len(mobile.NAT.Addresses) == 0 {
		t.Errorf("got NAT %+v, wanted the new one with the old one's address", mobile.NAT)
	}
	if mobile.Uplink != bad || office.Subnets[0].Link != bad {
		t.Errorf("got links %+v and %+v, wanted %+v", mobile.Uplink, office.Subnets[0].Link, bad)
	}
	if h := n.Host("bob-pc"); h.Site != "office" || !office.Subnets[0].Prefixes[0].Contains(h.Addresses[0]) {
		t.Errorf("got %+v, wanted bob-pc in the office with an address of its floor", h)
	}
}

func TestChangesThatFitNoNetworkAreRefused(t *testing.T) {
	for want, c := range map[string]language.Change{
		`no site "nowhere"`:       {Link: &language.LinkChange{Of: "nowhere"}},
		`no subnet "attic"`:       {Link: &language.LinkChange{Of: "office/attic"}},
		`no site "abroad"`:        {Block: &language.BlockChange{Site: "abroad", Name: "x"}},
		`no firewall rule "none"`: {Unblock: &language.UnblockChange{Site: "office", Name: "none"}},
		`no site "gone"`:          {NAT: &language.NATChange{Site: "gone"}},
		`no host "carol"`:         {Move: &language.MoveChange{Host: "carol", Site: "office"}},
	} {
		err := changeBefore(named(t, "fig3-external-relayed"), []language.Change{c})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, wanted one with %s", err, want)
		}
		if describe(c) == "" {
			t.Errorf("%+v has no description", c)
		}
	}
}
