package diagram

import (
	"slices"
	"strings"

	"github.com/callpath/callpath/topology"
)

// wires draws the lines that are there whether or not anything goes over them.
func (d *drawing) wires(l *layout) {
	for _, p := range l.panels() {
		end := l.cloud.y
		if p.up {
			d.wire(point{p.cx, p.down(0)}, point{p.cx, end})
		} else {
			d.wire(point{p.cx, end + l.cloud.h}, point{p.cx, p.down(0)})
		}
		for _, g := range p.groups {
			for _, c := range g.cards {
				d.wire(c.climb(0)...)
			}
		}
		for _, c := range p.concentrators {
			d.wire(point{c.x, p.down(c.y)}, point{c.x, p.down(bus)}, point{p.cx, p.down(bus)}, point{p.cx, p.down(0)})
		}
	}
}

func (d *drawing) wire(points ...point) {
	d.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, rounded(points), wire)
}

// tunnels draws VPNs as double lines.
func (d *drawing) tunnels(l *layout, o Options) {
	for _, t := range l.tunnels {
		path := rounded(t.line(0))
		d.add(`<path d="%s" fill="none" stroke="%s" stroke-width="%g" stroke-opacity="0.55"/>`, path, vpnBG, t.wide()+4)
		d.add(`<path d="%s" fill="none" stroke="#ffffff" stroke-width="%g"/>`, path, t.wide())
		at := point{(t.side + t.end.x) / 2, t.y}
		name := style{size: 12, bold: true, fill: "#5b21b6", halo: true}
		flows := l.v.tunnel[t.end.vpn.Name]
		if o.Flows && len(o.Paths) == 0 && len(flows) > 0 {
			d.disc(at.x, at.y, flows[0], vpnBG)
			d.text(at.x+18, at.y-9, t.end.vpn.Name, name)
			continue
		}
		name.anchor = "middle"
		d.text(at.x, at.y-15-t.wide()/2, t.end.vpn.Name, name)
	}
}

// flowMarks numbers the lines by the flows that the network makes possible.
func (d *drawing) flowMarks(l *layout) {
	for _, p := range l.panels() {
		y := l.cloud.y - 20
		if !p.up {
			y = l.cloud.y + l.cloud.h + 22
		}
		flows := l.v.uplink[p.site.Name]
		for i, f := range flows {
			step := 25 * float64(i)
			if p.up {
				// Beside each other, for the line is short.
				d.disc(p.cx-18-25*float64(len(flows)-1)+step, y, f, plain)
			} else {
				d.disc(p.cx-18, y+step, f, plain)
			}
		}
		if flows := l.v.inside[p.site.Name]; len(flows) > 0 && len(p.groups) > 0 {
			first, last := ends(p)
			d.disc((first+last)/2, p.down(p.busOf(p.groups[0])), flows[0], plain)
		}
	}
}

// ends are the middles of the first and last card of a panel.
func ends(p *panel) (first, last float64) {
	for _, g := range p.groups {
		for _, c := range g.cards {
			if first == 0 {
				first = c.middle()
			}
			last = c.middle()
		}
	}
	return first, last
}

// busOf is the depth of the line that joins the hosts of a group.
func (p *panel) busOf(g *group) float64 {
	if g.router != nil {
		return busDeeper
	}
	return bus
}

// lit draws the paths, each shifted from the others.
func (d *drawing) lit(l *layout, o Options) []trail {
	lane, used := 0, map[*tunnelLine]int{}
	trails := make([]trail, len(o.Paths))
	for i, p := range o.Paths {
		shift := 7 * (float64(i) - float64(len(o.Paths)-1)/2)
		trails[i] = l.follow(p.Way, shift, &lane, used)
		if len(trails[i].points) < 2 {
			continue
		}
		path := rounded(clean(trails[i].points))
		dash := ""
		if !p.Media {
			dash = ` stroke-dasharray="7 5"`
		}
		d.add(`<path d="%s" fill="none" stroke="#ffffff" stroke-width="6.5" stroke-linejoin="round"/>`, path)
		d.add(`<path d="%s" fill="none" stroke="%s" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"%s><title>%s</title></path>`,
			path, color(i, p.Media), dash, escape(p.Label+": "+wayText(p.Way)))
		for _, end := range []point{trails[i].points[0], trails[i].points[len(trails[i].points)-1]} {
			d.add(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, end.x, end.y, color(i, p.Media))
		}
	}
	return trails
}

// marks draws the numbers of the paths' flows and their labels, over every line.
func (d *drawing) marks(l *layout, o Options, trails []trail) {
	for i, p := range o.Paths {
		for _, m := range trails[i].marks {
			s := style{size: 11.5, bold: true, fill: color(i, p.Media), halo: true}
			// Number and label together in the middle of the line, if they fit.
			at, wide := m.at.x, s.width(p.Label)
			if m.flow != topology.Flow2Star && 2*m.room > wide+44 {
				at -= (wide + 17) / 2
			}
			d.disc(at, m.at.y, m.flow, color(i, p.Media))
			if m.flow == topology.Flow2Star {
				continue // the tunnel has its name there
			}
			x := at + 17
			if x+wide > float64(l.width)-margin {
				x, s.anchor = at-17, "end"
			}
			d.text(x, m.at.y-5, p.Label, s)
		}
	}
}

// clean removes corners that are none.
func clean(points []point) []point {
	var out []point
	for _, p := range points {
		if n := len(out); n > 0 && distance(out[n-1], p) < 0.05 {
			continue
		}
		if n := len(out); n > 1 && level(out[n-2], out[n-1], p) {
			out[n-1] = p
			continue
		}
		out = append(out, p)
	}
	return out
}

// level says whether three points are on one upright or level line, in order.
func level(a, b, c point) bool {
	if a.x == b.x && b.x == c.x {
		return (b.y-a.y)*(c.y-b.y) > 0
	}
	return a.y == b.y && b.y == c.y && (b.x-a.x)*(c.x-b.x) > 0
}

const legendLine = 24.0

// legendHigh is how high the legend is.
func legendHigh(l *layout, o Options) float64 {
	lines := len(o.Paths)
	for _, a := range about {
		if l.explains(a.flow, o) {
			lines++
		}
	}
	if lines == 0 {
		return 0
	}
	return legendLine*float64(lines) + 24
}

// explains says whether a flow is in the legend: those that the paths cross, or
// without paths those that the network makes possible.
func (l *layout) explains(f topology.Flow, o Options) bool {
	if !o.Flows {
		return false
	}
	if len(o.Paths) == 0 {
		return slices.ContainsFunc(l.v.flows, func(u flowUse) bool { return u.flow == f })
	}
	return slices.ContainsFunc(o.Paths, func(p Path) bool { return slices.Contains(topology.Classify(l.v.n, p.Way), f) })
}

// legend lists the lit paths and explains the flows.
func (d *drawing) legend(l *layout, v *view, o Options) {
	y := l.below + 8
	names := 110.0
	for _, p := range o.Paths {
		names = max(names, style{size: 12.5, bold: true}.width(p.Label))
	}
	for i, p := range o.Paths {
		dash := ""
		if !p.Media {
			dash = ` stroke-dasharray="7 5"`
		}
		d.add(`<path d="M%.1f %.1fh36" stroke="%s" stroke-width="3.2" stroke-linecap="round"%s/>`, margin, y, color(i, p.Media), dash)
		name := style{size: 12.5, bold: true, fill: color(i, p.Media)}
		d.text(margin+48, y+4, p.Label, name)
		about := style{size: 12, fill: plain}
		text := wayText(p.Way)
		if f := topology.Classify(v.n, p.Way); f != nil {
			text = "flow " + flowText(f) + ": " + text
		}
		x := margin + 48 + names + 12
		columns := int((float64(l.width) - margin - x) / (about.size * 0.55))
		d.text(x, y+4, clip(text, columns), about)
		y += legendLine
	}
	for _, a := range about {
		if !l.explains(a.flow, o) {
			continue
		}
		d.disc(margin+11, y, a.flow, plain)
		d.text(margin+32, y+4, strings.ToUpper(a.text[:1])+a.text[1:], style{size: 12, fill: plain})
		if len(o.Paths) == 0 {
			d.legendPairs(l, v, a.flow, y)
		}
		y += legendLine
	}
}

// legendPairs says between which hosts a flow runs.
func (d *drawing) legendPairs(l *layout, v *view, flow topology.Flow, y float64) {
	for _, use := range v.flows {
		if use.flow != flow {
			continue
		}
		const x = margin + 520
		s := style{size: 11, fill: faint}
		columns := int((float64(l.width) - margin - x) / (s.size * 0.55))
		if columns < 20 {
			return
		}
		d.text(x, y+4, clip(strings.Join(use.pairs, ", "), columns), s)
	}
}
