package participant

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	internet "github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/signaling"
)

// TestPermission: the relay refuses a permission for an address that its policy
// denies, whichever way the participant reaches it, and grants another.
func TestPermission(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, peer, transport string
		refused               bool
	}{
		{"private, over UDP", "10.0.0.1", "udp", true},
		{"private, over TLS", "192.168.1.1", "tls", true},
		{"public", "20.202.0.40", "udp", false},
		{"no address", "nowhere", "udp", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			ctx := testContext(t)
			alice := r.join(ctx, "alice", language.Participant{Media: []string{"opus"}, Peer: test.peer, Transports: []string{test.transport}})
			bob := r.join(ctx, "bob", language.Participant{Media: []string{"opus"}})
			r.call(ctx, alice, bob)
			r.media(ctx, alice, bob)
			flows(ctx, t, alice, 10)
			if err := alice.requestPermission(ctx, servers(ctx, t, alice)); err != nil != test.refused {
				t.Errorf("a permission for %s gives %v, want refused: %v", test.peer, err, test.refused)
			}
			if test.refused && test.peer != "nowhere" {
				await(ctx, t, "the relay refuses", func() bool { return len(r.Refused()) >= 2 })
				if got := strings.Join(r.Refused(), "; "); !strings.Contains(got, "CreatePermission 403") {
					t.Errorf("the relay refused %s, want CreatePermission 403", got)
				}
			}
		})
	}
}

// servers are those that a participant uses.
func servers(ctx context.Context, t *testing.T, c client) []signaling.ICEServer {
	t.Helper()
	list, err := c.servers(ctx, c.session.id)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestLoss: lost video is sent again, a lost picture is asked for, and nothing is
// corrupt.
func TestLoss(t *testing.T) {
	t.Parallel()
	r, _, bob := both(t, language.Participant{}, language.Participant{})
	ctx := testContext(t)
	flows(ctx, t, bob, 30)
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(1, 2))
	r.Switch.Drop(func(p internet.Packet) bool {
		mu.Lock()
		defer mu.Unlock()
		return p.UDP && p.From.Addr() == internet.Machines["alice"] && p.To.Addr() == internet.Machines["bob"] && chance.Float64() < 0.1
	})
	flows(ctx, t, bob, 250)
	var audio, video float64
	for _, s := range bob.Result().Streams {
		if s.Corrupt > 0 {
			t.Errorf("%s: %d corrupt packets", s.Codec, s.Corrupt)
		}
		if s.Kind == media.Audio {
			audio = s.LossRate
		} else {
			video = s.LossRate
		}
	}
	if audio < 0.02 || audio > 0.25 {
		t.Errorf("the audio's loss is %.3f, want about 0.1", audio)
	}
	if video >= audio {
		t.Errorf("the video's loss is %.3f, with NACK, the audio's %.3f", video, audio)
	}
	// Nothing at all for a moment: the picture is lost, and comes back.
	r.Switch.Drop(func(p internet.Packet) bool { return p.UDP && p.Between("alice") && p.Between("bob") })
	select {
	case <-time.After(1200 * time.Millisecond):
	case <-ctx.Done():
	}
	r.Switch.Drop(nil)
	flows(ctx, t, bob, 100)
	res := bob.Result()
	if gap := time.Duration(res.Gap); gap < time.Second {
		t.Errorf("the longest gap is %s, want 1 s or more", gap)
	}
	worst := 0.0
	for _, s := range res.Series {
		worst = max(worst, s.Loss)
	}
	if worst < 0.5 {
		t.Errorf("the worst sample has a loss of %.2f, want that of the outage", worst)
	}
	await(ctx, t, "a freeze is counted", func() bool {
		for _, s := range bob.Result().Streams {
			if s.Freezes > 0 {
				return true
			}
		}
		return false
	})
}

// TestCrossingReoffers: both sides hold at the same time; the controller lets one
// go first, and the other follows.
func TestCrossingReoffers(t *testing.T) {
	t.Parallel()
	audio := language.Participant{Media: []string{"opus"}}
	_, alice, bob := both(t, audio, audio)
	ctx := testContext(t)
	for _, do := range []func(client) error{
		func(c client) error { return c.Hold(ctx) },
		func(c client) error { return c.Resume(ctx) },
	} {
		var wg sync.WaitGroup
		for _, c := range []client{alice, bob} {
			wg.Go(func() {
				if err := do(c); err != nil {
					t.Errorf("%s: %v", c.cfg.User, err)
				}
			})
		}
		wg.Wait()
	}
	flows(ctx, t, alice, 10)
	flows(ctx, t, bob, 10)
}

// TestOutOfOrder: what makes no sense where the participant stands is refused in
// words.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := testContext(t)
	alice := r.join(ctx, "alice", language.Participant{Media: []string{"opus"}})
	if ended, reason := alice.Ended(); ended || reason != "" {
		t.Errorf("a call that never was has ended: %q", reason)
	}
	for name, do := range map[string]func() error{
		"answer":    func() error { return alice.Answer(ctx) },
		"reject":    func() error { return alice.Reject(ctx, "") },
		"hang up":   func() error { return alice.Hangup(ctx, "") },
		"hold":      func() error { return alice.Hold(ctx) },
		"restart":   func() error { return alice.RestartICE(ctx) },
		"telemetry": func() error { return alice.Telemetry(ctx) },
		"call":      func() error { return alice.Call(ctx, "nobody") },
	} {
		if err := do(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := alice.NetworkChanged(ctx); err != nil {
		t.Errorf("moving without a call: %v", err)
	}
	if res := alice.Result(); res.Name != "alice" || res.Client != "acs" || len(res.Streams) != 0 {
		t.Errorf("the result without media is %+v", res)
	}
	// A call that the callee never answers can be ended, by either end of it.
	bob := r.join(ctx, "bob", language.Participant{})
	if err := alice.Call(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	if err := alice.Call(ctx, "bob"); err == nil {
		t.Error("a second call at the same time is taken")
	}
	if err := bob.AwaitInvite(ctx); err != nil {
		t.Fatal(err)
	}
	if err := alice.Hangup(ctx, "no answer"); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "the invite is withdrawn", func() bool { _, err := bob.take(); return err != nil })
}

// TestNew refuses what it cannot work with, and names it.
func TestNew(t *testing.T) {
	t.Parallel()
	r := internet.New(t)
	good := Config{
		Host: r.Hosts["alice"], Signaling: "https://signaling.callpath.test", User: "alice", Secret: "secret of alice",
		Recorder: negotiation.NewRecorder(negotiation.Config{}), Ledger: r.Ledger,
	}
	tests := []struct {
		want   string
		change func(*Config)
	}{
		{"Host", func(c *Config) { c.Host = nil }},
		{"Recorder", func(c *Config) { c.Recorder = nil }},
		{"Ledger", func(c *Config) { c.Ledger = nil }},
		{"g722", func(c *Config) { c.Spec.Media = []string{"g722"} }},
		{"null", func(c *Config) { c.Spec.SRTPProfiles = []string{"null"} }},
		{"TLS_NULL", func(c *Config) { c.Spec.DTLS.CipherSuites = []string{"TLS_NULL"} }},
		{"dtls.stack", func(c *Config) { c.Spec.DTLS.Stack = "v1" }},
		{"dtls.setup", func(c *Config) { c.Spec.DTLS.Setup = "actpass" }},
		{"turn-client", func(c *Config) { c.Spec.TURNClient = "v4" }},
		{"transports", func(c *Config) { c.Spec.Transports = []string{"dtls"} }},
		{"", func(*Config) {}},
	}
	for _, test := range tests {
		c := good
		test.change(&c)
		p, err := New(c)
		if test.want == "" {
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if err := p.AwaitInvite(t.Context()); err == nil {
				t.Error("a closed participant waits")
			}
			if err := p.Call(t.Context(), "bob"); err == nil {
				t.Error("a closed participant calls")
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New gives %v, want an error that names %s", err, test.want)
		}
	}
}
