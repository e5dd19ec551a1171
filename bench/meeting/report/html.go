package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/callpath/callpath/bench/meeting"
)

//go:embed page.html
var pageSource string

// page is made once and not changed after.
var page = template.Must(template.New("page").Parse(pageSource))

// HTML writes the report as one page that needs nothing beside itself: no script, no font,
// no image from elsewhere.
func HTML(w io.Writer, r *meeting.Report) error {
	v := pageView{Met: r.Met(), Began: r.Began.UTC().Format("2006-01-02 15:04 MST")}
	v.Line, v.More = headline(r)
	for _, t := range tables(r) {
		v.Tables = append(v.Tables, tableView{t.title, t.head, t.rows, t.notes})
	}
	if n := len(r.Steps); n > 0 {
		seconds := r.Steps[n-1].Seconds
		for _, c := range []struct {
			title, unit string
			value       func(meeting.Live) float64
		}{
			{"Packets received each second", "packets/s", func(l meeting.Live) float64 { return l.Received }},
			{"Loss", "%", func(l meeting.Live) float64 { return 100 * l.Loss }},
			{"Latency, p99", "ms", func(l meeting.Live) float64 { return l.Latency.Seconds() * 1e3 }},
			{"Pacing error of the generator, p99", "ms", func(l meeting.Live) float64 { return l.Pacing.Seconds() * 1e3 }},
		} {
			v.Charts = append(v.Charts, chart(c.title, c.unit, seconds, c.value))
		}
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// pageView is what the template shows.
type pageView struct {
	Met         bool
	Line, Began string
	More        []string
	Tables      []tableView
	Charts      []template.HTML
}

type tableView struct {
	Title string
	Head  []string
	Rows  [][]string
	Notes []string
}

// chart draws a figure over the seconds of a step, as SVG.
func chart(title, unit string, seconds []meeting.Live, value func(meeting.Live) float64) template.HTML {
	const width, height, left, bottom, top = 480.0, 160.0, 60.0, 24.0, 26.0
	most := 0.0
	for _, s := range seconds {
		most = max(most, value(s))
	}
	if most == 0 {
		most = 1
	}
	most = nice(most)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(title))
	fmt.Fprintf(&b, `<text x="0" y="14" class="title">%s, %s</text>`, template.HTMLEscapeString(title), template.HTMLEscapeString(unit))
	for _, share := range []float64{0, 0.5, 1} {
		y := height - bottom - share*(height-bottom-top)
		fmt.Fprintf(&b, `<line x1="%g" y1="%.1f" x2="%g" y2="%.1f" class="grid"/><text x="%g" y="%.1f" class="tick">%s</text>`,
			left, y, width, y, left-6, y+4, tick(share*most))
	}
	step := (width - left) / float64(max(1, len(seconds)))
	for i, s := range seconds {
		h := value(s) / most * (height - bottom - top)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="bar"><title>%v: %.4g %s</title></rect>`,
			left+float64(i)*step, height-bottom-h, max(1, step-2), h, s.At.Round(time.Second), value(s), template.HTMLEscapeString(unit))
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" class="tick">%d s</text></svg>`, width, height-8, len(seconds))
	return template.HTML(b.String())
}

// tick writes a number below 1000 as it is, and others in whole numbers.
func tick(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.4g", v)
	}
	return group(uint64(v))
}

// nice is the next number above that is 1, 2 or 5 times a power of ten.
func nice(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5, 10} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}
