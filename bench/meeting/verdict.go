package meeting

import (
	"fmt"
	"time"
)

// Criterion is something that was wanted, and what was seen.
type Criterion struct {
	Name   string `json:"name"`
	Wanted string `json:"wanted"`
	Seen   string `json:"seen"`
	Met    bool   `json:"met"`
}

func met(all []Criterion) bool { return len(unmet(all)) == 0 }

func unmet(all []Criterion) (not []Criterion) {
	for _, c := range all {
		if !c.Met {
			not = append(not, c)
		}
	}
	return not
}

// Who is who could not do more.
type Who string

// Who it can be.
const (
	Nobody    Who = ""
	Generator Who = "generator"
	Served    Who = "server"
)

// Saturation says who could not do more, and why it is thought to be so.
type Saturation struct {
	Who Who    `json:"who"`
	Why string `json:"why"`
}

// The generator keeps up when it sends and reads all but this share of the packets, half
// of them with less, and nearly all with not much more, delay than these.
const (
	mostUnsent   = 0.001
	mostPacing   = 2 * time.Millisecond
	mostPacing99 = 20 * time.Millisecond
)

// judge says what was met, and who could not do more.
func (s *Step) judge(o Options) {
	due := s.Sent + s.Unsent
	s.Criteria = []Criterion{
		{"load", "all but 0.1 % of it sent", fmt.Sprintf("%d of %d packets unsent", s.Unsent, due), due > 0 && float64(s.Unsent) <= mostUnsent*float64(due)},
		{"streams", fmt.Sprint(s.StreamsWanted), fmt.Sprint(s.Streams), s.Streams >= s.StreamsWanted},
		{"connections", "all to the end", fmt.Sprintf("%d of %d lost", s.Gone, s.Participants), s.Gone == 0},
		{"loss", fmt.Sprintf("at most %.3g %%", 100*o.MaxLoss), fmt.Sprintf("%.3g %%, %d of %d packets", 100*s.Loss, s.Lost, s.Expected), s.Loss <= o.MaxLoss},
		{"latency", fmt.Sprintf("p99 at most %v", o.MaxLatency), fmt.Sprintf("p99 %v", s.Latency.P99.Round(10*time.Microsecond)), s.Latency.P99 <= o.MaxLatency},
	}
	behind := s.behind()
	switch {
	case behind != "":
		s.Saturated = Saturation{Generator, behind + "; the figures say nothing of the server"}
	case met(s.Criteria):
		s.Saturated = Saturation{Nobody, "every criterion is met; " + s.paced()}
	default:
		s.Saturated = Saturation{Served, unmet(s.Criteria)[0].Name + " is not met while the generator kept up; " + s.paced()}
	}
	if s.Saturated.Who != Nobody {
		s.Saturated.Why += s.Spent.crowded()
	}
}

// What others do is told when at least mostBusy of the machine's time was used
// and they took more than littleElse of it.
const (
	mostBusy   = 0.95
	littleElse = 0.1
)

// crowded says how much others took of a machine that had no time left, "" when it had.
func (c *Spent) crowded() string {
	if c == nil {
		return ""
	}
	all := float64(c.CPUs) * c.Elapsed.Seconds()
	if busy := (c.Server + c.Generator + c.Others).Seconds(); busy < mostBusy*all || c.Others.Seconds() < littleElse*all {
		return ""
	}
	return fmt.Sprintf("; the machine had no time left, of which others took %.2f of %d CPUs", c.Others.Seconds()/c.Elapsed.Seconds(), c.CPUs)
}

// short notes that fewer participants are there than the step is for.
func (s *Step) short(wanted, seen int) {
	s.Criteria = append(s.Criteria, Criterion{Name: "participants", Wanted: fmt.Sprint(wanted), Seen: fmt.Sprint(seen)})
	if s.Saturated.Who == Nobody {
		s.Saturated = Saturation{Served, fmt.Sprintf("%d participants did not come in", wanted-seen)}
	}
}

// behind says what the generator could not do, "" when it kept up. What is late when
// nothing is amiss is no harm, so that it counts only if it is seen in the criteria.
func (s *Step) behind() string {
	due, arrived := s.Sent+s.Unsent, max(1, s.Expected)
	switch {
	case float64(s.Unsent) > mostUnsent*float64(due):
		return fmt.Sprintf("it has not sent %d of %d packets", s.Unsent, due)
	case met(s.Criteria):
		return ""
	case float64(s.Unread) > mostUnsent*float64(arrived):
		return fmt.Sprintf("it has not read %d packets that reached it", s.Unread)
	case s.Pacing.P50 > mostPacing:
		return fmt.Sprintf("it is behind its schedule by %v for half of the packets", s.Pacing.P50.Round(10*time.Microsecond))
	case s.Pacing.P99 > mostPacing99:
		return fmt.Sprintf("it is behind its schedule by %v for one of a hundred packets", s.Pacing.P99.Round(10*time.Microsecond))
	}
	return ""
}

// paced says how well the generator kept its schedule.
func (s *Step) paced() string {
	return fmt.Sprintf("pacing error p50 %v, p99 %v", s.Pacing.P50.Round(time.Microsecond), s.Pacing.P99.Round(time.Microsecond))
}
