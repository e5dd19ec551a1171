package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/scenarios/report"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/topology"
)

// meetingRun is a meeting in which Bob waited and was let in, and Carol was refused.
func meetingRun() *result.Run {
	at := func(n int) result.Duration { return result.Duration(time.Duration(n) * time.Millisecond) }
	return &result.Run{
		Scenario: "review", Title: "A meeting", Seed: 1, Duration: at(4000), Call: result.Call{State: "connected"},
		Participants: []result.Participant{
			{Name: "alice", Host: "alice-pc", Client: "teams", Path: "host → host over udp", Pair: [2]string{"host", "host"}, Protocol: "udp",
				Flows: []topology.Flow{"4"}, Joined: true, Hears: []string{"bob"}, Processor: "processor",
				Streams: []result.Stream{{Kind: "audio", Codec: "opus", From: "bob", Slot: "0", Received: 50, Intact: 50}, {Kind: "video", Codec: "vp8", Slot: "1", Received: 3}}},
			{Name: "bob", Host: "bob-pc", Client: "acs", Flows: []topology.Flow{"3"}, Protocol: "udp", Joined: true, Hears: []string{"alice"}, Sees: []string{"alice"},
				Slides: []string{"alice"}, Rejoins: 1, Processor: "processor",
				Streams: []result.Stream{{Kind: "slides", Codec: "vp8", From: "alice", Slot: "2", Received: 60, Intact: 60, Freezes: 1}}},
			{Name: "carol", Host: "carol-pc", Client: "acs"},
		},
		Meetings: []result.Meeting{{
			Name: "review", Kind: "meeting", Region: "europe",
			People: []result.Attendance{
				{Person: "alice", Stays: []result.Stay{{At: at(500), Place: "present", Rule: "AutoAdmittedUsers"}}},
				{Person: "bob", Stays: []result.Stay{{At: at(600), Place: "lobby", Rule: "AutoAdmittedUsers", Value: "EveryoneInCompany"}, {At: at(900), Place: "present", By: "alice"}}},
				{Person: "carol", Stays: []result.Stay{{At: at(700), Place: "refused", Rule: "DisableAnonymousJoin"}}},
			},
			Denied: []result.Denial{{Act: "admit", By: "bob", Rule: "role"}},
		}},
		Messages: []result.Message{
			{Name: "greeting", From: "alice", Outcome: "delivered", To: []string{"bob"}, Text: "Hello"},
			{Name: "card", From: "bob", Outcome: "blocked", Rule: "no-cards"},
		},
		Processors: []result.Processor{{Host: "processor", Region: "europe", Joins: 3, PacketsIn: 120, PacketsOut: 110}, {Host: "processor-2"}},
		Lobby:      &result.Lobby{Waited: []string{"bob"}},
	}
}

func TestAConferenceIsShown(t *testing.T) {
	got := write(t, asText(report.Options{}), meetingRun())
	golden(t, "meeting.txt", []byte(got))
	page := write(t, report.HTML, meetingRun())
	for _, want := range []string{"Who got in", "Who got whose media", "DisableAnonymousJoin", "Media processors, their own view", "In the lobby waited bob", "no-cards"} {
		if !strings.Contains(got, want) || !strings.Contains(page, want) {
			t.Errorf("%q is not in both the text and the page", want)
		}
	}
}

func TestTheHeadlineOfAConference(t *testing.T) {
	for want, change := range map[string]func(*result.Run){
		"Connected: each to the media processor directly over udp, flows 3, 4":   func(*result.Run) {},
		"The conference failed: nobody had media":                                func(r *result.Run) { r.Call = result.Call{State: "failed", Reason: "nobody had media"} },
		"Stopped at admit: no":                                                   func(r *result.Run) { r.NotTaken = "admit: no" },
		"1 meeting, without media; 3 times somebody asked to get in":             func(r *result.Run) { r.Call.State = "none" },
		"Connected: media went through the transport relay over udp, flows 3, 4": func(r *result.Run) { r.Participants[0].Relayed = true },
		"2 meetings, without media; 3 times somebody asked to get in":            func(r *result.Run) { r.Call.State = "none"; r.Meetings = append(r.Meetings, result.Meeting{}) },
		"The run could not be carried out: no network":                           func(r *result.Run) { r.Error = "no network" },
	} {
		r := meetingRun()
		change(r)
		if got := write(t, asText(report.Options{}), r); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got[:300])
		}
	}
}
