package participant

import (
	"testing"

	"github.com/callpath/callpath/scenarios/language"
)

// TestOlder calls between a current and an older stack, and over an older TURN
// client, in both directions.
func TestOlder(t *testing.T) {
	t.Parallel()
	old := language.Participant{DTLS: language.DTLS{Stack: "v2"}}
	oldTURN := language.Participant{TURNClient: "v3", ICE: "relay"}
	tests := []struct {
		name       string
		alice, bob language.Participant
		relayed    [2]bool // alice's pair, local and remote
		protocol   string
	}{
		{"dtls/v2 calls", old, language.Participant{}, [2]bool{false, false}, "udp"},
		{"dtls/v2 is called", language.Participant{}, old, [2]bool{false, false}, "udp"},
		{"dtls/v2 with RSA, passive", language.Participant{Media: []string{"pcmu"}},
			language.Participant{DTLS: language.DTLS{Stack: "v2", Certificate: "rsa", Setup: "passive"}, Media: []string{"h264"}},
			[2]bool{false, false}, "udp"},
		{"dtls/v2 through the relay", language.Participant{DTLS: language.DTLS{Stack: "v2"}, ICE: "relay", Transports: []string{"tls"}},
			language.Participant{}, [2]bool{true, false}, "tls"},
		{"both on dtls/v2", old, old, [2]bool{false, false}, "udp"},
		{"turn/v3 calls", oldTURN, language.Participant{}, [2]bool{true, false}, "udp"},
		{"turn/v3 over TCP is called", language.Participant{}, language.Participant{TURNClient: "v3", Transports: []string{"tcp"}},
			[2]bool{false, true}, "udp"},
		{"turn/v3 over TLS with dtls/v2", language.Participant{TURNClient: "v3", DTLS: language.DTLS{Stack: "v2"}, Transports: []string{"tls"}},
			language.Participant{}, [2]bool{true, false}, "tls"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, alice, bob := both(t, test.alice, test.bob)
			ctx := testContext(t)
			flows(ctx, t, alice, 30)
			flows(ctx, t, bob, 30)
			res := alice.Result()
			for i, kind := range res.Pair {
				if relay := kind == "relay"; relay != test.relayed[i] {
					t.Errorf("alice's pair is %v, want relayed: %v", res.Pair, test.relayed)
				}
			}
			if res.Protocol != test.protocol {
				t.Errorf("alice's media is over %s, want %s", res.Protocol, test.protocol)
			}
			judge(t, alice)
			judge(t, bob)
			if _, searched, plaintext := r.View.Counts(); plaintext > 0 {
				t.Errorf("the relay saw plaintext in %d of %d payloads", plaintext, searched)
			}
		})
	}
}

// TestOlderRenegotiates holds, resumes and restarts ICE on an older stack.
func TestOlderRenegotiates(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"alice", "bob"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			_, alice, bob := both(t, language.Participant{DTLS: language.DTLS{Stack: "v2"}}, language.Participant{})
			ctx := testContext(t)
			who := alice
			if by == "bob" {
				who = bob
			}
			if err := who.Hold(ctx); err != nil {
				t.Fatal(err)
			}
			drained(ctx, t, who)
			if err := who.Resume(ctx); err != nil {
				t.Fatal(err)
			}
			flows(ctx, t, who, 20)
			if err := who.RestartICE(ctx); err != nil {
				t.Fatal(err)
			}
			for _, c := range []client{alice, bob} {
				flows(ctx, t, c, 50)
				judge(t, c)
			}
		})
	}
}
