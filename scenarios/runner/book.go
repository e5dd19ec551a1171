package runner

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting"
)

// book keeps who was where in which conference, as the controller tells it, and what
// became of messages. It is told of events with a lock of the controller's held, so
// it calls nobody. It is safe for concurrent use.
type book struct {
	start time.Time

	mu       sync.Mutex
	closed   bool // the steps are over
	meetings []*entry
	in       map[string]string // by participant: what it asked to get into last
	leaving  map[string]bool   // participants whose own step leaves
	silent   map[string]bool   // participants whose media was refused
	messages []*messageEntry
	// waits has each person's times in a lobby.
	waits map[string][]wait
	// crossed counts messages that reached somebody in a lobby, or came from there.
	crossed int
}

// entry is one conference.
type entry struct {
	result.Meeting
	media   bool
	present map[string]bool // who is in
}

// wait is a time in a lobby; until is zero while it lasts.
type wait struct{ from, until time.Time }

func newBook(start time.Time) *book {
	return &book{start: start, in: map[string]string{}, leaving: map[string]bool{}, silent: map[string]bool{}, waits: map[string][]wait{}}
}

// add enters a conference that was made; media is true when people have any there.
func (b *book) add(name, kind, id string, media bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.meetings = append(b.meetings, &entry{Meeting: result.Meeting{Name: name, Kind: kind, ID: id}, media: media, present: map[string]bool{}})
}

// find is the conference of a name; mu is held.
func (b *book) find(match func(*entry) bool) *entry {
	if i := slices.IndexFunc(b.meetings, match); i >= 0 {
		return b.meetings[i]
	}
	return nil
}

// id is a conference's, and whether people have media there; empty for one that was
// not made.
func (b *book) id(name string) (id string, media bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.find(func(e *entry) bool { return e.Name == name }); e != nil {
		return e.ID, e.media
	}
	return "", false
}

// joins notes what a participant asks to get into, leaves that it goes by itself.
func (b *book) joins(participant, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in[participant] = name
	delete(b.leaving, participant)
	delete(b.silent, participant)
}

// silence notes that a participant's media was refused.
func (b *book) silence(participant string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent[participant] = true
}

func (b *book) isSilent(participant string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.silent[participant]
}

func (b *book) leaves(participant string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving[participant] = true
}

// joined is what a participant asked to get into last.
func (b *book) joined(participant string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.in[participant]
}

// close ends the courses: what happens when everybody is made to leave is no part of
// the scenario.
func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// denied is true for an act that the controller refused by a rule, which it notes.
func (b *book) denied(name, act, by string, err error) bool {
	var problem *signaling.Problem
	if !errors.As(err, &problem) {
		return false
	}
	refused := problem.Status == http.StatusForbidden || problem.Status == http.StatusConflict || problem.Rule != ""
	if !refused {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.find(func(e *entry) bool { return e.Name == name }); e != nil {
		e.Denied = append(e.Denied, result.Denial{Act: act, By: by, Rule: problem.Rule, Reason: problem.Detail})
	}
	return true
}

// stays are the places to which the controller's events lead.
var stays = map[meeting.EventName]string{
	meeting.PersonAdmitted: language.StayPresent,
	meeting.PersonWaits:    language.StayLobby,
	meeting.PersonRefused:  language.StayRefused,
	meeting.PersonRejected: language.StayRejected,
	meeting.PersonTimedOut: language.StayTimedOut,
	meeting.PersonLeft:     language.StayLeft,
	meeting.PersonRemoved:  language.StayRemoved,
}

// happened takes an event of the controller. It returns who is alone since then.
func (b *book) happened(e signaling.Event) (alone []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.find(func(m *entry) bool { return m.ID == e.Meeting })
	if of == nil {
		return nil
	}
	if e.What == meeting.MeetingStarted && of.Region == "" {
		of.Region = e.Region
	}
	place, ok := stays[e.What]
	if !ok {
		return nil
	}
	b.wait(e.Person, e.Time, place == language.StayLobby)
	delete(of.present, e.Person)
	if place == language.StayPresent {
		of.present[e.Person] = true
	} else if len(of.present) == 1 {
		alone = slices.Collect(maps.Keys(of.present))
	}
	if b.closed {
		return alone
	}
	if place == language.StayLeft {
		switch {
		case e.User != "":
			place = language.StayEnded
		case !b.leaving[e.Person]:
			place = language.StayLost
		}
	}
	i := slices.IndexFunc(of.People, func(a result.Attendance) bool { return a.Person == e.Person })
	if i < 0 {
		i, of.People = len(of.People), append(of.People, result.Attendance{Person: e.Person})
	}
	stay := result.Stay{At: result.Duration(e.Time.Sub(b.start)), Place: place, Rule: e.Rule}
	if e.User != e.Person {
		stay.By = e.User
	}
	of.People[i].Stays = append(of.People[i].Stays, stay)
	return alone
}

// wait begins or ends a person's time in a lobby; mu is held.
func (b *book) wait(person string, at time.Time, begins bool) {
	waits := b.waits[person]
	if n := len(waits); n > 0 && waits[n-1].until.IsZero() {
		waits[n-1].until = at
	}
	if begins {
		waits = append(waits, wait{from: at})
	}
	b.waits[person] = waits
}

// isIn is true for who is in a conference, past its lobby.
func (b *book) isIn(name, person string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.find(func(e *entry) bool { return e.Name == name })
	return e != nil && e.present[person]
}

// stands is true for who is in a conference, or waits in its lobby.
func (b *book) stands(name, person string) bool { return b.isIn(name, person) || b.waiting(person) }

// waiting is true while a person is in a lobby, as the controller has it.
func (b *book) waiting(person string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	waits := b.waits[person]
	return len(waits) > 0 && waits[len(waits)-1].until.IsZero()
}

// crosses notes that the controller took a message from a person, or gave them some,
// who was in a lobby before, if they still are.
func (b *book) crosses(person string) {
	if b.waiting(person) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.crossed++
	}
}

// during is true when a person was in a lobby at a time; mu is held.
func (b *book) during(person string, at time.Time) bool {
	return slices.ContainsFunc(b.waits[person], func(w wait) bool {
		return !at.Before(w.from) && (w.until.IsZero() || at.Before(w.until))
	})
}

// gather returns what was seen.
func (b *book) gather() (meetings []result.Meeting, messages []result.Message, lobby *result.Lobby) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.meetings {
		m := e.Meeting
		m.People = slices.Clone(m.People)
		m.Denied = slices.Clone(m.Denied)
		meetings = append(meetings, m)
	}
	for _, m := range b.messages {
		messages = append(messages, m.result())
	}
	lobby = &result.Lobby{Messages: b.crossed}
	for person, waits := range b.waits {
		if len(waits) > 0 {
			lobby.Waited = append(lobby.Waited, person)
		}
	}
	slices.Sort(lobby.Waited)
	if len(lobby.Waited) == 0 {
		lobby = nil
	}
	return meetings, messages, lobby
}
