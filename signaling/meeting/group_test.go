package meeting_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

func TestAHostActsFromOutsideAndNobodyElseDoes(t *testing.T) {
	m := schedule(t, "")
	for _, p := range []policy.Person{mia, anna, person("cora", policy.Anonymous, policy.ACS), {ID: "olga"}} {
		if _, err := m.SetOptions(start, p, policy.DefaultOptions()); err == nil {
			t.Errorf("%+v sets options", p)
		}
		if _, err := m.End(start, p); err == nil || m.Phase != meeting.Scheduled {
			t.Errorf("%+v cancels", p)
		}
	}
	if events, err := m.SetOptions(start, cora, policy.DefaultOptions()); err != nil || said(events) != " options changed; " {
		t.Errorf("got %q, %v", said(events), err)
	}
	join(t, m, anna)
	if m.MayAdmit("olga") || m.MayAdmit("anna") {
		t.Error("somebody outside or in the lobby admits")
	}
	join(t, m, mia)
	if !m.MayAdmit("mia") {
		t.Error("a presenter does not admit")
	}
	if events, err := m.End(start, olga); err != nil || said(events) != "anna left; mia left;  meeting ended; " {
		t.Errorf("got %q, %v", said(events), err)
	}
	if _, err := m.End(start, olga); err == nil {
		t.Error("it ended twice")
	}
	if _, err := m.SetOptions(start, olga, policy.DefaultOptions()); err == nil {
		t.Error("options were set after the end")
	}
}

func TestAGroupCallLetsInEverybodyAndNobodyIsItsHost(t *testing.T) {
	g, err := meeting.NewGroup("g")
	if err != nil {
		t.Fatal(err)
	}
	if got := join(t, g, anna, phone, mia); got != "anna admitted; anna meeting started; +15550100 admitted; mia admitted; " || g.Region != "region-anna" {
		t.Errorf("got %q in %q", got, g.Region)
	}
	for _, p := range []policy.Person{anna, mia, {}} {
		if _, err := g.End(start, p); err == nil {
			t.Errorf("%q ends it", p.ID)
		}
	}
	data, _ := json.Marshal(g)
	if again, err := meeting.Restore(data); err != nil || !reflect.DeepEqual(again, g) {
		t.Errorf("got %+v, %v", again, err)
	}
	for _, change := range [][2]string{{`"Organizer":""`, `"Organizer":"anna"`}, {`"Group":true,`, ``}} {
		if _, err := meeting.Restore([]byte(strings.Replace(string(data), change[0], change[1], 1))); err == nil {
			t.Errorf("%s was restored", change[1])
		}
	}
	if _, err := meeting.NewGroup(""); err == nil {
		t.Error("a group call without an ID")
	}
}

func TestACopyIsApart(t *testing.T) {
	m := schedule(t, "")
	join(t, m, olga, mia)
	before, _ := json.Marshal(m)
	c := m.Clone()
	join(t, c, anna)
	if _, err := c.SetRole(start, "mia", "olga", policy.Attendee); err != nil {
		t.Fatal(err)
	}
	if _, err := c.End(start, olga); err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(m); string(after) != string(before) {
		t.Errorf("the copy's changes reached the meeting:\n%s\n%s", before, after)
	}
}
