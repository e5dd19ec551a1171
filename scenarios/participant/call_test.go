package participant

import (
	"testing"

	"github.com/callpath/callpath/scenarios/language"
)

// TestCall is the whole way: both sign in, call, answer, exchange media.
func TestCall(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	alice := r.join(ctx, "alice", language.Participant{})
	bob := r.join(ctx, "bob", language.Participant{})
	r.call(ctx, alice, bob)
	r.media(ctx, alice, bob)
	flows(ctx, t, alice, 100)
	t.Logf("%+v", alice.Result())
	t.Logf("%+v", r.steps)
}
