package bench

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/bench/account"
	"github.com/callpath/callpath/bench/loader"
)

func TestSpreadIsOverTheRoundsThatHaveTheFigure(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{none, math.Inf(1)}, Spread{}},
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{9, 1, none, 2}, Spread{2, 1, 9, 3}},
		{[]float64{4, 1, 2, 3}, Spread{2.5, 1, 4, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: got %+v, wanted %+v", c.values, got, c.want)
		}
	}
}

// sample has 1,000 packets sent in a second on two CPUs, of which others took a
// share.
func sample(subject string, round int, server, loading, others time.Duration) Sample {
	s := Sample{Study: Cost, Load: "x", Subject: subject, Round: round, Flows: 10}
	s.Ready = loader.Ready{Flows: 10, Before: 1000, After: 21_000}
	s.Result = loader.Result{
		Rate: 1000, Duration: time.Second, Sent: 1000, Received: 1000, Latency: loader.NewHistogram(), Pacing: loader.NewHistogram(),
		Spent: account.Spent{Elapsed: time.Second, CPUs: 2, Machine: server + loading + others, Processes: []time.Duration{server, loading}},
	}
	if subject == direct {
		s.Result.Spent.Processes = []time.Duration{loading}
	}
	s.Result.Latency.Add(int64(server) / 10)
	return s
}

func TestRowsTellWhatARelayAddsAndItsRatios(t *testing.T) {
	const ms = time.Millisecond
	rows := summarize([]Sample{
		sample(direct, 0, 0, 10*ms, 0), sample("a", 0, 20*ms, 15*ms, 0), sample("b", 0, 40*ms, 10*ms, 0),
		sample(direct, 1, 0, 20*ms, 0), sample("a", 1, 30*ms, 25*ms, 0), sample("b", 1, 50*ms, 20*ms, 0),
		// In this round others were busy: the machine's time says nothing.
		sample(direct, 2, 0, 10*ms, 0), sample("a", 2, 20*ms, 15*ms, 900*ms), sample("b", 2, 40*ms, 10*ms, 0),
	}, "b")
	if len(rows) != 3 || rows[0].Subject != direct || rows[1].Subject != "a" || rows[2].Subject != "b" {
		t.Fatalf("got %+v", rows)
	}
	a, b := rows[1], rows[2]
	for _, c := range []struct {
		name      string
		got       Spread
		median    float64
		low, high float64
		rounds    int
	}{
		{"direct: server", rows[0].Server, 0, 0, 0, 0},
		{"direct: whole", rows[0].Added, 10, 10, 20, 3},
		{"direct: ratio", rows[0].Ratios.Added, 0, 0, 0, 0},
		{"a: packets", a.Carried, 1000, 1000, 1000, 3},
		{"a: loss", a.Loss, 0, 0, 0, 3},
		{"a: server", a.Server, 20, 20, 30, 3},
		{"a: added", a.Added, 30, 25, 35, 2},
		{"a: processes", a.Processes, 25, 25, 35, 3},
		{"a: memory", a.Memory, 2000, 2000, 2000, 3},
		{"a: server ratio", a.Ratios.Server, 0.5, 0.5, 0.6, 3},
		{"a: added ratio", a.Ratios.Added, (25.0/40 + 35.0/50) / 2, 25.0 / 40, 35.0 / 50, 2},
		{"b: added", b.Added, 40, 40, 50, 3},
		{"b: server ratio", b.Ratios.Server, 1, 1, 1, 3},
	} {
		near := func(x, y float64) bool { return math.Abs(x-y) < 1e-9 }
		if !near(c.got.Median, c.median) || !near(c.got.Low, c.low) || !near(c.got.High, c.high) || c.got.Rounds != c.rounds {
			t.Errorf("%s: got %+v, wanted %v (%v to %v) in %d rounds", c.name, c.got, c.median, c.low, c.high, c.rounds)
		}
	}
}

func TestRowsOfOneStudyAreByShareAndFlows(t *testing.T) {
	of := func(study Study, subject string, flows int, share float64) Sample {
		s := sample(subject, 0, time.Millisecond, time.Millisecond, 0)
		s.Study, s.Flows, s.Share = study, flows, share
		return s
	}
	var got []string
	for _, r := range summarize([]Sample{
		of(Latency, "b", 10, 0.1), of(Latency, "b", 10, 0.5), of(Latency, "a", 10, 0.1), of(Latency, "a", 10, 0.5),
		of(Flows, "a", 100, 0), of(Flows, "b", 100, 0), of(Flows, "a", 1, 0),
	}, "b") {
		got = append(got, fmt.Sprint(r.Study, r.Subject, r.Flows, r.Share))
	}
	want := "latencyb10 0.1 latencya10 0.1 latencyb10 0.5 latencya10 0.5 flowsa1 0 flowsa100 0 flowsb100 0"
	if text := strings.Join(got, " "); text != want {
		t.Errorf("got %s, wanted %s", text, want)
	}
}

func TestFiguresOfNothingAreNone(t *testing.T) {
	s := sample("a", 0, time.Second, time.Second, 0)
	s.Result.Received, s.Ready = 0, loader.Ready{}
	s.Result.Spent.Elapsed = 0
	for name, v := range map[string]float64{"server": s.server(), "machine": s.machine(), "processes": s.processes(), "memory": s.memory(), "others": s.others()} {
		if !math.IsNaN(v) {
			t.Errorf("%s: %v", name, v)
		}
	}
	zero := func(Sample) float64 { return 0 }
	if r := ratio(zero, s, map[int]Sample{0: s}); !math.IsNaN(r) {
		t.Errorf("ratio of nothing to nothing is %v", r)
	}
	if r := ratio(Sample.server, s, nil); !math.IsNaN(r) {
		t.Errorf("ratio to nobody is %v", r)
	}
}

func TestNotesSayWhatSpoilsTheFigures(t *testing.T) {
	held := sample("a", 0, time.Millisecond, time.Millisecond, 0)
	held.Result.Unsent = 500
	for _, c := range []struct {
		report Report
		want   []string
	}{
		{Report{Machine: Machine{ServerCPUs: []int{0}, LoaderCPUs: []int{1}}}, nil},
		{Report{Machine: Machine{ServerCPUs: []int{0}, LoaderCPUs: []int{0}, Others: 0.5, OthersMost: 0.9}}, []string{"shared: other work took 50 % of its CPU time (median; at most 90 %", "share the same CPUs"}},
		{Report{Samples: []Sample{held}}, []string{"not pinned", "1 of 1 measurements the generator"}},
	} {
		notes := c.report.notes()
		if len(notes) != len(c.want) {
			t.Errorf("got %q, wanted %q", notes, c.want)
			continue
		}
		for i := range notes {
			if !strings.Contains(notes[i], c.want[i]) {
				t.Errorf("got %q, wanted %q", notes[i], c.want[i])
			}
		}
	}
}

func TestSaturatedRoundsAreCounted(t *testing.T) {
	s := sample("a", 0, time.Millisecond, time.Millisecond, 0)
	s.Result.Unsent, s.Limit = 500, "generator"
	row := summarize([]Sample{s}, "a")[0]
	if row.Saturated != 1 || row.Why != "packets unsent" || len(row.Limits) != 1 {
		t.Errorf("got %+v", row)
	}
}
