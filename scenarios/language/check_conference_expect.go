package language

import (
	"fmt"
	"slices"
)

// conferenceKeys are the expectations of a conference only, callKeys those of a call
// of two only.
var (
	conferenceKeys = []string{"processor-allocated", "processor-used", "lobby-crossed", "meetings", "messages", "processor", "hears", "sees", "slides", "rejoins"}
	callKeys       = []string{"steps", "setup-within"}
)

var messageOutcomes = []string{
	MessageDelivered, MessageMasked, MessageWarned, MessageWithheld, MessageBlocked, MessageRefused, MessageEdited, MessageDeleted, MessageRead,
}

// checkConferenceExpect validates what is expected of meetings and messages, and
// refuses what is of the other kind of scenario.
func (c *checker) checkConferenceExpect() {
	wrong, other := conferenceKeys, "a conference, and this scenario is a call of two"
	if c.s.Conference() {
		wrong, other = callKeys, "a call of two, and this scenario has a conference"
	}
	paths := []string{"expect"}
	for _, name := range c.d.Keys("expect.participants") {
		paths = append(paths, "expect.participants."+name)
	}
	for _, path := range paths {
		for _, key := range wrong {
			// What a call of two may expect as well needs no processor to be false.
			if at := path + "." + key; c.has(at) && !(key == "processor-used" && no(c.s.Expect.ProcessorUsed)) {
				c.report(at, "is an expectation of "+other)
			}
		}
	}
	if !c.s.Conference() {
		return
	}
	made := map[string]bool{}
	messages := map[string]bool{}
	for _, s := range c.s.Steps {
		switch {
		case s.Meeting != nil:
			made[s.Meeting.Name] = true
		case s.Group != nil:
			made[s.Group.Name] = true
		case s.Join != nil && s.Join.Group != "":
			made[s.Join.Group] = true
		case s.Chat != nil:
			messages[s.Chat.Name] = true
		case s.Read != nil:
			messages[s.Read.Name] = true
		}
	}
	for _, name := range sorted(c.s.Expect.Meetings) {
		c.checkMeetingExpect("expect.meetings."+name, name, made)
	}
	for _, name := range sorted(c.s.Expect.Messages) {
		at, m := "expect.messages."+name, c.s.Expect.Messages[name]
		if !messages[name] {
			c.report(at, fmt.Sprintf("no step sends a message %q", name), sorted(messages)...)
		}
		if len(c.d.Keys(at)) == 0 {
			c.report(at, "nothing is expected of the message", "outcome", "rule", "to", "text")
		}
		c.word(at+".outcome", m.Outcome, messageOutcomes...)
		c.text(at+".rule", m.Rule, false)
		c.people(at+".to", m.To)
		if m.To == nil && c.has(at+".to") {
			m.To = []string{}
			c.s.Expect.Messages[name] = m
		}
	}
}

func (c *checker) checkMeetingExpect(path, name string, made map[string]bool) {
	e := c.s.Expect.Meetings[name]
	if !made[name] {
		c.report(path, fmt.Sprintf("no step makes a meeting or a group %q", name), sorted(made)...)
	}
	if len(c.d.Keys(path)) == 0 {
		c.report(path, "nothing is expected of the meeting", "people", "region", "denied")
	}
	c.text(path+".region", e.Region, false)
	for _, person := range sorted(e.People) {
		at := path + ".people." + person
		c.participant(at, person)
		if len(e.People[person]) == 0 {
			c.report(at, "the course is empty", Stays()...)
		}
		for _, stay := range e.People[person] {
			if !slices.Contains(Stays(), stay.Place) {
				c.report(at, fmt.Sprintf("%q is no place of a course; wanted PLACE, or PLACE by RULE", stay.Place), Stays()...)
			}
		}
	}
}

// checkConferenceOutcome compares the outcome with the steps.
func (c *checker) checkConferenceOutcome() {
	e := c.s.Expect
	connects := slices.ContainsFunc(c.s.Steps, func(s Step) bool { return s.Connect != nil })
	switch {
	case e.Call == CallRejected:
		c.report("expect.call", "a conference is not rejected as a whole; say under meetings who was", CallConnected, CallFailed)
	case e.Call == CallConnected && (!connects || !c.s.MediaFlows()):
		c.report("expect.call", "the conference cannot be connected: no step waits for media in a meeting that has any")
	case e.Reason != "" && e.Call != CallFailed:
		c.report("expect.reason", "only a call that is rejected or fails has a reason; wanted call: failed beside it")
	}
}
