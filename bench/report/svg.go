package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// drawing collects the elements of an SVG. It refers to no id, since a page holds
// several.
type drawing struct{ b strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// write draws text; attributes are never from a report.
func (d *drawing) write(x, y float64, s, attributes string) {
	d.add(`<text x="%.1f" y="%.1f" %s>%s</text>`, x, y, attributes, escape(s))
}

// open begins the SVG; title and description are for those who cannot see it.
func (d *drawing) open(width, height float64, title, description string) {
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, height, escape(title))
	d.add(`<title>%s</title><desc>%s</desc>`, escape(title), escape(description))
}

func (d *drawing) close() string {
	d.add(`</svg>`)
	return d.b.String()
}

// escape makes text safe in XML.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // fails only when the writer does
	return b.String()
}

// The colours and dashes of subjects, in their order: each colour has enough contrast
// with white, and the dashes tell them apart without colour.
var (
	colors = [...]string{"#0f766e", "#c2410c", "#1d4ed8", "#a21caf", "#4d7c0f", "#b45309", "#475569"}
	dashes = [...]string{"", "6 3", "2 3", "9 3 2 3", "14 3", "12 4", "4 4"}
)

const inkColor, faintColor, gridColor = "#0f172a", "#64748b", "#e2e8f0"

// axis maps values to a stretch of the drawing, evenly or by their logarithm.
type axis struct {
	low, high  float64
	from, to   float64
	logarithms bool
}

func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.logarithms {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	if high == low {
		return (a.from + a.to) / 2
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// ticks are the values that are written at an axis.
func (a axis) ticks() []float64 {
	var all []float64
	if !a.logarithms {
		const parts = 4
		for i := range parts + 1 {
			all = append(all, a.low+(a.high-a.low)*float64(i)/parts)
		}
		return all
	}
	for power := math.Pow(10, math.Floor(math.Log10(a.low))); power <= a.high*1.0001; power *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if v := step * power; v >= a.low*0.9999 && v <= a.high*1.0001 {
				all = append(all, v)
			}
		}
	}
	// Over many powers of ten, those alone are enough.
	if len(all) > 8 {
		var few []float64
		for _, v := range all {
			if l := math.Log10(v); math.Abs(l-math.Round(l)) < 1e-9 {
				few = append(few, v)
			}
		}
		return few
	}
	return all
}

// evenly is an axis from zero to a round end that holds v.
func evenly(v, from, to float64) axis { return axis{0, niceTop(v), from, to, false} }

// byPowers is a logarithmic axis that holds low and high.
func byPowers(low, high, from, to float64) axis {
	return axis{low, math.Max(high, low*1.5), from, to, true}
}

// niceTop is the end of a scale that holds v and falls into four round parts.
func niceTop(v float64) float64 {
	if !(v > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8} {
		if v <= step*power*1.0001 {
			return step * power
		}
	}
	return 10 * power
}

// scale is a value at an axis, in few characters.
func scale(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return trim(v/1e6) + " M"
	case a >= 1e3:
		return trim(v/1e3) + " k"
	}
	return trim(v)
}

func trim(v float64) string {
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}
