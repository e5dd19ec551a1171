package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callpath/callpath/bench/meeting"
	"github.com/callpath/callpath/bench/meeting/tally"
)

// table is one of the report's.
type table struct {
	title string
	head  []string
	rows  [][]string
	// notes stand below it, a line each.
	notes []string
}

// headline says in one line what was asked for, and in a few what came of it.
func headline(r *meeting.Report) (line string, more []string) {
	o := r.Options
	line = fmt.Sprintf("%s in %s, %s, media over %s", plural(o.Participants, "participant"), plural(o.Meetings, "meeting"), o.Kind, o.Transport)
	if o.FindKnee {
		line = fmt.Sprintf("from %s on in %s, %s, media over %s", plural(o.Participants, "participant"), plural(o.Meetings, "meeting"), o.Kind, o.Transport)
	}
	var sends []string
	if o.Audio {
		sends = append(sends, "all send voice")
	}
	if o.Senders > 0 {
		sends = append(sends, fmt.Sprintf("%d of each meeting video of %s bit/s", o.Senders, group(uint64(o.VideoBitrate))))
	}
	more = append(more, strings.Join(sends, ", ")+fmt.Sprintf("; each can receive %d of voice and %d of video", o.AudioSlots, o.VideoSlots),
		"server: "+r.Server)
	if r.Interrupted {
		more = append(more, "interrupted: these are the figures until then")
	}
	if r.Knee != nil {
		more = append(more, knee(r.Knee)...)
	}
	if n := len(r.Steps); n > 0 && r.Knee == nil {
		s := r.Steps[n-1]
		more = append(more, fmt.Sprintf("%s of %s packets lost%s", group(s.Lost), group(s.Expected), cost(s)), "saturated: "+saturated(s.Saturated))
	}
	return line, more
}

func knee(k *meeting.Knee) []string {
	switch {
	case k.Participants == 0:
		return []string{"knee: none, as a criterion is not met from the beginning; " + saturated(k.Saturated)}
	case k.Broken == 0:
		return []string{fmt.Sprintf("knee: not reached; every criterion is met with %d participants, which is all that was asked for", k.Participants)}
	}
	lines := []string{fmt.Sprintf("knee: %d participants; with %d not met:", k.Participants, k.Broken)}
	for _, c := range k.Criteria {
		lines = append(lines, fmt.Sprintf("  %s: wanted %s, seen %s", c.Name, c.Wanted, c.Seen))
	}
	return append(lines, "saturated: "+saturated(k.Saturated))
}

func saturated(s meeting.Saturation) string {
	if s.Who == meeting.Nobody {
		return "nobody: " + s.Why
	}
	return fmt.Sprintf("the %s: %s", s.Who, s.Why)
}

func cost(s meeting.Step) string {
	if s.Spent == nil || s.Spent.Server == 0 {
		return ""
	}
	return fmt.Sprintf("; %.2f CPU seconds of the server for a million packets forwarded", s.Spent.PerMillion)
}

// tables are those of the whole report.
func tables(r *meeting.Report) []table {
	all := []table{joins(r.Joins)}
	if len(r.Steps) > 1 {
		all = append(all, steps(r.Steps))
	}
	if n := len(r.Steps); n > 0 {
		s := r.Steps[n-1]
		if r.Knee != nil { // the last that was met says more than the last
			for _, one := range r.Steps {
				if one.Participants == r.Knee.Participants {
					s = one
				}
			}
		}
		all = append(all, media(s), costs(s), criteria(append(slices.Clone(r.Criteria), s.Criteria...)))
	} else {
		all = append(all, criteria(r.Criteria))
	}
	return all
}

func joins(j meeting.Joins) table {
	t := table{
		title: fmt.Sprintf("Joins: %d of %d, %.1f per second", j.Joined, j.Asked, j.Rate),
		head:  []string{"stage", "p50", "p95", "p99", "most", "which is"},
	}
	for _, s := range j.Setup {
		t.rows = append(t.rows, append(append([]string{s.Name}, percentiles(s.Took)...), s.Between))
	}
	for _, f := range j.Failures {
		t.notes = append(t.notes, fmt.Sprintf("failed, %s: %s", plural(f.Count, "time"), f.Reason))
	}
	return t
}

func percentiles(p tally.Percentiles) []string {
	if p.Count == 0 {
		return []string{"–", "–", "–", "–"}
	}
	return []string{short(p.P50), short(p.P95), short(p.P99), short(p.Max)}
}

func steps(all []meeting.Step) table {
	t := table{
		title: "Steps",
		head:  []string{"participants", "packets/s received", "loss", "latency p99", "pacing p99", "server CPU", "CPU s/M packets", "met", "saturated"},
	}
	for _, s := range all {
		row := []string{
			fmt.Sprint(s.Participants), rate(s.Received, s.Duration), percent(s.Loss), short(s.Latency.P99), short(s.Pacing.P99), "–", "–",
			"yes", string(s.Saturated.Who),
		}
		if c := s.Spent; c != nil && c.Server > 0 {
			row[5], row[6] = cpu(c.Server, c.Elapsed), fmt.Sprintf("%.2f", c.PerMillion)
		}
		for _, c := range s.Criteria {
			if !c.Met {
				row[7] = "no: " + c.Name
				break
			}
		}
		if row[8] == "" {
			row[8] = "nobody"
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func media(s meeting.Step) table {
	t := table{
		title: fmt.Sprintf("Media of %s, %v", plural(s.Participants, "participant"), s.Duration.Round(10*time.Millisecond)),
		head:  []string{"", "p50", "p95", "p99", "most", "which is"},
		rows: [][]string{
			append(append([]string{"latency"}, percentiles(s.Latency)...), "one way, from when a packet was due to its copy"),
			append(append([]string{"pacing"}, percentiles(s.Pacing)...), "how late the generator itself sent"),
			append(append([]string{"round trip"}, percentiles(s.RTT)...), "participant to server by RTCP"),
			append(append([]string{"jitter"}, percentiles(s.Jitter)...), "of each stream at the end of each second (RFC 3550)"),
		},
		notes: []string{
			fmt.Sprintf("%s packets sent, %s/s, %s not; %s received of %s, %s/s: %s lost, %s", group(s.Sent), rate(s.Sent, s.Duration), group(s.Unsent),
				group(s.Received), group(s.Expected), rate(s.Received, s.Duration), group(s.Lost), percent(s.Loss)),
			fmt.Sprintf("%d of %d streams; %d key frames asked for, %d packets sent again, %d not read in time, %d strays",
				s.Streams, s.StreamsWanted, s.KeyFrames, s.Retransmitted, s.Unread, s.Stray),
		},
	}
	if m := s.MOS; m != nil {
		t.notes = append(t.notes,
			fmt.Sprintf("voice, MOS (estimated) of each stream and second, by its own loss: p50 %.2f, p5 %.2f, p1 %.2f, least %.2f, of %s",
				m.P50, m.P5, m.P1, m.Min, group(m.Intervals)),
			"  p50: "+m.Inputs, "  least: "+m.Worst)
	}
	return t
}

func costs(s meeting.Step) table {
	t := table{title: "Cost", head: []string{"who", "CPU time", "CPUs", "memory"}}
	c := s.Spent
	if c == nil {
		t.notes = []string{"the system does not say what processes spend"}
		return t
	}
	if c.Server > 0 {
		t.rows = append(t.rows, []string{"server", short(c.Server), cpu(c.Server, c.Elapsed), fmt.Sprintf("%.1f MB", float64(c.Memory)/1e6)})
		by := "counted by the server"
		if !c.Counted {
			by = "as received"
		}
		t.notes = append(t.notes, fmt.Sprintf("server: %.2f CPU seconds for a million media packets forwarded; %s packets, %s", c.PerMillion, group(c.Forwarded), by))
	} else {
		t.notes = append(t.notes, "the server's process is not known")
	}
	t.rows = append(t.rows, []string{"generator", short(c.Generator), cpu(c.Generator, c.Elapsed), ""},
		[]string{"others", short(c.Others), cpu(c.Others, c.Elapsed), fmt.Sprintf("of %d CPUs", c.CPUs)})
	if c.Refused > 0 {
		t.notes = append(t.notes, fmt.Sprintf("the server's system did not take %s packets from it", group(c.Refused)))
	}
	for _, reason := range slices.Sorted(maps.Keys(c.Drops)) {
		t.notes = append(t.notes, fmt.Sprintf("the media processor dropped %s packets: %s", group(c.Drops[reason]), reason))
	}
	return t
}

func criteria(all []meeting.Criterion) table {
	t := table{title: "Criteria", head: []string{"", "", "wanted", "seen"}}
	for _, c := range all {
		mark := "✓"
		if !c.Met {
			mark = "✗"
		}
		t.rows = append(t.rows, []string{mark, c.Name, c.Wanted, c.Seen})
	}
	return t
}

// short is a duration to three figures.
func short(d time.Duration) string {
	for unit := time.Nanosecond; ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
}

// cpu is how many CPUs a time is.
func cpu(spent, elapsed time.Duration) string {
	return fmt.Sprintf("%.2f", spent.Seconds()/max(elapsed.Seconds(), 1e-9))
}

func rate(n uint64, d time.Duration) string {
	return group(uint64(float64(n) / max(d.Seconds(), 1e-9)))
}

func percent(share float64) string {
	if share == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.3g %%", 100*share)
}

// group writes a whole number with a space between thousands.
func group(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
