package signaling_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/callstate"
)

func TestAWholeCall(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.join("bob")

	servers, err := alice.ICEServers(ctx(t), "")
	if err != nil {
		t.Fatal(err)
	}
	call, err := alice.Invite(ctx(t), "bob", offer(), candidate(1))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := servers[0].Username, "alice:"+call; got != want {
		t.Errorf("credential for %q, wanted %q: it is tied to the call that follows", got, want)
	}
	invite := next(t, bob, signaling.NotifyInvite)
	if invite.Call != call || invite.From != "alice" || *invite.Description != offer() || len(invite.Candidates) != 1 {
		t.Errorf("got invite %+v", invite)
	}
	next(t, alice, signaling.NotifyRinging)
	if servers, err = bob.ICEServers(ctx(t), call); err != nil {
		t.Fatal(err)
	}
	if got, want := servers[0].Username, "bob:"+call; got != want {
		t.Errorf("credential for %q, wanted %q", got, want)
	}
	if err := bob.Answer(ctx(t), call, answer()); err != nil {
		t.Fatal(err)
	}
	if n := next(t, alice, signaling.NotifyAnswer); *n.Description != answer() || n.From != "bob" || n.State != callstate.Answered {
		t.Errorf("got answer %+v", n)
	}
	for i := range 5 {
		if err := alice.Candidate(ctx(t), call, candidate(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := alice.Candidate(ctx(t), call, signaling.Candidate{}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if n := next(t, bob, signaling.NotifyCandidates); n.Candidates[0].Candidate != candidate(i).Candidate {
			t.Errorf("got %+v, wanted candidate %d", n.Candidates, i)
		}
	}
	if n := next(t, bob, signaling.NotifyCandidates); n.Candidates[0].Candidate != "" {
		t.Errorf("got %+v, wanted end-of-candidates", n.Candidates)
	}
	w.await("confirmed", func(e signaling.Event) bool { return e.Request == callstate.Confirmed })

	hold := signaling.Description{Type: signaling.Offer, SDP: sdp("actpass", "sendonly", "AAAA")}
	if err := alice.Update(ctx(t), call, hold); err != nil {
		t.Fatal(err)
	}
	if n := next(t, bob, signaling.NotifyUpdate); *n.Description != hold {
		t.Errorf("got %+v", n)
	}
	if err := bob.Update(ctx(t), call, signaling.Description{Type: signaling.Answer, SDP: sdp("active", "recvonly", "BBBB")}); err != nil {
		t.Fatal(err)
	}
	next(t, alice, signaling.NotifyUpdate)
	state, err := alice.Call(ctx(t), call)
	if err != nil {
		t.Fatal(err)
	}
	if state.State != callstate.Connected || !slices.Equal(state.HeldBy, []string{"alice"}) || state.Region != "westeurope" {
		t.Errorf("got %+v, wanted a connected call that alice holds", state)
	}

	if err := bob.Hangup(ctx(t), call, "goodbye"); err != nil {
		t.Fatal(err)
	}
	if n := next(t, alice, signaling.NotifyEnded); n.Reason != "goodbye" || n.From != "bob" || n.State != callstate.Ended {
		t.Errorf("got %+v", n)
	}
	if err := alice.Hangup(ctx(t), call, "crossed"); err != nil {
		t.Errorf("hang-up of an ended call: %v", err)
	}
	for _, c := range []*signaling.Client{alice, bob} {
		if err := c.Telemetry(ctx(t), call, map[string]int{"rtt_ms": 20}); err != nil {
			t.Fatal(err)
		}
	}
	state, err = bob.Call(ctx(t), call)
	if err != nil || state.EndedBy != "bob" || state.Reason != "goodbye" || state.Ended.IsZero() {
		t.Errorf("got %+v, %v", state, err)
	}
	w.checkSteps(call)
}

// checkSteps compares the documented steps, as Event describes them, in order.
func (w *world) checkSteps(call string) {
	w.t.Helper()
	var got []string
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Call != call {
			continue
		}
		switch e.Kind {
		case signaling.EventICEServers:
			got = append(got, fmt.Sprintf("ice-servers %s", e.User))
		case signaling.EventRequest:
			line := fmt.Sprintf("%s %s>%s %s>%s %s", e.Request, e.User, e.Peer, e.From, e.State, e.Carried)
			if e.Request == callstate.Telemetry && !json.Valid(e.Telemetry) {
				w.t.Errorf("telemetry is %q", e.Telemetry)
			}
			got = append(got, line)
		case signaling.EventTransition:
			got = append(got, fmt.Sprintf("%s %s>%s", e.Request, e.From, e.State))
		case signaling.EventDelivered:
			if e.Notification == signaling.NotifyInvite || e.Notification == signaling.NotifyAnswer {
				got = append(got, fmt.Sprintf("delivered %s to %s", e.Notification, e.User))
			}
		}
	}
	want := []string{
		"ice-servers alice",
		"invite alice>bob idle>invited offer, 1 candidate",
		"delivered invite to bob",
		"notified invited>ringing",
		"ice-servers bob",
		"answer bob>alice ringing>answered answer, 0 candidates",
		"delivered answer to alice",
		"confirmed answered>connected",
		"offer alice>bob connected>caller-reoffer offer, 0 candidates",
		"reanswer bob>alice caller-reoffer>connected answer, 0 candidates",
		"hangup bob>alice connected>ended ",
		"hangup alice>bob ended>ended ",
		"telemetry alice>bob ended>ended 13 bytes of telemetry",
		"telemetry bob>alice ended>ended 13 bytes of telemetry",
	}
	// Candidates may come before or after the caller's acknowledgement.
	got = slices.DeleteFunc(got, func(s string) bool { return len(s) > 10 && s[:10] == "candidates" })
	if !slices.Equal(got, want) {
		w.t.Errorf("got steps\n%s\nwanted\n%s", lines(got), lines(want))
	}
}

func lines(s []string) (text string) {
	for _, line := range s {
		text += "\t" + line + "\n"
	}
	return text
}
