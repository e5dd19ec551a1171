package result_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/result"
)

func TestDurationIsMillisecondsInJSON(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Millisecond: "1", 1500 * time.Microsecond: "1.5", 20*time.Millisecond + 1: "20.000001",
		time.Hour: "3600000", -time.Second: "-1000", 90 * 24 * time.Hour: "7776000000",
	} {
		data, err := json.Marshal(result.Duration(d))
		if err != nil || string(data) != want {
			t.Errorf("%s: got %s, %v; want %s", d, data, err, want)
		}
		var back result.Duration
		if err := json.Unmarshal(data, &back); err != nil || time.Duration(back) != d {
			t.Errorf("%s: read back %s, %v", data, time.Duration(back), err)
		}
	}
	for _, bad := range []string{`"20ms"`, "true", "1e300", "{}"} {
		var d result.Duration
		if err := json.Unmarshal([]byte(bad), &d); err == nil {
			t.Errorf("%s: read as %s, wanted an error", bad, d)
		}
	}
}

func TestDurationForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 420 * time.Microsecond: "0.42 ms", 996 * time.Microsecond: "1.0 ms", 3260 * time.Microsecond: "3.3 ms",
		9960 * time.Microsecond: "10 ms", 84 * time.Millisecond: "84 ms", 999600 * time.Microsecond: "1.00 s",
		3254 * time.Millisecond: "3.25 s", 12340 * time.Millisecond: "12.3 s", 59960 * time.Millisecond: "1 min 0 s",
		125 * time.Second: "2 min 5 s", -time.Second: "-1.00 s",
	} {
		if got := result.Duration(d).String(); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func TestNumberOfTheDocumentedSteps(t *testing.T) {
	for step, want := range map[string]int{result.StepResolve: 1, result.StepAnswer: 6, result.StepTelemetry: 8, "wait": 0} {
		if got := result.Number(step); got != want {
			t.Errorf("%s: got %d, want %d", step, got, want)
		}
	}
}

func TestMetNeedsEveryExpectationAndTheEnd(t *testing.T) {
	met, unmet := result.Expectation{Met: true}, result.Expectation{}
	for _, c := range []struct {
		name string
		run  result.Run
		want bool
	}{
		{"nothing expected", result.Run{}, true},
		{"all met", result.Run{Checks: []result.Expectation{met, met}}, true},
		{"one not", result.Run{Checks: []result.Expectation{met, unmet}}, false},
		{"interrupted", result.Run{Checks: []result.Expectation{met}, Interrupted: true}, false},
		{"a fault", result.Run{Error: "no port"}, false},
	} {
		if got := c.run.Met(); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestDurationMillisecondsIsExactEnough(t *testing.T) {
	if got := result.Duration(1234567).Milliseconds(); math.Abs(got-1.234567) > 1e-12 {
		t.Errorf("got %v", got)
	}
}
