//go:build linux

package meeting_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/bench/meeting"
	"github.com/callpath/callpath/bench/meeting/host"
	"github.com/callpath/callpath/signaling"
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
		Self: []string{self},
		// The race detector has a program wait for a second at its end.
		Environment: []string{hostVariable + "=1", "GORACE=atexit_sleep_ms=0"},
		Audio:       true, Ramp: 100, WarmUp: 300 * time.Millisecond, Duration: time.Second,
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
	t.Parallel()
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
	t.Parallel()
	for _, transport := range []meeting.Transport{meeting.Direct, meeting.RelayUDP, meeting.RelayTCP, meeting.RelayTLS} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			o := options(t)
			o.Kind, o.Transport, o.Participants, o.Senders, o.VideoBitrate = meeting.Full, transport, 3, 1, 200_000
			r := run(t, o)
			if len(r.Steps) != 1 || r.Joins.Joined != 3 || r.Steps[0].Streams != 3*2+2 {
				t.Fatal(told(r))
			}
		})
	}
}

// serverOf starts a server, and refuses the participants from some number on.
func serverOf(t *testing.T, o *meeting.Options, users, refused int) {
	t.Helper()
	h, err := host.Start(context.Background(), o.Self, o.Environment, host.Config{Users: users, Secret: "a shared secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.CA)
	o.Server = &meeting.Server{URL: h.URL, Process: h.PID(), Client: func(_ context.Context, n int) (signaling.ClientConfig, error) {
		if n >= refused {
			return signaling.ClientConfig{}, errors.New("there is no such user")
		}
		return signaling.ClientConfig{
			BaseURL: h.URL, RootCAs: roots, User: host.User(n), Secret: "a shared secret", Log: slog.New(slog.DiscardHandler),
		}, nil
	}}
}

// Fewer joined than asked for is a failure, with its reason, and the rest is measured.
func TestFewerJoinThanWereAsked(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Participants = 4
	serverOf(t, &o, 4, 3)
	r := run(t, o)
	if r.Met() || r.Joins.Joined != 3 || r.Joins.Asked != 4 || len(r.Steps) != 1 || r.Steps[0].Participants != 3 || r.Steps[0].Streams != 6 {
		t.Error(told(r))
	}
	if f := r.Joins.Failures; len(f) != 1 || f[0].Count != 1 || !strings.Contains(f[0].Reason, "no such user") {
		t.Errorf("failures %+v", f)
	}
	if s := r.Steps[0].Spent; s == nil || s.Counted || s.Server == 0 || s.Forwarded == 0 {
		t.Errorf("spent %+v", s)
	}
}

func TestNobodyJoins(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Participants = 2
	serverOf(t, &o, 2, 0)
	r := run(t, o)
	if r.Met() || r.Joins.Joined != 0 || len(r.Steps) != 0 || r.Joins.Failures[0].Count != 2 {
		t.Error(told(r))
	}
}

// The search goes up, meets where nobody more comes in, and says where that was.
func TestTheKneeIsFound(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Participants, o.MaxParticipants, o.FindKnee = 2, 8, true
	o.WarmUp = 200 * time.Millisecond
	serverOf(t, &o, 8, 4)
	r := run(t, o)
	k := r.Knee
	if k == nil || k.Participants != 4 || k.Broken != 6 || len(k.Criteria) == 0 || k.Saturated.Why == "" {
		t.Fatalf("%+v %s", k, told(r))
	}
	if len(r.Steps) != 4 || r.Steps[0].Participants != 2 || r.Steps[1].Participants != 3 || r.Steps[3].Participants != 4 {
		t.Error(told(r))
	}
}

func TestTheKneeIsNotReached(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Participants, o.MaxParticipants, o.FindKnee = 2, 3, true
	o.WarmUp = 200 * time.Millisecond
	r := run(t, o)
	if k := r.Knee; k == nil || k.Participants != 3 || k.Broken != 0 || len(r.Steps) != 2 || !r.Met() {
		t.Fatalf("%+v %s", k, told(r))
	}
}

// What there is when a run is interrupted is told.
func TestAnInterruptedRunTellsWhatItHas(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Participants, o.Duration = 3, time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o.OnProgress = func(p meeting.Progress) {
		if p.Live != nil && p.Done == 1 {
			cancel()
		}
	}
	r, err := meeting.Run(ctx, o)
	if err != nil || r == nil || !r.Interrupted || r.Met() || r.Joins.Joined != 3 || len(r.Steps) != 1 || r.Steps[0].Streams != 6 {
		t.Fatalf("%v %+v", err, r)
	}
}

// A generator that may work for one part in two hundred of its time is behind, and says so.
func TestAGeneratorWithoutTimeIsTheOneThatSaturates(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Participants, o.GeneratorShare, o.MaxLatency = 4, 0.005, 2*time.Millisecond
	r := run(t, o)
	if len(r.Steps) != 1 || r.Met() || r.Steps[0].Saturated.Who != meeting.Generator {
		t.Error(told(r))
	}
}

// A server that may work for a twentieth of the time is late while the generator is not.
func TestAServerWithoutTimeIsTheOneThatSaturates(t *testing.T) {
	o := options(t)
	o.Participants, o.ServerShare, o.MaxLatency = 4, 0.05, 5*time.Millisecond
	var r *meeting.Report
	const tries = 4
	for range tries {
		if r = run(t, o); len(r.Steps) != 1 || r.Met() {
			t.Fatal(told(r))
		}
		if r.Steps[0].Saturated.Who == meeting.Served {
			return
		}
		// Then the machine was too busy for the generator, which is what it has to say.
		if p := r.Steps[0].Pacing; p.P50 <= 2*time.Millisecond && p.P99 <= 20*time.Millisecond && r.Steps[0].Unsent == 0 && r.Steps[0].Unread == 0 {
			t.Fatalf("the generator kept up: %s", told(r))
		}
	}
	t.Skipf("this machine is too busy for a generator: %+v", r.Steps[0].Pacing)
}

func TestOptionsAreChecked(t *testing.T) {
	for wanted, change := range map[string]func(*meeting.Options){
		"participants":    func(o *meeting.Options) { o.Participants = 100_000 },
		"meetings":        func(o *meeting.Options) { o.Meetings = 11 },
		"senders":         func(o *meeting.Options) { o.Senders = -1 },
		"video-bitrate":   func(o *meeting.Options) { o.VideoBitrate = 1 },
		"audio-slots":     func(o *meeting.Options) { o.AudioSlots = 1000 },
		"ramp":            func(o *meeting.Options) { o.Ramp = -1 },
		"duration":        func(o *meeting.Options) { o.Duration = time.Millisecond },
		"max-loss":        func(o *meeting.Options) { o.MaxLoss = 2 },
		"nobody sends":    func(o *meeting.Options) { o.Audio = false },
		"kind":            func(o *meeting.Options) { o.Kind = "heavy" },
		"transport is":    func(o *meeting.Options) { o.Transport = "pigeon" },
		"of kind full":    func(o *meeting.Options) { o.Transport = meeting.RelayTLS },
		"Self":            func(o *meeting.Options) { o.Self = nil },
		"Server.Client":   func(o *meeting.Options) { o.Server = &meeting.Server{URL: "https://x"} },
		"server-share":    func(o *meeting.Options) { o.Server, o.ServerShare = &meeting.Server{URL: "https://x"}, 0.5 },
		"generator-share": func(o *meeting.Options) { o.GeneratorShare = 7 },
	} {
		o := options(t)
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("wanted an error with %q, got %v", wanted, err)
		}
		if _, err := meeting.Run(context.Background(), o); err == nil {
			t.Errorf("%s: ran", wanted)
		}
	}
}

func TestAServerThatDoesNotStartIsAnError(t *testing.T) {
	o := options(t)
	o.Self, o.Environment = []string{"/no/such/program"}, nil
	if r, err := meeting.Run(context.Background(), o); err == nil || r != nil {
		t.Errorf("%+v, %v", r, err)
	}
}
