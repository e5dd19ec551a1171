package diagram

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/callpath/callpath/topology"
)

const (
	textWidth = 100 // columns
	textGap   = 2   // columns between boxes
	boxesWide = 3   // boxes beside each other, at most

	minInternet = 40
)

// Text draws for a terminal, at most 100 columns wide, with box-drawing characters.
func Text(n *topology.Network, o Options) string {
	v := look(n, o)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", n.Name, clip(n.Title, textWidth))
	c := &canvas{}
	above, below := v.rows(v.services, o), v.rows(v.users, o)
	wide := minInternet
	for _, row := range append(slices.Clone(above), below...) {
		last := row[len(row)-1]
		wide = max(wide, last.x+last.inner+4)
	}
	y := 0
	// Several rows of services stand above each other; the last touches the
	// internet, as the first of the users does.
	for i, row := range above {
		height := tallest(row)
		for _, box := range row {
			box.y = y + height - box.height()
			box.draw(c)
		}
		y += height
		if i == len(above)-1 {
			v.join(c, row, y-1, '┬', y, o)
			y++
		}
	}
	y = internet(c, y, wide, above, below)
	for i, row := range below {
		if i == 0 {
			y++
		}
		for _, box := range row {
			box.y = y
			box.draw(c)
		}
		if i == 0 {
			v.join(c, row, y, '┴', y-1, o)
		}
		y = v.tunnels(c, row, y+tallest(row), o)
	}
	b.WriteString(c.String())
	if o.Flows {
		b.WriteString(v.legend())
	}
	b.WriteString(v.paths(o.Paths))
	return b.String()
}

// rows lays out sites, at most three in a row.
func (v *view) rows(sites []*topology.Site, o Options) [][]*box {
	var rows [][]*box
	for len(sites) > 0 {
		n := min(len(sites), boxesWide)
		rows = append(rows, v.boxes(sites[:n], o))
		sites = sites[n:]
	}
	return rows
}

// box is a site in text.
type box struct {
	site    *topology.Site
	x, y    int
	inner   int // columns between the borders
	title   string
	edge    []string // NAT, firewall, concentrators
	content []string // subnets and hosts
}

func (b *box) height() int {
	h := 3 + len(b.content)
	if len(b.edge) > 0 {
		h += len(b.edge) + 1
	}
	return h
}

func tallest(boxes []*box) int {
	most := 0
	for _, b := range boxes {
		most = max(most, b.height())
	}
	return most
}

// middle is the column of the box's line to the internet.
func (b *box) middle() int { return b.x + (b.inner+3)/2 }

// boxes lays out the sites of a row.
func (v *view) boxes(sites []*topology.Site, o Options) []*box {
	limit := (textWidth - textGap*(len(sites)-1)) / len(sites)
	x := 0
	var all []*box
	for _, s := range sites {
		b := &box{site: s, x: x, title: siteTitle(s)}
		b.edge = append(b.edge, labelled("NAT", natText(s.NAT))...)
		b.edge = append(b.edge, labelled("FW", firewallText(s.Firewall))...)
		for _, vpn := range v.concentrators(s.Name) {
			b.edge = append(b.edge, labelled("VPN", []string{vpn.Name + " " + vpn.Concentrator.String()})...)
		}
		b.content = v.content(s)
		if f := v.inside[s.Name]; o.Flows && f != nil {
			b.content = append(b.content, fmt.Sprintf("inside: flow %s", flowText(f)))
		}
		b.inner = utf8.RuneCountInString(b.title)
		for _, line := range append(slices.Clone(b.edge), b.content...) {
			b.inner = max(b.inner, utf8.RuneCountInString(line))
		}
		b.inner = min(b.inner, limit-4)
		b.edge, b.content = hang(b.edge, b.inner), hang(b.content, b.inner)
		x += b.inner + 4 + textGap
		all = append(all, b)
	}
	return all
}

// indent is the column of what follows a label.
const indent = 5

// labelled puts a label before the first line, and indents the others.
func labelled(label string, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		out[i] = fmt.Sprintf("%-*s%s", indent, label, line)
	}
	return out
}

// hang breaks lines that are too long, and indents what is left of them.
func hang(lines []string, columns int) []string {
	var out []string
	for _, line := range lines {
		for utf8.RuneCountInString(line) > columns {
			cut := strings.LastIndex(string([]rune(line)[:columns+1]), " ")
			if strings.TrimSpace(line[:max(cut, 0)]) == "" || cut <= indent {
				break
			}
			out = append(out, line[:cut])
			line = strings.Repeat(" ", indent) + strings.TrimSpace(line[cut:])
		}
		out = append(out, line)
	}
	return out
}

// content lists subnets and their hosts.
func (v *view) content(s *topology.Site) []string {
	var lines []string
	for i := range s.Subnets {
		sub := &s.Subnets[i]
		head := sub.Name + " " + joinPrefixes(sub.Prefixes)
		if sub.Router != "" && s.Router(sub.Router) != nil {
			head += " at " + sub.Router
		}
		lines = append(lines, head)
		for _, h := range v.hosts(s.Name, sub.Name) {
			line := "  " + h.Name + " " + joinAddrs(h.Addresses)
			if role := roleText(h); role != "" {
				line += " " + role
			}
			lines = append(lines, line)
			if h.Tunnel.IsValid() {
				lines = append(lines, "    tunnel "+h.Tunnel.String())
			}
		}
	}
	return lines
}

func (b *box) draw(c *canvas) {
	border := strings.Repeat("─", b.inner+2)
	c.put(b.x, b.y, "┌"+border+"┐")
	y := b.y + 1
	line := func(text string) {
		c.put(b.x, y, "│ "+pad(clip(text, b.inner), b.inner)+" │")
		y++
	}
	line(b.title)
	for _, text := range b.edge {
		line(text)
	}
	if len(b.edge) > 0 {
		c.put(b.x, y, "├"+border+"┤")
		y++
	}
	for _, text := range b.content {
		line(text)
	}
	c.put(b.x, y, "└"+border+"┘")
}

// join draws the lines between a row of boxes and the internet: y is their row,
// border that of the boxes' border, where mark leads into the line.
func (v *view) join(c *canvas, boxes []*box, border int, mark rune, y int, o Options) {
	for _, b := range boxes {
		c.put(b.middle(), border, string(mark))
		c.put(b.middle(), y, "│")
		if f := v.uplink[b.site.Name]; o.Flows && f != nil {
			c.put(b.middle()+2, y, flowText(f))
		}
	}
}

// internet draws the band between services and users, and returns the next row.
func internet(c *canvas, y, wide int, above, below [][]*box) int {
	const name = "internet"
	border := strings.Repeat("─", wide-2)
	c.put(0, y, "╭"+border+"╮")
	c.put(0, y+1, "│"+pad(strings.Repeat(" ", (wide-2-len(name))/2)+name, wide-2)+"│")
	c.put(0, y+2, "╰"+border+"╯")
	if len(above) > 0 {
		for _, b := range above[len(above)-1] {
			c.put(b.middle(), y, "┴")
		}
	}
	if len(below) > 0 {
		for _, b := range below[0] {
			c.put(b.middle(), y+2, "┬")
		}
	}
	return y + 3
}

// tunnels draws the VPNs of a row of boxes below it, and returns the next row.
func (v *view) tunnels(c *canvas, boxes []*box, y int, o Options) int {
	find := func(site string) *box {
		for _, b := range boxes {
			if b.site.Name == site {
				return b
			}
		}
		return nil
	}
	for _, vpn := range v.n.VPNs {
		for _, h := range v.n.Hosts {
			from, to := find(h.Site), find(vpn.Site)
			if h.VPN != vpn.Name || from == nil || to == nil {
				continue
			}
			a, b := min(from.middle(), to.middle()), max(from.middle(), to.middle())
			label := " " + h.Name + " in " + vpn.Name + " "
			if f := v.tunnel[vpn.Name]; o.Flows && f != nil {
				label = fmt.Sprintf(" %s in %s, flow %s ", h.Name, vpn.Name, flowText(f))
				if utf8.RuneCountInString(label) > b-a-3 {
					label = fmt.Sprintf(" %s, flow %s ", vpn.Name, flowText(f))
				}
			}
			label = clip(label, b-a-3)
			for _, end := range []*box{from, to} {
				x := end.middle()
				for row := end.y + end.height() - 1; row < y; row++ {
					mark := "║"
					if row == end.y+end.height()-1 {
						mark = "╥"
					}
					c.put(x, row, mark)
				}
			}
			c.put(a, y, "╚"+strings.Repeat("═", b-a-1)+"╝")
			c.put(a+(b-a-utf8.RuneCountInString(label))/2, y, label)
			y++
		}
	}
	return y
}

// legend explains the flows that the network makes possible.
func (v *view) legend() string {
	if len(v.flows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nFlows that the network makes possible\n")
	for _, use := range v.flows {
		for _, a := range about {
			if a.flow == use.flow {
				fmt.Fprintf(&b, "  %-3s %s\n", a.flow, a.text)
			}
		}
		for _, line := range wrap(strings.Join(use.pairs, ", "), textWidth-6) {
			fmt.Fprintf(&b, "      %s\n", line)
		}
	}
	return b.String()
}

// paths lists the ways that are lit up in the drawings.
func (v *view) paths(paths []Path) string {
	if len(paths) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nPaths\n")
	for _, p := range paths {
		fmt.Fprintf(&b, "  %s", p.Label)
		if f := topology.Classify(v.n, p.Way); f != nil {
			fmt.Fprintf(&b, ", flow %s", flowText(f))
		}
		b.WriteString("\n")
		for _, line := range wrap(wayText(p.Way), textWidth-6) {
			fmt.Fprintf(&b, "      %s\n", line)
		}
	}
	return b.String()
}
