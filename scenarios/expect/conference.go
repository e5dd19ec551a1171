package expect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
)

// conference evaluates what the scenario expects of its meetings and messages.
func conference(s *language.Scenario, r *result.Run) []result.Expectation {
	var checks []result.Expectation
	add := func(path, about string, o outcome) {
		checks = append(checks, o.expectation(path, about, s.Lines[path]))
	}
	for _, name := range names(s.Expect.Meetings) {
		e, path := s.Expect.Meetings[name], "expect.meetings."+name
		m := meeting(r, name)
		if e.Region != "" {
			add(path+".region", "", text(e.Region, m.Region))
		}
		if e.Denied != nil {
			var denied []string
			for _, d := range m.Denied {
				denied = append(denied, d.Text())
			}
			o := nothing(nameText(e.Denied))
			if m.Name != "" {
				o = outcome{wanted: o.wanted, seen: nameText(denied), met: o.wanted == nameText(denied)}
			}
			add(path+".denied", "", o)
		}
		if e.People == nil {
			continue
		}
		for _, person := range names(e.People) {
			add(path+".people."+person, person, course(e.People[person], m, person))
		}
		for _, a := range m.People {
			if _, said := e.People[a.Person]; !said {
				add(path+".people", a.Person, outcome{wanted: "nothing", seen: courseText(a.Stays)})
			}
		}
	}
	for _, name := range names(s.Expect.Messages) {
		e, path := s.Expect.Messages[name], "expect.messages."+name
		m, sent := message(r, name)
		if e.Outcome != "" {
			add(path+".outcome", m.From, text(e.Outcome, m.Outcome))
		}
		if e.Rule != "" {
			o := text("something with "+e.Rule, m.Rule)
			o.met = m.Rule != "" && strings.Contains(strings.ToLower(m.Rule), strings.ToLower(e.Rule))
			add(path+".rule", m.From, o)
		}
		if e.To != nil {
			o := nothing(nameText(e.To))
			if sent {
				o = outcome{wanted: nameText(e.To), seen: nameText(m.To), met: nameText(e.To) == nameText(m.To)}
			}
			add(path+".to", m.From, o)
		}
		if e.Text != "" {
			add(path+".text", m.From, text(e.Text, m.Text))
		}
	}
	return checks
}

// text wants the very text; an empty one was not seen.
func text(wanted, seen string) outcome {
	if seen == "" {
		return nothing(wanted)
	}
	return outcome{wanted: wanted, seen: seen, met: wanted == seen}
}

// course compares where a person stood: the same places in the same order, and by
// the rule where one is wanted.
func course(wanted language.Course, m result.Meeting, person string) outcome {
	var words []string
	for _, stay := range wanted {
		words = append(words, stay.Text())
	}
	o := nothing(strings.Join(words, ", then "))
	i := slices.IndexFunc(m.People, func(a result.Attendance) bool { return a.Person == person })
	if i < 0 {
		return o
	}
	stays := m.People[i].Stays
	o.seen = courseText(stays)
	o.met = slices.EqualFunc(wanted, stays, func(w language.Stay, s result.Stay) bool {
		return w.Place == s.Place && (w.Rule == "" || w.Rule == s.Rule)
	})
	return o
}

func courseText(stays []result.Stay) string {
	var words []string
	for _, s := range stays {
		word := language.Stay{Place: s.Place, Rule: s.Rule}.Text()
		if s.Value != "" {
			word += " (" + s.Value + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", then ")
}

func meeting(r *result.Run, name string) result.Meeting {
	i := slices.IndexFunc(r.Meetings, func(m result.Meeting) bool { return m.Name == name })
	if i < 0 {
		return result.Meeting{}
	}
	return r.Meetings[i]
}

func message(r *result.Run, name string) (result.Message, bool) {
	i := slices.IndexFunc(r.Messages, func(m result.Message) bool { return m.Name == name })
	if i < 0 {
		return result.Message{}, false
	}
	return r.Messages[i], true
}

func names[V any](m map[string]V) []string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	slices.SortFunc(list, cmp.Compare[string])
	return list
}

// processorAllocated looks for TURN of which a media processor is the client.
func processorAllocated(r *result.Run) fact {
	var f fact
	var packets uint64
	for _, p := range r.Processors {
		f.known = f.known || p.PacketsIn > 0
		packets += p.TURN
	}
	f.is = packets > 0
	f.why = fmt.Sprintf("%d packets of TURN at the media processor", packets)
	return f
}

// processorUsed looks for media that reached a media processor. A call in which
// nobody asked for one has none.
func processorUsed(r *result.Run) fact {
	f := fact{known: r.Error == "" && len(r.Participants) > 0}
	var packets uint64
	for _, p := range r.Processors {
		packets += p.PacketsIn
	}
	f.is = packets > 0
	f.why = fmt.Sprintf("%d packets", packets)
	return f
}

// lobbyCrossed is known only when somebody waited in a lobby.
func lobbyCrossed(r *result.Run) fact {
	if r.Lobby == nil || len(r.Lobby.Waited) == 0 {
		return fact{}
	}
	return fact{
		known: true,
		is:    r.Lobby.Media > 0 || r.Lobby.Messages > 0,
		why: fmt.Sprintf("%s waited; %d packets of media and %d messages of a chat meanwhile",
			nameText(r.Lobby.Waited), r.Lobby.Media, r.Lobby.Messages),
	}
}
