package topology_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/callpath/callpath/topology"
)

// named loads a catalogue entry.
func named(t *testing.T, name string) *topology.Network {
	t.Helper()
	n, err := topology.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCatalogueKeepsItsConventions(t *testing.T) {
	want := []string{"case1-direct", "case2-stun", "case3-turn", "case4-group-tcp", "case4-group-udp", "case5-teams-meeting",
		"fig1-internet", "fig2-intranet", "fig3-external-relayed", "fig4-external-direct", "fig5-vpn-internal-relayed",
		"fig6-vpn-internal-direct", "fig7-vpn-external-direct", "fig9-group"}
	if got := topology.Catalog(); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for _, name := range topology.Catalog() {
		n := named(t, name)
		if n.Name != name || n.Title == "" || !strings.Contains(n.Source, "Azure Communication Services") || n.Description == "" {
			t.Errorf("%s: name %q, title %q, source %q", name, n.Name, n.Title, n.Source)
		}
		for host, role := range map[string]topology.Role{"alice-pc": topology.Client, "relay": topology.TransportRelay,
			"signaling": topology.SignalingController, "dns": topology.DNSServer} {
			if h := n.Host(host); h == nil || h.Role != role {
				t.Errorf("%s: %s is %+v, want role %s", name, host, h, role)
			}
		}
		// What the article does in a group has a media processor with a public
		// address; what it does between two has none.
		group := strings.Contains(name, "group") || strings.Contains(name, "meeting")
		if p := n.HostsWith(topology.MediaProcessor); (len(p) == 1) != group {
			t.Errorf("%s: %d media processors", name, len(p))
		}
		for _, p := range n.HostsWith(topology.MediaProcessor) {
			if s := n.Site(p.Site); s.Kind != topology.CommunicationServices || s.NAT != nil || !netip.MustParsePrefix("20.202.0.0/16").Contains(p.Addresses[0]) {
				t.Errorf("%s: the media processor is at %s in %s", name, p.Addresses[0], p.Site)
			}
		}
		if a := n.Host("relay").Addresses[0]; !netip.MustParsePrefix("20.202.0.0/16").Contains(a) {
			t.Errorf("%s: the relay is at %s", name, a)
		}
		for _, host := range []string{"relay", "signaling"} {
			if got := n.Host(host).Names; !slices.Equal(got, []string{host + ".callpath.test"}) {
				t.Errorf("%s: %s has the names %q", name, host, got)
			}
		}
	}
	if _, err := topology.Named("fig3"); err == nil || !strings.Contains(err.Error(), `no topology "fig3" in the catalogue; valid: case1-direct`) {
		t.Errorf("fig3: got %v", err)
	}
}

func TestNamedIsAFreshCopy(t *testing.T) {
	named(t, "case1-direct").Hosts[0].Name = "changed"
	if named(t, "case1-direct").Host("alice-pc") == nil {
		t.Error("a change of one copy shows in the next")
	}
}

func TestCompleteGivesOutTheSameAddressesAndKeepsThem(t *testing.T) {
	n := &topology.Network{
		Sites: []topology.Site{
			{Name: "office", Kind: topology.CustomerNetwork, NAT: &topology.NAT{Mapping: topology.EndpointIndependent, Filtering: topology.AddressDependent},
				Firewall: &topology.Firewall{Rules: []topology.Rule{{Name: "r", Direction: topology.Outbound, Action: topology.Deny, To: []string{"10.9.9.9"}}}}},
			{Name: "home", Kind: topology.Internet, NAT: &topology.NAT{Mapping: topology.EndpointIndependent, Filtering: topology.AddressDependent}},
			{Name: "server", Kind: topology.Internet},
			{Name: "acs", Kind: topology.CommunicationServices, Subnets: []topology.Subnet{{Name: "a"}, {Name: "b", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("198.51.100.0/29")}}}},
		},
		VPNs: []topology.VPN{{Name: "vpn", Site: "office"}},
		Hosts: []topology.Host{
			{Name: "a", Site: "office"}, {Name: "b", Site: "office"}, {Name: "c", Site: "home", VPN: "vpn"},
			{Name: "d", Site: "server"}, {Name: "relay", Site: "acs", Role: topology.TransportRelay}, {Name: "dual", Site: "acs", Subnet: "b"},
		},
	}
	if err := n.Complete(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"nat office": n.Site("office").NAT.Addresses[0].String(), "nat home": n.Site("home").NAT.Addresses[0].String(),
		"concentrator": n.VPN("vpn").Concentrator.String(), "pool": n.VPN("vpn").Pool.String(), "tunnel": n.Host("c").Tunnel.String()}
	for _, h := range n.Hosts {
		for _, a := range h.Addresses {
			got[h.Name] += a.String() + " "
		}
	}
	want := map[string]string{
		"a": "10.0.1.10 ", "b": "10.0.1.11 ", "c": "192.168.1.10 ", "d": "203.0.113.18 ", "relay": "20.202.0.10 ", "dual": "2001:db8::10 198.51.100.2 ",
		// The first of 198.51.100.0/24 are in a subnet of the provider's.
		"nat office": "198.51.100.8", "nat home": "203.0.113.1", "concentrator": "198.51.100.9", "pool": "172.16.1.0/24", "tunnel": "172.16.1.10",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if n.Hosts[0].Role != topology.Client || n.Hosts[0].Subnet != "lan" || n.Name != "inline" {
		t.Errorf("defaults: %+v of %q", n.Hosts[0], n.Name)
	}
	if f := n.Site("office").Firewall; f.Inbound != topology.Allow || f.Outbound != topology.Allow || f.Rules[0].Protocol != topology.AnyProtocol {
		t.Errorf("firewall's defaults: %+v", f)
	}
	again := n.Clone()
	if err := again.Complete(); err != nil || !reflect.DeepEqual(again, n) {
		t.Errorf("a second Complete changed %+v\ninto %+v (%v)", n, again, err)
	}
}

func TestMovedHostGetsAnAddressOfItsNewNetwork(t *testing.T) {
	n := named(t, "fig3-external-relayed")
	h := n.Host("bob-pc")
	h.Site, h.Subnet, h.Addresses = "office", "", nil
	if err := n.Complete(); err != nil {
		t.Fatal(err)
	}
	if got := h.Addresses[0].String(); got != "10.1.1.11" || h.Subnet != "floor" {
		t.Errorf("got %s in %q", got, h.Subnet)
	}
}

func TestHostLeavesItsTunnel(t *testing.T) {
	n := named(t, "fig5-vpn-internal-relayed")
	n.Host("alice-pc").VPN = ""
	if err := n.Complete(); err != nil || n.Host("alice-pc").Tunnel.IsValid() {
		t.Errorf("tunnel %s, %v", n.Host("alice-pc").Tunnel, err)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	for _, name := range topology.Catalog() {
		n := named(t, name)
		before, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		c := n.Clone()
		if !reflect.DeepEqual(c, n) {
			t.Fatalf("%s: the copy differs", name)
		}
		scribble(reflect.ValueOf(c).Elem())
		if after, _ := json.Marshal(n); string(after) != string(before) {
			t.Errorf("%s: a change of the copy shows in the original:\n%s\n%s", name, before, after)
		}
	}
}

// scribble changes every value that it can reach.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scribble(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
		}
	case reflect.Struct:
		switch v.Interface().(type) {
		case netip.Addr, netip.Prefix:
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			scribble(v.Field(i))
		}
	case reflect.String:
		v.SetString(v.String() + "x")
	default:
		v.SetZero()
	}
}

func TestJSONGoesThereAndBack(t *testing.T) {
	for _, name := range topology.Catalog() {
		n := named(t, name)
		data, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		back := new(topology.Network)
		if err := json.Unmarshal(data, back); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, data)
		}
		if again, _ := json.Marshal(back); string(again) != string(data) {
			t.Errorf("%s:\n%s\n%s", name, data, again)
		}
	}
}

func TestYAMLGoesThereAndBack(t *testing.T) {
	for _, name := range topology.Catalog() {
		n := named(t, name)
		data, err := yaml.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		back, err := topology.Parse("back.yaml", data)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, data)
			continue
		}
		if !reflect.DeepEqual(back, n) {
			t.Errorf("%s differs:\n%s", name, data)
		}
	}
}

func TestPrefixes(t *testing.T) {
	n := named(t, "fig5-vpn-internal-relayed")
	for name, want := range map[string]string{
		"office": "10.1.1.0/24", "office/floor": "10.1.1.0/24", "communication-services": "20.202.0.0/24 192.0.2.0/28",
		"relay": "20.202.0.10/32", "alice-pc": "192.168.1.10/32 172.16.10.10/32", "192.0.2.1": "192.0.2.1/32",
		"192.0.2.77/24": "192.0.2.0/24", "2001:db8::1": "2001:db8::1/128",
	} {
		got, err := n.Prefixes(name)
		if text := strings.Trim(strings.ReplaceAll(strings.Trim(sprint(got), "[]"), ", ", " "), " "); err != nil || text != want {
			t.Errorf("%s: got %s, %v; want %s", name, text, err, want)
		}
	}
	for _, name := range []string{"offce", "office/", "office/flor", "", "10.0.0.0/33"} {
		if got, err := n.Prefixes(name); err == nil {
			t.Errorf("%q: got %v, wanted an error", name, got)
		}
	}
	if _, err := n.Prefixes("offce"); !strings.HasSuffix(err.Error(), `did you mean "office"?`) {
		t.Errorf("offce: got %v", err)
	}
}

func sprint(list []netip.Prefix) string {
	text := make([]string, len(list))
	for i, p := range list {
		text[i] = p.String()
	}
	return strings.Join(text, " ")
}

func TestLookups(t *testing.T) {
	n := named(t, "fig2-intranet")
	if n.Host("x") != nil || n.Site("x") != nil || n.VPN("x") != nil || n.Site("office").Subnet("x") != nil || n.Site("office").Router("x") != nil {
		t.Error("a name that is not there was found")
	}
	if got := len(n.HostsWith(topology.Client)); got != 2 {
		t.Errorf("%d clients", got)
	}
	if got := n.Site("office").Subnet("").Name; got != "floor-1" {
		t.Errorf("first subnet: %q", got)
	}
	if got := topology.Gateway(netip.MustParsePrefix("10.1.1.0/24")).String(); got != "10.1.1.1" {
		t.Errorf("gateway: %s", got)
	}
}

func TestNextHop(t *testing.T) {
	s := named(t, "fig2-intranet").Site("office")
	for _, c := range []struct {
		at, to, want string
	}{
		{"edge", "10.1.2.7/32", "core"}, {"edge", "8.8.8.8/32", ""}, {"core", "10.1.2.7/32", ""}, {"core", "8.8.8.8/32", "edge"},
	} {
		got, ok := s.NextHop(c.at, netip.MustParsePrefix(c.to))
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s at %s: got %q, %v; want %q", c.to, c.at, got, ok, c.want)
		}
	}
}

func TestLinkValidate(t *testing.T) {
	if err := (topology.Link{Delay: 1, Loss: 0.5, MTU: 1500}).Validate(); err != nil {
		t.Error(err)
	}
	err := topology.Link{Loss: 2, MTU: 5}.Validate()
	if want := "link.loss: 2 is no fraction; wanted 0 to 1\nlink.mtu: 5 bytes are out of range; wanted 576 to 9216"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
