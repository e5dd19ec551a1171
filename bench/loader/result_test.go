package loader_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/callpath/callpath/bench/loader"
)

func TestHistogramKnowsItsPercentiles(t *testing.T) {
	h := loader.NewHistogram()
	if h.At(50) != 0 || (*loader.Histogram)(nil).At(50) != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := range 1000 {
		h.Add(int64(i+1) * 1000)
	}
	near := func(got, want time.Duration) bool { return (got - want).Abs() <= want/50 }
	for p, want := range map[float64]time.Duration{50: 500 * time.Microsecond, 99: 990 * time.Microsecond, 100: time.Millisecond} {
		if got := h.At(p); !near(got, want) {
			t.Errorf("percentile %v is %v, wanted %v", p, got, want)
		}
	}
	other := loader.NewHistogram()
	other.Add(-5)
	other.Add(int64(time.Hour))
	h.Merge(other)
	h.Merge(nil)
	if h.Count() != 1002 || h.At(0) != 0 || !near(h.At(100), 10*time.Second) {
		t.Errorf("%d durations from %v to %v", h.Count(), h.At(0), h.At(100))
	}
}

func TestHistogramIsTheSameAfterJSON(t *testing.T) {
	h := loader.NewHistogram()
	for i := range 100 {
		h.Add(int64(i * i * 1000))
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var again loader.Histogram
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	for _, p := range []float64{0, 50, 99, 100} {
		if again.At(p) != h.At(p) {
			t.Errorf("percentile %v is %v, was %v", p, again.At(p), h.At(p))
		}
	}
	for _, bad := range []string{`{}`, `1`, `{"hdr":"AAAA"}`} {
		if err := json.Unmarshal([]byte(bad), new(loader.Histogram)); err == nil {
			t.Errorf("read %s", bad)
		}
	}
}

func TestGeneratorThatCannotKeepUpIsNamed(t *testing.T) {
	for _, c := range []struct {
		result loader.Result
		pacing time.Duration
		want   string
		loss   float64
	}{
		{loader.Result{Sent: 10_000, Received: 10_000}, time.Microsecond, "", 0},
		{loader.Result{Sent: 10_000, Received: 9_000}, time.Microsecond, "", 0.1},
		{loader.Result{Sent: 10_000, Received: 10_001}, time.Microsecond, "", 0},
		{loader.Result{Sent: 9_900, Unsent: 100, Received: 9_900}, time.Microsecond, "packets unsent", 0},
		{loader.Result{Sent: 10_000, Received: 9_900, SinkDropped: 100}, time.Microsecond, "sink overrun", 0.01},
		{loader.Result{Sent: 10_000, Received: 10_000}, time.Second, "behind schedule", 0},
		{loader.Result{}, 0, "", 0},
	} {
		c.result.Pacing = loader.NewHistogram()
		c.result.Pacing.Add(int64(c.pacing))
		if got := c.result.Saturated(); got != c.want {
			t.Errorf("%+v: %q, wanted %q", c.result, got, c.want)
		}
		if got := c.result.Loss(); got < c.loss-1e-9 || got > c.loss+1e-9 {
			t.Errorf("%+v: loss %v, wanted %v", c.result, got, c.loss)
		}
	}
	r := loader.Result{Received: 500, Duration: 500 * time.Millisecond}
	if r.Carried() != 1000 {
		t.Errorf("carried %v packets/s", r.Carried())
	}
}
