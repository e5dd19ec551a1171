package tally

import (
	"time"

	"github.com/callpath/callpath/bench/loader"
)

// Percentiles are those of durations.
type Percentiles struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50"`
	P95   time.Duration `json:"p95"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// Of takes the percentiles of a histogram.
func Of(h *loader.Histogram) Percentiles {
	return Percentiles{Count: h.Count(), P50: h.At(50), P95: h.At(95), P99: h.At(99), Max: h.At(100)}
}
