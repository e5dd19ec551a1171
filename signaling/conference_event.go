package signaling

import (
	"slices"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// Why somebody has gone, as MeetingParticipant.Reason has it, beside the names of
// package meeting's events.
const reasonLost = "connection lost"

// told is what a change makes known, gathered so that each user gets one notification
// of each sort.
type told struct {
	roster, lobby []MeetingParticipant
	options       bool
}

// apply makes a saved state the present one: events, audit and notifications. It
// returns what is to be done without the lock, which is held. reason, when set, is why
// who left did so.
func (c *Controller) apply(k *conference, m *meeting.Meeting, events []meeting.Event, reason string) []func() {
	before := k.state
	k.state = m
	var t told
	var afterwards []func()
	for _, e := range events {
		place := policy.Outside
		if a, ok := before.People[e.Person]; ok {
			place = a.Place
		}
		c.happened(k, e)
		switch e.Name {
		case meeting.PersonAdmitted:
			c.entered(k, e, place, &t)
		case meeting.PersonWaits:
			c.enlist(k, e.Person)
			t.lobby = append(t.lobby, c.entry(k, m.People[e.Person]))
		case meeting.PersonRefused, meeting.PersonRejected, meeting.PersonTimedOut, meeting.PersonLeft, meeting.PersonRemoved:
			afterwards = append(afterwards, c.left(k, e, before, reason, &t)...)
		case meeting.MeetingEmpty:
			afterwards = append(afterwards, c.endMedia(k, before.Region))
		case meeting.MeetingEnded:
			afterwards = append(afterwards, c.endMedia(k, before.Region))
			for _, place := range []policy.Place{policy.Present, policy.Lobby} {
				for _, a := range before.In(place) {
					c.inform(k, a.Person.ID, Notification{Type: NotifyMeetingEnded, From: e.By})
				}
			}
		case meeting.OptionsChanged, meeting.RulesChanged:
			t.options = true
		case meeting.RightsChanged:
			t.roster = append(t.roster, c.entry(k, m.People[e.Person]))
			afterwards = append(afterwards, c.curb(k, e.Person)...)
		}
	}
	c.tell(k, t)
	c.schedule(k)
	return afterwards
}

// tell sends what was gathered. c.mu is held, as for all that follows.
func (c *Controller) tell(k *conference, t told) {
	for _, a := range k.state.In(policy.Present) {
		if t.options {
			options := k.state.Options
			c.inform(k, a.Person.ID, Notification{Type: NotifyMeetingOptions, Options: &options})
		}
		if len(t.roster) > 0 {
			c.inform(k, a.Person.ID, Notification{Type: NotifyMeetingRoster, Participants: t.roster})
		}
		if len(t.lobby) > 0 && k.state.MayAdmit(a.Person.ID) {
			c.inform(k, a.Person.ID, Notification{Type: NotifyMeetingLobby, Participants: t.lobby})
		}
	}
}

// entered is for somebody who is in, by a join or from the lobby.
func (c *Controller) entered(k *conference, e meeting.Event, from policy.Place, t *told) {
	c.enlist(k, e.Person)
	entry := c.entry(k, k.state.People[e.Person])
	t.roster = append(t.roster, entry)
	if from != policy.Lobby {
		return
	}
	t.lobby = append(t.lobby, entry)
	c.inform(k, e.Person, Notification{Type: NotifyMeetingAdmitted, From: e.By, Role: e.Role, Region: k.state.Region, Recording: k.records()})
	why := "admitted from the lobby"
	if e.By == "" {
		why = "the meeting has started"
	}
	c.decided(k, e, true, why)
}

// left is for somebody who is out now, from the lobby or the meeting, or was never in.
func (c *Controller) left(k *conference, e meeting.Event, before *meeting.Meeting, reason string, t *told) []func() {
	a, was := before.People[e.Person]
	if !was {
		return nil // refused at the door: the response tells
	}
	if reason == "" {
		reason = string(e.Name)
	}
	if u := c.users[e.Person]; u != nil {
		u.conferences = slices.DeleteFunc(u.conferences, func(other *conference) bool { return other == k })
	}
	gone := MeetingParticipant{Participant: e.Person, Place: policy.Outside, Reason: reason}
	if u := c.users[e.Person]; u != nil {
		gone.Name = u.name
	}
	n := Notification{Type: NotifyMeetingRejected, From: e.By, Reason: reason, Rule: e.Because.Rule}
	var afterwards []func()
	if a.Place == policy.Lobby {
		t.lobby = append(t.lobby, gone)
	} else {
		t.roster = append(t.roster, gone)
		n.Type = NotifyMeetingRemoved
		afterwards = c.dropMedia(k, before.Region, e.Person)
	}
	switch e.Name {
	case meeting.PersonLeft: // by themselves, or with the end of the meeting
		return afterwards
	case meeting.PersonRefused:
		c.decided(k, e, false, "a policy or an option has changed")
	case meeting.PersonTimedOut:
		c.audit(ruleLobbyTimeout, false, "nobody has admitted them within "+k.state.LobbyTimeout.String(), Event{Meeting: k.id, Person: e.Person})
	case meeting.PersonRejected, meeting.PersonRemoved:
		c.decided(k, e, true, reason)
	}
	c.inform(k, e.Person, n)
	return afterwards
}

// enlist remembers that a user is there.
func (c *Controller) enlist(k *conference, id string) {
	u := c.users[id]
	if u == nil {
		u = c.stub(id)
	}
	if !slices.Contains(u.conferences, k) {
		u.conferences = append(u.conferences, k)
	}
}

// inform puts a notification about a conference into a user's mailbox.
func (c *Controller) inform(k *conference, id string, n Notification) {
	n.Meeting = k.id
	c.post(id, n)
}

// post puts a notification into a user's mailbox.
func (c *Controller) post(id string, n Notification) {
	u := c.users[id]
	if u == nil {
		return
	}
	n.Time = c.cfg.Now()
	if n.Type != NotifyMeetingLayout || !u.box.replace(n) {
		u.box.put(n)
	}
	if u.session != nil {
		u.session.poke()
	}
}

// happened emits what happened in a conference.
func (c *Controller) happened(k *conference, e meeting.Event) {
	c.emit(Event{Kind: EventMeeting, Meeting: k.id, User: e.By, Person: e.Person, What: e.Name, Region: e.Region,
		Rule: e.Because.Rule, Reason: because(e.Because)})
}

// decided is the audit of what was decided about a person already there: by somebody
// whose role allows it, or by a rule.
func (c *Controller) decided(k *conference, e meeting.Event, allowed bool, why string) {
	rule := ruleRole
	if e.By == "" && e.Because.Rule != "" {
		rule, why = e.Because.Rule, why+": "+because(e.Because)
	}
	c.audit(rule, allowed, why, Event{Meeting: k.id, User: e.By, Person: e.Person})
}

// because is a decision in words: the value that decided, and whence it comes.
func because(d policy.Decision) string {
	if d.Rule == "" {
		return ""
	}
	return d.Rule + " is " + d.Value + " (" + d.Source + ")"
}

// connected tells the others that somebody's connection was lost or is back.
func (c *Controller) connected(u *user) {
	for _, k := range u.conferences {
		a, ok := k.state.People[u.id]
		if !ok {
			continue
		}
		t := told{roster: []MeetingParticipant{c.entry(k, a)}}
		if a.Place == policy.Lobby {
			t = told{lobby: t.roster}
		}
		c.tell(k, t)
	}
}
