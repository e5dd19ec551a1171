package runner

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
	"github.com/callpath/callpath/topology"
)

// What a scenario says is set over what there is, and the rest stays; the policies that
// were are left as they were.
func TestPoliciesAreMerged(t *testing.T) {
	first, err := mergePolicies(signaling.Policies{}, language.Policies{
		Organization: language.Settings{"DisableAnonymousJoin": true},
		Global:       language.Settings{"AutoAdmittedUsers": "Everyone"},
		Groups:       []language.PolicyGroup{{Name: "sales", Members: []string{"bob"}, Policy: language.Settings{"AutoAdmittedUsers": "OrganizerOnly"}}},
		Organizers:   map[string]language.Settings{"alice": {"BlockedAnonymousJoinClientTypes": []any{"ACS", "Teams"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	second, err := mergePolicies(first, language.Policies{
		Groups:     []language.PolicyGroup{{Name: "sales", Policy: language.Settings{"AllowPSTNUsersToBypassLobby": true}}},
		Organizers: map[string]language.Settings{"alice": {"AllowAnonymousUsersToJoinMeeting": false}},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := second.Organization
	for _, c := range []struct {
		user   string
		groups []string
		check  func(policy.Effective) bool
	}{
		{"alice", []string{"sales"}, func(e policy.Effective) bool {
			return e.Source == "direct" && len(e.Policy.BlockedAnonymousJoinClientTypes) == 2 && !e.Policy.AllowAnonymousUsersToJoinMeeting
		}},
		{"bob", []string{"sales"}, func(e policy.Effective) bool {
			return e.Source == "group sales" && e.Policy.AutoAdmittedUsers == policy.OrganizerOnly && e.Policy.AllowPSTNUsersToBypassLobby
		}},
		{"carol", nil, func(e policy.Effective) bool {
			return e.Source == "global" && e.Policy.AutoAdmittedUsers == policy.Everyone && e.Configuration.DisableAnonymousJoin
		}},
	} {
		e, err := o.Effective(c.user, c.groups)
		if err != nil || !c.check(e) {
			t.Errorf("%s: %+v, %v", c.user, e, err)
		}
	}
	if e, _ := first.Organization.Effective("alice", nil); !e.Policy.AllowAnonymousUsersToJoinMeeting {
		t.Error("the policies that were have changed")
	}
	for _, bad := range []language.Policies{
		{Organization: language.Settings{"None": true}}, {Global: language.Settings{"AutoAdmittedUsers": "Nobody"}},
		{Groups: []language.PolicyGroup{{Policy: language.Settings{"None": true}}}}, {Organizers: map[string]language.Settings{"x": {"None": 1}}},
	} {
		if _, err := mergePolicies(first, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestGroupsOfAParticipant(t *testing.T) {
	later := language.Policies{Groups: []language.PolicyGroup{{Name: "late", Members: []string{"bob"}}, {Name: "sales", Members: []string{"bob"}}}}
	s := &language.Scenario{
		Policies: language.Policies{Groups: []language.PolicyGroup{{Name: "sales", Members: []string{"alice", "bob"}}}},
		Steps:    []language.Step{{Policies: &later}},
	}
	if got := groupsOf(s, "bob"); !slices.Equal(got, []string{"sales", "late"}) {
		t.Errorf("bob is in %v", got)
	}
	if got := groupsOf(s, "carol"); got != nil {
		t.Errorf("carol is in %v", got)
	}
}

// A client is where its packets come from: its NAT's address, or its own.
func TestTheRegionOfAClient(t *testing.T) {
	n := &topology.Network{Sites: []topology.Site{
		{Name: "office", Region: "europe", NAT: &topology.NAT{Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.1")}}},
		{Name: "campus", Region: "asia", Subnets: []topology.Subnet{{Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}}},
		{Name: "services"},
	}}
	for addr, want := range map[string]string{"198.51.100.1": "europe", "203.0.113.7": "asia", "192.0.2.1": ""} {
		if got := clientRegion(n, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is in %q, wanted %q", addr, got, want)
		}
	}
	for site, want := range map[string]string{"office": "europe", "services": "services", "gone": "gone"} {
		if got := regionOf(n, site); got != want {
			t.Errorf("the region of %s is %q, wanted %q", site, got, want)
		}
	}
}
