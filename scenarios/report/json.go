package report

import (
	"encoding/json"
	"io"

	"github.com/callpath/callpath/scenarios/result"
)

// JSON writes the runs as one array, indented. A duration of package result is a
// number of milliseconds; the durations inside a negotiation record are
// nanoseconds, as that package says.
func JSON(w io.Writer, runs []*result.Run) error {
	if runs == nil {
		runs = []*result.Run{} // an empty array, not null
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(runs)
}
