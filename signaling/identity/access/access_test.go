package access_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/identity/access"
)

var (
	office = netip.MustParsePrefix("198.51.100.0/24")
	six    = netip.MustParsePrefix("2001:db8::/32")
)

func TestEachPartOfARuleNarrowsIt(t *testing.T) {
	alice := access.Attempt{User: "alice", Kind: "teams", Groups: []string{"sales", "all"},
		From: netip.MustParseAddr("198.51.100.7"), Factors: []string{"pwd"}}
	with := func(change func(*access.Attempt)) access.Attempt {
		a := alice
		change(&a)
		return a
	}
	block := func(change func(*access.Rule)) access.Rule {
		r := access.Rule{Name: "the rule", Then: access.Block}
		change(&r)
		return r
	}
	for _, tc := range []struct {
		name    string
		rule    access.Rule
		attempt access.Attempt
		fits    bool
	}{
		{"no part", block(func(*access.Rule) {}), alice, true},
		{"user", block(func(r *access.Rule) { r.Users = []string{"bob", "alice"} }), alice, true},
		{"another user", block(func(r *access.Rule) { r.Users = []string{"bob"} }), alice, false},
		{"group", block(func(r *access.Rule) { r.Groups = []string{"sales"} }), alice, true},
		{"another group", block(func(r *access.Rule) { r.Groups = []string{"board"} }), alice, false},
		{"no groups", block(func(r *access.Rule) { r.Groups = []string{"sales"} }), with(func(a *access.Attempt) { a.Groups = nil }), false},
		{"kind", block(func(r *access.Rule) { r.Kinds = []string{"teams"} }), alice, true},
		{"another kind", block(func(r *access.Rule) { r.Kinds = []string{"acs"} }), alice, false},
		{"but not this user", block(func(r *access.Rule) { r.ExceptUsers = []string{"alice"} }), alice, false},
		{"network", block(func(r *access.Rule) { r.Networks = []netip.Prefix{six, office} }), alice, true},
		{"IPv4 in IPv6", block(func(r *access.Rule) { r.Networks = []netip.Prefix{office} }),
			with(func(a *access.Attempt) { a.From = netip.MustParseAddr("::ffff:198.51.100.7") }), true},
		{"IPv6 with a zone", block(func(r *access.Rule) { r.Networks = []netip.Prefix{six} }),
			with(func(a *access.Attempt) { a.From = netip.MustParseAddr("2001:db8::1%eth0") }), true},
		{"another network", block(func(r *access.Rule) { r.Networks = []netip.Prefix{six} }), alice, false},
		{"anywhere but the office", block(func(r *access.Rule) { r.ExceptNetworks = []netip.Prefix{office} }), alice, false},
		{"outside the office", block(func(r *access.Rule) { r.ExceptNetworks = []netip.Prefix{office} }),
			with(func(a *access.Attempt) { a.From = netip.MustParseAddr("203.0.113.1") }), true},
		{"no address, a network", block(func(r *access.Rule) { r.Networks = []netip.Prefix{office} }),
			with(func(a *access.Attempt) { a.From = netip.Addr{} }), true},
		{"no address, outside the office", block(func(r *access.Rule) { r.ExceptNetworks = []netip.Prefix{office} }),
			with(func(a *access.Attempt) { a.From = netip.Addr{} }), true},
		{"all parts but one", block(func(r *access.Rule) {
			r.Users, r.Groups, r.Kinds, r.Networks = []string{"alice"}, []string{"sales"}, []string{"teams"}, []netip.Prefix{six}
		}), alice, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := access.New([]access.Rule{tc.rule})
			if err != nil {
				t.Fatal(err)
			}
			d := p.Decide(tc.attempt)
			if d.Allowed == tc.fits || tc.fits && (d.Rule != "the rule" || !strings.Contains(d.Reason, `"the rule"`) || d.MFA) {
				t.Errorf("decision %+v, wanted the rule to fit: %v", d, tc.fits)
			}
		})
	}
}

func TestASecondFactorSatisfiesTheRuleThatWantsOne(t *testing.T) {
	p, err := access.New([]access.Rule{{Name: "two", Then: access.RequireMFA}, {Name: "not bob", Users: []string{"bob"}, Then: access.Block}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		user    string
		factors []string
		rule    string
		mfa     bool
	}{
		{"alice", nil, "two", true},
		{"alice", []string{"pwd"}, "two", true},
		{"alice", []string{"otp"}, "two", true}, // one factor, of another kind
		{"alice", []string{"pwd", "otp"}, "", false},
		{"alice", []string{"rsa", "mfa"}, "", false},
		{"bob", []string{"pwd"}, "not bob", false}, // what a code would not change is said first
		{"bob", []string{"mfa"}, "not bob", false},
	} {
		d := p.Decide(access.Attempt{User: tc.user, Factors: tc.factors})
		if d.Rule != tc.rule || d.Allowed != (tc.rule == "") || d.MFA != tc.mfa {
			t.Errorf("%s by %v: %+v, wanted rule %q, mfa %v", tc.user, tc.factors, d, tc.rule, tc.mfa)
		}
	}
	if d := (&access.Policy{}).Decide(access.Attempt{}); !d.Allowed {
		t.Errorf("without rules: %+v", d)
	}
}

func TestRulesThatAreRefusedByName(t *testing.T) {
	for want, rules := range map[string][]access.Rule{
		"rule 2 has no name":     {{Name: "a", Then: access.Block}, {Name: " ", Then: access.Block}},
		`two rules "a"`:          {{Name: "a", Then: access.Block}, {Name: "a", Then: access.Block}},
		`rule "a" wants "allow"`: {{Name: "a", Then: "allow"}},
		`has kind "zoom"`:        {{Name: "a", Then: access.Block, Kinds: []string{"zoom"}}},
		"a network is not valid": {{Name: "a", Then: access.Block, Networks: []netip.Prefix{{}}}},
		"wanted 198.51.100.0/24": {{Name: "a", Then: access.Block, ExceptNetworks: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("198.51.100.7"), 24)}}},
		"is IPv4 in IPv6":        {{Name: "a", Then: access.Block, Networks: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("::ffff:198.51.100.0"), 120)}}},
	} {
		if _, err := access.New(rules); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
