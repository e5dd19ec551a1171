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
func (t *tunnelLine) through(lane, shift float64) []point {
	return append(t.inTo(lane, shift), point{t.to.cx + shift, t.to.down(bus) + shift}, point{t.to.cx + shift, t.to.down(0)})
}

// inTo goes from a host through its tunnel to the line behind the edge of the
// concentrator's site.
func (t *tunnelLine) inTo(lane, shift float64) []point {
	points := t.line(lane)
	return append(points, point{points[len(points)-1].x, t.to.down(bus) + shift})
}

// line is the tunnel itself, from card to concentrator. Lanes are parallel to its
// middle, without crossing at the corners.
func (t *tunnelLine) line(lane float64) []point {
	p, under := t.host.panel, t.host.depth+t.host.h
	side := lane
	if t.side < t.end.x {
		side = -lane
	}
	start := t.host.x + 14 + side
	return []point{
		{start, p.down(under)}, {start, p.down(under+6) + side},
		{t.side + side, p.down(under+6) + side}, {t.side + side, t.y + lane},
		{t.end.x - side, t.y + lane}, {t.end.x - side, t.to.down(t.end.y + 20)},
	}
}

// tunnelLane is the space between the paths in a tunnel.
const tunnelLane = 6.0

// wide is how wide a tunnel is drawn inside.
func (t *tunnelLine) wide() float64 { return 5 + tunnelLane*float64(max(t.paths, 1)-1) }

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

// follow lays a path over the drawing. lane is the next free lane of the cloud, used
// counts the lanes of tunnels that are taken. A way that leaves what is drawn, for example after a host has moved, is laid as far
// as it can be.
func (l *layout) follow(w topology.Way, shift float64, lane *int, used map[*tunnelLine]int) trail {
	var t trail
	parts := stretches(w)
	for i, s := range parts {
		switch {
		case s.tunnel != "":
			t.tunnel(l, parts, i, shift, used)
		case crossesInternet(s.way):
			t.internet(l, s, shift, *lane)
			*lane++
		default:
			t.inside(l, s, shift)
		}
	}
	return t
}

// tunnelOf finds the tunnel that a stretch goes through, and whether it goes in from
// the client; nil when the drawing has none.
func (l *layout) tunnelOf(parts []stretch, i int) (t *tunnelLine, inward bool) {
	if parts[i].tunnel == "" {
		return nil, false
	}
	for _, side := range []int{i - 1, i + 1} { // a tunnel stands between two stretches
		for _, h := range parts[side].way {
			for _, t := range l.tunnels {
				if h.Kind == topology.HopHost && t.host.host.Name == h.Name && t.end.vpn.Name == parts[i].tunnel {
					return t, side < i
				}
			}
		}
	}
	return nil, false
}

// tunnel adds the way through a VPN, in either direction.
func (t *trail) tunnel(l *layout, parts []stretch, i int, shift float64, used map[*tunnelLine]int) {
	line, inward := l.tunnelOf(parts, i)
	if line == nil {
		return
	}
	place := float64(used[line]) - float64(line.paths-1)/2
	used[line]++
	points := line.inTo(place*tunnelLane, shift)
	if t.leavesSite(parts, i, inward) {
		points = line.through(place*tunnelLane, shift)
	}
	t.marks = append(t.marks, mark{at: point{(line.side+line.end.x)/2 + 26*place, line.y + place*tunnelLane}, flow: topology.Flow2Star})
	if !inward {
		points = backwards(points)
	}
	t.points = append(t.points, points...)
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
	if c := l.find(s.way[0].Name, s.way[0].Site); c != nil && s.way[0].Kind == topology.HopHost {
		t.points = append(t.points, c.climb(shift)...)
	}
	y := l.cloud.y + 13 + laneHigh*(float64(lane)+0.5)
	a, b := from.cx+shift, to.cx+shift
	t.points = append(t.points, point{a, from.down(0)}, point{a, y}, point{b, y}, point{b, to.down(0)})
	if flows := topology.Classify(l.v.n, s.way); len(flows) > 0 {
		t.marks = append(t.marks, mark{at: point{(a + b) / 2, y}, flow: flows[0], room: math.Abs(a-b) / 2})
	}
	last := s.way[len(s.way)-1]
	if c := l.find(last.Name, last.Site); c != nil && last.Kind == topology.HopHost {
		t.points = append(t.points, backwards(c.climb(shift))...)
	}
}

// inside adds the way of a stretch inside a site: between two hosts, or between a
// tunnel's end and a host.
func (t *trail) inside(l *layout, s stretch, shift float64) {
	var cards []*card
	for _, h := range s.way {
		if h.Kind == topology.HopHost {
			if c := l.find(h.Name, h.Site); c != nil {
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
