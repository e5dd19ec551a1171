package loader

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts durations from a nanosecond to ten seconds, to two significant
// figures. In JSON it is the base64 form that HdrHistogram's tools read, together
// with a few percentiles.
type Histogram struct{ h *hdrhistogram.Histogram }

const longest = 10 * time.Second

// NewHistogram makes an empty one.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(1, int64(longest), 2)}
}

// Add counts one duration in nanoseconds; beyond the range it counts as the nearest
// that is within.
func (h *Histogram) Add(nanoseconds int64) {
	_ = h.h.RecordValue(min(max(nanoseconds, 0), int64(longest))) // always in range
}

// At is the percentile p, 0 to 100; 0 when nothing was counted or h is nil.
func (h *Histogram) At(p float64) time.Duration {
	if h == nil || h.h.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.h.ValueAtPercentile(p))
}

// Count is how many durations were counted.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Merge counts all of another histogram's durations too.
func (h *Histogram) Merge(other *Histogram) {
	if other != nil {
		h.h.Merge(other.h)
	}
}

// written is a histogram in JSON.
type written struct {
	P50  time.Duration `json:"p50"`
	P99  time.Duration `json:"p99"`
	P999 time.Duration `json:"p99.9"`
	Max  time.Duration `json:"max"`
	Hdr  []byte        `json:"hdr"`
}

// MarshalJSON implements json.Marshaler.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	encoded, err := h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	return json.Marshal(written{h.At(50), h.At(99), h.At(99.9), time.Duration(h.h.Max()), encoded})
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var w written
	if err := json.Unmarshal(text, &w); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	decoded, err := hdrhistogram.Decode(w.Hdr)
	if err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	h.h = decoded
	return nil
}
