package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/callpath/callpath/bench"
)

// JSON writes the whole report, samples with their histograms included.
func JSON(w io.Writer, r *bench.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
