package participant

import (
	"context"
	"flag"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	internet "github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/scenarios/result"
)

// TestMain runs more tests side by side than there are processors: they wait more
// than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// both are the participants of a call on a rig, with media on both sides.
func both(t *testing.T, aliceSpec, bobSpec language.Participant) (r *rig, alice, bob client) {
	t.Helper()
	r = newRig(t)
	ctx := testContext(t)
	alice = r.join(ctx, "alice", aliceSpec)
	bob = r.join(ctx, "bob", bobSpec)
	r.call(ctx, alice, bob)
	r.media(ctx, alice, bob)
	return r, alice, bob
}

// TestCall is a whole call: both sign in, call, answer, exchange media, hang up and
// send telemetry, and every step is told in its order.
func TestCall(t *testing.T) {
	t.Parallel()
	r, alice, bob := both(t, language.Participant{}, language.Participant{Media: []string{"pcmu", "h264"}})
	ctx := testContext(t)
	flows(ctx, t, alice, 100)
	flows(ctx, t, bob, 100)
	if err := alice.Hangup(ctx, "done"); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "bob is told", func() bool { ended, _ := bob.Ended(); return ended })
	for _, c := range []client{alice, bob} {
		if err := c.Telemetry(ctx); err != nil {
			t.Error(err)
		}
		if ended, reason := c.Ended(); !ended || reason != "done" {
			t.Errorf("%s: ended %v, reason %q, want true, done", c.cfg.User, ended, reason)
		}
		judge(t, c)
		if !strings.Contains(c.keys.String(), "CLIENT_RANDOM") {
			t.Errorf("%s: no key log line, got %q", c.cfg.User, c.keys.String())
		}
	}
	codecs := map[string][]string{"alice": {"h264", "pcmu"}, "bob": {"opus", "vp8"}}
	for _, c := range []client{alice, bob} {
		var got []string
		for _, s := range c.Result().Streams {
			got = append(got, s.Codec)
		}
		slices.Sort(got)
		if !slices.Equal(got, codecs[c.cfg.User]) {
			t.Errorf("%s received %v, want %v", c.cfg.User, got, codecs[c.cfg.User])
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.steps, func(a, b result.Step) int { return int(a.At - b.At) })
	var names []string
	for _, s := range r.steps {
		names = append(names, s.Name+" "+s.From)
		if s.Number != result.Number(s.Name) || s.Carried == "" || s.To == "" {
			t.Errorf("step %+v: want a number, what it carried, and to whom", s)
		}
	}
	for _, order := range [][]string{
		{"resolve alice", "allocate-caller alice", "allocate-callee bob", "checks bob", "telemetry bob"},
		{"allocate-caller alice", "checks alice", "telemetry alice"},
	} {
		at := -1
		for _, want := range order {
			i := slices.Index(names, want)
			if i <= at {
				t.Errorf("step %q is number %d in %q, want after %d", want, i, names, at)
			}
			at = i
		}
	}
}

// judge checks what must be true of media that was received over a good path.
func judge(t *testing.T, c client) {
	t.Helper()
	res := c.Result()
	if len(res.Streams) == 0 {
		t.Errorf("%s: no streams", res.Name)
	}
	for _, s := range res.Streams {
		if s.Intact == 0 || s.Intact != s.Received || s.Corrupt != 0 {
			t.Errorf("%s: %s: %d of %d packets intact, %d corrupt", res.Name, s.Codec, s.Intact, s.Received, s.Corrupt)
		}
		if s.From == "" || s.Sent < s.Received {
			t.Errorf("%s: %s from %q: %d received of %d sent", res.Name, s.Codec, s.From, s.Received, s.Sent)
		}
		if s.Bitrate <= 0 || s.Bitrate > 1e6 {
			t.Errorf("%s: %s at %.0f bit/s", res.Name, s.Codec, s.Bitrate)
		}
	}
}

// await waits for something that happens by itself.
func await(ctx context.Context, t *testing.T, what string, met func() bool) {
	t.Helper()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestWays calls over each way that a participant may take.
func TestWays(t *testing.T) {
	t.Parallel()
	relayOnly := func(transports ...string) language.Participant {
		return language.Participant{ICE: "relay", Transports: transports, Media: []string{"opus"}}
	}
	audio := language.Participant{Media: []string{"opus"}}
	tests := []struct {
		name       string
		alice, bob language.Participant
		drop       func(internet.Packet) bool
		protocol   string
		relayed    bool
	}{
		{name: "direct", alice: audio, bob: audio, protocol: "udp"},
		{name: "relay over UDP", alice: relayOnly("udp"), bob: audio, protocol: "udp", relayed: true},
		{name: "relay over TCP", alice: relayOnly("tcp"), bob: audio, protocol: "tcp", relayed: true},
		{name: "relay over TLS", alice: relayOnly("tls"), bob: audio, protocol: "tls", relayed: true},
		{
			name: "only TLS gets through", alice: audio, bob: audio, protocol: "tls", relayed: true,
			drop: func(p internet.Packet) bool {
				return p.Between("alice") && (p.UDP && !p.Between("provider") || !p.UDP && p.Port(3478))
			},
		},
		{
			name: "relay's first UDP port closed", alice: relayOnly("udp"), bob: audio, protocol: "udp", relayed: true,
			drop: func(p internet.Packet) bool { return p.UDP && p.Port(3478) },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.Switch.Drop(test.drop)
			ctx := testContext(t)
			alice, bob := r.join(ctx, "alice", test.alice), r.join(ctx, "bob", test.bob)
			r.call(ctx, alice, bob)
			r.media(ctx, alice, bob)
			flows(ctx, t, alice, 20)
			res := alice.Result()
			// On one switch a reflexive address is the host's own; which of the two
			// wins is a matter of time.
			if relay := res.Pair[0] == "relay"; relay != test.relayed || res.Protocol != test.protocol {
				t.Errorf("alice's pair is %v over %s, want relayed: %v, over %s", res.Pair, res.Protocol, test.relayed, test.protocol)
			}
			judge(t, alice)
			if _, searched, plaintext := r.View.Counts(); plaintext > 0 || test.relayed && searched == 0 {
				t.Errorf("the relay saw plaintext in %d of %d payloads", plaintext, searched)
			}
		})
	}
}

// TestHold is RFC 3264, section 8.4: who is held stops sending, and media comes
// back after it.
func TestHold(t *testing.T) {
	t.Parallel()
	_, alice, bob := both(t, language.Participant{}, language.Participant{})
	ctx := testContext(t)
	for round := range 2 {
		holder, held := alice, bob
		if round == 1 {
			holder, held = bob, alice
		}
		if err := holder.Hold(ctx); err != nil {
			t.Fatal(err)
		}
		drained(ctx, t, holder)
		flows(ctx, t, held, 20) // silence
		if err := holder.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		flows(ctx, t, holder, 50)
	}
	for _, c := range []client{alice, bob} {
		judge(t, c)
	}
}

// drained waits until a client receives nothing any more.
func drained(ctx context.Context, t *testing.T, c client) {
	t.Helper()
	last, since := uint64(0), time.Now()
	await(ctx, t, "media to "+c.cfg.User+" stops", func() bool {
		now, _ := counts(c)
		if now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 200*time.Millisecond
	})
}

// TestMute keeps audio flowing, as silence, and stops the picture.
func TestMute(t *testing.T) {
	t.Parallel()
	_, alice, bob := both(t, language.Participant{}, language.Participant{})
	ctx := testContext(t)
	pictures := func() (n uint64) {
		for _, s := range bob.Result().Streams {
			if s.Kind == media.Video {
				n = s.Intact
			}
		}
		return n
	}
	alice.Mute()
	last := ^uint64(0)
	await(ctx, t, "the picture stops", func() bool {
		time.Sleep(150 * time.Millisecond)
		now := pictures()
		stopped := now == last
		last = now
		return stopped
	})
	flows(ctx, t, bob, 20)
	if now := pictures(); now != last {
		t.Errorf("%d packets of video while muted", now-last)
	}
	alice.Unmute()
	await(ctx, t, "the picture comes back", func() bool { return pictures() > last })
	if _, corrupt := counts(bob); corrupt > 0 {
		t.Errorf("%d corrupt packets", corrupt)
	}
}

// TestRestart is RFC 8445, section 9: new credentials, and media goes on.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"alice", "bob"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			_, alice, bob := both(t, language.Participant{Media: []string{"opus"}}, language.Participant{Media: []string{"opus"}})
			ctx := testContext(t)
			who := alice
			if by == "bob" {
				who = bob
			}
			if err := who.RestartICE(ctx); err != nil {
				t.Fatal(err)
			}
			for _, c := range []client{alice, bob} {
				flows(ctx, t, c, 30)
				if n := c.Result().Restarts; n != 1 {
					t.Errorf("%s counts %d restarts, want 1", c.cfg.User, n)
				}
				judge(t, c)
			}
		})
	}
}

// TestNetworkChanged moves alice's host to another address in mid-call.
func TestNetworkChanged(t *testing.T) {
	t.Parallel()
	r, alice, bob := both(t, language.Participant{Media: []string{"opus"}}, language.Participant{Media: []string{"opus"}})
	ctx := testContext(t)
	moved := netip.MustParseAddr("20.202.0.31")
	r.Switch.Join(moved, r.Hosts["alice"])
	if err := r.Hosts["alice"].Reconfigure(internet.Interfaces(moved)); err != nil {
		t.Fatal(err)
	}
	if err := alice.NetworkChanged(ctx); err != nil {
		t.Fatal(err)
	}
	flows(ctx, t, alice, 30)
	flows(ctx, t, bob, 30)
	if gap := bob.Result().Gap; gap == 0 {
		t.Error("bob measured no gap")
	}
}

// TestReject tells the caller the reason.
func TestReject(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := testContext(t)
	alice, bob := r.join(ctx, "alice", language.Participant{}), r.join(ctx, "bob", language.Participant{})
	if err := alice.Call(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	if err := bob.AwaitInvite(ctx); err != nil {
		t.Fatal(err)
	}
	if err := bob.Reject(ctx, "busy"); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "alice is told", func() bool { ended, _ := alice.Ended(); return ended })
	if _, reason := alice.Ended(); reason != "busy" {
		t.Errorf("the reason is %q, want busy", reason)
	}
	if err := alice.AwaitMedia(ctx); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("AwaitMedia says %v, want that the call ended with the reason", err)
	}
	// Another call may follow.
	r.call(ctx, alice, bob)
	r.media(ctx, alice, bob)
}

// TestRefusals are calls that must not come to media.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		alice, bob language.Participant
		want       string
	}{
		{"wrong fingerprint", language.Participant{Fingerprint: "wrong"}, language.Participant{}, "DTLS"},
		{"no common profile", language.Participant{SRTPProfiles: []string{"aead-aes-256-gcm"}},
			language.Participant{SRTPProfiles: []string{"aes-cm-128-hmac-sha1-80"}}, "DTLS"},
		{"forged credential", language.Participant{Credential: "forged", ICE: "relay", Transports: []string{"udp"}}, language.Participant{}, "ICE"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			ctx := testContext(t)
			alice, bob := r.join(ctx, "alice", test.alice), r.join(ctx, "bob", test.bob)
			r.call(ctx, alice, bob)
			err := alice.AwaitMedia(ctx)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("alice: %v, want an error that names %s", err, test.want)
			}
			if intact, _ := counts(alice); intact > 0 {
				t.Errorf("alice received %d packets", intact)
			}
		})
	}
}
