package signaling_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/callstate"
)

// requests says how each event of a participant's is asked for.
var requests = map[callstate.Event]func(r *raw, call string) *reply{
	callstate.Answer: func(r *raw, call string) *reply { return r.post(call+"/answer", body("", answer())) },
	callstate.Reject: func(r *raw, call string) *reply { return r.post(call+"/reject", `{"reason":"busy"}`) },
	callstate.Candidate: func(r *raw, call string) *reply {
		return r.post(call+"/candidates", text(map[string]any{"candidates": []any{candidate(1)}}))
	},
	callstate.Offer:    func(r *raw, call string) *reply { return r.post(call+"/description", body("", offer())) },
	callstate.Reanswer: func(r *raw, call string) *reply { return r.post(call+"/description", body("", answer())) },
	callstate.Rollback: func(r *raw, call string) *reply {
		return r.post(call+"/description", body("", signaling.Description{Type: signaling.Rollback}))
	},
	callstate.Hangup:    func(r *raw, call string) *reply { return r.post(call+"/hangup", `{}`) },
	callstate.Telemetry: func(r *raw, call string) *reply { return r.post(call+"/telemetry", `{"telemetry":{"mos":4.2}}`) },
}

// stage is two users who can bring a call into any state.
type stage struct {
	w            *world
	alice, bob   *raw
	aliceS, bobS *socket
}

// reach makes a call and brings it into a state.
func (s *stage) reach(t *testing.T, state callstate.State) (id, path string) {
	t.Helper()
	re := s.alice.post("/v1/calls", body("bob", offer()))
	re.mustBe(t, 201, "")
	var call signaling.Call
	re.decode(&call)
	id, path = call.ID, "/v1/calls/"+call.ID
	must := func(event callstate.Event, by *raw) {
		t.Helper()
		requests[event](by, path).mustBe(t, 200, "")
	}
	moved := func(event callstate.Event) {
		t.Helper()
		s.w.await(string(event), func(e signaling.Event) bool { return e.Call == id && e.Request == event })
	}
	for _, step := range []struct {
		reached callstate.State
		do      func()
	}{
		{callstate.Ringing, func() {
			s.bobS.ack(s.bobS.until(signaling.NotifyInvite, id).Seq)
			moved(callstate.Notified)
		}},
		{callstate.Answered, func() { must(callstate.Answer, s.bob) }},
		{callstate.Connected, func() {
			s.aliceS.ack(s.aliceS.until(signaling.NotifyAnswer, id).Seq)
			moved(callstate.Confirmed)
		}},
	} {
		if state == callstate.Invited || state == callstate.Ended {
			break
		}
		step.do()
		if step.reached == state {
			break
		}
	}
	switch state {
	case callstate.CallerReoffer:
		must(callstate.Offer, s.alice)
	case callstate.CalleeReoffer:
		must(callstate.Offer, s.bob)
	case callstate.Ended:
		must(callstate.Hangup, s.alice)
	}
	if re = s.alice.get(path); re.status == 200 {
		re.decode(&call)
	}
	if call.State != state {
		t.Fatalf("the call is %s, wanted to bring it to %s", call.State, state)
	}
	return id, path
}

// Every request by either side in every state is taken or refused as the table
// says, and a refusal tells the state and what is allowed.
func TestTheAPIKeepsToTheTableOfStates(t *testing.T) {
	w := newWorld(t, nil)
	s := &stage{w: w, alice: w.raw("alice"), bob: w.raw("bob")}
	s.aliceS, s.bobS = s.alice.socket(0), s.bob.socket(0)
	events := slices.DeleteFunc(callstate.Events(), func(e callstate.Event) bool { return requests[e] == nil })
	if len(events) != len(requests) {
		t.Fatalf("%d of %d requests are in the list of events", len(events), len(requests))
	}
	for _, state := range callstate.States()[1:] { // in idle there is no call to name
		for _, role := range []callstate.Role{callstate.Caller, callstate.Callee} {
			for _, event := range events {
				t.Run(fmt.Sprintf("%s/%s/%s", state, role, event), func(t *testing.T) {
					id, path := s.reach(t, state)
					by := map[callstate.Role]*raw{callstate.Caller: s.alice, callstate.Callee: s.bob}[role]
					re := requests[event](by, path)
					to, err := callstate.Next(state, event, role)
					if err == nil {
						re.mustBe(t, 200, "")
						var call signaling.Call
						re.decode(&call)
						if call.State != to {
							t.Errorf("the call is %s, wanted %s", call.State, to)
						}
					} else {
						refusal := err.(*callstate.Refusal)
						code := signaling.CodeOutOfOrder
						if refusal.Glare() {
							code = signaling.CodeGlare
						}
						re.mustBe(t, 409, code)
						var allowed []string
						for _, e := range callstate.Allowed(state, role) {
							allowed = append(allowed, string(e))
						}
						if re.problem.State != string(state) || !slices.Equal(re.problem.Allowed, allowed) {
							t.Errorf("got state %s, allowed %v; wanted %s, %v", re.problem.State, re.problem.Allowed, state, allowed)
						}
					}
					s.alice.post(path+"/hangup", `{}`).mustBe(t, 200, "")
					w.await("ended", func(e signaling.Event) bool { return e.Call == id && e.State == callstate.Ended })
					s.aliceS.ackAll()
					s.bobS.ackAll()
				})
			}
		}
	}
}

// RFC 3261, section 14.1: who made the call waits longer, so that the second try
// does not cross again.
func TestGlareTellsHowLongToWait(t *testing.T) {
	w := newWorld(t, nil)
	s := &stage{w: w, alice: w.raw("alice"), bob: w.raw("bob")}
	s.aliceS, s.bobS = s.alice.socket(0), s.bob.socket(0)
	for _, tc := range []struct {
		state  callstate.State
		second *raw
		lo, hi int64
	}{
		{callstate.CallerReoffer, s.bob, 10, 2000},
		{callstate.CalleeReoffer, s.alice, 2100, 4000},
	} {
		_, path := s.reach(t, tc.state)
		for range 20 {
			re := requests[callstate.Offer](tc.second, path)
			re.mustBe(t, 409, signaling.CodeGlare)
			if ms := re.problem.RetryAfterMS; ms < tc.lo || ms > tc.hi || ms%10 != 0 {
				t.Errorf("%s: wait %d ms, wanted %d to %d in steps of 10", tc.state, ms, tc.lo, tc.hi)
			}
			if re.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		// The first offer still can be answered, and then the second made.
		first := map[*raw]*raw{s.alice: s.bob, s.bob: s.alice}[tc.second]
		requests[callstate.Rollback](first, path).mustBe(t, 200, "")
		requests[callstate.Offer](tc.second, path).mustBe(t, 200, "")
		requests[callstate.Reanswer](first, path).mustBe(t, 200, "")
		requests[callstate.Hangup](first, path).mustBe(t, 200, "")
	}
}

func TestInvitesThatCrossAreGlareAndNameTheOtherCall(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.join("alice"), w.join("bob")
	id := w.ringing(alice, bob)
	re := w.raw("bob").post("/v1/calls", body("alice", offer()))
	re.mustBe(t, 409, signaling.CodeGlare)
	if re.problem.Call != id {
		t.Errorf("got call %q, wanted %q", re.problem.Call, id)
	}
	if err := bob.Answer(ctx(t), id, answer()); err != nil {
		t.Errorf("answering the call that was named: %v", err)
	}
}

func TestAUserWhoIsAwayCannotBeCalled(t *testing.T) {
	w := newWorld(t, nil)
	w.join("alice")
	w.raw("alice").post("/v1/calls", body("bob", offer())).mustBe(t, 409, signaling.CodeCalleeOffline)
}

// Hold is per side, and a rolled back offer holds nothing (RFC 3264, section 8.4).
func TestHoldFollowsTheDescriptionsThatWereAnswered(t *testing.T) {
	w := newWorld(t, nil)
	s := &stage{w: w, alice: w.raw("alice"), bob: w.raw("bob")}
	s.aliceS, s.bobS = s.alice.socket(0), s.bob.socket(0)
	_, path := s.reach(t, callstate.Connected)
	describe := func(kind signaling.DescriptionType, direction string) string {
		setup := map[signaling.DescriptionType]string{signaling.Offer: "actpass", signaling.Answer: "active"}[kind]
		return body("", signaling.Description{Type: kind, SDP: sdp(setup, direction, "CCCC")})
	}
	for _, tc := range []struct {
		by, other     *raw
		offer, answer string // the answer empty: a rollback
		held          []string
	}{
		{s.alice, s.bob, "sendonly", "recvonly", []string{"alice"}},
		{s.bob, s.alice, "sendonly", "recvonly", []string{"bob"}},
		{s.bob, s.alice, "inactive", "inactive", []string{"alice", "bob"}},
		{s.bob, s.alice, "sendrecv", "", []string{"alice", "bob"}},
		{s.bob, s.alice, "sendrecv", "sendonly", []string{"alice"}},
		{s.alice, s.bob, "sendrecv", "sendrecv", nil},
		{s.alice, s.bob, "sendonly", "", nil},
		{s.alice, s.bob, "recvonly", "sendonly", []string{"bob"}},
	} {
		tc.by.post(path+"/description", describe(signaling.Offer, tc.offer)).mustBe(t, 200, "")
		if tc.answer == "" {
			requests[callstate.Rollback](tc.other, path).mustBe(t, 200, "")
		} else {
			tc.other.post(path+"/description", describe(signaling.Answer, tc.answer)).mustBe(t, 200, "")
		}
		var call signaling.Call
		s.alice.get(path).decode(&call)
		if !slices.Equal(call.HeldBy, tc.held) {
			t.Errorf("offer %s, answer %q: held by %v, wanted %v", tc.offer, tc.answer, call.HeldBy, tc.held)
		}
	}
}

func TestCandidatesAreBoundedBetweenDescriptions(t *testing.T) {
	w := newWorld(t, func(cfg *signaling.Config) { cfg.Limits.Candidates = 2 })
	s := &stage{w: w, alice: w.raw("alice"), bob: w.raw("bob")}
	s.aliceS, s.bobS = s.alice.socket(0), s.bob.socket(0)
	_, path := s.reach(t, callstate.Connected)
	trickle := func(r *raw) *reply { return requests[callstate.Candidate](r, path) }
	trickle(s.alice).mustBe(t, 200, "")
	trickle(s.alice).mustBe(t, 200, "")
	trickle(s.alice).mustBe(t, 429, signaling.CodeTooMany)
	trickle(s.bob).mustBe(t, 200, "")
	s.alice.post(path+"/description", body("", offer(), candidate(1))).mustBe(t, 200, "")
	trickle(s.alice).mustBe(t, 200, "")
	trickle(s.alice).mustBe(t, 429, signaling.CodeTooMany)
}

func TestOldEndedCallsAreForgotten(t *testing.T) {
	w := newWorld(t, nil)
	s := &stage{w: w, alice: w.raw("alice"), bob: w.raw("bob")}
	s.aliceS, s.bobS = s.alice.socket(0), s.bob.socket(0)
	_, first := s.reach(t, callstate.Ended)
	for range 64 {
		s.alice.get(first).mustBe(t, 200, "")
		s.reach(t, callstate.Ended)
		s.aliceS.ackAll()
		s.bobS.ackAll()
	}
	s.alice.get(first).mustBe(t, 404, signaling.CodeNotFound)
}
