package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/scenarios/result"
)

// isConference is true for a run of meetings or group calls.
func isConference(r *result.Run) bool { return len(r.Meetings) > 0 }

// conferenceHeadline says in one line what became of a conference.
func conferenceHeadline(r *result.Run) string {
	switch {
	case r.NotTaken != "":
		return "Stopped at " + r.NotTaken
	case r.Call.State == "connected":
		return "Connected: " + strings.Replace(mediaPath(r), "media went directly", "each to the media processor directly", 1)
	case r.Call.State == "failed":
		return "The conference failed: " + r.Call.Reason
	}
	asked := 0
	for _, m := range r.Meetings {
		asked += len(m.People)
	}
	return fmt.Sprintf("%s, without media; %d times somebody asked to get in", plural(len(r.Meetings), "meeting"), asked)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// meetings lists who stood where.
func meetings(r *result.Run) *table {
	t := &table{caption: "Who got in", head: []string{"meeting", "person", "at", "place", "decided by"}}
	for _, m := range r.Meetings {
		name := m.Name
		if m.Region != "" {
			name += " (" + m.Region + ")"
		}
		for _, a := range m.People {
			for i, s := range a.Stays {
				who := a.Person
				if i > 0 {
					who = ""
				}
				t.add(cell{name, bold}, text(who), text(s.At.String()), cell{s.Place, placeColors[s.Place]}, text(decided(s)))
				name = ""
			}
		}
		for _, d := range m.Denied {
			t.add(cell{name, bold}, text(d.By), text(""), cell{"may not " + d.Act, red}, text(d.Rule))
			name = ""
		}
	}
	return t
}

var placeColors = map[string]color{"present": green, "lobby": yellow, "refused": red, "rejected": red, "removed": red}

// decided is the rule or the person that decided on a place.
func decided(s result.Stay) string {
	switch {
	case s.By != "":
		return s.By
	case s.Value != "":
		return s.Rule + " (" + s.Value + ")"
	}
	return s.Rule
}

// received lists who got whose media.
func received(r *result.Run) *table {
	t := &table{caption: "Who got whose media, by packets that were decrypted and compared", head: []string{"", "hears", "sees", "shared screens", "media processor", "rejoined"}}
	for _, p := range r.Participants {
		if !p.Joined {
			continue
		}
		t.add(cell{p.Name, bold}, text(orNone(strings.Join(p.Hears, ", "))), text(orNone(strings.Join(p.Sees, ", "))),
			text(orNone(strings.Join(p.Slides, ", "))), text(orNone(p.Processor)), text(fmt.Sprint(p.Rejoins)))
	}
	return t
}

// messages lists those of the chat.
func messages(r *result.Run) *table {
	t := &table{caption: "Chat", head: []string{"message", "from", "outcome", "rule", "reached", "as"}}
	for _, m := range r.Messages {
		t.add(cell{m.Name, bold}, text(m.From), text(orNone(m.Outcome)), text(orNone(m.Rule)), text(orNone(strings.Join(m.To, ", "))), text(orNone(m.Text)))
	}
	return t
}

// processors lists the media processors that took part.
func processors(r *result.Run) *table {
	t := &table{caption: "Media processors, their own view", head: []string{"", "region", "offers answered", "packets in", "packets out", "TURN of its own"}}
	for _, p := range r.Processors {
		if p.Joins > 0 {
			t.add(cell{p.Host, bold}, text(orNone(p.Region)), text(fmt.Sprint(p.Joins)), text(fmt.Sprint(p.PacketsIn)), text(fmt.Sprint(p.PacketsOut)), failures(p.TURN))
		}
	}
	return t
}

// lobbyWords says what packets say of those who waited; empty when nobody did.
func lobbyWords(r *result.Run) string {
	l := r.Lobby
	if l == nil {
		return ""
	}
	waited := slices.Sorted(slices.Values(l.Waited))
	return fmt.Sprintf("In the lobby waited %s; meanwhile %d packets of media and %d messages of a chat reached or left them",
		strings.Join(waited, ", "), l.Media, l.Messages)
}

// conferenceTables are those that only conferences have.
func conferenceTables(r *result.Run) []*table {
	return []*table{meetings(r), received(r), messages(r), processors(r)}
}
