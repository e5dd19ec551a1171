package meeting

import (
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/bench/meeting/tally"
)

const ms = time.Millisecond

func TestVerdicts(t *testing.T) {
	bounds := Options{MaxLoss: 0.001, MaxLatency: 150 * time.Millisecond}
	for _, c := range []struct {
		name   string
		change func(*Step)
		unmet  string
		who    Who
		why    string
	}{
		{"all is well", func(*Step) {}, "", Nobody, "every criterion is met"},
		{"late generator, and nothing is amiss", func(s *Step) { s.Pacing.P50 = 3 * time.Millisecond }, "", Nobody, "pacing error p50 3ms"},
		{"loss", func(s *Step) { s.Loss, s.Lost = 0.01, 1000 }, "loss", Served, "loss is not met while the generator kept up"},
		{"latency", func(s *Step) { s.Latency.P99 = time.Second }, "latency", Served, "latency"},
		{"streams are missing", func(s *Step) { s.Streams = 9 }, "streams", Served, "streams"},
		{"connections are lost", func(s *Step) { s.Gone = 1 }, "connections", Served, "connections"},
		{"loss of a generator that is behind", func(s *Step) { s.Loss, s.Pacing.P50 = 0.01, 3*time.Millisecond }, "loss", Generator, "behind its schedule by 3ms for half"},
		{"loss of one that stumbles", func(s *Step) { s.Loss, s.Pacing.P99 = 0.01, 30*time.Millisecond }, "loss", Generator, "for one of a hundred"},
		{"loss that it has not read", func(s *Step) { s.Loss, s.Unread = 0.01, 1000 }, "loss", Generator, "not read 1000"},
		{"unsent", func(s *Step) { s.Unsent = 100 }, "load", Generator, "not sent 100 of 10100"},
		{"loss on a machine that others use", func(s *Step) {
			s.Loss, s.Spent = 0.01, &Spent{Elapsed: time.Second, CPUs: 2, Server: time.Second, Generator: 500 * ms, Others: 490 * ms}
		}, "loss", Served, "others took 0.49 of 2 CPUs"},
		{"loss on a machine with time", func(s *Step) {
			s.Loss, s.Spent = 0.01, &Spent{Elapsed: time.Second, CPUs: 4, Server: time.Second, Others: 2 * time.Second}
		}, "loss", Served, "p99 1ms"},
		{"nothing sent", func(s *Step) { s.Sent = 0 }, "load", Served, "load"},
	} {
		s := Step{
			Participants: 5, Sent: 10_000, Expected: 100_000, Received: 100_000, Streams: 10, StreamsWanted: 10,
			Latency: tally.Percentiles{P99: time.Millisecond}, Pacing: tally.Percentiles{P50: time.Microsecond, P99: time.Millisecond},
		}
		c.change(&s)
		s.judge(bounds)
		got := ""
		if not := unmet(s.Criteria); len(not) > 0 {
			got = not[0].Name
		}
		if got != c.unmet || s.Saturated.Who != c.who || !strings.Contains(s.Saturated.Why, c.why) ||
			strings.Contains(s.Saturated.Why, "others") != strings.Contains(c.why, "others") {
			t.Errorf("%s: unmet %q, saturated %+v", c.name, got, s.Saturated)
		}
	}
}

func TestNextInTheSearch(t *testing.T) {
	o := Options{MaxParticipants: 100}
	for _, c := range []struct{ good, broken, last, next int }{
		{10, 0, 10, 15},
		{1, 0, 1, 2},
		{90, 0, 90, 100},
		{100, 0, 100, 0}, // never broken
		{0, 10, 10, 0},   // from the beginning
		{40, 60, 60, 50},
		{50, 60, 50, 55},
		{55, 60, 55, 0}, // close enough
		{1, 2, 2, 0},
	} {
		if got := next(&Knee{Participants: c.good, Broken: c.broken}, c.last, o); got != c.next {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
