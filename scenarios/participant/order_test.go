package participant

import (
	"strings"
	"sync"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/language"
	internet "github.com/callpath/callpath/scenarios/participant/internal/rig"
)

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
