package participant

import (
	"context"
	"strings"
	"testing"

	"github.com/callpath/callpath/scenarios/language"
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
