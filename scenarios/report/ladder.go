package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

// Measures of the ladder.
const (
	ladderWidth  = 1120.0
	ladderGutter = 96.0 // for number and time
	ladderHead   = 58.0
	ladderRow    = 46.0
)

// rung is one line of the ladder.
type rung struct {
	step     result.Step
	from, to int // lanes; -1 is none
}

// lane is a participant or a service.
type lane struct {
	name, below string
	person      int // index among the participants; -1 for a service
	x           float64
}

// ladder draws the steps between participants and services, in order of time.
func ladder(r *result.Run) string {
	if len(r.Steps) == 0 {
		return ""
	}
	lanes := lanesOf(r)
	find := func(name string) int {
		return slices.IndexFunc(lanes, func(l lane) bool { return l.name == hostName(r, name) })
	}
	var rungs []rung
	for _, s := range r.Steps {
		rungs = append(rungs, rung{s, find(s.From), find(s.To)})
	}
	d := &drawing{}
	height := ladderHead + ladderRow*float64(len(rungs)) + 18
	d.open(ladderWidth, height, "Steps of the call", ladderWords(r))
	for _, l := range lanes {
		d.lane(l, height)
	}
	for i, one := range rungs {
		d.rung(one, lanes, ladderHead+ladderRow*(float64(i)+0.5)+6)
	}
	return d.close()
}

// ladderWords is the ladder for those who cannot see it.
func ladderWords(r *result.Run) string {
	var b strings.Builder
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%s: %s, %s", s.At, s.Name, stepPlace(s))
		if len(s.Flows) > 0 {
			fmt.Fprintf(&b, ", %s", flowWords(s.Flows))
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}

// hostName is the host behind a DNS name, or the name itself.
func hostName(r *result.Run, name string) string {
	if r.Network == nil {
		return name
	}
	for _, h := range r.Network.Hosts {
		if slices.Contains(h.Names, name) {
			return h.Name
		}
	}
	return name
}

// lanesOf puts the first participant at the left, the others at the right, and the
// services that take part between them. What a step names beside them, for example
// the network that changes, has no lane.
func lanesOf(r *result.Run) []lane {
	person := func(i int) lane { return lane{name: r.Participants[i].Name, below: r.Participants[i].Host, person: i} }
	var left, middle, right []lane
	for i := range r.Participants {
		if i == 0 {
			left = append(left, person(i))
			continue
		}
		right = append(right, person(i))
	}
	known := func(name string) bool {
		is := func(l lane) bool { return l.name == name }
		return slices.ContainsFunc(left, is) || slices.ContainsFunc(middle, is) || slices.ContainsFunc(right, is)
	}
	for _, s := range r.Steps {
		if s.To == "" || s.From == "" {
			continue
		}
		for _, name := range []string{hostName(r, s.From), hostName(r, s.To)} {
			if !known(name) {
				middle = append(middle, lane{name: name, below: serviceWords(r, name), person: -1})
			}
		}
	}
	all := slices.Concat(left, middle, right)
	free := ladderWidth - ladderGutter - 150
	for i := range all {
		all[i].x = ladderGutter + 75
		if len(all) > 1 {
			all[i].x += free * float64(i) / float64(len(all)-1)
		}
	}
	return all
}

// serviceWords says what a service is.
func serviceWords(r *result.Run, name string) string {
	if r.Network == nil || r.Network.Host(name) == nil {
		return ""
	}
	return strings.ReplaceAll(string(r.Network.Host(name).Role), "-", " ")
}

func (d *drawing) lane(l lane, height float64) {
	fill, stroke := "#eef2ff", "#a5b4fc"
	if l.person >= 0 {
		fill, stroke = "#f0fdfa", personColor(l.person)
	}
	d.add(`<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-width="1.5"/>`, l.x, ladderHead-6, height-6, lineColor)
	d.add(`<rect x="%.1f" y="6" width="136" height="44" rx="9" fill="%s" stroke="%s" stroke-width="1.5"/>`, l.x-68, fill, stroke)
	d.write(l.x, 25, fitted(l.name, 13.5, 128), `font-size="13.5" font-weight="600" text-anchor="middle" fill="`+inkColor+`"`)
	d.write(l.x, 41, fitted(l.below, 11, 132), `font-size="11" text-anchor="middle" fill="`+faintColor+`"`)
}

// rung draws one step at y.
func (d *drawing) rung(one rung, lanes []lane, y float64) {
	s := one.step
	if s.Number > 0 {
		d.add(`<circle cx="14" cy="%.1f" r="10" fill="%s"/>`, y, plainColor)
		d.write(14, y+4, fmt.Sprint(s.Number), `font-size="11.5" font-weight="600" text-anchor="middle" fill="#ffffff"`)
	}
	d.write(32, y+4, s.At.String(), `font-size="11.5" fill="`+faintColor+`"`)
	switch {
	case one.from < 0 || (one.to < 0 && s.To != "" && s.To != s.From):
		d.band(s, y)
	case one.to < 0 || one.to == one.from:
		d.note(s, lanes[one.from], y)
	default:
		d.arrow(s, lanes[one.from], lanes[one.to], y)
	}
}

// band is a step of the whole network.
func (d *drawing) band(s result.Step, y float64) {
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="24" rx="7" fill="#fffbeb" stroke="#f0c36d"/>`, ladderGutter, y-12, ladderWidth-ladderGutter-4)
	d.write(ladderGutter+12, y+4, fitted(joinWords(stepPlace(s), s.Name, s.Carried), 12, ladderWidth-ladderGutter-30), `font-size="12" fill="#78350f"`)
}

// note is a step of one participant alone.
func (d *drawing) note(s result.Step, l lane, y float64) {
	label := joinWords("", s.Name, s.Carried)
	width := min(textWidth(label, 12)+24, 420)
	x := min(max(l.x-width/2, ladderGutter), ladderWidth-width-4)
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="24" rx="12" fill="#f1f5f9" stroke="#94a3b8"/>`, x, y-12, width)
	d.write(x+width/2, y+4, fitted(label, 12, width-16), `font-size="12" text-anchor="middle" fill="`+inkColor+`"`)
}

func joinWords(who, name, carried string) string {
	words := name
	switch {
	case strings.HasPrefix(carried, name):
		words = carried // which says it already
	case carried != "":
		words += ", " + carried
	}
	if who != "" {
		words = who + ": " + words
	}
	return words
}

// arrow is a step from one lane to another.
func (d *drawing) arrow(s result.Step, from, to lane, y float64) {
	stroke := plainColor
	switch {
	case from.person >= 0:
		stroke = personColor(from.person)
	case to.person >= 0:
		stroke = personColor(to.person)
	}
	y += 10
	way := 1.0
	if to.x < from.x {
		way = -1
	}
	d.add(`<path d="M%.1f %.1fH%.1f" stroke="%s" stroke-width="2"/>`, from.x, y, to.x-way*7, stroke)
	d.add(`<path d="M%.1f %.1fl%.1f -5v10z" fill="%s"/>`, to.x-way, y, -way*9, stroke)
	if s.Name == result.StepChecks {
		// Checks go both ways.
		d.add(`<path d="M%.1f %.1fl%.1f -5v10z" fill="%s"/>`, from.x+way, y, way*9, stroke)
	}
	left, right := min(from.x, to.x), max(from.x, to.x)
	label := fitted(joinWords("", s.Name, s.Carried), 12, ladderWidth-left-20)
	d.write(left+12, y-13, label, `font-size="12" fill="`+inkColor+`" stroke="#ffffff" stroke-width="4" stroke-linejoin="round" paint-order="stroke"`)
	d.flows(s.Flows, (left+right)/2, y)
}

// flows marks a line with the numbers of its flows.
func (d *drawing) flows(flows []topology.Flow, x, y float64) {
	const step = 21
	x -= step * float64(len(flows)-1) / 2
	for _, f := range flows {
		d.add(`<circle cx="%.1f" cy="%.1f" r="9" fill="#ffffff" stroke="%s" stroke-width="1.5"/>`, x, y, plainColor)
		d.write(x, y+4, string(f), `font-size="11" font-weight="600" text-anchor="middle" fill="`+inkColor+`"`)
		x += step
	}
}
