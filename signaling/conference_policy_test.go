package signaling_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// policies are the defaults with settings such as "AutoAdmittedUsers=Everyone".
func policies(t testing.TB, settings string) signaling.Policies {
	t.Helper()
	o := policy.NewOrganization(signaling.HomeTenant)
	for pair := range strings.FieldsSeq(settings) {
		name, value, _ := strings.Cut(pair, "=")
		if o.Global.Set(name, value) != nil {
			if err := o.Configuration.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	return signaling.Policies{Organization: o, Trusted: []string{"fabrikam"}}
}

// asks is what somebody gets who asks to join, as "present", "lobby RULE" or "refused
// RULE".
func asks(t testing.TB, c *signaling.Client, id string) string {
	t.Helper()
	a, err := c.JoinMeeting(ctx(t), id)
	var refused *signaling.Problem
	switch {
	case errors.As(err, &refused) && refused.Code == signaling.CodeForbidden:
		return "refused " + refused.Rule
	case err != nil:
		t.Fatal(err)
	case a.Place == policy.Lobby:
		return "lobby " + a.Rule
	}
	return string(a.Place)
}

// Every policy that decides on a join at every value, over the API. Each line names
// the organisation's settings and the organizer's policy, the meeting's options, who
// asks, whether the organizer is in already, and the outcome.
func TestEveryPolicyAtEveryValueDecidesOnTheJoin(t *testing.T) {
	const table = `
DisableAnonymousJoin=false AutoAdmittedUsers=Everyone                 |                                     | zoe  | started | present
DisableAnonymousJoin=true AutoAdmittedUsers=Everyone                  |                                     | zoe  | started | refused DisableAnonymousJoin
DisableAnonymousJoin=true AutoAdmittedUsers=Everyone                  |                                     | ann  | started | refused DisableAnonymousJoin
DisableAnonymousJoin=true AutoAdmittedUsers=Everyone                  |                                     | gus  | started | present
EnableAcsFederationAccess=true AutoAdmittedUsers=Everyone             |                                     | zoe  | started | present
EnableAcsFederationAccess=false AutoAdmittedUsers=Everyone            |                                     | zoe  | started | refused EnableAcsFederationAccess
EnableAcsFederationAccess=false AutoAdmittedUsers=Everyone            |                                     | ann  | started | present
AllowAnonymousUsersToJoinMeeting=true AutoAdmittedUsers=Everyone      |                                     | ann  | started | present
AllowAnonymousUsersToJoinMeeting=false AutoAdmittedUsers=Everyone     |                                     | ann  | started | refused AllowAnonymousUsersToJoinMeeting
AllowAnonymousUsersToJoinMeeting=false AutoAdmittedUsers=Everyone     |                                     | tom  | started | present
AllowAnonymousUsersToJoinMeeting=false                                | AutoAdmittedUsers=Everyone          | zoe  | started | refused AllowAnonymousUsersToJoinMeeting
BlockedAnonymousJoinClientTypes= AutoAdmittedUsers=Everyone           |                                     | zoe  | started | present
BlockedAnonymousJoinClientTypes=ACS AutoAdmittedUsers=Everyone        |                                     | zoe  | started | refused BlockedAnonymousJoinClientTypes
BlockedAnonymousJoinClientTypes=ACS AutoAdmittedUsers=Everyone        |                                     | ann  | started | present
BlockedAnonymousJoinClientTypes=Teams AutoAdmittedUsers=Everyone      |                                     | ann  | started | refused BlockedAnonymousJoinClientTypes
BlockedAnonymousJoinClientTypes=Teams AutoAdmittedUsers=Everyone      |                                     | zoe  | started | present
AllowAnonymousUsersToStartMeeting=false AutoAdmittedUsers=Everyone    |                                     | zoe  | waiting | lobby AllowAnonymousUsersToStartMeeting
AllowAnonymousUsersToStartMeeting=true AutoAdmittedUsers=Everyone     |                                     | zoe  | waiting | present
AllowAnonymousUsersToStartMeeting=true AutoAdmittedUsers=EveryoneInCompany | | zoe | waiting | lobby AutoAdmittedUsers
AllowPSTNUsersToBypassLobby=false AutoAdmittedUsers=Everyone          |                                     | pete | started | lobby AllowPSTNUsersToBypassLobby
AllowPSTNUsersToBypassLobby=true                                      |                                     | pete | started | present
AllowPSTNUsersToBypassLobby=false                                     | AllowPSTNUsersToBypassLobby=true    | pete | started | present
AllowPSTNUsersToBypassLobby=true                                      | AllowPSTNUsersToBypassLobby=false   | pete | started | lobby lobbyBypassSettings.isDialInBypassEnabled
AutoAdmittedUsers=OrganizerOnly                                       | AutoAdmittedUsers=Everyone          | zoe  | started | present
AutoAdmittedUsers=Everyone                                            | AutoAdmittedUsers=OrganizerOnly     | mia  | started | lobby lobbyBypassSettings.scope
AutoAdmittedUsers=OrganizerOnly                                       |                                     | cora | started | present
AutoAdmittedUsers=Everyone                                            | isEndToEndEncryptionEnabled=true    | zoe  | started | refused isEndToEndEncryptionEnabled
AutoAdmittedUsers=Everyone                                            | isEndToEndEncryptionEnabled=true    | ann  | started | present`
	w, _ := meetings(t, nil)
	clients := map[string]*signaling.Client{}
	for _, id := range []string{"olga", "cora", "mia", "gus", "tom", "sam", "ann", "zoe", "pete"} {
		clients[id] = w.join(id)
		go drain(clients[id])
	}
	n := 0
	try := func(settings, options, who, when, want string, invited ...string) {
		t.Helper()
		if err := w.controller.SetPolicies(policies(t, settings)); err != nil {
			t.Fatal(err)
		}
		id := meet(t, clients["olga"], options, invited...)
		if when == "started" {
			mustJoin(t, clients["olga"], id, policy.Present)
		}
		before := len(w.audits(lastWord(want)))
		if got := asks(t, clients[who], id); got != want {
			t.Errorf("%s | %s | %s, %s, invited %v: got %q, wanted %q", settings, options, who, when, invited, got, want)
		}
		if strings.HasPrefix(want, "refused") {
			if got := w.audits(lastWord(want)); len(got) != before+1 || got[before].Allowed || got[before].User != who {
				t.Errorf("%s: audit %+v, wanted one refusal by %s", settings, got[before:], lastWord(want))
			}
		}
		if err := clients["olga"].EndMeeting(ctx(t), id); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for line := range strings.Lines(strings.TrimSpace(table)) {
		f := strings.Split(line, "|")
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		try(f[0], f[1], f[2], f[3], f[4])
	}
	// Who bypasses the lobby: each value for each kind of person, with the invite (+)
	// and without. sam has an account of an organisation that is not trusted.
	const matrix = `
AutoAdmittedUsers                 mia mia+ gus gus+ tom tom+ sam sam+ zoe zoe+
Everyone                          P   P    P   P    P   P    P   P    P   P
EveryoneInSameAndFederatedCompany P   P    P   P    P   P    L   L    L   L
EveryoneInCompany                 P   P    P   P    L   L    L   L    L   L
EveryoneInCompanyExcludingGuests  P   P    L   L    L   L    L   L    L   L
InvitedUsers                      L   P    L   P    L   P    L   P    L   L
OrganizerOnly                     L   L    L   L    L   L    L   L    L   L`
	var header []string
	for line := range strings.Lines(strings.TrimSpace(matrix)) {
		f := strings.Fields(line)
		if header == nil {
			header = f
			continue
		}
		for i, who := range header[1:] {
			who, invited := strings.CutSuffix(who, "+")
			var invite []string
			if invited {
				invite = []string{who}
			}
			want := map[string]string{"P": "present", "L": "lobby AutoAdmittedUsers"}[f[1+i]]
			try("AutoAdmittedUsers="+f[0], "", who, "started", want, invite...)
		}
	}
	if n != 28+60 {
		t.Errorf("%d cases were tried", n)
	}
}

// What those present may do, by the policies and options that decide on it.
func TestEveryPolicyAtEveryValueDecidesOnTheRights(t *testing.T) {
	w, _ := meetings(t, nil)
	clients := map[string]*signaling.Client{}
	who := []string{"olga", "mia", "gus", "tom", "zoe"}
	for _, id := range who {
		clients[id] = w.join(id)
		go drain(clients[id])
	}
	const table = `
DesignatedPresenterRoleMode=EveryoneUserOverride                          |                                          | present    | olga mia gus tom zoe
DesignatedPresenterRoleMode=EveryoneInSameAndFederatedCompanyUserOverride |                                          | present    | olga mia gus tom
DesignatedPresenterRoleMode=EveryoneInCompanyUserOverride                 |                                          | present    | olga mia gus
DesignatedPresenterRoleMode=OrganizerOnlyUserOverride                     |                                          | present    | olga
DesignatedPresenterRoleMode=OrganizerOnlyUserOverride                     | allowedPresenters=everyone               | present    | olga mia gus tom zoe
DesignatedPresenterRoleMode=EveryoneUserOverride                          | allowedPresenters=organization           | present    | olga mia gus
DesignatedPresenterRoleMode=EveryoneUserOverride                          | allowedPresenters=roleIsPresenter        | present    | olga
DesignatedPresenterRoleMode=EveryoneUserOverride                          | allowedPresenters=organizer              | present    | olga
AllowAnonymousUsersToDialOut=false                                        |                                          | dial-out   | olga mia gus tom
AllowAnonymousUsersToDialOut=true                                         |                                          | dial-out   | olga mia gus tom zoe
MeetingChatEnabledType=Enabled                                            |                                          | chat       | olga mia gus tom zoe
MeetingChatEnabledType=Disabled                                           | allowMeetingChat=enabled                 | chat       |
MeetingChatEnabledType=EnabledExceptAnonymous                             |                                          | chat       | olga mia gus tom
MeetingChatEnabledType=EnabledInMeetingOnlyForAllExceptAnonymous          |                                          | chat       | olga mia gus tom
MeetingChatEnabledType=Enabled                                            | allowMeetingChat=disabled                | chat       |
MeetingChatEnabledType=Enabled                                            | allowMeetingChat=limited                 | chat       | olga mia gus tom zoe
DesignatedPresenterRoleMode=OrganizerOnlyUserOverride                     | allowAttendeeToEnableMic=true            | microphone | olga mia gus tom zoe
DesignatedPresenterRoleMode=OrganizerOnlyUserOverride                     | allowAttendeeToEnableMic=false           | microphone | olga
DesignatedPresenterRoleMode=EveryoneUserOverride                          | allowAttendeeToEnableMic=false           | microphone | olga mia gus tom zoe
DesignatedPresenterRoleMode=OrganizerOnlyUserOverride                     | allowAttendeeToEnableCamera=true         | camera     | olga mia gus tom zoe
DesignatedPresenterRoleMode=OrganizerOnlyUserOverride                     | allowAttendeeToEnableCamera=false        | camera     | olga`
	for line := range strings.Lines(strings.TrimSpace(table)) {
		f := strings.Split(line, "|")
		settings, options, right, want := strings.TrimSpace(f[0]), strings.TrimSpace(f[1]), strings.TrimSpace(f[2]), strings.TrimSpace(f[3])
		if err := w.controller.SetPolicies(policies(t, "AutoAdmittedUsers=Everyone "+settings)); err != nil {
			t.Fatal(err)
		}
		id := meet(t, clients["olga"], options)
		for _, name := range who {
			mustJoin(t, clients[name], id, policy.Present)
		}
		roster, err := clients["olga"].MeetingParticipants(ctx(t), id)
		var got []string
		for _, p := range roster {
			if slices.Contains(p.Rights, right) {
				got = append(got, p.Participant)
			}
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s | %s: %s may %v, %v; wanted %s", settings, options, right, got, err, want)
		}
		if err := clients["olga"].EndMeeting(ctx(t), id); err != nil {
			t.Fatal(err)
		}
	}
}

func lastWord(s string) string { return s[strings.LastIndex(s, " ")+1:] }

// drain takes what is not looked at; it ends with the client.
func drain(c *signaling.Client) {
	for range c.Notifications() {
	}
}

func TestTheOrganizersPolicyIsDirectThenGroupThenGlobal(t *testing.T) {
	o := policy.NewOrganization(signaling.HomeTenant)
	open := policy.DefaultPolicy()
	open.AutoAdmittedUsers = policy.Everyone
	closed := policy.DefaultPolicy()
	closed.AutoAdmittedUsers = policy.OrganizerOnly
	o.Policies = map[string]policy.Policy{"open": open, "closed": closed}
	o.Users = map[string]string{"olga": "open"}
	o.Groups = []policy.GroupAssignment{{Group: "sales", Policy: "closed"}}
	w, _ := meetings(t, func(cfg *signaling.Config) { cfg.Policies = signaling.Policies{Organization: o} })
	gus := w.join("gus")
	for organizer, want := range map[string]string{"olga": "direct", "mia": "group sales", "cora": "global"} {
		c := w.join(organizer)
		m, err := c.CreateMeeting(ctx(t), signaling.MeetingRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := gus.JoinMeeting(ctx(t), m.ID); err != nil || a.Source != want || a.Rule != "AutoAdmittedUsers" {
			t.Errorf("%s: got %+v, %v; wanted a decision by %s", organizer, a, err, want)
		}
	}
}

// A changed policy holds for the next join, for the lobby, and for the rights and the
// media of those present; nobody present is sent out.
func TestAPolicyThatChangesInMidMeeting(t *testing.T) {
	w, p := meetings(t, func(cfg *signaling.Config) { cfg.Policies = policies(t, "") })
	olga, zoe, ann, mia := w.join("olga"), w.join("zoe"), w.join("ann"), w.join("mia")
	id := meet(t, olga, "")
	mustJoin(t, olga, id, policy.Present)
	mustJoin(t, mia, id, policy.Present)
	mustJoin(t, zoe, id, policy.Lobby)
	mustJoin(t, ann, id, policy.Lobby)
	if err := olga.Admit(ctx(t), id, "ann"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*signaling.Client{olga, mia, ann} {
		mustMedia(t, c, id)
	}
	if err := w.controller.SetPolicies(policies(t, "AllowAnonymousUsersToJoinMeeting=false DesignatedPresenterRoleMode=EveryoneInCompanyUserOverride")); err != nil {
		t.Fatal(err)
	}
	if n := until(t, zoe, signaling.NotifyMeetingRejected, nil); n.Rule != "AllowAnonymousUsersToJoinMeeting" || n.Reason != "refused" {
		t.Errorf("zoe is told %+v", n)
	}
	if got := asks(t, zoe, id); got != "refused AllowAnonymousUsersToJoinMeeting" {
		t.Errorf("zoe asks again: %s", got)
	}
	// ann stays, and presents no more.
	until(t, olga, signaling.NotifyMeetingRoster, func(n signaling.Notification) bool {
		return about("ann", policy.Present)(n) && n.Participants[0].Role == policy.Attendee
	})
	if got := p.has(id); got != "ann mia olga" {
		t.Errorf("media of %q, wanted that of all three", got)
	}
	// Attendees' microphones are turned off: ann's media ends, and she may only listen.
	if _, err := olga.SetMeetingOptions(ctx(t), id, map[string]any{"allowAttendeeToEnableMic": false}); err != nil {
		t.Fatal(err)
	}
	if n := until(t, ann, signaling.NotifyMeetingMediaEnded, nil); n.Rule != "allowAttendeeToEnableMic" {
		t.Errorf("ann is told %+v", n)
	}
	if n := until(t, mia, signaling.NotifyMeetingOptions, func(n signaling.Notification) bool { return !n.Options.AllowAttendeeToEnableMic }); n.Options == nil {
		t.Error("no options")
	}
	if got := p.has(id); got != "mia olga" {
		t.Errorf("media of %q, wanted that of mia and olga", got)
	}
	_, err := ann.MeetingMedia(ctx(t), id, offer().SDP, false)
	mustBe(t, err, signaling.CodeForbidden, "allowAttendeeToEnableMic")
	if _, err := ann.MeetingMedia(ctx(t), id, sdp("actpass", "recvonly", "AAAA"), false); err != nil {
		t.Errorf("listening: %v", err)
	}
}

func TestPoliciesThatAreNotValidAreNotTaken(t *testing.T) {
	w, _ := meetings(t, nil)
	bad := policies(t, "")
	bad.Organization.Users = map[string]string{"olga": "gone"}
	if err := w.controller.SetPolicies(bad); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("got %v", err)
	}
	nameless := signaling.Policies{Organization: policy.Organization{Users: map[string]string{"olga": "x"}}}
	if err := w.controller.SetPolicies(nameless); err == nil || !strings.Contains(err.Error(), "home tenant") {
		t.Errorf("got %v", err)
	}
	for _, cfg := range []signaling.Config{
		{TURN: turn, Users: []signaling.User{{ID: "x", Client: "acs", Secret: secret}}, Policies: bad},
		{TURN: turn, Users: []signaling.User{{ID: "x", Client: "acs", Secret: secret, Kind: policy.Organizers}}},
	} {
		if _, err := signaling.NewController(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// The bearer's tenant decides on the kind of person, and one that says nothing is of
// an anonymous person.
func TestTheTokensTenantDecidesOnTheKindOfPerson(t *testing.T) {
	for _, tc := range []struct {
		tenant string
		kind   policy.Kind
		want   policy.Kind
	}{
		{"", "", policy.Anonymous}, {signaling.HomeTenant, "", policy.Member}, {"fabrikam", "", policy.Trusted},
		{"elsewhere", "", policy.Anonymous}, {signaling.HomeTenant, policy.Guest, policy.Guest},
	} {
		n := &notary{}
		p := &processor{}
		w := newWorld(t, hosting(p, verified(n)))
		n.tenant, n.kind = signaling.HomeTenant, ""
		organizer := w.bearing("olga")
		id := meet(t, organizer, "AutoAdmittedUsers=Everyone")
		mustJoin(t, organizer, id, policy.Present)
		n.mu.Lock()
		n.tenant, n.kind = tc.tenant, tc.kind
		n.mu.Unlock()
		mustJoin(t, w.bearing("zoe"), id, policy.Present)
		roster, err := organizerSees(t, w, n, id)
		if err != nil || roster["zoe"] != tc.want {
			t.Errorf("tenant %q, kind %q: the roster has %v, %v; wanted %s", tc.tenant, tc.kind, roster, err, tc.want)
		}
	}
}

func organizerSees(t *testing.T, w *world, n *notary, id string) (map[string]policy.Kind, error) {
	n.mu.Lock()
	n.tenant, n.kind = signaling.HomeTenant, ""
	n.mu.Unlock()
	all, err := w.bearing("olga").MeetingParticipants(ctx(t), id)
	kinds := map[string]policy.Kind{}
	for _, p := range all {
		kinds[p.Participant] = p.Kind
	}
	return kinds, err
}

func ExamplePolicies() {
	o := policy.NewOrganization("contoso")
	o.Configuration.EnableAcsFederationAccess = false
	p := signaling.Policies{Organization: o, Trusted: []string{"fabrikam"}}
	fmt.Println(p.Organization.ID, p.Organization.Global.AutoAdmittedUsers)
	// Output: contoso EveryoneInCompany
}
