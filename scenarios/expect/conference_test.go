package expect

import (
	"strings"
	"testing"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
)

// meetingRun is a meeting in which bob waited and was let in, carol was refused, and
// bob tried to admit somebody; and three messages.
func meetingRun() *result.Run {
	r := goodRun()
	r.Meetings = []result.Meeting{{
		Name: "standup", Kind: "meeting", Region: "europe",
		People: []result.Attendance{
			{Person: "alice", Stays: []result.Stay{{Place: "present"}}},
			{Person: "bob", Stays: []result.Stay{{Place: "lobby", Rule: "AutoAdmittedUsers"}, {Place: "present", By: "alice"}}},
			{Person: "carol", Stays: []result.Stay{{Place: "refused", Rule: "DisableAnonymousJoin"}}},
		},
		Denied: []result.Denial{{Act: "admit", By: "bob", Rule: "role"}},
	}}
	r.Messages = []result.Message{
		{Name: "greeting", From: "alice", Outcome: "delivered", To: []string{"bob"}, Text: "hello"},
		{Name: "card", From: "alice", Outcome: "blocked", Rule: "dlp payment-card"},
	}
	return r
}

func stays(words ...string) language.Course {
	var c language.Course
	for _, w := range words {
		place, rule, _ := strings.Cut(w, " by ")
		c = append(c, language.Stay{Place: place, Rule: rule})
	}
	return c
}

func people(name string, words ...string) func(*language.MeetingExpect) {
	return func(e *language.MeetingExpect) {
		if e.People == nil {
			e.People = map[string]language.Course{}
		}
		e.People[name] = stays(words...)
	}
}

func TestMeetingsAndMessages(t *testing.T) {
	everybody := []func(*language.MeetingExpect){
		people("alice", "present"), people("bob", "lobby by AutoAdmittedUsers", "present"), people("carol", "refused by DisableAnonymousJoin"),
	}
	for _, c := range []struct {
		name    string
		meeting []func(*language.MeetingExpect)
		message map[string]language.MessageExpect
		unmet   string
	}{
		{name: "as it was", meeting: everybody},
		{name: "somebody is not said", meeting: everybody[:2], unmet: "expect.meetings.standup.people carol"},
		{name: "somebody did not come", meeting: append(everybody[:3:3], people("dave", "present")), unmet: "expect.meetings.standup.people.dave dave"},
		{name: "another place", meeting: append(everybody[:3:3], people("bob", "present")), unmet: "expect.meetings.standup.people.bob bob"},
		{name: "another rule", meeting: append(everybody[:3:3], people("carol", "refused by EnableAcsFederationAccess")), unmet: "expect.meetings.standup.people.carol carol"},
		{name: "any rule", meeting: append(everybody[:3:3], people("carol", "refused"))},
		{name: "another order", meeting: append(everybody[:3:3], people("bob", "present", "lobby")), unmet: "expect.meetings.standup.people.bob bob"},
		{name: "the region", meeting: []func(*language.MeetingExpect){func(e *language.MeetingExpect) { e.Region = "europe" }}},
		{name: "another region", meeting: []func(*language.MeetingExpect){func(e *language.MeetingExpect) { e.Region = "asia" }}, unmet: "expect.meetings.standup.region"},
		{name: "what was denied", meeting: []func(*language.MeetingExpect){func(e *language.MeetingExpect) { e.Denied = []string{"admit by bob"} }}},
		{name: "nothing was denied", meeting: []func(*language.MeetingExpect){func(e *language.MeetingExpect) { e.Denied = []string{} }}, unmet: "expect.meetings.standup.denied"},
		{name: "a message", message: map[string]language.MessageExpect{"greeting": {Outcome: "delivered", To: []string{"bob"}, Text: "hello"}, "card": {Outcome: "blocked", Rule: "payment-card", To: []string{}}}},
		{name: "another outcome", message: map[string]language.MessageExpect{"greeting": {Outcome: "masked"}}, unmet: "expect.messages.greeting.outcome alice"},
		{name: "another text", message: map[string]language.MessageExpect{"greeting": {Text: "bye"}}, unmet: "expect.messages.greeting.text alice"},
		{name: "another rule of a message", message: map[string]language.MessageExpect{"card": {Rule: "iban"}}, unmet: "expect.messages.card.rule alice"},
		{name: "somebody got it", message: map[string]language.MessageExpect{"card": {To: []string{"bob"}}}, unmet: "expect.messages.card.to alice"},
		{name: "a message that was not sent", message: map[string]language.MessageExpect{"later": {To: []string{}, Outcome: "delivered", Text: "x", Rule: "y"}},
			unmet: "expect.messages.later.outcome, expect.messages.later.rule, expect.messages.later.to, expect.messages.later.text"},
	} {
		s := scenario(func(e *language.Expect) {
			if c.meeting != nil {
				var m language.MeetingExpect
				for _, change := range c.meeting {
					change(&m)
				}
				e.Meetings = map[string]language.MeetingExpect{"standup": m}
			}
			e.Messages = c.message
		})
		if got := unmet(Check(s, meetingRun())); got != c.unmet {
			t.Errorf("%s: unmet %q, wanted %q", c.name, got, c.unmet)
		}
		if got := stated(Check(s, &result.Run{})); len(got) == 0 || unmet(got) == "" {
			t.Errorf("%s: a run that saw nothing meets it", c.name)
		}
	}
}

// In a conference the rules about packets hold for who received any, and the media
// processor is no client of the relay.
func TestWhatAlwaysHoldsOfAConference(t *testing.T) {
	s := scenario(func(*language.Expect) {})
	s.Steps = []language.Step{{Join: &language.Join{By: []string{"alice"}, Group: "g"}}}
	r := meetingRun()
	if got := unmet(Check(s, r)); got != "" {
		t.Errorf("unmet: %s", got)
	}
	r.Participants[1].Streams = nil // bob waits in the lobby
	r.Participants[1].Negotiation.DTLS = nil
	r.Processors[0].TURN = 1
	if got := unmet(Check(s, r)); got != "always.processor-allocated" {
		t.Errorf("unmet: %q, wanted that the media processor allocated", got)
	}
}
