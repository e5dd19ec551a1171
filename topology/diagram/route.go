package diagram

import (
	"fmt"
	"math"
	"strings"

	"github.com/callpath/callpath/topology"
)

// point is one corner of a line.
type point struct{ x, y float64 }

// rounded draws a line through points with round corners.
func rounded(points []point) string {
	const radius = 8
	var b strings.Builder
	fmt.Fprintf(&b, "M%.1f %.1f", points[0].x, points[0].y)
	for i := 1; i < len(points)-1; i++ {
		before, at, after := points[i-1], points[i], points[i+1]
		in, out := distance(before, at), distance(at, after)
		r := math.Min(radius, math.Min(in, out)/2)
		if r < 0.5 {
			continue
		}
		a, c := toward(at, before, r/in), toward(at, after, r/out)
		fmt.Fprintf(&b, "L%.1f %.1fQ%.1f %.1f %.1f %.1f", a.x, a.y, at.x, at.y, c.x, c.y)
	}
	last := points[len(points)-1]
	fmt.Fprintf(&b, "L%.1f %.1f", last.x, last.y)
	return b.String()
}

func distance(a, b point) float64 { return math.Hypot(a.x-b.x, a.y-b.y) }

func toward(from, to point, part float64) point {
	return point{from.x + (to.x-from.x)*part, from.y + (to.y-from.y)*part}
}

// climb goes from a card to the edge of its site; shift keeps paths apart.
func (c *card) climb(shift float64) []point {
	p := c.panel
	line := func(depth float64) float64 { return p.down(depth) + shift }
	at := c.middle() + shift
	points := []point{{at, p.down(c.depth)}}
	if r := c.group.router; r != nil {
		points = append(points, point{at, line(busDeeper)}, point{r.x + shift, line(busDeeper)}, point{r.x + shift, line(bus)})
	} else {
		points = append(points, point{at, line(bus)})
	}
	return append(points, point{p.cx + shift, line(bus)}, point{p.cx + shift, p.down(0)})
}

// across goes from one card to another of the same site.
func (c *card) across(other *card, shift float64) []point {
	up, down := c.climb(shift), other.climb(shift)
	if c.group.router == other.group.router {
		up, down = up[:2], down[:2]
	} else {
		up, down = up[:len(up)-2], down[:len(down)-2]
	}
	return append(up, backwards(down)...)
}

func backwards(points []point) []point {
	out := make([]point, len(points))
	for i, p := range points {
		out[len(points)-1-i] = p
	}
	return out
}

// through goes from a host through its tunnel to the edge of the concentrator's
// site.
func (t *tunnelLine) through(shift float64) []point {
	return append(t.inTo(shift), point{t.to.cx + shift, t.to.down(bus) + shift}, point{t.to.cx + shift, t.to.down(0)})
}

// inTo goes from a host through its tunnel to the line behind the edge of the
// concentrator's site.
func (t *tunnelLine) inTo(shift float64) []point {
	return append(t.line(), point{t.end.x, t.to.down(bus) + shift})
}

// line is the tunnel itself, from card to concentrator.
func (t *tunnelLine) line() []point {
	p, under := t.host.panel, t.host.depth+t.host.h
	return []point{
		{t.host.x + 14, p.down(under)}, {t.host.x + 14, p.down(under + 6)},
		{t.side, p.down(under + 6)}, {t.side, t.y}, {t.end.x, t.y}, {t.end.x, t.to.down(t.end.y + 20)},
	}
}

// trail is a path's line and where its flows are marked.
type trail struct {
	points []point
	marks  []mark
}

// mark is where a flow's number stands; label is beside it.
type mark struct {
	at   point
	flow topology.Flow
	// room is how far the line goes on to either side.
	room float64
}

// follow lays a path over the drawing. lane is the next free lane of the cloud. A
// way that leaves what is drawn, for example after a host has moved, is laid as far
// as it can be.
func (l *layout) follow(w topology.Way, shift float64, lane *int) trail {
	var t trail
	parts := stretches(w)
	for i, s := range parts {
		switch {
		case s.tunnel != "":
			t.tunnel(l, parts, i, shift)
		case crossesInternet(s.way):
			t.internet(l, s, shift, *lane)
			*lane++
		default:
			t.inside(l, s, shift)
		}
	}
	return t
}

// tunnel adds the way through a VPN, in either direction.
func (t *trail) tunnel(l *layout, parts []stretch, i int, shift float64) {
	client := func(w topology.Way) string {
		for _, h := range w {
			if h.Kind == topology.HopHost && l.v.n.Host(h.Name) != nil && l.v.n.Host(h.Name).VPN == parts[i].tunnel {
				return h.Name
			}
		}
		return ""
	}
	inward := true
	name := client(parts[i-1].way)
	if name == "" && i+1 < len(parts) {
		name, inward = client(parts[i+1].way), false
	}
	for _, line := range l.tunnels {
		if line.end.vpn.Name != parts[i].tunnel || line.host.host.Name != name {
			continue
		}
		points := line.inTo(shift)
		if t.leavesSite(parts, i, inward) {
			points = line.through(shift)
		}
		t.marks = append(t.marks, mark{at: point{(line.side + line.end.x) / 2, line.y}, flow: topology.Flow2Star})
		if !inward {
			points = backwards(points)
		}
		t.points = append(t.points, points...)
	}
}

// leavesSite says whether the way goes on from the concentrator to the internet.
func (t *trail) leavesSite(parts []stretch, i int, inward bool) bool {
	if inward {
		return i+1 < len(parts) && crossesInternet(parts[i+1].way)
	}
	return crossesInternet(parts[i-1].way)
}

// internet adds the way of a stretch that leaves a site for another.
func (t *trail) internet(l *layout, s stretch, shift float64, lane int) {
	var edges []*panel
	for _, h := range s.way {
		if h.Kind == topology.HopEdge {
			if p := l.at(h.Site); p != nil && (len(edges) == 0 || edges[len(edges)-1] != p) {
				edges = append(edges, p)
			}
		}
	}
	if len(edges) == 0 {
		return
	}
	from, to := edges[0], edges[len(edges)-1]
	if c := l.find(s.way[0].Name); c != nil && s.way[0].Kind == topology.HopHost {
		t.points = append(t.points, c.climb(shift)...)
	}
	y := l.cloud.y + 13 + laneHigh*(float64(lane)+0.5)
	a, b := from.cx+shift, to.cx+shift
	t.points = append(t.points, point{a, from.down(0)}, point{a, y}, point{b, y}, point{b, to.down(0)})
	if flows := topology.Classify(l.v.n, s.way); len(flows) > 0 {
		t.marks = append(t.marks, mark{at: point{(a + b) / 2, y}, flow: flows[0], room: math.Abs(a-b) / 2})
	}
	last := s.way[len(s.way)-1]
	if c := l.find(last.Name); c != nil && last.Kind == topology.HopHost {
		t.points = append(t.points, backwards(c.climb(shift))...)
	}
}

// inside adds the way of a stretch inside a site: between two hosts, or between a
// tunnel's end and a host.
func (t *trail) inside(l *layout, s stretch, shift float64) {
	var cards []*card
	for _, h := range s.way {
		if h.Kind == topology.HopHost {
			if c := l.find(h.Name); c != nil {
				cards = append(cards, c)
			}
		}
	}
	switch {
	case len(cards) == 2 && cards[0].panel == cards[1].panel:
		points := cards[0].across(cards[1], shift)
		t.points = append(t.points, points...)
		if flows := topology.Classify(l.v.n, s.way); len(flows) > 0 {
			// On the level part of the line.
			a, b := points[len(points)/2-1], points[len(points)/2]
			t.marks = append(t.marks, mark{at: point{(a.x + b.x) / 2, (a.y + b.y) / 2}, flow: flows[0], room: math.Abs(a.x-b.x) / 2})
		}
	case len(cards) == 1 && len(s.way) > 1:
		climb := cards[0].climb(shift)
		climb = climb[:len(climb)-2]
		if s.afterTunnel {
			climb = backwards(climb)
		}
		t.points = append(t.points, climb...)
	}
}
