package meeting_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

var update = flag.Bool("update", false, "write STATES.md from the tables")

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func person(id string, kind policy.Kind, client policy.Client) policy.Person {
	return policy.Person{ID: id, Kind: kind, Client: client, Region: "region-" + id}
}

var (
	olga  = person("olga", policy.Member, policy.Teams) // the organizer
	cora  = person("cora", policy.Member, policy.Teams) // a co-organizer
	mia   = person("mia", policy.Member, policy.Teams)
	anna  = person("anna", policy.Anonymous, policy.ACS)
	phone = person("+15550100", policy.Anonymous, policy.Phone)
)

func schedule(t *testing.T, settings string) *meeting.Meeting {
	t.Helper()
	rules := policy.Effective{Configuration: policy.DefaultConfiguration(), Policy: policy.DefaultPolicy(), Source: "direct"}
	o := policy.DefaultOptions()
	for pair := range strings.FieldsSeq(settings) {
		name, value, _ := strings.Cut(pair, "=")
		if rules.Policy.Set(name, value) != nil && rules.Configuration.Set(name, value) != nil {
			if err := o.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	m, err := meeting.Schedule(meeting.Meeting{ID: "m", Organizer: "olga", CoOrganizers: []string{"cora"}, Presenters: []string{"mia"}, Options: o}, rules)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func join(t *testing.T, m *meeting.Meeting, people ...policy.Person) (names string) {
	t.Helper()
	for _, p := range people {
		_, events, err := m.Join(start, p)
		if err != nil {
			t.Fatal(err)
		}
		names += said(events)
	}
	return names
}

func said(events []meeting.Event) (s string) {
	for _, e := range events {
		s += fmt.Sprintf("%s %s; ", e.Person, e.Name)
	}
	return s
}

func TestTheLobby(t *testing.T) {
	for _, tc := range []struct {
		name string
		act  func(*meeting.Meeting) ([]meeting.Event, error)
		want string // the events, or the refusal
	}{
		{"admit", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Admit(start, "anna", "olga") }, "anna admitted; "},
		{"admit all", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.AdmitAll(start, "cora") }, "anna admitted; +15550100 admitted; "},
		{"admit, by a presenter", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Admit(start, "anna", "mia") }, "anna admitted; "},
		{"admit, by somebody in the lobby", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Admit(start, "anna", "anna") }, `role is "lobby"`},
		{"admit all, by somebody outside", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.AdmitAll(start, "zoe") }, `role is "outside"`},
		{"admit somebody who is outside", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Admit(start, "zoe", "olga") }, "the person is outside; allowed: join"},
		{"reject", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Reject(start, "anna", "olga") }, "anna rejected; "},
		{"reject, by oneself", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Reject(start, "anna", "anna") }, `role is "lobby"`},
		{"reject somebody in the meeting", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Reject(start, "mia", "olga") }, "the person is in the meeting; allowed: leave, remove, end"},
		{"leave", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Leave(start, "anna") }, "anna left; "},
		{"leave from outside", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Leave(start, "zoe") }, "out of order"},
		{"before the time-out", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.Tick(start.Add(meeting.DefaultLobbyTimeout - 1)), nil
		}, ""},
		{"at the time-out", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.Tick(start.Add(meeting.DefaultLobbyTimeout)), nil
		}, "anna timed out; +15550100 timed out; "},
		{"remove", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Remove(start, "mia", "olga") }, "mia removed; "},
		{"remove a host, by a presenter", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.Remove(start, "olga", "mia") }, `role is "presenter"`},
		{"end", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.End(start, cora) }, "anna left; +15550100 left; olga left; cora left; mia left;  meeting ended; "},
		{"end, by a presenter", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.End(start, mia) }, `role is "presenter"`},
		{"make an attendee", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.SetRole(start, "mia", "olga", policy.Attendee)
		}, "mia rights changed; "},
		{"make a co-organizer", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.SetRole(start, "mia", "olga", policy.CoOrganizer)
		}, "valid: presenter, attendee"},
		{"a role in the lobby", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.SetRole(start, "anna", "olga", policy.Presenter)
		}, "only somebody in the meeting"},
		{"a role, by somebody outside", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.SetRole(start, "mia", "zoe", policy.Presenter)
		}, "refused"},
		{"options, by a presenter", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.SetOptions(start, mia, policy.DefaultOptions())
		}, "refused"},
		{"unknown options", func(m *meeting.Meeting) ([]meeting.Event, error) {
			return m.SetOptions(start, olga, policy.Options{AllowMeetingChat: "off"})
		}, "valid:"},
		{"unknown policies", func(m *meeting.Meeting) ([]meeting.Event, error) { return m.SetRules(start, policy.Effective{}) }, "valid:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := schedule(t, "")
			join(t, m, olga, cora, mia, anna, phone)
			before, _ := json.Marshal(m)
			events, err := tc.act(m)
			if err != nil {
				if after, _ := json.Marshal(m); !strings.Contains(err.Error(), tc.want) || tc.want == "" || string(after) != string(before) {
					t.Errorf("got %v, wanted %q and no change", err, tc.want)
				}
				return
			}
			if said(events) != tc.want {
				t.Errorf("got %q, wanted %q", said(events), tc.want)
			}
			data, _ := json.Marshal(m)
			if again, err := meeting.Restore(data); err != nil || !reflect.DeepEqual(again, m) && len(m.People) > 0 {
				t.Errorf("saved and restored: %v\n%+v\nwanted\n%+v", err, again, m)
			}
		})
	}
}

func TestTheFirstPersonInDecidesTheRegionAndStartsForThoseWhoWait(t *testing.T) {
	m := schedule(t, "AutoAdmittedUsers=Everyone AllowPSTNUsersToBypassLobby=true")
	if got, want := join(t, m, anna, phone), "anna waits in the lobby; +15550100 waits in the lobby; "; got != want || m.Region != "" {
		t.Errorf("got %q in %q, wanted %q", got, m.Region, want)
	}
	want := "mia admitted; mia meeting started; anna admitted; +15550100 admitted; "
	if got := join(t, m, mia); got != want || m.Region != "region-mia" {
		t.Errorf("got %q in %q, wanted %q", got, m.Region, want)
	}
	for _, id := range []string{"mia", "anna", "+15550100"} {
		if _, err := m.Leave(start, id); err != nil {
			t.Fatal(err)
		}
	}
	if got := join(t, m, anna); m.Phase != meeting.Scheduled || m.Region != "" || got != "anna waits in the lobby; " {
		t.Errorf("after all left: %s in %q, %q", m.Phase, m.Region, got)
	}
	// A policy that changes before the start has those who waited for it admitted by hand.
	stricter := m.Rules
	stricter.Policy.AutoAdmittedUsers = policy.EveryoneInCompany
	if _, err := m.SetRules(start, stricter); err != nil {
		t.Fatal(err)
	}
	if got := join(t, m, olga); got != "olga admitted; olga meeting started; " || len(m.In(policy.Lobby)) != 1 {
		t.Errorf("got %q", got)
	}
	open := schedule(t, "AutoAdmittedUsers=Everyone AllowAnonymousUsersToStartMeeting=true")
	if got := join(t, open, anna); got != "anna admitted; anna meeting started; " || open.Region != "region-anna" {
		t.Errorf("got %q in %q", got, open.Region)
	}
}

func TestAChangeHoldsForTheNextJoinTheLobbyAndTheRightsOfThosePresent(t *testing.T) {
	m := schedule(t, "")
	zoe := person("zoe", policy.Anonymous, policy.ACS)
	join(t, m, olga, mia, anna, zoe)
	if _, err := m.Admit(start, "anna", "olga"); err != nil {
		t.Fatal(err)
	}
	rules := m.Rules
	rules.Policy.AllowAnonymousUsersToJoinMeeting = false
	rules.Policy.MeetingChatEnabledType = policy.ChatExceptAnonymous
	events, err := m.SetRules(start, rules)
	if want := " policies changed; zoe refused; anna rights changed; "; err != nil || said(events) != want {
		t.Errorf("got %q, %v; wanted %q", said(events), err, want)
	}
	if d, _, err := m.Join(start, zoe); err != nil || d.Outcome != policy.Refused || d.Rule != "AllowAnonymousUsersToJoinMeeting" {
		t.Errorf("got %+v, %v", d, err)
	}
	o := m.Options
	o.AllowedPresenters, o.AllowedLobbyAdmitters = policy.PresentersOrganization, policy.AdmitOrganizers
	events, err = m.SetOptions(start, olga, o)
	if want := " options changed; anna rights changed; "; err != nil || said(events) != want {
		t.Errorf("got %q, %v; wanted %q", said(events), err, want)
	}
	join(t, m, phone)
	var refusal *meeting.Refusal
	if _, err := m.Admit(start, phone.ID, "mia"); !errors.As(err, &refusal) || refusal.Because.Rule != policy.OptionAdmitters {
		t.Errorf("got %v", err)
	}
}

func TestJoinsOutOfOrder(t *testing.T) {
	m := schedule(t, "")
	join(t, m, olga, anna)
	for _, p := range []policy.Person{olga, anna, {}} {
		if _, _, err := m.Join(start, p); err == nil {
			t.Errorf("%q joined twice, or without an ID", p.ID)
		}
	}
	if at, ok := m.Deadline(); !ok || !at.Equal(start.Add(meeting.DefaultLobbyTimeout)) {
		t.Errorf("deadline %v %v", at, ok)
	}
	for i := range meeting.MaxPeople - 2 {
		join(t, m, person(fmt.Sprint(i), policy.Anonymous, policy.Teams))
	}
	if _, _, err := m.Join(start, mia); err == nil || !strings.Contains(err.Error(), "1000") {
		t.Errorf("got %v", err)
	}
	join(t, m, cora)
	if _, err := m.End(start, olga); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Join(start, mia); err == nil || m.Phase != meeting.Ended {
		t.Error("joined a meeting that has ended")
	}
}

// No order of events lets a person in whom the policies at that moment refuse, nor
// somebody from the lobby but by a moderator or by the start.
func TestNoOrderOfEventsLetsARefusedPersonIn(t *testing.T) {
	people := []policy.Person{olga, cora, mia, anna, phone,
		person("gus", policy.Guest, policy.Teams), person("tom", policy.Trusted, policy.ACS), person("ann", policy.Anonymous, policy.Teams)}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 4))
		m := schedule(t, "")
		now := start
		for step := range 80 {
			now = now.Add(time.Duration(r.IntN(10)) * time.Minute)
			p, host := people[r.IntN(len(people))], people[r.IntN(len(people))]
			by := host.ID
			was := map[string]policy.Place{}
			for _, q := range people {
				was[q.ID] = m.Case(q).Place
			}
			var events []meeting.Event
			kind := r.IntN(11)
			switch kind {
			case 0, 1, 2:
				_, events, _ = m.Join(now, p)
			case 3:
				events, _ = m.Admit(now, p.ID, by)
			case 4:
				events, _ = m.AdmitAll(now, by)
			case 5:
				events, _ = m.Reject(now, p.ID, by)
			case 6:
				events, _ = m.Leave(now, p.ID)
			case 7:
				events, _ = m.Remove(now, p.ID, by)
			case 8:
				events = m.Tick(now)
			case 9:
				rules, properties := m.Rules, policy.PolicyProperties()
				q := properties[r.IntN(len(properties))]
				if err := rules.Policy.Set(q.Name, q.Valid[r.IntN(len(q.Valid))]); err != nil {
					t.Fatal(err)
				}
				rules.Configuration.DisableAnonymousJoin = r.IntN(3) == 0
				events, _ = m.SetRules(now, rules)
			case 10:
				o, properties := m.Options, policy.OptionProperties()
				q := properties[r.IntN(len(properties))]
				if err := o.Set(q.Name, q.Valid[r.IntN(len(q.Valid))]); err != nil {
					t.Fatal(err)
				}
				events, _ = m.SetOptions(now, host, o)
			}
			for _, e := range events {
				if e.Name != meeting.PersonAdmitted {
					continue
				}
				c := m.Case(policy.Person{ID: e.Person})
				if d := policy.Join(c); d.Outcome == policy.Refused {
					t.Fatalf("seed %d, step %d: %s is let in, whom %+v refuses", seed, step, e.Person, d)
				}
				if was[e.Person] == policy.Lobby && e.By == "" && kind > 2 {
					t.Fatalf("seed %d, step %d: %s came in from the lobby by itself", seed, step, e.Person)
				}
				if role, _ := policy.RoleOf(m.Case(policy.Person{ID: e.By})); e.By != "" && role == policy.Attendee {
					t.Fatalf("seed %d, step %d: admitted by the attendee %s", seed, step, e.By)
				}
			}
			data, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if m, err = meeting.Restore(data); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
	}
}

func TestABadStateIsNotRestored(t *testing.T) {
	m := schedule(t, "")
	join(t, m, olga)
	data, _ := json.Marshal(m)
	for _, change := range [][2]string{
		{`"ID":"m"`, `"ID":""`}, {`"Phase":"started"`, `"Phase":"scheduled"`}, {`"Phase":"started"`, `"Phase":"open"`},
		{`"Place":"present"`, `"Place":"outside"`}, {`"LobbyTimeout":1800000000000`, `"LobbyTimeout":0`},
		{`"Everyone`, `"All`}, {`"Roles":null`, `"Roles":{"x":"organizer"}`}, {`"Order"`, `"Orders"`},
		{`"MeetingChatEnabledType":"Enabled"`, `"MeetingChatEnabledType":""`}, {`"Options":{`, `"Opt":{`}, {`"Configuration":{`, `"Config":{`}, {`"DisableAnonymousJoin":false,`, ``},
	} {
		bad := strings.Replace(string(data), change[0], change[1], 1)
		if _, err := meeting.Restore([]byte(bad)); err == nil || bad == string(data) {
			t.Errorf("%s was restored", change[1])
		}
	}
	if _, err := meeting.Schedule(meeting.Meeting{ID: "m", Organizer: "o"}, policy.Effective{}); err == nil {
		t.Error("scheduled without policies")
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"ID":"m","Organizer":"o","LobbyTimeout":1,"Phase":"scheduled"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := meeting.Restore(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			return // a time out of JSON's range
		}
		if _, err := meeting.Restore(again); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	})
}

func TestEveryActInEveryPlaceIsTakenOrRefused(t *testing.T) {
	const grid = `
outside: join (admitted) present; join (held) lobby; join (refused) outside
lobby: admit present; auto-admit present; reject outside; expel outside; time-out outside; leave outside; end outside
present: leave outside; remove outside; end outside`
	want := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(grid)) {
		from, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for entry := range strings.SplitSeq(rest, "; ") {
			i := strings.LastIndex(entry, " ")
			want[from+" "+entry[:i]] = entry[i+1:]
		}
	}
	if len(want) != len(meeting.Transitions()) || len(meeting.PhaseSteps()) != 4 {
		t.Errorf("%d lines, wanted %d", len(meeting.Transitions()), len(want))
	}
	for _, from := range meeting.Places() {
		for _, act := range meeting.Acts() {
			to, err := meeting.Next(from, act)
			w, ok := want[string(from)+" "+string(act)]
			if ok != (err == nil) || ok && string(to) != w || !ok && to != from {
				t.Errorf("%s, %s: got %s, %v; wanted %q", from, act, to, err, w)
			}
		}
	}
}

func TestTheDiagramsInTheDocumentAreDrawnFromTheTables(t *testing.T) {
	places, phases := meeting.Mermaid()
	want := "# States of a meeting\n\nDrawn from the tables in `table.go` by `go test ./signaling/meeting -update`.\n\n## A person\n\n```mermaid\n" +
		places + "```\n\n## The meeting\n\n```mermaid\n" + phases + "```\n"
	if *update {
		if err := os.WriteFile("STATES.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("STATES.md"); err != nil || string(got) != want {
		t.Errorf("STATES.md differs from the tables (%v); run the test with -update", err)
	}
}
