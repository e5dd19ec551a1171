package report

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// drawing collects the elements of an SVG. It refers to no id, since a page holds
// several.
type drawing struct{ b strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// open begins the SVG; title and description are for those who cannot see it.
func (d *drawing) open(width, height float64, title, description string) {
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, height, escape(title))
	d.add(`<title>%s</title><desc>%s</desc>`, escape(title), escape(description))
}

func (d *drawing) close() string {
	d.add(`</svg>`)
	return d.b.String()
}

// escape makes text safe in XML, whatever it holds.
func escape(s string) string {
	var b strings.Builder
	// It fails only when the writer does.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// write draws text; attributes are the caller's own, never from a run.
func (d *drawing) write(x, y float64, s, attributes string) {
	d.add(`<text x="%.1f" y="%.1f" %s>%s</text>`, x, y, attributes, escape(s))
}

// textWidth estimates how wide a text of a size is drawn.
func textWidth(s string, size float64) float64 { return float64(len([]rune(s))) * size * 0.56 }

// fitted cuts text to a width.
func fitted(s string, size, width float64) string {
	return clip(s, max(1, int(width/(size*0.56))))
}

// personColors are those of participants, in order; each has enough contrast with
// white, and dashes tell them apart without colour.
var personColors = [...]string{"#0f766e", "#c2410c", "#1d4ed8", "#a21caf"}

var personDashes = [...]string{"", "6 3", "2 3", "9 3 2 3"}

func personColor(i int) string { return personColors[i%len(personColors)] }

// The other colours.
const (
	inkColor   = "#0f172a"
	plainColor = "#334155"
	faintColor = "#64748b"
	lineColor  = "#cbd5e1"
)

// clip cuts text to a number of columns.
func clip(s string, columns int) string {
	if utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:max(0, columns-1)]) + "…"
}
