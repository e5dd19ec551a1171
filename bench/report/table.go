package report

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/callpath/callpath/bench"
)

// column is one column of a study's table.
type column struct {
	title string
	cell  func(bench.Row) string
}

// tables say how each study is told. Ratios are to the subject that the report
// names, and stand in a column of their own beside what they are of.
var tables = map[bench.Study]struct {
	title   string
	columns []column
}{
	bench.Cost: {"Cost of a packet at the load's own rate", []column{
		subject, carried, loss,
		{"server µs/packet", func(r bench.Row) string { return number(r.Server) }},
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Server) }},
		{"system µs added", func(r bench.Row) string { return number(r.Added) }},
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Added) }},
		{"processes µs added", func(r bench.Row) string { return number(r.Processes) }},
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Processes) }},
		latency50, latency99, pacing, memory, mark,
	}},
	bench.Peak: {"Most packets per second at a loss of no more than 0.1 %", []column{
		subject, carried,
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Carried) }},
		loss,
		{"limited by", func(r bench.Row) string { return strings.Join(r.Limits, ", ") }},
		{"server µs/packet", func(r bench.Row) string { return number(r.Server) }},
		latency50, latency99, pacing,
	}},
	bench.Latency: {"Latency by load, as a share of the lowest peak", []column{
		{"share", func(r bench.Row) string { return percent(r.Share, 0) }},
		subject, carried, loss, latency50, latency99,
		{"ratio", func(r bench.Row) string { return times(r.Ratios.P99) }},
		pacing, mark,
	}},
	bench.Flows: {"Cost of a packet by the number of flows, at the same rate in all", []column{
		{"flows", func(r bench.Row) string { return strconv.Itoa(r.Flows) }},
		subject, carried, loss,
		{"server µs/packet", func(r bench.Row) string { return number(r.Server) }},
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Server) }},
		{"system µs added", func(r bench.Row) string { return number(r.Added) }},
		{"processes µs added", func(r bench.Row) string { return number(r.Processes) }},
		latency99, pacing, memory,
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Memory) }},
		{"kB/idle", func(r bench.Row) string { return kilobytes(r.Idle) }},
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Idle) }},
		mark,
	}},
	bench.FanOut: {"Cost of an outgoing packet by the number of receivers, each with keys of its own; ratios are to sealing and sending alone", []column{
		{"receivers", func(r bench.Row) string { return strconv.Itoa(r.Flows) }},
		subject,
		{"unsent", func(r bench.Row) string { return lost(r.Loss) }},
		{"CPU µs/packet", func(r bench.Row) string { return number(r.Server) }},
		{"ratio", func(r bench.Row) string { return times(r.Ratios.Server) }},
	}},
}

// The columns that several tables have.
var (
	subject   = column{"subject", func(r bench.Row) string { return r.Subject }}
	carried   = column{"packets/s", func(r bench.Row) string { return thousands(r.Carried) }}
	loss      = column{"loss", func(r bench.Row) string { return lost(r.Loss) }}
	latency50 = column{"p50 µs", func(r bench.Row) string { return number(r.P50) }}
	latency99 = column{"p99 µs", func(r bench.Row) string { return number(r.P99) }}
	pacing    = column{"pacing p50/p99 µs", func(r bench.Row) string {
		if r.Pacing.Rounds == 0 {
			return "–"
		}
		return short(r.Pacing.Median) + "/" + short(r.PacingP99.Median)
	}}
	memory = column{"kB/flow", func(r bench.Row) string { return kilobytes(r.Memory) }}
	mark   = column{"", func(r bench.Row) string {
		if r.Saturated == 0 {
			return ""
		}
		return fmt.Sprintf("generator saturated %d×: %s", r.Saturated, r.Why)
	}}
)

// Text writes the report as tables for people.
func Text(w io.Writer, r *bench.Report) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s Ratios are to %s.\n", machine(r), r.Against)
	for _, s := range r.Subjects {
		fmt.Fprintf(out, "  %-18s %s\n", s.Name, s.Summary)
	}
	for _, group := range groups(r.Rows) {
		fmt.Fprintf(out, "\n%s: %s\n", tables[group[0].Study].title, group[0].Load)
		if err := table(out, tables[group[0].Study].columns, group); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	for _, note := range legend {
		fmt.Fprintln(out, note)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, "Note: "+note)
	}
	if r.Cut != "" {
		fmt.Fprintf(out, "Cut short: %s.\n", r.Cut)
	}
	fmt.Fprintf(out, "Took %.0f s.\n", r.Took.Seconds())
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// machine says where the benchmark ran and how.
func machine(r *bench.Report) string {
	m := r.Machine
	return fmt.Sprintf("%s, kernel %s, %s, %d CPUs; server on %s, loader on %s, over %s; rounds: %d, of %v.",
		m.System, m.Kernel, m.Go, m.CPUs, cpus(m.ServerCPUs), cpus(m.LoaderCPUs), m.Network, r.Rounds, r.Duration)
}

// legend explains the columns.
var legend = []string{
	"Figures are medians over the rounds, ± half of the distance between lowest and highest.",
	"server: CPU time of the subject's process. system added: the machine's busy time (/proc/stat), less that of",
	"the same load sent straight to the sink. processes added: the same, of the server and loader processes alone.",
	"Latency runs from when a packet was due; pacing is how late the generator itself sent it.",
}

// groups are the rows of one study and load each.
func groups(rows []bench.Row) [][]bench.Row {
	var all [][]bench.Row
	for i, r := range rows {
		if i == 0 || rows[i-1].Study != r.Study || rows[i-1].Load != r.Load {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], r)
	}
	return all
}

func table(w io.Writer, columns []column, rows []bench.Row) error {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(cell func(column) string) {
		for _, c := range columns {
			fmt.Fprint(t, cell(c), "\t")
		}
		fmt.Fprintln(t)
	}
	line(func(c column) string { return c.title })
	for _, r := range rows {
		line(func(c column) string { return c.cell(r) })
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	for l := range strings.Lines(text.String()) {
		fmt.Fprintln(w, strings.TrimRight(l, " \n"))
	}
	return nil
}

// number is a figure with its spread.
func number(s bench.Spread) string {
	if s.Rounds == 0 {
		return "–"
	}
	if s.Rounds == 1 {
		return short(s.Median)
	}
	return short(s.Median) + " ±" + short((s.High-s.Low)/2)
}

func kilobytes(s bench.Spread) string {
	if s.Rounds == 0 {
		return "–"
	}
	return short(s.Median / 1000)
}

func times(s bench.Spread) string {
	if s.Rounds == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f×", s.Median)
}

func thousands(s bench.Spread) string {
	if s.Rounds == 0 {
		return "–"
	}
	return group(math.Round(s.Median))
}

// group writes a whole number with a space between thousands.
func group(v float64) string {
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// lost tells a loss that is not zero as such, however small.
func lost(s bench.Spread) string {
	switch {
	case s.Rounds == 0:
		return "–"
	case s.High == 0:
		return "0"
	case s.Median == 0:
		return "0, most " + percent(s.High, 3)
	}
	return percent(s.Median, 3)
}

func percent(share float64, digits int) string {
	return strconv.FormatFloat(100*share, 'f', digits, 64) + " %"
}

// short is a number with three figures.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return group(math.Round(v))
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func cpus(list []int) string {
	if len(list) == 0 {
		return "any CPU"
	}
	var names []string
	for _, c := range list {
		names = append(names, strconv.Itoa(c))
	}
	return "CPU " + strings.Join(names, ",")
}
