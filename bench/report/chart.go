package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/callpath/callpath/bench"
)

// line is the figures of one subject along an axis.
type line struct {
	subject string
	place   int // among the report's subjects: its colour and dashes
	points  []point
}

type point struct {
	x float64
	y bench.Spread
}

// plot is a chart of lines. Both axes may be logarithmic, the one across for numbers
// of flows, the one up for latency.
type plot struct {
	title, across string
	powersAcross  bool
	powersUp      bool
	lines         []line
}

// Measures of a chart.
const (
	chartWidth, chartHeight                = 540.0, 280.0
	marginLeft, marginRight                = 58.0, 16.0
	marginTop, marginBottom                = 36.0, 44.0
	barHeight, barGap, barLabel, barFigure = 20.0, 7.0, 140.0, 120.0
)

// draw is the chart as SVG, "" when there is nothing to draw.
func (p plot) draw() string {
	left, right, low, high := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	var words []string
	for _, l := range p.lines {
		for _, at := range l.points {
			left, right = min(left, at.x), max(right, at.x)
			high = max(high, at.y.High)
			if at.y.Low > 0 {
				low = min(low, at.y.Low)
			}
			words = append(words, fmt.Sprintf("%s at %s: %s", l.subject, scale(at.x), short(at.y.Median)))
		}
	}
	if math.IsInf(left, 1) || math.IsInf(low, 1) {
		return ""
	}
	x := evenly(right, marginLeft, chartWidth-marginRight)
	if p.powersAcross {
		x = byPowers(left, right, marginLeft, chartWidth-marginRight)
	}
	y := evenly(high, chartHeight-marginBottom, marginTop)
	if p.powersUp {
		y = byPowers(low*0.9, high*1.1, chartHeight-marginBottom, marginTop)
	}
	var d drawing
	d.open(chartWidth, chartHeight, p.title, strings.Join(words, "; "))
	p.frame(&d, x, y)
	for _, l := range p.lines {
		l.draw(&d, x, y)
	}
	return d.close()
}

// frame draws title, scales and grid.
func (p plot) frame(d *drawing, x, y axis) {
	d.write(12, 20, p.title, `font-size="13" font-weight="600" fill="`+inkColor+`"`)
	for _, v := range y.ticks() {
		d.add(`<path d="M%.1f %.1fH%.1f" stroke="%s"/>`, marginLeft, y.at(v), chartWidth-marginRight, gridColor)
		d.write(marginLeft-8, y.at(v)+4, scale(v), `font-size="11" text-anchor="end" fill="`+faintColor+`"`)
	}
	for _, v := range x.ticks() {
		d.add(`<path d="M%.1f %.1fv4" stroke="%s"/>`, x.at(v), chartHeight-marginBottom, faintColor)
		d.write(x.at(v), chartHeight-marginBottom+17, scale(v), `font-size="11" text-anchor="middle" fill="`+faintColor+`"`)
	}
	d.write(chartWidth-marginRight, chartHeight-8, p.across, `font-size="11" text-anchor="end" fill="`+faintColor+`"`)
}

// draw draws the medians as a line and the spread of each as a stroke.
func (l line) draw(d *drawing, x, y axis) {
	color, dash := colors[l.place%len(colors)], dashes[l.place%len(dashes)]
	var path strings.Builder
	for _, p := range l.points {
		v := p.y.Median
		if y.logarithms {
			v = max(v, y.low)
		} else {
			v = max(v, 0)
		}
		verb := "L"
		if path.Len() == 0 {
			verb = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", verb, x.at(p.x), y.at(v))
		low, high := max(p.y.Low, y.low), max(p.y.High, y.low)
		d.add(`<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-opacity="0.4" stroke-width="3"/>`, x.at(p.x), y.at(low), y.at(high), color)
		d.add(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s: %s</title></circle>`, x.at(p.x), y.at(v), color, escape(l.subject), number(p.y))
	}
	d.add(`<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`, path.String(), color, dash)
}

// bar is one figure of one subject.
type bar struct {
	subject string
	place   int
	value   bench.Spread
	note    string
}

// bars is a chart of one figure of several subjects.
type bars struct {
	title string
	bars  []bar
}

// draw is the chart as SVG, "" when there is nothing to draw.
func (b bars) draw() string {
	high := 0.0
	var words []string
	for _, one := range b.bars {
		high = max(high, one.value.High)
		words = append(words, fmt.Sprintf("%s: %s %s", one.subject, number(one.value), one.note))
	}
	if len(b.bars) == 0 {
		return ""
	}
	x := evenly(high, barLabel, chartWidth-barFigure)
	x.high = max(high, 1e-9) // the bars have their figures beside them, and no scale
	height := marginTop + float64(len(b.bars))*(barHeight+barGap) + barGap
	var d drawing
	d.open(chartWidth, height, b.title, strings.Join(words, "; "))
	d.write(12, 20, b.title, `font-size="13" font-weight="600" fill="`+inkColor+`"`)
	for i, one := range b.bars {
		y := marginTop + float64(i)*(barHeight+barGap)
		v := max(one.value.Median, 0)
		d.write(barLabel-8, y+barHeight-6, one.subject, `font-size="12" text-anchor="end" fill="`+inkColor+`"`)
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"/>`, barLabel, y, x.at(v)-barLabel, barHeight, colors[one.place%len(colors)])
		d.add(`<path d="M%.1f %.1fH%.1f" stroke="%s" stroke-width="2"/>`, x.at(max(one.value.Low, 0)), y+barHeight/2, x.at(max(one.value.High, 0)), inkColor)
		d.write(x.at(max(one.value.High, 0))+6, y+barHeight-6, strings.TrimSpace(short(one.value.Median)+" "+one.note), `font-size="12" fill="`+inkColor+`"`)
	}
	return d.close()
}
