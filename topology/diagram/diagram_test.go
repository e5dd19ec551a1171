package diagram_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/diagram"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file in testdata; go test -update writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

func named(t *testing.T, name string) *topology.Network {
	t.Helper()
	n, err := topology.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hop makes the hops of a way: a host's name, "site:edge", "site:router",
// "vpn>site" and "internet".
func way(n *topology.Network, text string) topology.Way {
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
			h := topology.Hop{Kind: topology.HopHost, Name: word}
			if known := n.Host(word); known != nil {
				h.Site = known.Site
			}
			w = append(w, h)
		}
	}
	return w
}

// paths are the ways of a call, for those entries whose drawing shows some.
func paths(n *topology.Network) []diagram.Path {
	const relay, signaling = " communication-services:edge relay", " communication-services:edge signaling"
	const processor = " communication-services:edge processor"
	ways := map[string][][2]string{
		"fig2-intranet": {{"media", "alice-pc office:core bob-pc"}, {"bob: signaling", "bob-pc office:core office:edge internet" + signaling}},
		"fig3-external-relayed": {{"alice: media", "alice-pc office:edge internet" + relay},
			{"bob: media", "relay communication-services:edge internet mobile:edge bob-pc"}},
		"fig4-external-direct": {{"media", "alice-pc office:edge internet mobile:edge bob-pc"}},
		"fig5-vpn-internal-relayed": {{"alice: media", "alice-pc home:edge internet" + relay}, {"bob: media", "bob-pc office:edge internet" + relay},
			{"alice: signaling", "alice-pc office-vpn>office office:edge internet" + signaling},
			{"and back", "signaling communication-services:edge internet office:edge office-vpn>office alice-pc"}},
		"fig6-vpn-internal-direct": {{"media in the tunnel", "alice-pc office-vpn>office office:edge bob-pc"}, {"media back", "bob-pc office:edge office-vpn>office alice-pc"}},
		"case1-direct":             {{"media", "alice-pc bob-pc"}},
		"fig9-group": {{"alice: media", "alice-pc office:edge internet" + processor}, {"carol: media", "carol-pc home:edge internet" + processor},
			{"dave: media", "processor communication-services:edge internet mobile:edge dave-phone"}},
		"case4-group-tcp": {{"alice: media", "alice-pc office:edge internet" + processor}, {"bob: media over TLS", "bob-pc bank:edge internet" + relay},
			{"bob: media as UDP", "relay communication-services:edge processor"}},
	}
	var all []diagram.Path
	for _, w := range ways[n.Name] {
		all = append(all, diagram.Path{Label: w[0], Media: strings.Contains(w[0], "media"), Way: way(n, w[1])})
	}
	return all
}

func TestDrawingsOfTheCatalogue(t *testing.T) {
	for _, name := range topology.Catalog() {
		n := named(t, name)
		flows := diagram.Options{Flows: true}
		lit := diagram.Options{Flows: true, Paths: paths(n)}
		golden(t, name+".txt", diagram.Text(n, flows))
		golden(t, name+".mmd", diagram.Mermaid(n, flows))
		golden(t, name+".svg", diagram.SVG(n, flows))
		if lit.Paths != nil {
			golden(t, name+"-lit.txt", diagram.Text(n, lit))
			golden(t, name+"-lit.mmd", diagram.Mermaid(n, lit))
			golden(t, name+"-lit.svg", diagram.SVG(n, lit))
		}
	}
}

func TestTextFitsATerminal(t *testing.T) {
	for _, name := range topology.Catalog() {
		for i, line := range strings.Split(diagram.Text(named(t, name), diagram.Options{Flows: true}), "\n") {
			if columns := utf8.RuneCountInString(line); columns > 100 {
				t.Errorf("%s, line %d has %d columns: %s", name, i+1, columns, line)
			}
		}
	}
}

func TestSVGIsWellFormedAndSelfContained(t *testing.T) {
	for _, name := range topology.Catalog() {
		n := named(t, name)
		// What comes from a file may hold anything that is printable.
		n.Title = `<script>alert("&")</script>`
		svg := diagram.SVG(n, diagram.Options{Flows: true, Paths: append(paths(n), diagram.Path{Label: `</svg><b>"`, Way: way(n, "alice-pc")})})
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			switch start.Name.Local {
			case "script", "image", "use", "foreignObject", "style":
				t.Errorf("%s: has a <%s>", name, start.Name.Local)
			}
			for _, a := range start.Attr {
				if a.Name.Local == "href" || a.Name.Local == "id" || strings.Contains(a.Value, "url(") {
					t.Errorf("%s: <%s> has %s=%q", name, start.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
		for _, want := range []string{"<title>", "<desc>", `role="img"`, "alice-pc"} {
			if !strings.Contains(svg, want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
	}
}

func TestMermaidQuotesWhatCouldBreakIt(t *testing.T) {
	n := named(t, "fig4-external-direct")
	n.Title = "it's"
	got := diagram.Mermaid(n, diagram.Options{Paths: []diagram.Path{
		{Label: `a "quoted" <label>`, Media: true, Way: way(n, "alice-pc office:edge internet mobile:edge bob-pc")},
		{Label: "nowhere", Way: way(n, "alice-pc")},
	}})
	for _, want := range []string{"title: 'it''s'\n", `|"a #quot;quoted#quot; #lt;label#gt;, flow 2"|`, "linkStyle 9 stroke:"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "nowhere") {
		t.Error("a way of one place was drawn")
	}
}

// A host may have moved since a path was recorded, and a network may have more
// sites than the article's.
func TestOddNetworksAreDrawn(t *testing.T) {
	const many = `name: many
title: A network of everything
sites:
  - {name: acs, kind: communication-services, subnets: [{name: media, prefixes: [20.202.0.0/24]}]}
  - {name: carrier, kind: telephony}
  - {name: server, kind: internet, firewall: {rules: [
      {name: a, direction: inbound, protocol: tcp, ports: [1, 2, 3], action: allow}, {name: b, direction: inbound, action: reject},
      {name: c, direction: outbound, action: allow}, {name: d, direction: outbound, action: allow}, {name: e, direction: outbound, action: allow}, {name: f, direction: outbound, action: allow}]}}
  - {name: server-2, kind: internet}
  - name: office
    kind: customer-network
    subnets:
      - {name: dual, prefixes: [10.1.1.0/24, "2001:db8:1::/64"], router: a}
      - {name: other, prefixes: [10.1.2.0/24], router: b}
      - {name: third, prefixes: [10.1.3.0/24]}
    routers: [{name: a}, {name: b}]
    routes: [{to: 10.1.1.0/24, via: a}, {to: "2001:db8:1::/64", via: a}, {to: 10.1.2.0/24, via: b}]
    nat: {mapping: address-dependent, filtering: endpoint-independent}
  - {name: branch, kind: customer-network, nat: symmetric}
  - {name: home, kind: internet, nat: symmetric}
  - {name: hotel, kind: internet, nat: symmetric}
vpns:
  - {name: all, site: office}
  - {name: some, site: branch, tunnelled: [10.7.0.0/16]}
hosts:
  - {name: alice-pc, site: office, subnet: dual}
  - {name: bob-pc, site: office, subnet: other}
  - {name: carol-phone, site: office, subnet: third}
  - {name: dave-pc, site: home, vpn: all}
  - {name: erin-pc, site: hotel, vpn: some}
  - {name: relay, site: acs, role: transport-relay}
  - {name: mixer, site: acs, role: media-processor}
  - {name: probe, site: server, role: stun-probe}
  - {name: sbc, site: carrier, role: signaling-controller}
  - {name: dns, site: server-2, role: dns}
`
	n, err := topology.Parse("many.yaml", []byte(many))
	if err != nil {
		t.Fatal(err)
	}
	o := diagram.Options{Flows: true, Paths: []diagram.Path{
		{Label: "between routers", Media: true, Way: way(n, "alice-pc office:a office:edge office:b bob-pc")},
		{Label: "to the edge", Media: true, Way: way(n, "carol-phone office:edge office:b bob-pc")},
		{Label: "a host that has gone", Media: true, Way: way(n, "zoe-pc home:edge internet office:edge alice-pc")},
		{Label: "a site that has gone", Way: way(n, "zoe-pc gone:edge internet nowhere:edge alice-pc")},
		{Label: "after a move", Media: true, Way: topology.Way{{Kind: topology.HopHost, Name: "carol-phone", Site: "hotel"}, {Kind: topology.HopEdge, Site: "hotel", Name: "hotel"},
			{Kind: topology.HopInternet}, {Kind: topology.HopEdge, Site: "home", Name: "home"}, {Kind: topology.HopHost, Name: "dave-pc", Site: "home"}}},
		{Label: "a tunnel that has gone", Way: way(n, "alice-pc gone>office office:edge bob-pc")},
	}}
	golden(t, "many.txt", diagram.Text(n, o))
	golden(t, "many.mmd", diagram.Mermaid(n, o))
	golden(t, "many.svg", diagram.SVG(n, o))
	if empty := diagram.Text(&topology.Network{Name: "empty"}, diagram.Options{Flows: true}); !strings.Contains(empty, "internet") {
		t.Errorf("empty network: %s", empty)
	}
	if svg := diagram.SVG(&topology.Network{Name: "empty"}, o); !strings.HasSuffix(svg, "</svg>\n") {
		t.Errorf("empty network: %s", svg)
	}
}
