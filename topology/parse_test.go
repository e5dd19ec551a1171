package topology_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/document"
)

// valid is a small network; the cases below change a line of it.
const valid = `name: small
sites:
  - name: office
    kind: customer-network
    subnets:
      - {name: a, prefixes: [10.1.1.0/24], router: core}
      - {name: b, prefixes: [10.1.2.0/24, '2001:db8:1::/64']}
    routers:
      - name: core
        routes: []
    routes:
      - {to: 10.1.1.0/24, via: core}
    nat: {mapping: endpoint-independent, filtering: address-dependent, addresses: [198.51.100.1]}
    firewall:
      inbound: deny
      rules:
        - {name: one, direction: outbound, protocol: udp, ports: [3478-3481, 443], to: [acs], action: allow}
        - {name: two, direction: outbound, protocol: udp, action: deny}
    uplink: {delay: 5ms, loss: 1%, bandwidth: 10mbit}
  - name: home
    kind: internet
    subnets: [{name: lan, prefixes: [192.168.1.0/24]}]
    nat: symmetric
  - name: acs
    kind: communication-services
    subnets: [{name: media, prefixes: [20.202.0.0/24]}]
vpns:
  - {name: vpn, site: office, pool: 172.16.1.0/24, tunnelled: [office], concentrator: 198.51.100.2}
hosts:
  - {name: alice, site: office, subnet: a}
  - {name: bob, site: home, vpn: vpn}
  - {name: relay, site: acs, role: transport-relay, addresses: [20.202.0.9], names: [relay.test.example]}
`

func TestValidNetworkIsAccepted(t *testing.T) {
	if _, err := topology.Parse("n.yaml", []byte(valid)); err != nil {
		t.Fatal(err)
	}
}

func TestWrongNetworksAreRefused(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "kind: internet", "kindd: internet", `n.yaml:21:5: sites[1].kindd: unknown key "kindd"; valid: name, kind, region, subnets, routers, routes, nat, firewall, uplink; did you mean "kind"?`},
		{"unknown kind", "kind: internet", "kind: intranet", `n.yaml:21:11: sites[1].kind: "intranet" is not known; valid: customer-network, internet, communication-services, telephony; did you mean "internet"?`},
		{"no kind", "    kind: internet\n", "", `n.yaml:20:5: sites[1].kind: is missing; valid: customer-network, internet, communication-services, telephony`},
		{"no name", "  - name: home\n    kind", "  - kind", `sites[1].name: is missing: the site needs a name`},
		{"bad name", "name: alice", "name: Alice", `hosts[0].name: "Alice" is no name; wanted lower-case letters, digits and hyphens, at most 63`},
		{"bad network name", "name: small", "name: a b", `name: "a b" is no name`},
		{"long name", "name: alice", "name: " + strings.Repeat("a", 100), `is no name`},
		{"two sites of a name", "name: home", "name: office", `n.yaml:20:11: sites[1].name: the name "office" is taken by a site`},
		{"host named as a site", "name: alice", "name: home", `hosts[0].name: the name "home" is taken by a site`},
		{"two subnets of a name", "name: b,", "name: a,", `sites[0].subnets[1].name: the name "a" is taken by a subnet`},
		{"router named edge", "name: core", "name: edge", `sites[0].routers[0].name: the name "edge" is taken by the edge`},
		{"host in no site", "site: home, vpn", "site: hme, vpn", `n.yaml:31:23: hosts[1].site: no site "hme"; valid: office, home, acs; did you mean "home"?`},
		{"host in no subnet", "subnet: a}", "subnet: c}", `hosts[0].subnet: no subnet "c" in the site "office"; valid: a, b`},
		{"host in no VPN", "vpn: vpn}", "vpn: vpm}", `hosts[1].vpn: no VPN "vpm"; valid: vpn; did you mean "vpn"?`},
		{"unknown role", "role: transport-relay", "role: relay", `hosts[2].role: "relay" is not known; valid: client, transport-relay`},
		{"no DNS name", "relay.test.example", "relay", `hosts[2].names[0]: "relay" is no DNS name; wanted one such as relay.callpath.test`},
		{"VPN into no site", "site: office, pool", "site: offise, pool", `vpns[0].site: no site "offise"; valid: office, home, acs; did you mean "office"?`},
		{"VPN inside its site", "subnet: a}", "subnet: a, vpn: vpn}", `hosts[0].vpn: the VPN "vpn" leads into the site "office", where the host "alice" already is`},
		{"VPN's MTU", "pool: 172", "mtu: 100, pool: 172", `vpns[0].mtu: 100 bytes are out of range; wanted 576 to 9216`},
		{"no such router", "router: core", "router: cor", `sites[0].subnets[0].router: no router "cor" in the site "office"; valid: edge, core; did you mean "core"?`},
		{"route by nothing", "via: core", "via: corr", `sites[0].routes[0].via: no router "corr" to go by; valid: core; did you mean "core"?`},
		{"route to nothing", "{to: 10.1.1.0/24, via", "{via", `sites[0].routes[0].to: is missing: a route needs a prefix`},
		{"route's prefix", "{to: 10.1.1.0/24,", "{to: 10.1.1.7/24,", `sites[0].routes[0].to: 10.1.1.7/24 has bits set after its length; wanted 10.1.1.0/24`},
		{"circle", "routes: []", "routes: [{to: 10.1.2.0/24, via: core}]", `packets for 10.1.2.0/24 go round in a circle: core → core`},
		{"circle of two", "{to: 10.1.1.0/24, via: core}", "{to: 10.1.1.0/24, via: core}\n      - {to: 10.9.0.0/16, via: core}", `n.yaml:13:10: sites[0].routes[1]: packets for 10.9.0.0/16 go round in a circle: edge → core → edge`},
		{"subnet out of reach", "      - {to: 10.1.1.0/24, via: core}", "      - {to: 10.1.1.0/25, via: core}", `n.yaml:6:10: sites[0].subnets[0]: packets for 10.1.1.0/24 never arrive: from edge they end at edge, but the subnet is at core; add a route to it`},
		{"NAT's word", "nat: symmetric", "nat: simmetric", `n.yaml:23:10: sites[1].nat: no kind of NAT "simmetric"; valid: full-cone, restricted-cone, port-restricted-cone, symmetric; did you mean "symmetric"?`},
		{"NAT's mapping", "mapping: endpoint-independent", "mapping: endpoint-dependent", `sites[0].nat.mapping: "endpoint-dependent" is not known; valid: endpoint-independent, address-dependent, address-and-port-dependent; did you mean "endpoint-independent"?`},
		{"NAT's filtering", ", filtering: address-dependent", "", `sites[0].nat.filtering: is missing; valid: endpoint-independent`},
		{"NAT's key", "mapping: endpoint", "maping: endpoint", `sites[0].nat.maping: unknown key "maping"`},
		{"NAT's timeout", "filtering: address-dependent", "filtering: address-dependent, udp-timeout: 10000h", `sites[0].nat.udp-timeout: the duration 10000h0m0s is out of range; wanted 0s to 168h0m0s`},
		{"NAT of the provider", "kind: communication-services", "kind: communication-services\n    nat: symmetric", `sites[2].nat: the provider's network has public addresses; remove the NAT`},
		{"private NAT address", "[198.51.100.1]", "[10.0.0.1]", `sites[0].nat.addresses[0]: 10.0.0.1 is not a public IPv4 address, such as one of 198.51.100.0/24`},
		{"NAT address of another", "[198.51.100.1]", "[20.202.0.77]", `sites[0].nat.addresses[0]: 20.202.0.77 is inside 20.202.0.0/24 of the subnet acs/media`},
		{"concentrator at the NAT's address", "198.51.100.2", "198.51.100.1", `vpns[0].concentrator: 198.51.100.1 is taken by the NAT of office`},
		{"negative duration", "delay: 5ms", "delay: -5ms", `n.yaml:19:21: sites[0].uplink.delay: the duration "-5ms" is negative`},
		{"long delay", "delay: 5ms", "delay: 5m", `sites[0].uplink.delay: the duration 5m0s is out of range; wanted 0s to 1m0s`},
		{"duration without unit", "delay: 5ms", "delay: 5", `sites[0].uplink.delay: "5" is no duration`},
		{"fraction over 1", "loss: 1%", "loss: 1.5", `sites[0].uplink.loss: "1.5" is no fraction; wanted 0% to 100%, or 0 to 1`},
		{"bandwidth", "10mbit", "10mb", `sites[0].uplink.bandwidth: "10mb" is no bandwidth`},
		{"queue", "delay: 5ms", "queue: -1", `sites[0].uplink.queue: -1 packets are out of range; wanted 0 to 100000`},
		{"MTU", "delay: 5ms", "mtu: 100", `sites[0].uplink.mtu: 100 bytes are out of range; wanted 576 to 9216`},
		{"MTU below IPv6's", "[10.1.2.0/24, '2001:db8:1::/64']", "[10.1.2.0/24, '2001:db8:1::/64'], link: {mtu: 1000}", `sites[0].subnets[1].link.mtu: 1000 bytes carry no IPv6; wanted 1280 or more`},
		{"bits after the prefix", "[10.1.2.0/24,", "[10.1.2.1/24,", `sites[0].subnets[1].prefixes[0]: 10.1.2.1/24 has bits set after its length; wanted 10.1.2.0/24`},
		{"prefix too short", "[192.168.1.0/24]", "[0.0.0.0/0]", `sites[1].subnets[0].prefixes[0]: the length of 0.0.0.0/0 is out of range; wanted /8 to /30`},
		{"multicast prefix", "[192.168.1.0/24]", "[224.1.1.0/24]", `224.1.1.0/24 is not for hosts`},
		{"second IPv4 prefix", "[192.168.1.0/24]", "[192.168.1.0/24, 192.168.2.0/24]", `192.168.2.0/24 is the second prefix of its family in the subnet`},
		{"overlap inside a site", "[10.1.2.0/24,", "[10.1.0.0/16,", `sites[0].subnets[1].prefixes[0]: 10.1.0.0/16 overlaps 10.1.1.0/24 of the subnet office/a`},
		{"overlap of what is routed", "[20.202.0.0/24]", "[20.202.0.0/24]}]\n  - name: x\n    kind: internet\n    subnets: [{name: l, prefixes: [20.202.0.128/25]", "sites[3].subnets[0].prefixes[0]: 20.202.0.128/25 overlaps 20.202.0.0/24 of the subnet acs/media"},
		{"provider's private prefix", "[20.202.0.0/24]", "[10.5.0.0/24]", `sites[2].subnets[0].prefixes[0]: 10.5.0.0/24 is not public; the provider's hosts must be reachable from the internet`},
		{"address outside", "[20.202.0.9]", "[20.203.0.9]", `n.yaml:32:65: hosts[2].addresses[0]: 20.203.0.9 is not in acs/media, which is 20.202.0.0/24`},
		{"broadcast address", "[20.202.0.9]", "[20.202.0.255]", `20.202.0.255 is the network's own or its broadcast address in 20.202.0.0/24`},
		{"router's address", "[20.202.0.9]", "[20.202.0.1]", `20.202.0.1 is the router's address in 20.202.0.0/24`},
		{"the same address twice", "[20.202.0.9]", "[20.202.0.9, 20.202.0.9]", `hosts[2].addresses[1]: 20.202.0.9 is taken by the host "relay"`},
		{"another's address", "names: [relay.test.example]}", "}\n  - {name: r2, site: acs, addresses: [20.202.0.9]}", `hosts[3].addresses[0]: 20.202.0.9 is taken by the host "relay"`},
		{"pool over a subnet", "pool: 172.16.1.0/24", "pool: 10.1.0.0/16", `vpns[0].pool: 10.1.0.0/16 overlaps 10.1.1.0/24 of the subnet office/a`},
		{"pool over the client's network", "pool: 172.16.1.0/24", "pool: 192.168.0.0/16", `vpns[0].pool: 192.168.0.0/16 overlaps 192.168.1.0/24 of the subnet home/lan`},
		{"pool over an edge", "pool: 172.16.1.0/24", "pool: 198.51.100.0/24", `vpns[0].pool: 198.51.100.0/24 holds 198.51.100.1, the address of an edge`},
		{"IPv6 pool", "pool: 172.16.1.0/24", "pool: 2001:db8:9::/64", `vpns[0].pool: 2001:db8:9::/64 is IPv6; wanted an IPv4 pool`},
		{"pools overlap", "hosts:", "  - {name: v2, site: home, pool: 172.16.0.0/16}\nhosts:", `vpns[1].pool: 172.16.0.0/16 overlaps the pool 172.16.1.0/24 of the VPN "vpn"`},
		{"tunnelled nothing", "tunnelled: [office]", "tunnelled: [ofice]", `vpns[0].tunnelled[0]: "ofice" is no site, host, subnet, address or prefix; valid: acs, acs/media, alice, bob, home, home/lan, office, office/a, office/b, relay; did you mean "office"?`},
		{"tunnelled concentrator", "tunnelled: [office]", "tunnelled: [198.51.100.2]", `198.51.100.2 is the concentrator itself; the tunnel cannot carry its own packets`},
		{"tunnelled own network", "tunnelled: [office]", "tunnelled: [192.168.0.0/16]", `hosts[1].vpn: 192.168.0.0/16, behind the VPN "vpn", overlaps the host's own network 192.168.1.0/24`},
		{"rule without a name", "{name: one, direction", "{direction", `sites[0].firewall.rules[0].name: is missing: the rule needs a name`},
		{"rule without a direction", "one, direction: outbound,", "one,", `sites[0].firewall.rules[0].direction: is missing; valid: outbound, inbound`},
		{"rule's action", "to: [acs], action: allow", "to: [acs], action: accept", `sites[0].firewall.rules[0].action: "accept" is not known; valid: allow, deny, reject`},
		{"rule's protocol", "one, direction: outbound, protocol: udp", "one, direction: outbound, protocol: icmp", `ports need a protocol that has them; valid: udp, tcp`},
		{"rule's ports", "[3478-3481, 443]", "[3481-3478]", `sites[0].firewall.rules[0].ports[0]: "3481-3478" is no port range`},
		{"rule's place", "to: [acs]", "to: [asc]", `n.yaml:17:89: sites[0].firewall.rules[0].to[0]: "asc" is no site, host, subnet, address or prefix`},
		{"rule behind a NAT", "to: [acs]", "to: [home]", `sites[0].firewall.rules[0].to[0]: "home" is behind a NAT, so that office never sees its addresses; name the NAT's; valid: 203.0.113.1`},
		{"rule that is shut off", "action: deny}\n    uplink", "action: deny}\n        - {name: three, direction: outbound, protocol: udp, ports: [53], to: [relay], action: allow}\n    uplink", `n.yaml:19:12: sites[0].firewall.rules[2]: the rule "three" (allow) can never decide: "two" (deny) stands before it and fits every packet that it fits`},
		{"default's word", "inbound: deny", "inbound: drop", `sites[0].firewall.inbound: "drop" is not known; valid: allow, deny, reject`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(valid, c.old) {
				t.Fatalf("%q is not in the valid network", c.old)
			}
			_, err := topology.Parse("n.yaml", []byte(strings.Replace(valid, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if _, ok := errors.AsType[document.Errors](err); err != nil && !ok {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

func TestWhatMayOverlapIsAccepted(t *testing.T) {
	for _, c := range []struct{ name, old, new string }{
		{"two homes of the same addresses", "  - name: acs", "  - name: home2\n    kind: internet\n    subnets: [{name: lan, prefixes: [192.168.1.0/24]}]\n    nat: symmetric\n  - name: acs"},
		{"two rules of a name", "name: two", "name: one"},
		{"a rule for the VPN's client by name", "to: [acs], action", "to: [acs, bob], action"},
		{"everything in the tunnel", "tunnelled: [office]", "tunnelled: []"},
		{"a default route in the tunnel", "tunnelled: [office]", "tunnelled: [0.0.0.0/0]"},
		{"no subnets at all", "    subnets: [{name: lan, prefixes: [192.168.1.0/24]}]\n", ""},
		{"private addresses that are not translated", "    nat: symmetric\n", ""},
	} {
		if _, err := topology.Parse("n.yaml", []byte(strings.Replace(valid, c.old, c.new, 1))); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestNetworksAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("sites: [{name: s, kind: internet}]\nhosts:\n")
	for i := range 300 {
		fmt.Fprintf(&b, "  - {name: h%d, site: s}\n", i)
	}
	_, err := topology.Parse("n.yaml", []byte(b.String()))
	if want := "n.yaml:2:1: hosts: has 300 hosts; wanted at most 256"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// Counted over all sites, since all are compared with all.
	b.Reset()
	b.WriteString("hosts: [{name: h, site: s0}]\nsites:\n")
	for i := range 3 {
		fmt.Fprintf(&b, "  - name: s%d\n    kind: internet\n    subnets: [%s{name: z}]\n    routes: [%s]\n    firewall: {rules: [%s]}\n", i,
			strings.Repeat("{name: a}, ", 50), strings.Repeat("{via: a}, ", 100), strings.Repeat("{name: r}, ", 100))
	}
	_, err = topology.Parse("n.yaml", []byte(b.String()))
	if want := "n.yaml:2:1: sites: has 153 subnets; wanted at most 128\nn.yaml:2:1: sites: has 300 routes; wanted at most 256\nn.yaml:2:1: sites: has 300 firewall rules; wanted at most 256"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = topology.Parse("n.yaml", []byte("name: x\n"))
	if want := "n.yaml:1:1: sites: is empty: a network needs at least one site\nn.yaml:1:1: hosts: is empty: a network needs at least one host"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// A subnet of /28 has room for 13 hosts beside its router.
	small := "sites: [{name: s, kind: internet}]\nhosts:\n"
	for i := range 14 {
		small += fmt.Sprintf("  - {name: h%d, site: s}\n", i)
	}
	_, err = topology.Parse("n.yaml", []byte(small))
	if err == nil || !strings.Contains(err.Error(), "hosts[13]: no address is free in 203.0.113.0/28 of s/lan") {
		t.Errorf("got %v", err)
	}
}

func TestFromDocumentPlacesItsFindings(t *testing.T) {
	d, err := document.Parse("s.yaml", []byte("scenario: x\ntopology:\n  sites: [{name: s, kind: internett}]\n  hosts: [{name: h, site: s}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = topology.FromDocument(d, "topology")
	if want := `s.yaml:3:27: topology.sites[0].kind: "internett" is not known; valid: customer-network, internet, communication-services, telephony; did you mean "internet"?`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err = topology.FromDocument(d, "nothing"); err == nil {
		t.Error("a path that is not there: wanted an error")
	}
}

func TestNetworkByHandHasPathsWithoutPlaces(t *testing.T) {
	n := &topology.Network{Sites: []topology.Site{{Name: "s", Kind: "x"}}, Hosts: []topology.Host{{Name: "h", Site: "s"}}}
	err := n.Complete()
	if want := `sites[0].kind: "x" is not known; valid: customer-network, internet, communication-services, telephony`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	files, err := filepath.Glob("catalog/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d catalogue files, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := topology.Parse("f.yaml", data)
		if err != nil {
			if _, ok := errors.AsType[document.Errors](err); !ok {
				t.Errorf("error is a %T: %v", err, err)
			}
			return
		}
		// What was accepted stays acceptable, and is the same when completed
		// again.
		if err := n.Clone().Complete(); err != nil {
			t.Errorf("accepted, then refused: %v", err)
		}
	})
}

func TestRuleThatMeansTooManyPrefixesIsRefused(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("office, ", 30), ", ")
	_, err := topology.Parse("n.yaml", []byte(strings.Replace(valid, "to: [acs]", "to: ["+many+"]", 1)))
	if want := "sites[0].firewall.rules[0].to: has 90 prefixes; wanted at most 64"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
