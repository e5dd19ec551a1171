package signaling_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// stored is a world whose state outlives it.
func stored(t testing.TB, d *disk, change func(*signaling.Config)) (*world, *processor) {
	t.Helper()
	return meetings(t, func(cfg *signaling.Config) {
		cfg.Store = d
		if change != nil {
			change(cfg)
		}
	})
}

func TestMeetingsSurviveARestart(t *testing.T) {
	d := &disk{}
	var id string
	t.Run("before", func(t *testing.T) {
		w, _ := stored(t, d, nil)
		olga, mia, zoe := w.join("olga"), w.join("mia"), w.join("zoe")
		id = meet(t, olga, "AutoAdmittedUsers=EveryoneInCompany", "mia")
		mustJoin(t, olga, id, policy.Present)
		mustJoin(t, mia, id, policy.Present)
		mustJoin(t, zoe, id, policy.Lobby)
		if err := olga.SetRole(ctx(t), id, "mia", policy.Attendee); err != nil {
			t.Fatal(err)
		}
		if _, err := olga.SetMeetingOptions(ctx(t), id, map[string]any{"allowMeetingChat": "limited"}); err != nil {
			t.Fatal(err)
		}
	})
	later := d.copy()
	w, p := stored(t, d, nil)
	olga := w.join("olga")
	m, err := olga.Meeting(ctx(t), id)
	if err != nil || m.Phase != meeting.Started || m.Region != "westeurope" || m.Options.AllowMeetingChat != policy.MeetingChatLimited ||
		m.Subject != "Weekly" || len(m.Invited) != 1 || len(m.CoOrganizers) != 1 || m.Place != policy.Present {
		t.Fatalf("restored %+v, %v", m, err)
	}
	roster, err := olga.MeetingParticipants(ctx(t), id)
	seen := ""
	for _, e := range roster {
		seen += fmt.Sprintf("%s %s %s %s; ", e.Participant, e.Place, e.Role, e.Connection)
	}
	if want := "olga present organizer connected; mia present attendee reconnecting; zoe lobby  reconnecting; "; err != nil || seen != want {
		t.Errorf("the roster is %q, %v; wanted %q", seen, err, want)
	}
	// zoe comes back and still waits.
	zoe := w.join("zoe")
	mustJoin(t, zoe, id, policy.Lobby)
	if err := olga.Admit(ctx(t), id, "zoe"); err != nil {
		t.Fatal(err)
	}
	mustMedia(t, zoe, id)
	if got := p.has(id); got != "zoe" {
		t.Errorf("media of %q", got)
	}
	// Who does not come back in time is taken out.
	w, _ = stored(t, later, func(cfg *signaling.Config) { cfg.Limits.ReconnectGrace = time.Millisecond })
	for _, who := range []string{"olga", "mia", "zoe"} {
		w.await(who+" has gone", func(e signaling.Event) bool { return e.What == meeting.PersonLeft && e.Person == who })
	}
	if s := w.controller.Stats(); s.Present != 0 || s.Waiting != 0 {
		t.Errorf("figures %+v", s)
	}
}

func TestPoliciesSurviveARestartUntilTheConfigurationChanges(t *testing.T) {
	d := &disk{}
	var id string
	asked := func(t *testing.T, change func(*signaling.Config), act func(*world)) string {
		t.Helper()
		w, _ := stored(t, d, change)
		olga := w.join("olga")
		if id == "" {
			id = meet(t, olga, "")
		}
		mustJoin(t, olga, id, policy.Present)
		if act != nil {
			act(w)
		}
		zoe := w.join("zoe")
		got := asks(t, zoe, id)
		if err := zoe.LeaveMeeting(ctx(t), id); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, tc := range []struct {
		name   string
		config string
		act    func(*world)
		want   string
	}{
		{"defaults", "", nil, "lobby AutoAdmittedUsers"},
		{"an administrator refuses", "", func(w *world) {
			if err := w.controller.SetPolicies(policies(t, "EnableAcsFederationAccess=false")); err != nil {
				t.Fatal(err)
			}
		}, "refused EnableAcsFederationAccess"},
		{"after a restart", "", nil, "refused EnableAcsFederationAccess"},
		{"the configuration opens", "AutoAdmittedUsers=Everyone", nil, "present"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := asked(t, func(cfg *signaling.Config) { cfg.Policies = policies(t, tc.config) }, tc.act)
			if got != tc.want {
				t.Errorf("got %q, wanted %q", got, tc.want)
			}
		})
	}
}

// What the store has after any acknowledged request is a whole state, with that
// request in it: as after a crash at that moment.
func TestWhatWasAcknowledgedIsInTheStore(t *testing.T) {
	d := &disk{}
	w, _ := stored(t, d, nil)
	r := rand.New(rand.NewPCG(7, 4))
	names := []string{"olga", "cora", "mia", "gus", "zoe", "ann"}
	clients := map[string]*signaling.Client{}
	for _, name := range names {
		clients[name] = w.join(name)
		go drain(clients[name])
	}
	id := meet(t, clients["olga"], "AutoAdmittedUsers=EveryoneInCompany")
	for range 120 {
		by, other := names[r.IntN(len(names))], names[r.IntN(len(names))]
		c := clients[by]
		// Refusals are as good: they must change nothing.
		switch r.IntN(8) {
		case 0, 1, 2:
			_, _ = c.JoinMeeting(ctx(t), id)
		case 3:
			_ = c.Admit(ctx(t), id, other)
		case 4:
			_ = c.LeaveMeeting(ctx(t), id)
		case 5:
			_ = c.RemoveParticipant(ctx(t), id, other)
		case 6:
			_, _ = c.SetMeetingOptions(ctx(t), id, map[string]any{"allowAttendeeToEnableMic": r.IntN(2) == 0})
		case 7:
			_ = c.RejectParticipant(ctx(t), id, other)
		}
		want := w.controller.Stats()
		again := signaling.Config{TURN: turn, Store: d.copy()}
		hosting(&processor{}, nil)(&again)
		restored, err := signaling.NewController(again)
		if err != nil {
			t.Fatal(err)
		}
		got := restored.Stats()
		if err := restored.Close(); err != nil {
			t.Fatal(err)
		}
		if got.Present != want.Present || got.Waiting != want.Waiting || got.Meetings != want.Meetings {
			t.Fatalf("restored %+v, wanted %+v", got, want)
		}
	}
}

func TestWhatCannotBeStoredDoesNotHappen(t *testing.T) {
	d := &disk{}
	w, p := stored(t, d, nil)
	olga, mia := w.join("olga"), w.join("mia")
	id := meet(t, olga, "")
	mustJoin(t, olga, id, policy.Present)
	d.fail(errDisk)
	_, err := mia.JoinMeeting(ctx(t), id)
	mustBe(t, err, signaling.CodeInternal, "")
	_, err = olga.CreateMeeting(ctx(t), signaling.MeetingRequest{})
	mustBe(t, err, signaling.CodeInternal, "")
	mustBe(t, olga.EndMeeting(ctx(t), id), signaling.CodeInternal, "")
	if err := w.controller.SetPolicies(policies(t, "DisableAnonymousJoin=true")); err == nil {
		t.Error("policies were set that are not stored")
	}
	if s := w.controller.Stats(); s.Present != 1 || s.Meetings != 1 {
		t.Errorf("figures %+v, wanted olga alone", s)
	}
	d.fail(nil)
	mustJoin(t, mia, id, policy.Present)
	mustMedia(t, mia, id)
	if got := p.has(id); got != "mia" {
		t.Errorf("media of %q", got)
	}
	if len(w.audits("policies")) > 0 {
		t.Error("the policies that were not stored are in the audit")
	}
}

func TestADamagedStoreIsNotTakenUp(t *testing.T) {
	d := &disk{}
	t.Run("before", func(t *testing.T) {
		w, _ := stored(t, d, nil)
		olga := w.join("olga")
		mustJoin(t, olga, meet(t, olga, ""), policy.Present)
		if err := w.controller.SetPolicies(policies(t, "")); err != nil {
			t.Fatal(err)
		}
	})
	bad := func(bucket string, change func(string) string) {
		t.Helper()
		c := d.copy()
		for key, value := range c.records[bucket] {
			c.records[bucket][key] = []byte(change(string(value)))
		}
		cfg := signaling.Config{TURN: turn, Store: c}
		hosting(&processor{}, nil)(&cfg)
		if got, err := signaling.NewController(cfg); err == nil {
			t.Errorf("a damaged store of %s was taken up", bucket)
			_ = got.Close()
		}
	}
	for _, change := range [][2]string{
		{`{`, ``}, {`"Kind":"meeting"`, `"Kind":"group"`}, {`"Creator":"olga"`, `"Creator":""`}, {`"Phase":"started"`, `"Phase":"ended"`},
		{`"Subject"`, `"Title"`}, {`"ID":"`, `"ID":"x`},
	} {
		bad("signaling/meetings", func(s string) string { return strings.Replace(s, change[0], change[1], 1) })
	}
	bad("signaling/policies", func(string) string { return "x" })
	bad("signaling/policies", func(s string) string { return strings.Replace(s, `"AutoAdmittedUsers"`, `"Auto"`, 1) })
	bad("signaling/policies", func(s string) string {
		i := strings.LastIndex(s, `"AutoAdmittedUsers"`)
		return s[:i] + strings.Replace(s[i:], `"AutoAdmittedUsers"`, `"Auto"`, 1)
	})
}

func TestALostConnectionLeavesTheMeetingAfterTheGrace(t *testing.T) {
	w, p := meetings(t, func(cfg *signaling.Config) { cfg.Limits.ReconnectGrace = time.Second })
	olga, mia, zoe := w.join("olga"), w.join("mia"), w.join("zoe")
	id := meet(t, olga, "")
	for _, c := range []*signaling.Client{olga, mia} {
		mustJoin(t, c, id, policy.Present)
		mustMedia(t, c, id)
	}
	mustJoin(t, zoe, id, policy.Lobby)
	for _, c := range []*signaling.Client{mia, zoe} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, olga, signaling.NotifyMeetingRoster, func(n signaling.Notification) bool {
		return about("mia", policy.Present)(n) && n.Participants[0].Connection == "reconnecting"
	})
	if n := until(t, olga, signaling.NotifyMeetingRoster, about("mia", policy.Outside)); n.Participants[0].Reason != "connection lost" {
		t.Errorf("mia has gone: %+v", n.Participants)
	}
	w.await("zoe has left the lobby", func(e signaling.Event) bool {
		return e.Kind == signaling.EventMeeting && e.Person == "zoe" && e.What == meeting.PersonLeft
	})
	if got := p.has(id); got != "olga" {
		t.Errorf("media of %q, wanted olga's", got)
	}
}

// Whoever waits hears of the admission also when the network changes meanwhile, and of
// many layouts the last one.
func TestTheLobbyOutlivesAChangeOfNetwork(t *testing.T) {
	w, _ := meetings(t, nil)
	olga, zoe := w.join("olga"), w.join("zoe")
	id := meet(t, olga, "")
	mustJoin(t, olga, id, policy.Present)
	mustJoin(t, zoe, id, policy.Lobby)
	zoe.NetworkChanged()
	if err := olga.Admit(ctx(t), id, "zoe"); err != nil {
		t.Fatal(err)
	}
	until(t, zoe, signaling.NotifyMeetingAdmitted, nil)
	mustMedia(t, zoe, id)
	zoe.NetworkChanged()
	w.await("zoe is away", func(e signaling.Event) bool { return e.Kind == signaling.EventDisconnected && e.User == "zoe" })
	for i := range 1000 { // more than a mailbox takes
		w.controller.MediaLayout(id, "zoe", []signaling.Slot{{Mid: fmt.Sprint(i), Kind: "audio"}})
	}
	n := until(t, zoe, signaling.NotifyMeetingLayout, func(n signaling.Notification) bool { return n.Slots[0].Mid == "999" })
	if len(n.Slots) != 1 {
		t.Errorf("the layout is %+v", n)
	}
}

func TestWhoIsNoUserAnyMoreIsNotInTheMeeting(t *testing.T) {
	d := &disk{}
	var id string
	t.Run("before", func(t *testing.T) {
		w, _ := stored(t, d, nil)
		olga, mia := w.join("olga"), w.join("mia")
		id = meet(t, olga, "")
		mustJoin(t, olga, id, policy.Present)
		mustJoin(t, mia, id, policy.Present)
	})
	w, _ := stored(t, d, func(cfg *signaling.Config) {
		cfg.Users = slices.DeleteFunc(cfg.Users, func(u signaling.User) bool { return u.ID == "mia" })
	})
	roster, err := w.join("olga").MeetingParticipants(ctx(t), id)
	if err != nil || len(roster) != 1 {
		t.Errorf("the roster is %+v, %v", roster, err)
	}
	w.raw("").post("/v1/sign-in", `{"user":"mia","secret":"`+secret+`mia"}`).mustBe(t, 401, signaling.CodeUnauthorized)
}

func TestAWaitInTheLobbyEnds(t *testing.T) {
	w, _ := meetings(t, func(cfg *signaling.Config) { cfg.Limits.LobbyTimeout = 500 * time.Millisecond })
	olga, zoe := w.join("olga"), w.join("zoe")
	id := meet(t, olga, "")
	mustJoin(t, olga, id, policy.Present)
	mustJoin(t, zoe, id, policy.Lobby)
	if n := until(t, zoe, signaling.NotifyMeetingRejected, nil); n.Reason != "timed out" {
		t.Errorf("zoe is told %+v", n)
	}
	if got := w.audits("lobby-timeout"); len(got) != 1 || got[0].Person != "zoe" || got[0].Allowed {
		t.Errorf("audit %+v", got)
	}
	until(t, olga, signaling.NotifyMeetingLobby, about("zoe", policy.Outside))
	mustBe(t, olga.Admit(ctx(t), id, "zoe"), signaling.CodeOutOfOrder, "")
}

func TestWhatHasEndedIsForgotten(t *testing.T) {
	d := &disk{}
	w, _ := stored(t, d, func(cfg *signaling.Config) {
		cfg.Limits.KeepMeetings, cfg.Limits.KeepEnded, cfg.Limits.MeetingsPerUser = 300*time.Millisecond, 300*time.Millisecond, 1
	})
	olga := w.join("olga")
	id := meet(t, olga, "")
	_, err := olga.CreateMeeting(ctx(t), signaling.MeetingRequest{})
	mustBe(t, err, signaling.CodeTooMany, "")
	if err := olga.EndMeeting(ctx(t), id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the meeting is forgotten", func() bool {
		_, err := olga.CreateMeeting(ctx(t), signaling.MeetingRequest{})
		return err == nil
	})
	_, err = olga.Meeting(ctx(t), id)
	mustBe(t, err, signaling.CodeNotFound, "")
	zoe := w.join("zoe")
	if _, err := zoe.JoinGroup(ctx(t), group); err != nil {
		t.Fatal(err)
	}
	if err := zoe.LeaveGroup(ctx(t), group); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store has neither", func() bool { return len(d.copy().records["signaling/meetings"]) == 1 })
}

// eventually waits for what must become true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not yet: %s", what)
		}
	}
}
