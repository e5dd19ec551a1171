package diagram

import (
	"slices"

	"github.com/callpath/callpath/topology"
)

// Measures, in the SVG's units.
const (
	margin    = 24.0 // around the drawing
	gap       = 26.0 // between panels
	pad1      = 16.0 // inside a panel
	cardGap   = 22.0
	cardLine  = 15.0
	badgeLine = 14.0
	edgeX     = 74.0 // of the line to the internet, from a panel's left side
	bus       = 22.0 // depth of the line behind the edge
	busDeeper = 92.0 // depth of the line behind a router
	laneHigh  = 32.0
	headHigh  = 78.0
	minWidth  = 860.0
)

// layout is where everything stands.
type layout struct {
	v               *view
	width, height   int
	services, users []*panel
	cloud           struct{ x, y, w, h float64 }
	tunnels         []*tunnelLine
	below           float64 // where the legend begins
}

func (l *layout) panels() []*panel { return append(slices.Clone(l.services), l.users...) }

// panel is a site. Depths count from its edge, where it faces the internet, inwards.
type panel struct {
	site          *topology.Site
	x, y, w, h    float64
	up            bool // it stands above the internet
	depth         float64
	cx            float64 // of the line to the internet
	titleX        float64
	groups        []*group
	routers       []*routerPill
	concentrators []*concentrator
	badges        []*badge
}

// down turns a depth into a y.
func (p *panel) down(depth float64) float64 {
	if p.up {
		return p.y + p.h - depth
	}
	return p.y + depth
}

// cardTop is the upper side of a card.
func (p *panel) cardTop(c *card) float64 {
	if p.up {
		return p.down(c.depth + c.h)
	}
	return p.down(c.depth)
}

// group is a subnet.
type group struct {
	subnet *topology.Subnet
	x, w   float64
	label  string
	labelY float64 // depth
	router *routerPill
	cards  []*card
}

// card is a host.
type card struct {
	host    *topology.Host
	x, w, h float64
	depth   float64
	lines   []string
	guest   bool // it came here while the network ran
	panel   *panel
	group   *group
}

func (c *card) middle() float64 { return c.x + c.w/2 }

type routerPill struct {
	name    string
	x, y, w float64 // y is a depth
}

type concentrator struct {
	vpn     *topology.VPN
	x, y, w float64 // y is a depth
}

// badge is a NAT or a firewall.
type badge struct {
	x, y, w, h      float64
	onLine          float64
	text            []string
	fill, line, ink string
}

// tunnelLine is one host's VPN.
type tunnelLine struct {
	host *card
	end  *concentrator
	to   *panel
	side float64 // x beside the host's panel's content
	y    float64 // below the panels
	// paths is how many paths go through it; each has its own lane.
	paths int
}

// arrange lays out the drawing: services, the internet, users, tunnels, legend.
func arrange(v *view, o Options) *layout {
	l := &layout{v: v}
	for _, s := range v.services {
		l.services = append(l.services, newPanel(v, s, true))
	}
	for _, s := range v.users {
		l.users = append(l.users, newPanel(v, s, false))
	}
	width := max(spread(l.services), spread(l.users), minWidth, style{size: 18, bold: true}.width(v.n.Title)+2*margin)
	centre(l.services, width)
	centre(l.users, width)

	y := headHigh
	high := 0.0
	for _, p := range l.services {
		high = max(high, p.h)
	}
	stand := 0.0 // the longest line to the internet above it
	for _, p := range l.services {
		p.move(0, y+high-p.h)
		stand = max(stand, p.badgesHigh())
	}
	y += high
	if len(l.services) > 0 {
		y += max(40, stand+16)
	}
	l.cloud.x, l.cloud.w = margin, width-2*margin
	l.cloud.y, l.cloud.h = y, max(58, 26+laneHigh*float64(lanes(v, o)))
	for _, p := range l.services {
		p.placeBadges(p.y + p.h + 8)
	}
	y += l.cloud.h
	stand = 0
	for _, p := range l.users {
		stand = max(stand, p.badgesHigh())
	}
	top := y + 12
	y += max(44, stand+22)
	bottom := y
	for _, p := range l.users {
		p.move(0, y)
		p.placeBadges(top)
		bottom = max(bottom, p.y+p.h)
	}
	bottom = l.placeTunnels(bottom)
	for _, p := range o.Paths {
		parts := stretches(p.Way)
		for i := range parts {
			if t, _ := l.tunnelOf(parts, i); t != nil {
				t.paths++
			}
		}
	}
	l.below = bottom + 24
	l.width = int(width)
	l.height = int(l.below + legendHigh(l, o))
	return l
}

// lanes counts the paths that cross the internet; each has its own.
func lanes(v *view, o Options) int {
	n := 0
	for _, p := range o.Paths {
		for _, s := range stretches(p.Way) {
			if crossesInternet(s.way) {
				n++
			}
		}
	}
	return n
}

func crossesInternet(w topology.Way) bool {
	return slices.ContainsFunc(w, func(h topology.Hop) bool { return h.Kind == topology.HopInternet })
}

// spread puts panels beside each other and returns how wide they are together.
func spread(panels []*panel) float64 {
	x := margin
	for _, p := range panels {
		p.move(x, 0)
		x += p.w + gap
	}
	return x - gap + margin
}

func centre(panels []*panel, width float64) {
	if len(panels) == 0 {
		return
	}
	last := panels[len(panels)-1]
	free := width - margin - (last.x + last.w)
	for _, p := range panels {
		p.move(free/2, 0)
	}
}

// move shifts a panel and all that is in it; depths stay.
func (p *panel) move(dx, dy float64) {
	p.x, p.y, p.cx, p.titleX = p.x+dx, p.y+dy, p.cx+dx, p.titleX+dx
	for _, g := range p.groups {
		g.x += dx
		for _, c := range g.cards {
			c.x += dx
		}
	}
	for _, r := range p.routers {
		r.x += dx
	}
	for _, c := range p.concentrators {
		c.x += dx
	}
	for _, b := range p.badges {
		b.x, b.onLine = b.x+dx, b.onLine+dx
	}
}

// find returns the card of a host in a site; an empty site is the host's own.
func (l *layout) find(host, site string) *card {
	for _, p := range l.panels() {
		for _, g := range p.groups {
			for _, c := range g.cards {
				if c.host.Name == host && (c.host.Site == site || (site == "" && !c.guest)) {
					return c
				}
			}
		}
	}
	return nil
}

// at returns the panel of a site.
func (l *layout) at(site string) *panel {
	for _, p := range l.panels() {
		if p.site.Name == site {
			return p
		}
	}
	return nil
}

// placeTunnels puts the VPNs below the panels and returns where they end.
func (l *layout) placeTunnels(bottom float64) float64 {
	y := bottom
	for i := range l.v.n.Hosts {
		h := &l.v.n.Hosts[i]
		c := l.find(h.Name, "")
		if c == nil {
			continue
		}
		for _, p := range l.panels() {
			for _, end := range p.concentrators {
				if end.vpn.Name == h.VPN {
					y += 30
					l.tunnels = append(l.tunnels, &tunnelLine{host: c, end: end, to: p, side: c.panel.x + 15, y: y})
				}
			}
		}
	}
	if y > bottom {
		y += 8
	}
	return y
}
