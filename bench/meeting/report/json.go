package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/callpath/callpath/bench/meeting"
)

// JSON writes the report; durations are in nanoseconds.
func JSON(w io.Writer, r *meeting.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
