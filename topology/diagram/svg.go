package diagram

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/callpath/callpath/topology"
)

// SVG draws a self-contained SVG: no script, no font, no reference to anything
// outside or, since several may stand in one page, to an id inside.
func SVG(n *topology.Network, o Options) string {
	v := look(n, o)
	l := arrange(v, o)
	d := &drawing{}
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif">`,
		l.width, l.height, l.width, l.height, escape(n.Title))
	d.add(`<title>%s</title>`, escape(n.Title))
	d.add(`<desc>%s</desc>`, escape(describe(v, o)))
	d.add(`<rect width="%d" height="%d" rx="14" fill="#ffffff"/>`, l.width, l.height)
	d.text(margin, 34, n.Title, style{size: 18, bold: true, fill: ink})
	d.text(margin, 54, n.Source, style{size: 12, fill: faint})
	d.cloud(l)
	for _, p := range l.panels() {
		d.panel(p)
	}
	d.wires(l)
	d.tunnels(l, o)
	for _, p := range l.panels() {
		d.contents(p)
	}
	trails := d.lit(l, o)
	for _, p := range l.panels() {
		d.edge(p)
	}
	d.marks(l, o, trails)
	if o.Flows && len(o.Paths) == 0 {
		d.flowMarks(l)
	}
	d.legend(l, v, o)
	d.add(`</svg>`)
	return d.b.String()
}

// describe says in words what the drawing shows, for those who cannot see it.
func describe(v *view, o Options) string {
	var b strings.Builder
	for _, s := range append(append([]*topology.Site{}, v.users...), v.services...) {
		fmt.Fprintf(&b, "%s", siteTitle(s))
		if s.NAT != nil {
			fmt.Fprintf(&b, ", behind a %s NAT", s.NAT.Kind())
		}
		if s.Firewall != nil {
			fmt.Fprintf(&b, ", with a firewall of %d rules", len(s.Firewall.Rules))
		}
		var hosts []string
		for _, h := range v.n.Hosts {
			if h.Site == s.Name {
				hosts = append(hosts, h.Name)
			}
		}
		if hosts != nil {
			fmt.Fprintf(&b, ": %s", strings.Join(hosts, ", "))
		}
		b.WriteString(". ")
	}
	for _, p := range o.Paths {
		fmt.Fprintf(&b, "%s: %s", p.Label, wayText(p.Way))
		if f := topology.Classify(v.n, p.Way); f != nil {
			fmt.Fprintf(&b, ", flow %s", flowText(f))
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}

// The colours of what is not a path.
const (
	ink   = "#0f172a"
	plain = "#334155"
	faint = "#64748b"
	wire  = "#94a3b8"
	vpnBG = "#7c3aed"
)

// tint colours the sites of a kind.
type tint struct{ fill, line, text string }

var tints = map[topology.SiteKind]tint{
	topology.CustomerNetwork:       {"#f0fdf4", "#86b798", "#166534"},
	topology.Internet:              {"#f8fafc", "#a3b1c6", "#334155"},
	topology.CommunicationServices: {"#f5f3ff", "#a79be0", "#4c3a9e"},
	topology.Telephony:             {"#fff7ed", "#dbae7c", "#9a4a0c"},
}

// drawing collects the elements.
type drawing struct{ b strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

func escape(s string) string {
	var b strings.Builder
	// It fails only when the writer does.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// style is that of a text.
type style struct {
	size   float64
	bold   bool
	mono   bool
	fill   string
	anchor string // start when empty
	halo   bool   // white around the letters, over lines
}

func (d *drawing) text(x, y float64, text string, s style) {
	attrs := fmt.Sprintf(`font-size="%g" fill="%s"`, s.size, s.fill)
	if s.bold {
		attrs += ` font-weight="600"`
	}
	if s.mono {
		attrs += ` font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"`
	}
	if s.anchor != "" {
		attrs += fmt.Sprintf(` text-anchor="%s"`, s.anchor)
	}
	if s.halo {
		attrs += ` stroke="#ffffff" stroke-width="4" stroke-linejoin="round" paint-order="stroke"`
	}
	d.add(`<text x="%.1f" y="%.1f" %s>%s</text>`, x, y, attrs, escape(text))
}

// width estimates how wide a text is drawn; fonts differ, so it is generous.
func (s style) width(text string) float64 {
	per := 0.55
	if s.bold {
		per = 0.6
	}
	if s.mono {
		per = 0.62
	}
	return float64(len([]rune(text))) * s.size * per
}

// disc draws a flow's number in a circle.
func (d *drawing) disc(x, y float64, flow topology.Flow, fill string) {
	d.add(`<circle cx="%.1f" cy="%.1f" r="11" fill="%s" stroke="#ffffff" stroke-width="2"/>`, x, y, fill)
	d.text(x, y+4.5, string(flow), style{size: 12, bold: true, fill: "#ffffff", anchor: "middle"})
}

// cloud draws the internet.
func (d *drawing) cloud(l *layout) {
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%.1f" fill="#eff6ff" stroke="#bfdbfe" stroke-width="1.5"/>`,
		l.cloud.x, l.cloud.y, l.cloud.w, l.cloud.h, min(l.cloud.h/2, 32))
	x, y := l.cloud.x+l.cloud.w-34, l.cloud.y+l.cloud.h/2
	d.icon("globe", x-8, y-8, "#3b82f6")
	d.text(x-16, y+4.5, "internet", style{size: 13, bold: true, fill: "#1e40af", anchor: "end"})
}

// panel draws a site's ground and its name.
func (d *drawing) panel(p *panel) {
	t := tints[p.site.Kind]
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="14" fill="%s" stroke="%s" stroke-width="1.5"/>`, p.x, p.y, p.w, p.h, t.fill, t.line)
	y := p.y + p.h - 13
	if p.up {
		y = p.y + 23
	}
	d.text(p.titleX, y, siteTitle(p.site), style{size: 13, bold: true, fill: t.text})
}

// contents draws the hosts of a panel.
func (d *drawing) contents(p *panel) {
	for _, g := range p.groups {
		d.text(g.x+2, p.down(g.labelY)+4, g.label, style{size: 10.5, mono: true, fill: faint})
		for _, c := range g.cards {
			d.card(p, c)
		}
	}
}

// edge draws what the paths of a panel go through: routers, concentrators, and the
// badges beside the line to the internet.
func (d *drawing) edge(p *panel) {
	for _, r := range p.routers {
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="24" rx="12" fill="#ffffff" stroke="%s"/>`, r.x-r.w/2, p.down(r.y)-12, r.w, tints[p.site.Kind].line)
		d.text(r.x, p.down(r.y)+4, r.name, style{size: 11.5, fill: plain, anchor: "middle"})
	}
	for _, c := range p.concentrators {
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="40" rx="8" fill="#f5f3ff" stroke="%s"/>`, c.x-c.w/2, p.down(c.y)-20, c.w, vpnBG)
		d.text(c.x, p.down(c.y)-4, c.vpn.Name, style{size: 11.5, bold: true, fill: "#5b21b6", anchor: "middle"})
		d.text(c.x, p.down(c.y)+11, c.vpn.Concentrator.String(), style{size: 10.5, mono: true, fill: "#5b21b6", anchor: "middle"})
	}
	for _, b := range p.badges {
		d.badge(b)
	}
}

func (d *drawing) card(p *panel, c *card) {
	y := p.cardTop(c)
	accent, icon := "#0f766e", "screen"
	if strings.HasSuffix(c.host.Name, "phone") {
		icon = "phone"
	}
	if own, ok := roleIcons[c.host.Role]; ok {
		accent, icon = "#4338ca", own
	}
	dash := ""
	if c.guest {
		dash = ` stroke-dasharray="4 3"`
	}
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="8" fill="#ffffff" stroke="#cbd5e1"%s/>`, c.x, y, c.w, c.h, dash)
	d.icon(icon, c.x+12, y+11, accent)
	d.text(c.x+36, y+23, c.host.Name, style{size: 13, bold: true, fill: ink})
	line := y + 41
	for _, text := range c.lines {
		mono := strings.ContainsAny(text, ".:")
		d.text(c.x+12, line, text, style{size: 11, mono: mono, fill: plain})
		line += cardLine
	}
}

// badge draws a NAT or a firewall beside the line that crosses it.
func (d *drawing) badge(b *badge) {
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="7" fill="%s" stroke="%s"/>`, b.x, b.y, b.w, b.h, b.fill, b.line)
	for i, text := range b.text {
		s := style{size: 10.5, fill: b.ink}
		if i == 0 {
			s = style{size: 11.5, bold: true, fill: b.ink}
		}
		d.text(b.x+9, b.y+16+float64(i)*badgeLine, text, s)
	}
	// The line goes through what stands on it.
	d.add(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s" stroke="#ffffff" stroke-width="1.5"/>`, b.onLine, b.y+b.h/2, b.line)
	d.add(`<path d="M%.1f %.1fH%.1f" stroke="%s" stroke-width="1.5"/>`, b.onLine+4, b.y+b.h/2, b.x, b.line)
}

// roleIcons are the icons of services.
var roleIcons = map[topology.Role]string{
	topology.TransportRelay:      "relay",
	topology.SignalingController: "signal",
	topology.MediaProcessor:      "mixer",
	topology.DNSServer:           "globe",
	topology.STUNProbe:           "globe",
}

// icons are line drawings of 16 by 16.
var icons = map[string]string{
	"screen": "M1 2.5h14v9H1zM5.5 15h5M8 11.5V15",
	"phone":  "M4 1h8v14H4zM7 12.5h2",
	"relay":  "M1 5h12M10 2l3 3-3 3M15 11H3M6 8l-3 3 3 3",
	"signal": "M8 9v6M8 7.2a1 1 0 1 0 .01 0M4.5 10.5a5 5 0 0 1 0-6.5M11.500 10.500a5 5 0 0 0 0-6.500M2 13a8.500 8.500 0 0 1 0-11.500M14 13a8.500 8.500 0 0 0 0-11.500",
	"mixer":  "M3 1v14M8 1v14M13 1v14M1 10h4M6 5h4M11 11h4",
	"globe":  "M8 1a7 7 0 1 0 .01 0M1 8h14M8 1c-5 4-5 10 0 14M8 1c5 4 5 10 0 14",
}

func (d *drawing) icon(name string, x, y float64, stroke string) {
	d.add(`<path transform="translate(%.1f %.1f)" d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"/>`, x, y, icons[name], stroke)
}
