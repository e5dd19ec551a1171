//go:build linux

package meeting_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/meeting"
	"github.com/callpath/callpath/bench/meeting/host"
)

// hostVariable has this program be a load's own server.
const hostVariable = "CALLPATH_TEST_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(hostVariable) != "" {
		if err := host.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// options are of a load that any machine can take, in a short time, and that asks for
// nothing of its speed.
func options(t testing.TB) meeting.Options {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return meeting.Options{
		Self: []string{self}, Environment: []string{hostVariable + "=1"},
		Audio: true, Ramp: 100, WarmUp: 300 * time.Millisecond, Duration: time.Second,
		MaxLoss: 1, MaxLatency: 10 * time.Second,
	}
}

func run(t testing.TB, o meeting.Options) *meeting.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := meeting.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func told(r *meeting.Report) string {
	s := fmt.Sprintf("%+v %+v", r.Joins, r.Criteria)
	for _, step := range r.Steps {
		s += fmt.Sprintf("\n%+v", step)
	}
	return s
}

// Everybody joins and gets everybody's streams, and the report has every figure.
func TestALoadOfLightParticipants(t *testing.T) {
	o := options(t)
	o.Participants, o.Meetings, o.Senders = 9, 2, 2
	o.VideoBitrate = 200_000
	var doing []string
	o.OnProgress = func(p meeting.Progress) {
		if len(doing) == 0 || doing[len(doing)-1] != p.Doing {
			doing = append(doing, p.Doing)
		}
	}
	r := run(t, o)
	if len(r.Steps) != 1 || r.Joins.Joined != 9 || r.Joins.Rate <= 0 || len(r.Joins.Failures) > 0 {
		t.Fatal(told(r))
	}
	s := r.Steps[0]
	// Meetings of 5 and 4: all hear all others; each sender sees the other, the others
	// see both.
	const wanted = 5*4 + 4*3 + (2*1 + 3*2) + (2*1 + 2*2)
	if s.StreamsWanted != wanted || s.Streams != wanted {
		t.Errorf("%d streams of %d, wanted %d", s.Streams, s.StreamsWanted, wanted)
	}
	for name, there := range map[string]bool{
		"sent": s.Sent > 0, "received": s.Received > 0, "latency": s.Latency.Count > 0, "pacing": s.Pacing.Count > 0,
		"jitter": s.Jitter.Count > 0, "score": s.MOS != nil && s.MOS.P50 > 1, "seconds": len(s.Seconds) == 1,
		"cost":    s.Spent != nil && s.Spent.Server > 0 && s.Spent.Memory > 0 && s.Spent.PerMillion > 0 && s.Spent.Counted,
		"verdict": s.Saturated.Why != "",
	} {
		if !there {
			t.Errorf("no %s: %+v", name, s)
		}
	}
	for _, stage := range r.Joins.Setup {
		if stage.Took.Count == 0 {
			t.Errorf("nothing of stage %s", stage.Name)
		}
	}
	if got := strings.Join(doing, ", "); got != "starting, joining, measuring, leaving" {
		t.Errorf("progress was %s", got)
	}
}

// A whole WebRTC peer takes part by every way.
func TestALoadOfFullParticipants(t *testing.T) {
	for _, transport := range []meeting.Transport{meeting.Direct, meeting.RelayUDP, meeting.RelayTCP, meeting.RelayTLS} {
		t.Run(string(transport), func(t *testing.T) {
			o := options(t)
			o.Kind, o.Transport, o.Participants, o.Senders, o.VideoBitrate = meeting.Full, transport, 3, 1, 200_000
			r := run(t, o)
			if len(r.Steps) != 1 || r.Joins.Joined != 3 || r.Steps[0].Streams != 3*2+2 {
				t.Fatal(told(r))
			}
		})
	}
}
