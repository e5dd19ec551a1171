package policy_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// open is a case in which everything is allowed, for one thing to be changed.
func open(kind policy.Kind) policy.Case {
	c := policy.Case{
		Person:  policy.Person{ID: "p", Kind: kind, Client: policy.Teams},
		Place:   policy.Present,
		Started: true,
		Rules:   policy.Effective{Configuration: policy.DefaultConfiguration(), Policy: policy.DefaultPolicy(), Source: "direct"},
		Options: policy.DefaultOptions(),
	}
	c.Rules.Policy.AutoAdmittedUsers = policy.Everyone
	if kind == policy.Organizers {
		c.Person.Kind, c.Standing = policy.Member, policy.Organizer
	}
	return c
}

func set(t *testing.T, c *policy.Case, name, value string) {
	t.Helper()
	if c.Rules.Policy.Set(name, value) != nil && c.Rules.Configuration.Set(name, value) != nil {
		if err := c.Options.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// The table of "Control who can bypass the meeting lobby", as it stands there: B
// bypasses, L waits, I bypasses with an invite, S with an invite and an account.
func TestWhoBypassesTheLobby(t *testing.T) {
	const table = `
Everyone                          everyone                    B B B B B
EveryoneInSameAndFederatedCompany organizationAndFederated    B B B B L
EveryoneInCompany                 organization                B B B L L
EveryoneInCompanyExcludingGuests  organizationExcludingGuests B B L L L
InvitedUsers                      invited                     B I I I S
OrganizerOnly                     organizer                   B L L L L`
	for line := range strings.Lines(strings.TrimSpace(table)) {
		f := strings.Fields(line)
		for i, kind := range policy.Kinds() {
			for _, facts := range []struct{ invited, signedIn bool }{{}, {true, false}, {false, true}, {true, true}} {
				pass := map[string]bool{"B": true, "I": facts.invited, "S": facts.invited && facts.signedIn}[f[2+i]]
				want := policy.Held
				if pass {
					want = policy.Admitted
				}
				byPolicy, byOption := open(kind), open(kind)
				set(t, &byPolicy, "AutoAdmittedUsers", f[0])
				set(t, &byOption, "lobbyBypassSettings.scope", f[1])
				byOption.Rules.Policy.AutoAdmittedUsers = policy.OrganizerOnly
				for rule, c := range map[string]policy.Case{"AutoAdmittedUsers": byPolicy, "lobbyBypassSettings.scope": byOption} {
					c.Person.Invited, c.Person.SignedIn = facts.invited, facts.signedIn
					if d := policy.Join(c); d.Outcome != want || d.Rule != rule {
						t.Errorf("%s, %s, %+v: got %+v, wanted %s by %s", f[0], kind, facts, d, want, rule)
					}
				}
			}
		}
	}
}

func TestEveryPolicyAtEveryValue(t *testing.T) {
	join := policy.Join
	for _, tc := range []struct {
		name, values string // what is set, as "name=value name=value"; the last one decides
		kind         policy.Kind
		client       policy.Client
		waiting      bool // the meeting has not started
		decide       func(policy.Case) policy.Decision
		want         policy.Outcome
		rule         string
	}{
		{"anonymous join is on", "DisableAnonymousJoin=false", policy.Anonymous, policy.Teams, false, join, policy.Admitted, ""},
		{"anonymous join is off", "DisableAnonymousJoin=true", policy.Anonymous, policy.ACS, false, join, policy.Refused, "DisableAnonymousJoin"},
		{"anonymous join is off, for a member", "DisableAnonymousJoin=true", policy.Member, policy.Teams, false, join, policy.Admitted, ""},
		{"anonymous join is off, for a caller", "AllowPSTNUsersToBypassLobby=true DisableAnonymousJoin=true", policy.Anonymous, policy.Phone, false, join, policy.Admitted, ""},
		{"federation is on", "EnableAcsFederationAccess=true", policy.Anonymous, policy.ACS, false, join, policy.Admitted, ""},
		{"federation is off", "EnableAcsFederationAccess=false", policy.Anonymous, policy.ACS, false, join, policy.Refused, "EnableAcsFederationAccess"},
		{"federation is off, in Teams", "EnableAcsFederationAccess=false", policy.Anonymous, policy.Teams, false, join, policy.Admitted, ""},
		{"organizer allows anonymous join", "AllowAnonymousUsersToJoinMeeting=true", policy.Anonymous, policy.ACS, false, join, policy.Admitted, ""},
		{"organizer forbids anonymous join", "AllowAnonymousUsersToJoinMeeting=false", policy.Anonymous, policy.ACS, false, join, policy.Refused, "AllowAnonymousUsersToJoinMeeting"},
		{"no option lifts it", "AllowAnonymousUsersToJoinMeeting=false lobbyBypassSettings.scope=everyone", policy.Anonymous, policy.ACS, false, join, policy.Refused, "AllowAnonymousUsersToJoinMeeting"},
		{"no client is blocked", "BlockedAnonymousJoinClientTypes=", policy.Anonymous, policy.ACS, false, join, policy.Admitted, ""},
		{"ACS is blocked", "BlockedAnonymousJoinClientTypes=ACS", policy.Anonymous, policy.ACS, false, join, policy.Refused, "BlockedAnonymousJoinClientTypes"},
		{"ACS is blocked, in Teams", "BlockedAnonymousJoinClientTypes=ACS", policy.Anonymous, policy.Teams, false, join, policy.Admitted, ""},
		{"Teams is blocked", "BlockedAnonymousJoinClientTypes=Teams", policy.Anonymous, policy.Teams, false, join, policy.Refused, "BlockedAnonymousJoinClientTypes"},
		{"Teams is blocked, on ACS", "BlockedAnonymousJoinClientTypes=Teams", policy.Anonymous, policy.ACS, false, join, policy.Admitted, ""},
		{"both are blocked", "BlockedAnonymousJoinClientTypes=ACS,Teams", policy.Anonymous, policy.Teams, false, join, policy.Refused, "BlockedAnonymousJoinClientTypes"},
		{"blocked, but a member", "BlockedAnonymousJoinClientTypes=ACS,Teams", policy.Member, policy.Teams, false, join, policy.Admitted, ""},
		{"encrypted end to end", "isEndToEndEncryptionEnabled=true", policy.Member, policy.ACS, false, join, policy.Refused, "isEndToEndEncryptionEnabled"},
		{"encrypted end to end, in Teams", "isEndToEndEncryptionEnabled=true", policy.Member, policy.Teams, false, join, policy.Admitted, ""},
		{"callers wait", "AllowPSTNUsersToBypassLobby=false", policy.Anonymous, policy.Phone, false, join, policy.Held, "AllowPSTNUsersToBypassLobby"},
		{"callers pass", "AllowPSTNUsersToBypassLobby=true", policy.Anonymous, policy.Phone, false, join, policy.Admitted, "AllowPSTNUsersToBypassLobby"},
		{"callers pass by option", "lobbyBypassSettings.isDialInBypassEnabled=true", policy.Anonymous, policy.Phone, false, join, policy.Admitted, "lobbyBypassSettings.isDialInBypassEnabled"},
		{"callers wait by option", "AllowPSTNUsersToBypassLobby=true lobbyBypassSettings.isDialInBypassEnabled=false", policy.Anonymous, policy.Phone, false, join, policy.Held, "lobbyBypassSettings.isDialInBypassEnabled"},
		{"a caller who is the organizer", "AllowPSTNUsersToBypassLobby=false", policy.Organizers, policy.Phone, true, join, policy.Admitted, ""},
		{"anonymous people wait for the start", "AllowAnonymousUsersToStartMeeting=false", policy.Anonymous, policy.ACS, true, join, policy.Held, "AllowAnonymousUsersToStartMeeting"},
		{"anonymous people start", "AllowAnonymousUsersToStartMeeting=true", policy.Anonymous, policy.ACS, true, join, policy.Admitted, "AllowAnonymousUsersToStartMeeting"},
		{"only with Everyone", "AllowAnonymousUsersToStartMeeting=true AllowPSTNUsersToBypassLobby=true AutoAdmittedUsers=EveryoneInCompany", policy.Anonymous, policy.Phone, true, join, policy.Held, "AllowAnonymousUsersToStartMeeting"},
		{"a guest starts", "AllowAnonymousUsersToStartMeeting=false", policy.Guest, policy.Teams, true, join, policy.Admitted, ""},

		{"anonymous people do not dial out", "AllowAnonymousUsersToDialOut=false", policy.Anonymous, policy.ACS, false, policy.MayDialOut, policy.Denied, "AllowAnonymousUsersToDialOut"},
		{"anonymous people dial out", "AllowAnonymousUsersToDialOut=true", policy.Anonymous, policy.ACS, false, policy.MayDialOut, policy.Allowed, "AllowAnonymousUsersToDialOut"},
		{"members dial out", "AllowAnonymousUsersToDialOut=false", policy.Member, policy.Teams, false, policy.MayDialOut, policy.Allowed, "role"},
		{"phones do not dial out", "AllowAnonymousUsersToDialOut=true", policy.Anonymous, policy.Phone, false, policy.MayDialOut, policy.Denied, "client"},

		{"chat for all", "MeetingChatEnabledType=Enabled", policy.Anonymous, policy.ACS, false, policy.MayChat, policy.Allowed, ""},
		{"chat for nobody", "MeetingChatEnabledType=Disabled", policy.Organizers, policy.Teams, false, policy.MayChat, policy.Denied, "MeetingChatEnabledType"},
		{"no option lifts that", "allowMeetingChat=enabled MeetingChatEnabledType=Disabled", policy.Member, policy.Teams, false, policy.MayChat, policy.Denied, "MeetingChatEnabledType"},
		{"chat but for anonymous people", "MeetingChatEnabledType=EnabledExceptAnonymous", policy.Anonymous, policy.ACS, false, policy.MayChat, policy.Denied, "MeetingChatEnabledType"},
		{"chat but for anonymous people, a guest", "MeetingChatEnabledType=EnabledExceptAnonymous", policy.Guest, policy.Teams, false, policy.MayChat, policy.Allowed, ""},
		{"chat in the meeting", "MeetingChatEnabledType=EnabledInMeetingOnlyForAllExceptAnonymous", policy.Member, policy.Teams, false, policy.MayChat, policy.Allowed, ""},
		{"chat in the meeting, anonymous", "MeetingChatEnabledType=EnabledInMeetingOnlyForAllExceptAnonymous", policy.Anonymous, policy.Teams, false, policy.MayChat, policy.Denied, "MeetingChatEnabledType"},
		{"chat off by option", "allowMeetingChat=disabled", policy.Member, policy.Teams, false, policy.MayChat, policy.Denied, "allowMeetingChat"},
		{"chat limited by option", "allowMeetingChat=limited", policy.Member, policy.Teams, false, policy.MayChat, policy.Allowed, "allowMeetingChat"},
		{"phones do not chat", "MeetingChatEnabledType=Enabled", policy.Anonymous, policy.Phone, false, policy.MayChat, policy.Denied, "client"},

		{"attendees unmute", "DesignatedPresenterRoleMode=OrganizerOnlyUserOverride allowAttendeeToEnableMic=true", policy.Member, policy.Teams, false, policy.MayUseMicrophone, policy.Allowed, "allowAttendeeToEnableMic"},
		{"attendees do not unmute", "DesignatedPresenterRoleMode=OrganizerOnlyUserOverride allowAttendeeToEnableMic=false", policy.Member, policy.Teams, false, policy.MayUseMicrophone, policy.Denied, "allowAttendeeToEnableMic"},
		{"presenters unmute", "allowAttendeeToEnableMic=false", policy.Member, policy.Teams, false, policy.MayUseMicrophone, policy.Allowed, "role"},
		{"attendees have no camera", "DesignatedPresenterRoleMode=OrganizerOnlyUserOverride allowAttendeeToEnableCamera=false", policy.Member, policy.Teams, false, policy.MayUseCamera, policy.Denied, "allowAttendeeToEnableCamera"},
		{"attendees have a camera", "DesignatedPresenterRoleMode=OrganizerOnlyUserOverride allowAttendeeToEnableCamera=true", policy.Member, policy.Teams, false, policy.MayUseCamera, policy.Allowed, "allowAttendeeToEnableCamera"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := open(tc.kind)
			c.Person.Client, c.Started = tc.client, !tc.waiting
			for pair := range strings.FieldsSeq(tc.values) {
				name, value, _ := strings.Cut(pair, "=")
				set(t, &c, name, value)
			}
			d := tc.decide(c)
			if d.Outcome != tc.want || tc.rule != "" && d.Rule != tc.rule {
				t.Errorf("got %+v, wanted %s by %q", d, tc.want, tc.rule)
			}
			if d.AwaitsStart() != (d.Outcome == policy.Held && tc.waiting) {
				t.Errorf("%+v awaits the start: %v", d, d.AwaitsStart())
			}
			c.Place = policy.Lobby
			for _, right := range []func(policy.Case) policy.Decision{policy.MayChat, policy.MayPresent, policy.MayDialOut, policy.MayUseMicrophone, policy.MayUseCamera} {
				if d := right(c); d.Outcome != policy.Denied || d.Rule != "place" {
					t.Errorf("in the lobby: got %+v, wanted it denied by the place", d)
				}
			}
		})
	}
}

func TestWhoPresents(t *testing.T) {
	const table = `
DesignatedPresenterRoleMode EveryoneUserOverride                          P P P P
DesignatedPresenterRoleMode EveryoneInSameAndFederatedCompanyUserOverride P P P A
DesignatedPresenterRoleMode EveryoneInCompanyUserOverride                 P P A A
DesignatedPresenterRoleMode OrganizerOnlyUserOverride                     A A A A
allowedPresenters           everyone                                      P P P P
allowedPresenters           organization                                  P P A A
allowedPresenters           roleIsPresenter                               A A A A
allowedPresenters           organizer                                     A A A A`
	for line := range strings.Lines(strings.TrimSpace(table)) {
		f := strings.Fields(line)
		for i, kind := range policy.Kinds()[1:] {
			c := open(kind)
			set(t, &c, f[0], f[1])
			want, outcome := policy.Presenter, policy.Allowed
			if f[2+i] == "A" {
				want, outcome = policy.Attendee, policy.Denied
			}
			role, d := policy.RoleOf(c)
			if role != want || d.Rule != f[0] || d.Value != f[1] || policy.MayPresent(c).Outcome != outcome {
				t.Errorf("%s %s: got %s by %+v, wanted %s", line, kind, role, d, want)
			}
			for _, by := range []policy.Role{policy.Presenter, policy.Attendee} {
				c.Assigned = by
				if role, _ := policy.RoleOf(c); role != by {
					t.Errorf("%s: assigned %s, got %s", kind, by, role)
				}
			}
			c.Assigned, c.Standing = "", policy.Presenter
			if role, _ := policy.RoleOf(c); f[1] == "roleIsPresenter" && role != policy.Presenter {
				t.Errorf("a named presenter is %s", role)
			}
		}
	}
	if role, _ := policy.RoleOf(open(policy.Organizers)); role != policy.Organizer {
		t.Errorf("the organizer is %s", role)
	}
}

func TestChatOutsideTheMeeting(t *testing.T) {
	for kind, want := range map[policy.Kind]policy.Outcome{policy.Organizers: policy.Allowed, policy.Guest: policy.Allowed, policy.Anonymous: policy.Denied} {
		c := open(kind)
		c.Place, c.Person.Invited = policy.Outside, true
		if d := policy.MayChat(c); d.Outcome != want {
			t.Errorf("%s: got %+v, wanted %s", kind, d, want)
		}
		set(t, &c, "allowMeetingChat", "limited")
		if d := policy.MayChat(c); d.Outcome != policy.Denied {
			t.Errorf("%s, limited: got %+v", kind, d)
		}
	}
}

func TestWhatNoTableKnowsKeepsPeopleOut(t *testing.T) {
	for name, change := range map[string]func(*policy.Case){
		"kind":       func(c *policy.Case) { c.Person.Kind = "admin" },
		"organizers": func(c *policy.Case) { c.Person.Kind = policy.Organizers },
		"client":     func(c *policy.Case) { c.Person.Client = "" },
		"policy":     func(c *policy.Case) { c.Rules.Policy = policy.Policy{} },
		"value":      func(c *policy.Case) { c.Rules.Policy.AutoAdmittedUsers = "everyone" },
		"option":     func(c *policy.Case) { c.Options.LobbyBypassScope = "Everyone" },
		"organizer who is anonymous": func(c *policy.Case) {
			c.Standing, c.Rules.Policy.AutoAdmittedUsers = policy.Organizer, policy.OrganizerOnly
		},
	} {
		c := open(policy.Anonymous)
		change(&c)
		if d := policy.Join(c); d.Outcome == policy.Admitted {
			t.Errorf("%s: %+v", name, d)
		}
	}
	c := open(policy.Member)
	c.Rules.Policy, c.Options.AllowedPresenters = policy.Policy{}, "all"
	if policy.MayChat(c).Outcome != policy.Denied || policy.MayPresent(c).Outcome != policy.Denied {
		t.Error("unknown values let somebody chat or present")
	}
}

func TestPrecedenceIsDirectThenGroupByRankThenGlobal(t *testing.T) {
	o := policy.NewOrganization("contoso")
	strict := policy.DefaultPolicy()
	strict.AutoAdmittedUsers = policy.OrganizerOnly
	o.Policies = map[string]policy.Policy{"strict": strict, "a": policy.DefaultPolicy(), "b": policy.DefaultPolicy()}
	o.Users = map[string]string{"ana": "strict"}
	o.Groups = []policy.GroupAssignment{{Group: "sales", Policy: "a"}, {Group: "all", Policy: "b"}}
	for _, tc := range []struct {
		user         string
		groups       []string
		name, source string
	}{
		{"ana", []string{"all", "sales"}, "strict", "direct"},
		{"ben", []string{"all", "sales"}, "a", "group sales"},
		{"ben", []string{"all"}, "b", "group all"},
		{"ben", []string{"other"}, "Global", "global"},
	} {
		e, err := o.Effective(tc.user, tc.groups)
		if err != nil || e.Name != tc.name || e.Source != tc.source {
			t.Errorf("%s in %v: got %s by %s, %v; wanted %s by %s", tc.user, tc.groups, e.Name, e.Source, err, tc.name, tc.source)
		}
	}
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := policy.RestoreOrganization(data); err != nil || !reflect.DeepEqual(got, o) {
		t.Errorf("got %+v, %v\nwanted %+v", got, err, o)
	}
	o.Users["ana"] = "gone"
	if _, err := o.Effective("ana", nil); err == nil || o.Validate() == nil {
		t.Error("a policy that does not exist was taken")
	}
	o.Users, o.Groups = nil, []policy.GroupAssignment{{Group: "g", Policy: "gone"}}
	if o.Validate() == nil {
		t.Error("a group's policy that does not exist was taken")
	}
	o.Groups, o.Policies["a"] = nil, policy.Policy{}
	if o.Validate() == nil {
		t.Error("a policy without values was taken")
	}
	for _, bad := range []string{`{`, `{"ID":"x"}`, `{"ID":"x","Configuration":{},"Global":{}}`} {
		if _, err := policy.RestoreOrganization([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestDefaultsAreMicrosofts(t *testing.T) {
	p, err := policy.ParsePolicy([]byte(`{}`))
	want := policy.Policy{AllowAnonymousUsersToJoinMeeting: true, AutoAdmittedUsers: "EveryoneInCompany",
		DesignatedPresenterRoleMode: "EveryoneUserOverride", MeetingChatEnabledType: "Enabled"}
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, %v", p, err)
	}
	c, err := policy.ParseConfiguration([]byte(`{"DisableAnonymousJoin":true}`))
	if err != nil || !c.DisableAnonymousJoin || !c.EnableAcsFederationAccess {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestEveryValueOfEverySettingIsReadAndWritten(t *testing.T) {
	for _, p := range policy.PolicyProperties() {
		for _, v := range p.Valid {
			var direct, restored policy.Policy
			direct = policy.DefaultPolicy()
			if err := direct.Set(p.Name, v); err != nil {
				t.Fatal(err)
			}
			data, _ := json.Marshal(direct)
			if err := json.Unmarshal(data, &restored); err != nil || !reflect.DeepEqual(restored, direct) || direct.Validate() != nil {
				t.Errorf("%s=%s: %v, got %+v", p.Name, v, err, restored)
			}
		}
	}
	for _, p := range policy.OptionProperties() {
		for _, v := range append(p.Valid, p.Default) {
			var restored policy.Options
			direct := policy.DefaultOptions()
			if err := direct.Set(p.Name, v); err != nil {
				t.Fatal(err)
			}
			data, _ := json.Marshal(direct)
			if err := json.Unmarshal(data, &restored); err != nil || !reflect.DeepEqual(restored, direct) || direct.Validate() != nil {
				t.Errorf("%s=%s: %v, got %s", p.Name, v, err, data)
			}
		}
	}
	if n := len(policy.ConfigurationProperties()); n != 2 {
		t.Errorf("%d settings", n)
	}
}

func TestWhatIsWrongIsRefusedWithWhatIsValid(t *testing.T) {
	for text, want := range map[string]string{
		`{"AutoAdmittedUser":"Everyone"}`:                                      `there is no such setting; valid: AllowAnonymousUsersToJoinMeeting, `,
		`{"AutoAdmittedUsers":"everyone"}`:                                     `AutoAdmittedUsers: "everyone" is not a value of it; valid: Everyone, `,
		`{"AutoAdmittedUsers":null}`:                                           `valid: Everyone`,
		`{"AutoAdmittedUsers":""}`:                                             `valid: Everyone`,
		`{"AllowAnonymousUsersToJoinMeeting":"true"}`:                          `valid: true, false`,
		`{"AllowAnonymousUsersToJoinMeeting":1}`:                               `1 is not a value of it; valid: true, false`,
		`{"AutoAdmittedUsers":"Everyone","AutoAdmittedUsers":"OrganizerOnly"}`: `stands twice`,
		`{"BlockedAnonymousJoinClientTypes":["ACS","ACS"]}`:                    `"ACS" stands twice`,
		`{"BlockedAnonymousJoinClientTypes":["Acs"]}`:                          `valid: ACS, Teams`,
		`{"BlockedAnonymousJoinClientTypes":"ACS;Teams"}`:                      `valid: ACS, Teams`,
		`{"BlockedAnonymousJoinClientTypes":[1]}`:                              `valid: ACS, Teams`,
		`{} {}`: `something stands behind`, `[]`: `not a JSON object`, ``: `not JSON`, `{"a`: `not JSON`, `{"a":`: `not JSON`, `{"AutoAdmittedUsers":"Everyone"`: `not JSON`,
	} {
		_, err := policy.ParsePolicy([]byte(text))
		var refused *policy.Error
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, wanted %q in it", text, err, want)
		}
	}
	var p policy.Policy
	if err := json.Unmarshal([]byte(`{"AutoAdmittedUsers":"Everyone"}`), &p); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a saved state without most of its settings: %v", err)
	}
	if _, err := policy.ParseOptions([]byte(`{"allowMeetingChat":"off"}`)); err == nil {
		t.Error("a bad option was taken")
	}
}

func TestOptionsAreMergedUnderEitherName(t *testing.T) {
	for _, tc := range []struct{ data, want string }{
		{`{}`, ""},
		{`{"AutoAdmittedUsers":"InvitedUsers"}`, `"lobbyBypassSettings.scope":"invited"`},
		{`{"AllowPSTNUsersToBypassLobby":true}`, `"lobbyBypassSettings.isDialInBypassEnabled":true`},
		{`{"allowMeetingChat":"limited","lobbyBypassSettings.scope":null}`, `"allowMeetingChat":"limited"`},
		{`{"AutoAdmittedUsers":"invited"}`, `error: valid: Everyone`},
		{`{"AutoAdmittedUsers":7}`, `error: 7 is not a value`},
		{`{"AutoAdmittedUsers":"Everyone","lobbyBypassSettings.scope":"everyone"}`, `error: stands twice`},
		{`{"DisableAnonymousJoin":false}`, `error: there is no such setting`},
		{`{"allowMeetingChat":"limited","allowAttendeeToEnableMic":"no"}`, `error: valid: true, false`},
		{`[]`, `error: not a JSON object`},
	} {
		o := policy.DefaultOptions()
		o.AllowedLobbyAdmitters = policy.AdmitOrganizers
		before := o
		err := o.Merge([]byte(tc.data))
		if wrong, ok := strings.CutPrefix(tc.want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), wrong) || !reflect.DeepEqual(o, before) {
				t.Errorf("%s: got %v, %+v; wanted %q and no change", tc.data, err, o, wrong)
			}
			continue
		}
		data, _ := json.Marshal(o)
		if err != nil || !strings.Contains(string(data), tc.want) || o.AllowedLobbyAdmitters != policy.AdmitOrganizers {
			t.Errorf("%s: got %s, %v", tc.data, data, err)
		}
	}
}

func FuzzMergeOptions(f *testing.F) {
	for _, s := range []string{`{}`, `{"AutoAdmittedUsers":"Everyone"}`, `{"lobbyBypassSettings.scope":"invited","allowMeetingChat":null}`, `{"AllowPSTNUsersToBypassLobby":null}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := policy.DefaultOptions()
		if err := o.Merge(data); err != nil {
			if !reflect.DeepEqual(o, policy.DefaultOptions()) {
				t.Errorf("%q: an error and %+v", data, o)
			}
			return
		}
		if err := o.Validate(); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{`{}`, `{"BlockedAnonymousJoinClientTypes":["ACS","Teams"]}`, `{"AutoAdmittedUsers":"Everyone"}`, `{"BlockedAnonymousJoinClientTypes":"ACS, Teams"}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.ParsePolicy(data)
		if err != nil {
			if !reflect.DeepEqual(p, policy.Policy{}) {
				t.Errorf("%q: an error and %+v", data, p)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%q: %v", data, err)
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := policy.ParsePolicy(again); err != nil || !reflect.DeepEqual(p, q) {
			t.Errorf("%q: %+v became %+v, %v", data, p, q, err)
		}
	})
}
