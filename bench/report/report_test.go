package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/bench"
	"github.com/callpath/callpath/bench/report"
)

func spread(v float64) bench.Spread {
	return bench.Spread{Median: v, Low: v * 0.9, High: v * 1.2, Rounds: 3}
}

// example has rows of every study.
func example() *bench.Report {
	r := &bench.Report{
		Started: time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC), Took: 90 * time.Second, Against: "coturn", Rounds: 3, Duration: 2 * time.Second,
		Machine:  bench.Machine{System: "linux/amd64", Kernel: "6.18", Go: "go1.26", CPUs: 2, ServerCPUs: []int{0}, LoaderCPUs: []int{1}, Network: "loopback"},
		Subjects: []bench.Measure{{Name: "callpath", Summary: "ours"}, {Name: "coturn", Summary: "coturn <4.6.1>"}},
		Notes:    []string{"A note & more."}, Cut: "interrupted",
	}
	row := func(study bench.Study, load, subject string, cost float64) bench.Row {
		return bench.Row{
			Study: study, Load: load, Subject: subject, Flows: 50, Asked: spread(50_000), Carried: spread(1_234_567 / cost), Loss: bench.Spread{Rounds: 3},
			Server: spread(cost), Added: spread(cost * 2), Processes: spread(cost * 1.5), P50: spread(30 * cost), P99: spread(400 * cost),
			Pacing: spread(5), PacingP99: spread(50), Memory: spread(36_100),
			Ratios: bench.Ratios{Server: spread(cost / 3), Carried: spread(3 / cost), Added: spread(cost / 3), Processes: spread(cost / 3), P99: spread(cost / 3)},
		}
	}
	straight := bench.Row{Study: bench.Cost, Load: "spread", Subject: "direct", Flows: 50, Carried: spread(50_000), Loss: bench.Spread{High: 0.0005, Rounds: 3}, Added: spread(2), Processes: spread(2), Pacing: spread(5), PacingP99: spread(50)}
	held := row(bench.Cost, "spread", "coturn", 3)
	held.Saturated, held.Why = 2, "behind schedule"
	held.Loss = bench.Spread{Median: 0.0123, Low: 0, High: 0.02, Rounds: 3}
	r.Rows = []bench.Row{straight, row(bench.Cost, "spread", "callpath", 1.5), held}
	for _, s := range []string{"callpath", "coturn"} {
		peak := row(bench.Peak, "spread", s, 2)
		peak.Limits = []string{"loss", "generator"}
		r.Rows = append(r.Rows, peak)
	}
	for _, share := range []float64{0.1, 0.5, 0.9} {
		for i, s := range []string{"callpath", "coturn"} {
			l := row(bench.Latency, "spread", s, 1+float64(i)+share)
			l.Share, l.Asked = share, spread(share*100_000)
			r.Rows = append(r.Rows, l)
		}
	}
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		for i, s := range []string{"callpath", "coturn"} {
			l := row(bench.Flows, "spread", s, 1+float64(i))
			l.Flows, l.Idle = n, spread(20_000)
			r.Rows = append(r.Rows, l)
		}
	}
	for _, n := range []int{1, 100, 500} {
		for i, s := range []string{"callpath", "seal and send"} {
			l := row(bench.FanOut, "srtp-160", s, 2-float64(i)/2)
			l.Flows = n
			r.Rows = append(r.Rows, l)
		}
	}
	return r
}

func TestTextIsAsReviewed(t *testing.T) {
	var got bytes.Buffer
	if err := report.Text(&got, example()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "report.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the text has changed (UPDATE=1 go test writes it anew); got\n%s\nwanted\n%s", got.Bytes(), want)
	}
}

func TestPageNeedsNothingBesideItself(t *testing.T) {
	var page bytes.Buffer
	if err := report.HTML(&page, example()); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, want := range []string{
		"coturn &lt;4.6.1&gt;", "A note &amp; more.", "interrupted", "Server CPU, µs per packet", "Most packets per second",
		"Latency p50, µs", "Latency p99, µs", "generator saturated 2×: behind schedule", "1.230 %", "10 k",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "href=\"http", "src=", "NaN", "Inf", "@import"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	drawings := 0
	for rest := text; ; drawings++ {
		_, after, found := strings.Cut(rest, "<svg")
		if !found {
			break
		}
		svg, remains, closed := strings.Cut(after, "</svg>")
		if !closed {
			t.Fatal("a drawing does not end")
		}
		rest = remains
		d := xml.NewDecoder(strings.NewReader("<svg" + svg + "</svg>"))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a drawing is not XML: %v", err)
			}
		}
	}
	if drawings != 3+1+2+2+2 {
		t.Errorf("%d drawings, wanted 10", drawings)
	}
}

// A report may hold nothing, or figures of nothing.
func TestEmptyReportsAreTold(t *testing.T) {
	nothing := example()
	nothing.Rows = []bench.Row{
		{Study: bench.Cost, Load: "x", Subject: "a"}, {Study: bench.Peak, Load: "x", Subject: "a", Carried: bench.Spread{Rounds: 1}},
		{Study: bench.Latency, Load: "x", Subject: "a", P50: bench.Spread{Rounds: 1}}, {Study: bench.Flows, Load: "x", Subject: "a", Flows: 1, Server: spread(-1)}, {Study: bench.FanOut, Load: "x", Subject: "a", Flows: 1},
	}
	for _, r := range []*bench.Report{{}, nothing} {
		var out bytes.Buffer
		if err := errors.Join(report.Text(&out, r), report.HTML(&out, r), report.JSON(&out, r)); err != nil {
			t.Error(err)
		}
		if strings.Contains(out.String(), "NaN") {
			t.Error("something is not a number")
		}
	}
}

func TestJSONIsTheReport(t *testing.T) {
	var out bytes.Buffer
	if err := report.JSON(&out, example()); err != nil {
		t.Fatal(err)
	}
	var got bench.Report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != len(example().Rows) || got.Rows[1].Server != example().Rows[1].Server {
		t.Errorf("got %+v", got.Rows)
	}
}

// full has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWritersThatFailAreTold(t *testing.T) {
	for name, write := range map[string]func(io.Writer, *bench.Report) error{"text": report.Text, "html": report.HTML, "json": report.JSON} {
		if err := write(full{}, example()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
