package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/bench/meeting"
	"github.com/callpath/callpath/bench/meeting/report"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/relay/processor"
)

var update = flag.Bool("update", false, "write the golden files anew")

const ms = time.Millisecond

func spread(p50 time.Duration) tally.Percentiles {
	return tally.Percentiles{Count: 100, P50: p50, P95: 2 * p50, P99: 3 * p50, Max: 4 * p50}
}

func step(participants int) meeting.Step {
	return meeting.Step{
		Participants: participants, Duration: 10 * time.Second, Sent: 31000, Bytes: 9_000_000, Expected: 1_500_000, Received: 1_500_000,
		Streams: 2695, StreamsWanted: 2695, KeyFrames: 5, Retransmitted: 1,
		Latency: spread(400 * time.Microsecond), Pacing: spread(60 * time.Microsecond), RTT: spread(ms), Jitter: spread(300 * time.Microsecond),
		MOS: &tally.Score{Intervals: 24500, Min: 4.1, P1: 4.3, P5: 4.39, P50: 4.4, Mean: 4.4, Inputs: "inputs of the median", Worst: "inputs of the worst"},
		Spent: &meeting.Spent{
			Elapsed: 10 * time.Second, CPUs: 2, Server: 3 * time.Second, Generator: 2 * time.Second, Others: time.Second, Memory: 100_000_000,
			Forwarded: 1_500_100, Counted: true, PerMillion: 2,
		},
		Seconds: []meeting.Live{
			{At: time.Second, Sent: 3100, Received: 150_000, Latency: ms, Pacing: ms / 10},
			{At: 2 * time.Second, Sent: 3100, Received: 150_000, Loss: 0.01, Latency: 2 * ms, Pacing: ms / 5},
		},
		Criteria:  []meeting.Criterion{{Name: "loss", Wanted: "at most 0.1 %", Seen: "0 %, 0 of 1500000 packets", Met: true}},
		Saturated: meeting.Saturation{Why: "every criterion is met; pacing error p50 60µs, p99 180µs"},
	}
}

func options() meeting.Options {
	return meeting.Options{
		Participants: 50, Meetings: 1, Senders: 5, VideoBitrate: 1_000_000, Audio: true, AudioSlots: 49, VideoSlots: 5,
		Kind: meeting.Light, Transport: meeting.Direct,
	}
}

// reports are one of each kind.
func reports() map[string]*meeting.Report {
	joins := meeting.Joins{Asked: 50, Joined: 50, Rate: 19.5, Setup: []meeting.Stage{
		{Name: "signaling", Between: "from here to there", Took: spread(6 * ms)},
		{Name: "media", Between: "from there on"},
	}}
	good := &meeting.Report{
		Options: options(), Began: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Server: "the load's own, on loopback", Joins: joins,
		Steps: []meeting.Step{step(50)}, Criteria: []meeting.Criterion{{Name: "joins", Wanted: "50", Seen: "50", Met: true}},
	}

	bad := *good
	bad.Server, bad.Interrupted = "https://calls.example.org", true
	bad.Joins.Joined, bad.Joins.Failures = 48, []meeting.Failure{{Reason: "sign in: <refused>", Count: 2}}
	bad.Criteria = []meeting.Criterion{{Name: "joins", Wanted: "50", Seen: "48"}}
	lossy := step(48)
	lossy.Lost, lossy.Loss, lossy.Received = 15_000, 0.01, 1_485_000
	lossy.Criteria = []meeting.Criterion{{Name: "loss", Wanted: "at most 0.1 %", Seen: "1 %, 15000 of 1500000 packets"}}
	lossy.Saturated = meeting.Saturation{Who: meeting.Served, Why: "loss is not met while the generator kept up"}
	lossy.Spent = &meeting.Spent{Elapsed: 10 * time.Second, CPUs: 2, Generator: 2 * time.Second}
	bad.Steps = []meeting.Step{lossy}

	knee := *good
	knee.Options.FindKnee, knee.Options.MaxParticipants = true, 1000
	broken := step(75)
	broken.Criteria, broken.Saturated = lossy.Criteria, lossy.Saturated
	broken.Spent.Drops, broken.Spent.Refused = map[processor.Drop]uint64{processor.DropReplayed: 7}, 9
	knee.Steps = []meeting.Step{step(50), broken}
	knee.Knee = &meeting.Knee{Participants: 50, Broken: 75, Criteria: broken.Criteria, Saturated: broken.Saturated}

	none := *good
	none.Steps, none.Joins = nil, meeting.Joins{Asked: 50}
	return map[string]*meeting.Report{"met": good, "unmet": &bad, "knee": &knee, "none": &none}
}

func TestText(t *testing.T) {
	for name, r := range reports() {
		var b bytes.Buffer
		if err := report.Text(&b, r); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s is not as in %s:\n%s", name, golden, &b)
		}
	}
}

// The page is well-formed, says what the text says, and loads nothing.
func TestHTML(t *testing.T) {
	for name, r := range reports() {
		var b bytes.Buffer
		if err := report.HTML(&b, r); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
		d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		page := b.String()
		for _, wanted := range []string{"in 1 meeting, light", "Joins: ", "Criteria"} {
			if !strings.Contains(page, wanted) {
				t.Errorf("%s: no %q", name, wanted)
			}
		}
		for _, unwanted := range []string{"<script", "src=", "href=", "<refused>"} {
			if strings.Contains(page, unwanted) {
				t.Errorf("%s: has %q", name, unwanted)
			}
		}
		if charts := strings.Count(page, "<svg"); charts != 4*min(1, len(r.Steps)) {
			t.Errorf("%s: %d charts", name, charts)
		}
	}
}

func TestJSONIsTheWholeReport(t *testing.T) {
	for name, r := range reports() {
		var b bytes.Buffer
		if err := report.JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		var back meeting.Report
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if back.Met() != r.Met() || back.Joins.Joined != r.Joins.Joined || len(back.Steps) != len(r.Steps) {
			t.Errorf("%s is read back as %+v", name, back)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	r := reports()["met"]
	for name, write := range map[string]func(io.Writer, *meeting.Report) error{"text": report.Text, "page": report.HTML, "JSON": report.JSON} {
		if err := write(broken{}, r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
