package diagram

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/callpath/callpath/topology"
)

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
