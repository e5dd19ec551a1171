package signaling_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// One meeting from its scheduling to its end, over TLS and WebSockets: who waits in the
// lobby has no media, no credentials and no roster before the admission.
func TestAMeetingWithALobby(t *testing.T) {
	w, p := meetings(t, nil)
	olga, mia, zoe := w.join("olga"), w.join("mia"), w.join("zoe")
	m, err := olga.CreateMeeting(ctx(t), signaling.MeetingRequest{Subject: "Quarter", Options: map[string]any{"AutoAdmittedUsers": "EveryoneInCompany"},
		Invited: []string{"mia", "zoe"}, CoOrganizers: []string{"cora"}})
	if err != nil {
		t.Fatal(err)
	}
	if m.JoinURL != "https://"+host+"/?meeting="+m.ID || m.Organizer != "olga" || m.Phase != meeting.Scheduled || m.Options.LobbyBypassScope != policy.ScopeOrganization {
		t.Errorf("scheduled %+v", m)
	}
	a := mustJoin(t, olga, m.ID, policy.Present)
	if a.Role != policy.Organizer || a.Region != "westeurope" || a.Participant != "olga" {
		t.Errorf("the organizer's admission is %+v", a)
	}
	if a := mustJoin(t, mia, m.ID, policy.Present); a.Role != policy.Presenter || a.Rule != "lobbyBypassSettings.scope" {
		t.Errorf("mia's admission is %+v", a)
	}
	if a := mustJoin(t, zoe, m.ID, policy.Lobby); a.Rule != "lobbyBypassSettings.scope" || a.Source != "meeting option" || a.Region != "" || a.Role != "" {
		t.Errorf("zoe's place in the lobby is %+v", a)
	}
	for _, moderator := range []*signaling.Client{olga, mia} {
		until(t, moderator, signaling.NotifyMeetingLobby, about("zoe", policy.Lobby))
	}

	// Nothing for those in the lobby.
	_, err = zoe.MeetingMedia(ctx(t), m.ID, offer().SDP, false)
	mustBe(t, err, signaling.CodeForbidden, "place")
	_, err = zoe.MeetingICEServers(ctx(t), m.ID)
	mustBe(t, err, signaling.CodeForbidden, "place")
	_, err = zoe.MeetingParticipants(ctx(t), m.ID)
	mustBe(t, err, signaling.CodeForbidden, "place")
	_, err = zoe.MeetingLayout(ctx(t), m.ID)
	mustBe(t, err, signaling.CodeForbidden, "place")
	mustBe(t, zoe.Admit(ctx(t), m.ID, "zoe"), signaling.CodeForbidden, "role")
	if v, err := zoe.Meeting(ctx(t), m.ID); err != nil || v.Place != policy.Lobby || v.Organizer != "" || v.Options != nil || v.Subject != "Quarter" {
		t.Errorf("in the lobby the meeting is %+v, %v", v, err)
	}
	if got := len(w.audits("place")); got != 4 {
		t.Errorf("%d audit records of the place, wanted one for each of 4 refusals", got)
	}
	mustMedia(t, olga, m.ID)
	if got := p.has(m.ID); got != "olga" {
		t.Errorf("media of %q, wanted olga's", got)
	}

	if err := mia.Admit(ctx(t), m.ID, "zoe"); err != nil {
		t.Fatal(err)
	}
	if n := until(t, zoe, signaling.NotifyMeetingAdmitted, nil); n.From != "mia" || n.Meeting != m.ID || n.Role != policy.Presenter || n.Region != "westeurope" {
		t.Errorf("zoe is told %+v", n)
	}
	until(t, olga, signaling.NotifyMeetingRoster, about("zoe", policy.Present))
	servers, err := zoe.MeetingICEServers(ctx(t), m.ID)
	if err != nil || servers[0].Username != "zoe:"+m.ID {
		t.Errorf("ICE servers %+v, %v; wanted a credential for the meeting", servers, err)
	}
	mustMedia(t, zoe, m.ID)
	roster, err := zoe.MeetingParticipants(ctx(t), m.ID)
	names := []string{}
	for _, e := range roster {
		names = append(names, e.Participant+" "+string(e.Role)+" "+string(e.Kind)+" "+e.Connection)
	}
	if want := []string{"olga organizer organizers connected", "mia presenter member connected", "zoe presenter anonymous connected"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the roster is %q, %v; wanted %q", names, err, want)
	}
	if s := w.controller.Stats(); s.Meetings != 1 || s.Present != 3 || s.Waiting != 0 {
		t.Errorf("figures %+v", s)
	}

	w.controller.MediaLayout(m.ID, "zoe", []signaling.Slot{{Mid: "1", Kind: "video", Participant: "olga"}})
	w.controller.MediaLayout(m.ID, "gus", []signaling.Slot{{Mid: "1"}}) // not there
	if n := until(t, zoe, signaling.NotifyMeetingLayout, nil); len(n.Slots) != 1 || n.Slots[0].Participant != "olga" {
		t.Errorf("the layout is %+v", n)
	}
	if slots, err := zoe.MeetingLayout(ctx(t), m.ID); err != nil || len(slots) != 1 {
		t.Errorf("the layout reads %+v, %v", slots, err)
	}

	if err := mia.LeaveMeeting(ctx(t), m.ID); err != nil {
		t.Fatal(err)
	}
	if n := until(t, olga, signaling.NotifyMeetingRoster, about("mia", policy.Outside)); n.Participants[0].Reason != "left" {
		t.Errorf("mia has left: %+v", n.Participants)
	}
	if err := mia.LeaveMeeting(ctx(t), m.ID); err != nil {
		t.Errorf("leaving again: %v", err)
	}
	mustBe(t, mia.RemoveParticipant(ctx(t), m.ID, "zoe"), signaling.CodeForbidden, "role")
	if err := olga.RemoveParticipant(ctx(t), m.ID, "zoe"); err != nil {
		t.Fatal(err)
	}
	if n := until(t, zoe, signaling.NotifyMeetingRemoved, nil); n.From != "olga" || n.Reason != "removed" {
		t.Errorf("zoe is told %+v", n)
	}
	if got := p.has(m.ID); got != "olga" {
		t.Errorf("media of %q after the removal, wanted olga's", got)
	}

	mustJoin(t, zoe, m.ID, policy.Lobby)
	if err := olga.EndMeeting(ctx(t), m.ID); err != nil {
		t.Fatal(err)
	}
	until(t, olga, signaling.NotifyMeetingEnded, nil)
	until(t, zoe, signaling.NotifyMeetingEnded, nil)
	if got := p.has(m.ID); got != "" || !strings.HasSuffix(p.calls(), "end") {
		t.Errorf("media of %q after the end (%s)", got, p.calls())
	}
	_, err = olga.JoinMeeting(ctx(t), m.ID)
	mustBe(t, err, signaling.CodeOutOfOrder, "")
	if v, err := mia.Meeting(ctx(t), m.ID); err != nil || v.Phase != meeting.Ended || v.Ended.IsZero() {
		t.Errorf("the ended meeting is %+v, %v", v, err)
	}
}

func TestTheLobbyIsRejectedAndAdmittedTogether(t *testing.T) {
	w, _ := meetings(t, nil)
	olga, zoe, ann, gus := w.join("olga"), w.join("zoe"), w.join("ann"), w.join("gus")
	id := meet(t, olga, "AutoAdmittedUsers=OrganizerOnly")
	mustJoin(t, olga, id, policy.Present)
	for _, c := range []*signaling.Client{zoe, ann, gus} {
		mustJoin(t, c, id, policy.Lobby)
	}
	if err := olga.RejectParticipant(ctx(t), id, "zoe"); err != nil {
		t.Fatal(err)
	}
	if n := until(t, zoe, signaling.NotifyMeetingRejected, nil); n.Reason != "rejected" || n.From != "olga" {
		t.Errorf("zoe is told %+v", n)
	}
	if err := olga.AdmitAll(ctx(t), id); err != nil {
		t.Fatal(err)
	}
	until(t, ann, signaling.NotifyMeetingAdmitted, nil)
	until(t, gus, signaling.NotifyMeetingAdmitted, nil)
	// One notification has both.
	n := until(t, olga, signaling.NotifyMeetingRoster, about("gus", policy.Present))
	if !about("ann", policy.Present)(n) {
		t.Errorf("the roster was told in parts: %+v", n.Participants)
	}
	mustBe(t, olga.Admit(ctx(t), id, "zoe"), signaling.CodeOutOfOrder, "")
	if err := olga.SetRole(ctx(t), id, "ann", policy.Attendee); err != nil {
		t.Fatal(err)
	}
	if n := until(t, ann, signaling.NotifyMeetingRoster, func(n signaling.Notification) bool { return n.Participants[0].Role == policy.Attendee }); len(n.Participants) != 1 {
		t.Errorf("ann is told %+v", n)
	}
	mustBe(t, ann.AdmitAll(ctx(t), id), signaling.CodeForbidden, "role")
	mustBe(t, ann.SetRole(ctx(t), id, "gus", policy.Attendee), signaling.CodeForbidden, "role")
}

func TestAnonymousPeopleWaitForTheStartAndComeInWithIt(t *testing.T) {
	w, _ := meetings(t, nil)
	olga, zoe := w.join("olga"), w.join("zoe")
	id := meet(t, olga, "AutoAdmittedUsers=Everyone")
	if a := mustJoin(t, zoe, id, policy.Lobby); !a.AwaitsStart || a.Rule != "AllowAnonymousUsersToStartMeeting" {
		t.Errorf("zoe's place in the lobby is %+v", a)
	}
	mustJoin(t, olga, id, policy.Present)
	if n := until(t, zoe, signaling.NotifyMeetingAdmitted, nil); n.From != "" {
		t.Errorf("zoe is told %+v", n)
	}
	if a := mustJoin(t, zoe, id, policy.Present); a.Role != policy.Presenter {
		t.Errorf("joined again: %+v", a)
	}
}

func TestOnlyMembersSchedule(t *testing.T) {
	w, _ := meetings(t, nil)
	for _, id := range []string{"gus", "tom", "sam", "ann", "zoe", "pete"} {
		_, err := w.join(id).CreateMeeting(ctx(t), signaling.MeetingRequest{})
		mustBe(t, err, signaling.CodeForbidden, "kind")
	}
	if got := len(w.audits("kind")); got != 6 {
		t.Errorf("%d audit records, wanted 6", got)
	}
	mia := w.join("mia")
	for field, in := range map[string]signaling.MeetingRequest{
		"subject":        {Subject: "two\nlines"},
		"invited":        {Invited: []string{"a b"}},
		"co_organizers":  {CoOrganizers: []string{"cora", "cora"}},
		"presenters":     {Presenters: slices.Repeat([]string{"x"}, meeting.MaxPeople+1)},
		"no such":        {Options: map[string]any{"DisableAnonymousJoin": false}},
		"valid: invited": {Options: map[string]any{"lobbyBypassSettings.scope": "all"}},
	} {
		_, err := mia.CreateMeeting(ctx(t), in)
		mustBe(t, err, signaling.CodeBadRequest, "")
		if first, _, _ := strings.Cut(field, ":"); err == nil || !strings.Contains(err.Error(), first) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestWithoutAMediaProcessorThereAreNoMeetings(t *testing.T) {
	w := newWorld(t, people)
	_, err := w.join("olga").CreateMeeting(ctx(t), signaling.MeetingRequest{})
	mustBe(t, err, signaling.CodeUnavailable, "")
}
