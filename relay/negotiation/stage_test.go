package negotiation_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/negotiation"
)

// The stage is that of the furthest step, whatever is missing before it.
func TestStages(t *testing.T) {
	check := func(direction, result string) negotiation.Record {
		return negotiation.Record{ICE: negotiation.ICE{Checks: []negotiation.Check{{Direction: direction, Result: result}}}}
	}
	media := func(directions ...string) negotiation.Record {
		var rec negotiation.Record
		for _, d := range directions {
			rec.SRTP = append(rec.SRTP, negotiation.SRTP{Direction: d, Packets: 1})
		}
		return rec
	}
	handshake := func(complete bool) negotiation.Record {
		rec := check("sent", "succeeded")
		rec.DTLS = []negotiation.DTLS{{Complete: complete}}
		return rec
	}
	control := negotiation.Record{SRTP: []negotiation.SRTP{{Direction: "sent"}}}
	for _, tt := range []struct {
		name string
		rec  negotiation.Record
		want negotiation.Stage
	}{
		{"nothing", negotiation.Record{}, negotiation.StageNothing},
		{"only RTCP", control, negotiation.StageNothing},
		{"no answer", check("sent", "no answer"), negotiation.StageChecks},
		{"refused", check("sent", "401 Unauthorized"), negotiation.StageChecks},
		{"the peer's check", check("received", "succeeded"), negotiation.StageChecks},
		{"answered", check("sent", "succeeded"), negotiation.StageAnswered},
		{"handshake", handshake(false), negotiation.StageHandshake},
		{"keyed", handshake(true), negotiation.StageKeyed},
		{"sent only", media("sent"), negotiation.StageOneWay},
		{"received only", media("received", "received"), negotiation.StageOneWay},
		{"media", media("received", "sent"), negotiation.StageMedia},
	} {
		if got := tt.rec.Stage(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	equal(t, "an unknown stage", negotiation.Stage(99).String(), "stage 99")
	sent, answered, received := negotiation.ICE{Checks: []negotiation.Check{{Direction: "sent", Result: "succeeded"},
		{Direction: "sent", Result: "no answer"}, {Direction: "received", Result: "succeeded"}}}.CheckCounts()
	equal(t, "counts", [3]int{sent, answered, received}, [3]int{2, 1, 1})
}

// The last line of a leg in a log has the whole record where the log is JSON.
func TestTheLastLineOfALeg(t *testing.T) {
	var asJSON, asText strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&asJSON, nil), slog.NewTextHandler(&asText, nil)} {
		r := negotiation.NewRecorder(negotiation.Config{Leg: "alice", Log: slog.New(h)})
		equal(t, "verdict", r.Tell().Verdict, "nothing was seen")
	}
	var line struct {
		Msg, Leg, Stage, Verdict string
		Record                   negotiation.Record
	}
	if err := json.Unmarshal([]byte(asJSON.String()), &line); err != nil {
		t.Fatal(err)
	}
	if line.Msg != "leg.record" || line.Leg != "alice" || line.Stage != "nothing" || line.Record.Leg != "alice" || line.Record.Verdict != line.Verdict {
		t.Errorf("line: %+v", line)
	}
	contains(t, "text", []string{asText.String()}, `record="in logs of format json"`)
}

// A brief Recorder keeps less, whatever it is shown.
func TestABriefRecorderKeepsLess(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{Brief: true})
	for n := range 1000 {
		r.Relayed(epoch, true, alice, bob, message(t, [12]byte{byte(n), byte(n >> 8)}, stun.ClassRequest, stun.NewUsername("bob:alice")))
		r.Relayed(epoch, false, alice, bob, rtpPacket(uint32(n), 0, 20))
	}
	rec := r.Record()
	if n := len(rec.ICE.Checks); n != 256 {
		t.Errorf("%d checks, want 256", n)
	}
	if n := len(rec.SRTP); n != 32 {
		t.Errorf("%d streams, want 32", n)
	}
	for _, c := range rec.ICE.Checks {
		if !c.Relayed || c.Local != alice || c.Remote != bob {
			t.Fatalf("check: %+v", c)
		}
	}
}
