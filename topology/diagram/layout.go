package diagram

import (
	"cmp"
	"fmt"
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

// newPanel measures a site; it stands at the origin.
func newPanel(v *view, s *topology.Site, up bool) *panel {
	p := &panel{site: s, up: up, cx: edgeX, titleX: pad1}
	cards := bus + 22
	if len(s.Routers) > 0 {
		cards = busDeeper + 22
	}
	x, under := pad1, 0.0
	if slices.ContainsFunc(v.n.Hosts, func(h topology.Host) bool { return h.Site == s.Name && h.VPN != "" }) {
		x += 18 // for the tunnel beside the cards, and below them
		p.titleX = x
		under = 8
	}
	high := 0.0
	subnets := make([]*topology.Subnet, len(s.Subnets))
	for i := range s.Subnets {
		subnets[i] = &s.Subnets[i]
	}
	// Those of one router stand together, so that lines do not cross.
	slices.SortStableFunc(subnets, func(a, b *topology.Subnet) int { return cmp.Compare(a.Router, b.Router) })
	for _, sub := range subnets {
		g := v.newGroup(s, sub, p, x, cards)
		p.groups = append(p.groups, g)
		for _, c := range g.cards {
			high = max(high, c.h)
		}
		x += g.w + cardGap
	}
	for _, g := range p.groups {
		for _, c := range g.cards {
			c.h = high
		}
		g.labelY = cards + high + 14 + under
		if p.up {
			g.labelY = cards + high + 10
		}
	}
	p.placeRouters()
	p.newBadges()
	title := p.titleX + style{size: 13, bold: true}.width(siteTitle(s))
	p.w = max(x-cardGap+pad1, title+pad1, edgeX+60)
	for _, b := range p.badges {
		p.w = max(p.w, b.x+b.w)
	}
	p.placeConcentrators(v, max(title, x-cardGap))
	if up && len(p.badges) == 0 {
		p.cx = p.w / 2
	}
	p.depth = cards + high + 48 + under
	p.h = p.depth
	return p
}

// placeConcentrators puts the ends of VPNs at the right side, where neither hosts
// nor the title stand in the way of a tunnel from below; taken is what those take.
func (p *panel) placeConcentrators(v *view, taken float64) {
	var all []*concentrator
	together := 0.0
	for _, vpn := range v.concentrators(p.site.Name) {
		w := max(style{size: 11.5, bold: true}.width(vpn.Name), style{size: 10.5, mono: true}.width(vpn.Concentrator.String())) + 20
		all = append(all, &concentrator{vpn: vpn, y: bus + 14, w: w})
		together += w + cardGap
	}
	p.w = max(p.w, taken+together+pad1)
	x := p.w - pad1 - together + cardGap
	for _, c := range all {
		c.x = x + c.w/2
		x += c.w + cardGap
	}
	p.concentrators = all
}

// newGroup measures a subnet with its hosts.
func (v *view) newGroup(s *topology.Site, sub *topology.Subnet, p *panel, x, depth float64) *group {
	g := &group{subnet: sub, x: x, label: sub.Name + " " + joinPrefixes(sub.Prefixes)}
	for _, h := range v.hosts(s.Name, sub.Name) {
		c := &card{host: h, x: x, depth: depth, panel: p, group: g}
		if role := roleText(h); role != "" {
			c.lines = append(c.lines, role)
		}
		for _, a := range h.Addresses {
			c.lines = append(c.lines, a.String())
		}
		if h.Tunnel.IsValid() {
			c.lines = append(c.lines, "vpn "+h.Tunnel.String())
		}
		c.w = max(126, style{size: 13, bold: true}.width(h.Name)+50)
		for _, line := range c.lines {
			c.w = max(c.w, style{size: 11, mono: true}.width(line)+24)
		}
		c.h = 33 + cardLine*float64(len(c.lines))
		g.cards = append(g.cards, c)
		x += c.w + cardGap
	}
	for _, guest := range v.guests {
		if guest.Site != s.Name || sub != &s.Subnets[0] {
			continue
		}
		c := &card{host: &topology.Host{Name: guest.Name, Site: guest.Site}, x: x, depth: depth, panel: p, group: g, guest: true, lines: []string{"moved"}}
		c.w, c.h = max(126, style{size: 13, bold: true}.width(guest.Name)+50), 33+cardLine
		g.cards = append(g.cards, c)
		x += c.w + cardGap
	}
	g.w = max(x-cardGap-g.x, style{size: 10.5, mono: true}.width(g.label)+4)
	if free := g.w - (x - cardGap - g.x); len(g.cards) > 0 && free > 0 {
		for _, c := range g.cards {
			c.w += free / float64(len(g.cards))
		}
		for i, c := range g.cards[1:] {
			c.x = g.cards[i].x + g.cards[i].w + cardGap
		}
	}
	return g
}

// placeRouters puts each router over the middle of its subnets.
func (p *panel) placeRouters() {
	for _, r := range p.site.Routers {
		pill := &routerPill{name: r.Name, y: 54, w: style{size: 11.5}.width(r.Name) + 28}
		left, right := 0.0, 0.0
		for _, g := range p.groups {
			if g.subnet.Router != r.Name {
				continue
			}
			g.router = pill
			if right == 0 {
				left = g.x
			}
			right = g.x + g.w
		}
		pill.x = max((left+right)/2, pill.w/2+pad1)
		p.routers = append(p.routers, pill)
	}
}

// maxRuleLines bounds the rules that a badge lists.
const maxRuleLines = 5

// newBadges measures the NAT and the firewall, in the order in which a packet from
// inside meets them, the nearest to the internet first.
func (p *panel) newBadges() {
	s := p.site
	if s.NAT != nil {
		p.badges = append(p.badges, &badge{text: append([]string{"NAT"}, natText(s.NAT)...), fill: "#fff7ed", line: "#ea9a5a", ink: "#7c2d12"})
	}
	if s.Firewall != nil {
		lines := firewallText(s.Firewall)
		if rest := len(lines) - maxRuleLines; rest > 0 {
			lines = append(lines[:maxRuleLines-1:maxRuleLines-1], fmt.Sprintf("… and %d more", rest), lines[len(lines)-1])
		}
		p.badges = append(p.badges, &badge{text: append([]string{"firewall"}, lines...), fill: "#fef2f2", line: "#e28787", ink: "#7f1d1d"})
	}
	for _, b := range p.badges {
		for i, text := range b.text {
			b.w = max(b.w, style{size: 11, bold: i == 0}.width(text)+18)
		}
		b.h = 10 + badgeLine*float64(len(b.text))
		b.x, b.onLine = p.cx+40, p.cx
	}
}

func (p *panel) badgesHigh() float64 {
	high := 0.0
	for _, b := range p.badges {
		high += b.h + 8
	}
	return high
}

func (p *panel) placeBadges(y float64) {
	for _, b := range p.badges {
		b.y = y
		y += b.h + 8
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
