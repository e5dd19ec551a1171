package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/callpath/callpath/bench"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// page is made once and not changed after.
var page = template.Must(template.New("page").Parse(pageSource))

// HTML writes the report as one page that needs nothing beside itself: no script, no
// font, no image from elsewhere. The plots are SVG, made here.
func HTML(w io.Writer, r *bench.Report) error {
	v := pageView{Style: template.CSS(pageStyle), Report: r, Machine: machine(r), Legend: legend, Began: r.Started.UTC().Format("2006-01-02 15:04 MST")}
	for i, s := range r.Subjects {
		v.Subjects = append(v.Subjects, subjectView{s, template.CSS(colors[i%len(colors)])})
	}
	for _, group := range groups(r.Rows) {
		v.Groups = append(v.Groups, groupOf(r, group))
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// pageView is what the template shows.
type pageView struct {
	Style          template.CSS
	Report         *bench.Report
	Began, Machine string
	Subjects       []subjectView
	Groups         []groupView
	Legend         []string
}

type subjectView struct {
	bench.Measure
	Color template.CSS
}

// groupView is one study under one load.
type groupView struct {
	Title, Load string
	Charts      []template.HTML
	Head        []string
	Rows        [][]string
}

func groupOf(r *bench.Report, rows []bench.Row) groupView {
	told := tables[rows[0].Study]
	v := groupView{Title: told.title, Load: rows[0].Load}
	for _, c := range told.columns {
		v.Head = append(v.Head, c.title)
	}
	for _, row := range rows {
		var cells []string
		for _, c := range told.columns {
			cells = append(cells, c.cell(row))
		}
		v.Rows = append(v.Rows, cells)
	}
	for _, chart := range charts(r, rows) {
		if chart != "" {
			v.Charts = append(v.Charts, template.HTML(chart)) // all text in it is escaped where it is drawn
		}
	}
	return v
}

// charts draws the figures of one study under one load.
func charts(r *bench.Report, rows []bench.Row) []string {
	b := func(title string, figure, ratio func(bench.Row) bench.Spread) string {
		return barsOf(r, rows, title, figure, ratio).draw()
	}
	server := func(r bench.Row) bench.Spread { return r.Server }
	switch rows[0].Study {
	case bench.Cost:
		return []string{
			b("Server CPU, µs per packet", server, func(r bench.Row) bench.Spread { return r.Ratios.Server }),
			b("System CPU added, µs per packet", func(r bench.Row) bench.Spread { return r.Added }, func(r bench.Row) bench.Spread { return r.Ratios.Added }),
			b("Processes' CPU added, µs per packet", func(r bench.Row) bench.Spread { return r.Processes }, func(r bench.Row) bench.Spread { return r.Ratios.Processes }),
		}
	case bench.Peak:
		return []string{b("Most packets per second", func(r bench.Row) bench.Spread { return r.Carried }, func(r bench.Row) bench.Spread { return r.Ratios.Carried })}
	case bench.Latency:
		across := func(r bench.Row) float64 { return r.Asked.Median }
		return []string{
			plot{"Latency p50, µs", "packets per second", false, true, linesOf(r, rows, across, func(r bench.Row) bench.Spread { return r.P50 })}.draw(),
			plot{"Latency p99, µs", "packets per second", false, true, linesOf(r, rows, across, func(r bench.Row) bench.Spread { return r.P99 })}.draw(),
		}
	case bench.Flows:
		across := func(r bench.Row) float64 { return float64(r.Flows) }
		return []string{
			plot{"Server CPU, µs per packet", "flows", true, false, linesOf(r, rows, across, server)}.draw(),
			plot{"Latency p99, µs", "flows", true, true, linesOf(r, rows, across, func(r bench.Row) bench.Spread { return r.P99 })}.draw(),
		}
	case bench.FanOut:
		across := func(r bench.Row) float64 { return float64(r.Flows) }
		return []string{
			plot{"CPU, µs per outgoing packet", "receivers", true, false, linesOf(r, rows, across, server)}.draw(),
			plot{"Times the cost of sealing and sending", "receivers", true, false, linesOf(r, rows, across, func(r bench.Row) bench.Spread { return r.Ratios.Server })}.draw(),
		}
	}
	return nil
}

// place of a subject among the report's; the load alone comes after them.
func place(r *bench.Report, subject string) int {
	i := slices.IndexFunc(r.Subjects, func(m bench.Measure) bool { return m.Name == subject })
	if i < 0 {
		return len(r.Subjects)
	}
	return i
}

func barsOf(r *bench.Report, rows []bench.Row, title string, figure, ratio func(bench.Row) bench.Spread) bars {
	all := bars{title: title}
	for _, row := range rows {
		if figure(row).Rounds == 0 {
			continue
		}
		note := ""
		if q := ratio(row); q.Rounds > 0 {
			note = "(" + times(q) + ")"
		}
		all.bars = append(all.bars, bar{row.Subject, place(r, row.Subject), figure(row), note})
	}
	return all
}

func linesOf(r *bench.Report, rows []bench.Row, x func(bench.Row) float64, y func(bench.Row) bench.Spread) []line {
	var all []line
	for _, row := range rows {
		if y(row).Rounds == 0 {
			continue
		}
		i := slices.IndexFunc(all, func(l line) bool { return l.subject == row.Subject })
		if i < 0 {
			all = append(all, line{subject: row.Subject, place: place(r, row.Subject)})
			i = len(all) - 1
		}
		all[i].points = append(all[i].points, point{x(row), y(row)})
	}
	return all
}
