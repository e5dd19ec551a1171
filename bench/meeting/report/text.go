package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/callpath/callpath/bench/meeting"
)

// Text writes the report for people.
func Text(w io.Writer, r *meeting.Report) error {
	var b strings.Builder
	mark := "✓"
	if !r.Met() {
		mark = "✗"
	}
	line, more := headline(r)
	fmt.Fprintf(&b, "%s %s\n", mark, line)
	for _, m := range more {
		fmt.Fprintf(&b, "  %s\n", m)
	}
	for _, t := range tables(r) {
		fmt.Fprintf(&b, "\n%s\n", t.title)
		t.write(&b)
		for _, n := range t.notes {
			fmt.Fprintf(&b, "  %s\n", n)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// write writes head and rows in columns.
func (t table) write(b *strings.Builder) {
	if len(t.rows) == 0 {
		return
	}
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(columns, "  "+strings.Join(row, "\t"))
	}
	_ = columns.Flush() // to memory
	for l := range strings.Lines(text.String()) {
		if l = strings.TrimRight(l, " \n"); l != "" {
			fmt.Fprintln(b, l)
		}
	}
}
