package diagram

import (
	"fmt"
	"strings"

	"github.com/callpath/callpath/topology"
)

// Mermaid draws a Mermaid flowchart (https://mermaid.js.org), as Markdown viewers
// render it.
func Mermaid(n *topology.Network, o Options) string {
	v := look(n, o)
	m := &mermaid{v: v}
	m.line("---")
	m.line("title: %s", quoteYAML(n.Title))
	m.line("---")
	m.line("flowchart TB")
	for _, s := range v.services {
		m.site(s)
	}
	m.line("  internet((\"internet\"))")
	for _, s := range v.users {
		m.site(s)
	}
	for _, s := range v.services {
		m.uplink("internet", edgeID(s.Name), s, o)
	}
	for _, s := range v.users {
		m.uplink(edgeID(s.Name), "internet", s, o)
	}
	m.hosts(o)
	for i, p := range o.Paths {
		m.path(i, p)
	}
	m.line("  classDef edge fill:#fff7ed,stroke:#c2410c,color:#7c2d12")
	m.line("  classDef service fill:#eef2ff,stroke:#4338ca,color:#312e81")
	m.line("  classDef client fill:#f0fdfa,stroke:#0f766e,color:#134e4a")
	return m.b.String()
}

// mermaid writes a flowchart; links are numbered for their colours.
type mermaid struct {
	v     *view
	b     strings.Builder
	links int
}

func (m *mermaid) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }

// link writes a line that holds one link.
func (m *mermaid) link(format string, args ...any) {
	m.line("  "+format, args...)
	m.links++
}

// identifier makes a name one of Mermaid's; kind keeps hosts and sites apart.
func identifier(kind, name string) string { return kind + "_" + strings.ReplaceAll(name, "-", "_") }

func hostID(name string) string         { return identifier("host", name) }
func edgeID(site string) string         { return identifier("edge", site) }
func routerID(site, name string) string { return identifier("router_"+site, name) }

// label quotes lines of text for Mermaid.
func label(lines ...string) string {
	text := strings.Join(lines, "\n")
	text = strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", "<br>").Replace(text)
	return `"` + text + `"`
}

func quoteYAML(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (m *mermaid) site(s *topology.Site) {
	m.line("  subgraph %s[%s]", identifier("site", s.Name), label(siteTitle(s)))
	edge := []string{"edge"}
	if s.NAT != nil {
		edge = append(edge, "NAT: "+strings.Join(natText(s.NAT), ", "))
	}
	if s.Firewall != nil {
		edge = append(edge, "firewall:")
		edge = append(edge, firewallText(s.Firewall)...)
	}
	for _, vpn := range m.v.concentrators(s.Name) {
		edge = append(edge, "VPN: "+vpn.Name+" "+vpn.Concentrator.String())
	}
	m.line("    %s{{%s}}:::edge", edgeID(s.Name), label(edge...))
	for _, r := range s.Routers {
		m.line("    %s(%s)", routerID(s.Name, r.Name), label(r.Name))
	}
	for i := range s.Subnets {
		for _, h := range m.v.hosts(s.Name, s.Subnets[i].Name) {
			lines := []string{h.Name}
			class := "client"
			if role := roleText(h); role != "" {
				lines, class = append(lines, role), "service"
			}
			lines = append(lines, joinAddrs(h.Addresses))
			if h.Tunnel.IsValid() {
				lines = append(lines, "tunnel "+h.Tunnel.String())
			}
			m.line("    %s[%s]:::%s", hostID(h.Name), label(lines...), class)
		}
	}
	m.line("  end")
}

func (m *mermaid) uplink(from, to string, s *topology.Site, o Options) {
	if f := m.v.uplink[s.Name]; o.Flows && f != nil {
		m.link("%s ---|%s| %s", from, label("flow "+flowText(f)), to)
		return
	}
	m.link("%s --- %s", from, to)
}

// hosts joins hosts to their routers, routers to the edge, and clients of VPNs to
// the concentrator.
func (m *mermaid) hosts(o Options) {
	for i := range m.v.n.Sites {
		s := &m.v.n.Sites[i]
		for _, r := range s.Routers {
			m.link("%s --- %s", routerID(s.Name, r.Name), edgeID(s.Name))
		}
		for j := range s.Subnets {
			sub := &s.Subnets[j]
			at := edgeID(s.Name)
			if s.Router(sub.Router) != nil {
				at = routerID(s.Name, sub.Router)
			}
			for _, h := range m.v.hosts(s.Name, sub.Name) {
				if s.Kind == topology.CustomerNetwork || s.Kind == topology.Internet {
					m.link("%s ---|%s| %s", hostID(h.Name), label(sub.Name+" "+joinPrefixes(sub.Prefixes)), at)
				} else {
					m.link("%s ---|%s| %s", at, label(sub.Name+" "+joinPrefixes(sub.Prefixes)), hostID(h.Name))
				}
			}
		}
	}
	for _, h := range m.v.n.Hosts {
		vpn := m.v.n.VPN(h.VPN)
		if vpn == nil {
			continue
		}
		text := "VPN " + vpn.Name
		if f := m.v.tunnel[vpn.Name]; o.Flows && f != nil {
			text += ", flow " + flowText(f)
		}
		m.link("%s ==>|%s| %s", hostID(h.Name), label(text), edgeID(vpn.Site))
	}
}

// path draws a lit path as one coloured link between its ends, with its flows.
func (m *mermaid) path(i int, p Path) {
	if len(p.Way) < 2 {
		return
	}
	text := p.Label
	if f := topology.Classify(m.v.n, p.Way); f != nil {
		text += ", flow " + flowText(f)
	}
	arrow := "-.->"
	if p.Media {
		arrow = "==>"
	}
	number := m.links
	m.link("%s %s|%s| %s", hostID(p.Way[0].Name), arrow, label(text), hostID(p.Way[len(p.Way)-1].Name))
	m.line("  linkStyle %d stroke:%s,stroke-width:3px", number, color(i, p.Media))
}
