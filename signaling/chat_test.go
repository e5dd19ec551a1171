package signaling_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
	"github.com/callpath/callpath/signaling/meeting/policy"
	"github.com/callpath/callpath/signaling/store"
)

const rules = `
name: test
rules:
  - name: cards
    content: [{type: payment-card, confidence: low}]
    action: block
    notice: No card numbers here.
  - name: accounts
    content: [{type: iban, confidence: low}]
    action: warn
    override: justify
`

const (
	card = "my card is 4111 1111 1111 1111 expires 12/30"
	iban = "pay to IBAN DE89370400440532013000"
)

// service is a real chat with keys and rules, in memory.
func service(t testing.TB) (*chat.Service, *customerkey.Vault) {
	t.Helper()
	vault := customerkey.NewMemoryVault()
	for _, root := range []string{"one", "two"} {
		if err := vault.Create(root); err != nil {
			t.Fatal(err)
		}
	}
	p, err := dlp.Parse("rules", []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	s, err := chat.New(chat.Config{Store: new(store.Memory), Vault: vault, Policy: func(string) *dlp.Policy { return p }})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Keys().Ensure(context.Background(), customerkey.Policy{Tenant: signaling.HomeTenant, Name: "chat", Roots: [2]string{"one", "two"}})
	if err != nil {
		t.Fatal(err)
	}
	return s, vault
}

func chatting(t testing.TB, change func(*signaling.Config)) (*world, *customerkey.Vault) {
	t.Helper()
	s, vault := service(t)
	w, _ := meetings(t, func(cfg *signaling.Config) {
		cfg.Chat = s
		if change != nil {
			change(cfg)
		}
	})
	return w, vault
}

// texts is a chat's history, as one line.
func texts(t testing.TB, c signaling.Chat) string {
	t.Helper()
	var all []string
	after := ""
	for {
		messages, next, err := c.Messages(ctx(t), after)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			line := m.From + ": " + m.Text
			if !m.Deleted.IsZero() {
				line = m.From + " deleted" + m.Text
			}
			all = append(all, line)
		}
		if after = next; after == "" {
			return strings.Join(all, "; ")
		}
	}
}

func TestTheChatOfAMeeting(t *testing.T) {
	w, vault := chatting(t, nil)
	olga, mia, zoe := w.join("olga"), w.join("mia"), w.join("zoe")
	id := meet(t, olga, "", "mia")
	mustJoin(t, olga, id, policy.Present)
	mustJoin(t, zoe, id, policy.Lobby)
	// mia has the invite, and chats before she joins.
	first, err := mia.MeetingChat(id).Send(ctx(t), "good morning")
	if err != nil || first.From != "mia" || first.Number == 0 {
		t.Fatalf("got %+v, %v", first, err)
	}
	if n := until(t, olga, signaling.NotifyChatMessage, nil); n.Meeting != id || n.From != "mia" || n.Message.Text != "good morning" || n.Message.ID != first.ID {
		t.Errorf("olga is told %+v", n)
	}
	// The lobby neither gives nor gets.
	_, err = zoe.MeetingChat(id).Send(ctx(t), "let me in")
	mustBe(t, err, signaling.CodeForbidden, "place")
	_, _, err = zoe.MeetingChat(id).Messages(ctx(t), "")
	mustBe(t, err, signaling.CodeForbidden, "place")
	if err := olga.Admit(ctx(t), id, "zoe"); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-zoe.Notifications():
		if n.Type != signaling.NotifyMeetingAdmitted {
			t.Errorf("before her admission zoe was told %+v", n)
		}
	case <-ctx(t).Done():
		t.Fatal("zoe was not admitted")
	}
	second, err := olga.MeetingChat(id).Send(ctx(t), "welcome")
	if err != nil {
		t.Fatal(err)
	}
	until(t, zoe, signaling.NotifyChatMessage, func(n signaling.Notification) bool { return n.Message.Text == "welcome" })
	if got := texts(t, zoe.MeetingChat(id)); got != "olga: welcome" {
		t.Errorf("zoe reads %q, wanted what was said since she came", got)
	}
	if _, err := olga.MeetingChat(id).Edit(ctx(t), second.ID, "welcome, zoe"); err != nil {
		t.Fatal(err)
	}
	until(t, zoe, signaling.NotifyChatEdited, func(n signaling.Notification) bool { return n.Message.Text == "welcome, zoe" })
	_, err = zoe.MeetingChat(id).Edit(ctx(t), second.ID, "hijacked")
	mustBe(t, err, signaling.CodeForbidden, chat.RuleOwn)
	mustBe(t, zoe.MeetingChat(id).Delete(ctx(t), second.ID), signaling.CodeForbidden, chat.RuleOwn)
	if err := olga.MeetingChat(id).Delete(ctx(t), first.ID); err != nil { // a moderator
		t.Fatal(err)
	}
	until(t, mia, signaling.NotifyChatDeleted, func(n signaling.Notification) bool { return n.Message.ID == first.ID && n.Message.Text == "" })
	if got := texts(t, mia.MeetingChat(id)); got != "mia deleted; olga: welcome, zoe" {
		t.Errorf("mia reads %q", got)
	}
	_, err = mia.MeetingChat(id).Edit(ctx(t), first.ID, "again")
	mustBe(t, err, signaling.CodeDeleted, "")

	// Data loss prevention.
	_, err = zoe.MeetingChat(id).Send(ctx(t), card)
	mustBe(t, err, signaling.CodeBlocked, "cards")
	var p *signaling.Problem
	if errors.As(err, &p) && (len(p.Notices) != 1 || p.Notices[0] != "No card numbers here." || strings.Contains(err.Error(), "4111")) {
		t.Errorf("the problem is %+v", p)
	}
	_, err = zoe.MeetingChat(id).Send(ctx(t), iban)
	mustBe(t, err, signaling.CodeWithheld, "accounts")
	if errors.As(err, &p) && p.Override != "justify" {
		t.Errorf("the problem is %+v", p)
	}
	if m, err := zoe.MeetingChat(id).SendRequest(ctx(t), signaling.MessageRequest{Text: iban, Override: true, Justification: "the invoice"}); err != nil || len(m.Notices) == 0 {
		t.Errorf("got %+v, %v; wanted it sent with a notice", m, err)
	}

	// Revoked keys make it unreadable at once, and restored ones readable again.
	for _, root := range []string{"one", "two"} {
		if err := vault.Revoke(ctx(t), root); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = olga.MeetingChat(id).Messages(ctx(t), "")
	mustBe(t, err, signaling.CodeUnreadable, "")
	if err := vault.Restore(ctx(t), "two"); err != nil {
		t.Fatal(err)
	}
	texts(t, olga.MeetingChat(id))
}

// Teams' policies on the meeting chat, at every value.
func TestWhoMayChatInAMeeting(t *testing.T) {
	w, _ := chatting(t, nil)
	olga, mia, zoe, pete := w.join("olga"), w.join("mia"), w.join("zoe"), w.join("pete")
	for _, c := range []*signaling.Client{olga, mia, zoe, pete} {
		go drain(c)
	}
	for _, tc := range []struct {
		policy, options string
		who             *signaling.Client
		present         bool
		rule            string // that refuses; empty when the chat is open
	}{
		{"MeetingChatEnabledType=Enabled", "", zoe, true, ""},
		{"MeetingChatEnabledType=Enabled", "", mia, false, ""},
		{"MeetingChatEnabledType=Enabled", "", zoe, false, "place"},
		{"MeetingChatEnabledType=Enabled", "", pete, true, "client"},
		{"MeetingChatEnabledType=Disabled", "", olga, true, "MeetingChatEnabledType"},
		{"MeetingChatEnabledType=Disabled", "allowMeetingChat=enabled", olga, true, "MeetingChatEnabledType"},
		{"MeetingChatEnabledType=EnabledExceptAnonymous", "", zoe, true, "MeetingChatEnabledType"},
		{"MeetingChatEnabledType=EnabledExceptAnonymous", "", mia, true, ""},
		{"MeetingChatEnabledType=EnabledInMeetingOnlyForAllExceptAnonymous", "", mia, true, ""},
		{"MeetingChatEnabledType=EnabledInMeetingOnlyForAllExceptAnonymous", "", mia, false, "MeetingChatEnabledType"},
		{"MeetingChatEnabledType=EnabledInMeetingOnlyForAllExceptAnonymous", "", zoe, true, "MeetingChatEnabledType"},
		{"MeetingChatEnabledType=Enabled", "allowMeetingChat=disabled", olga, true, "allowMeetingChat"},
		{"MeetingChatEnabledType=Enabled", "allowMeetingChat=limited", mia, true, ""},
		{"MeetingChatEnabledType=Enabled", "allowMeetingChat=limited", mia, false, "allowMeetingChat"},
	} {
		t.Run(fmt.Sprint(tc.policy, " ", tc.options, " ", tc.present, " ", tc.rule), func(t *testing.T) {
			p := policies(t, tc.policy+" AutoAdmittedUsers=Everyone AllowPSTNUsersToBypassLobby=true")
			if err := w.controller.SetPolicies(p); err != nil {
				t.Fatal(err)
			}
			id := meet(t, olga, tc.options, "mia", "zoe")
			mustJoin(t, olga, id, policy.Present)
			if tc.present {
				mustJoin(t, tc.who, id, policy.Present)
			}
			before := len(w.audits(tc.rule))
			_, err := tc.who.MeetingChat(id).Send(ctx(t), "hello")
			if tc.rule == "" {
				if err != nil || texts(t, tc.who.MeetingChat(id)) == "" {
					t.Errorf("got %v", err)
				}
			} else {
				mustBe(t, err, signaling.CodeForbidden, tc.rule)
				if got := len(w.audits(tc.rule)) - before; got != 1 {
					t.Errorf("%d audit records", got)
				}
			}
			if err := olga.EndMeeting(ctx(t), id); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestChatsWithUsersOfACSAsTheOrganisationHasIt(t *testing.T) {
	w, _ := chatting(t, nil)
	users := map[string]*signaling.Client{"mia": w.join("mia"), "zoe": w.join("zoe"), "tom": w.join("tom")}
	const rule = "EnableAcsFederationAccess"
	for _, on := range []bool{true, false} {
		if err := w.controller.SetPolicies(policies(t, fmt.Sprintf("%s=%t", rule, on))); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			by     string
			others []string
			asked  bool
		}{
			{"mia", []string{"zoe"}, true},
			{"zoe", []string{"mia"}, true},
			{"tom", []string{"zoe", "mia"}, true},
			{"mia", []string{"tom"}, false},
			{"zoe", []string{"tom"}, false},
		} {
			before := len(w.audits(rule))
			_, err := users[tc.by].CreateThread(ctx(t), tc.others...)
			if on || !tc.asked {
				if err != nil {
					t.Errorf("%t: %s with %v: %v", on, tc.by, tc.others, err)
				}
			} else {
				mustBe(t, err, signaling.CodeForbidden, rule)
			}
			got := w.audits(rule)[before:]
			if tc.asked != (len(got) == 1) || tc.asked && (got[0].Allowed != on || got[0].User != tc.by) {
				t.Errorf("%t: %s with %v: audit %+v", on, tc.by, tc.others, got)
			}
		}
	}
}

func TestAChatApartFromMeetings(t *testing.T) {
	w, _ := chatting(t, func(cfg *signaling.Config) { cfg.Limits.WritesPerMinute = 60 })
	mia, tom, zoe := w.join("mia"), w.join("tom"), w.join("zoe")
	id, err := mia.CreateThread(ctx(t), "tom")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 55 { // more than one page
		if _, err := mia.ThreadChat(id).Send(ctx(t), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := next(t, tom, signaling.NotifyChatMessage); n.Thread != id || n.Meeting != "" || n.Message.Text != "0" {
		t.Errorf("tom is told %+v", n)
	}
	if got := texts(t, tom.ThreadChat(id)); !strings.HasPrefix(got, "mia: 0; mia: 1; ") || !strings.HasSuffix(got, "; mia: 54") || strings.Count(got, ";") != 54 {
		t.Errorf("tom reads %q", got)
	}
	_, err = zoe.ThreadChat(id).Send(ctx(t), "me too")
	mustBe(t, err, signaling.CodeNotFound, "")
	_, _, err = zoe.ThreadChat(id).Messages(ctx(t), "")
	mustBe(t, err, signaling.CodeNotFound, "")
	_, err = zoe.ThreadChat("unknown").Send(ctx(t), "me too")
	mustBe(t, err, signaling.CodeNotFound, "")
	_, err = mia.CreateThread(ctx(t), "nobody")
	mustBe(t, err, signaling.CodeCalleeUnknown, "")
	_, err = mia.CreateThread(ctx(t), "a b")
	mustBe(t, err, signaling.CodeBadRequest, "")
	_, err = mia.ThreadChat(id).Send(ctx(t), strings.Repeat("x", chat.MaxText+1))
	mustBe(t, err, signaling.CodeTooLarge, "")
	for range 60 {
		if _, err = mia.ThreadChat(id).Send(ctx(t), "late"); err != nil {
			break
		}
	}
	mustBe(t, err, signaling.CodeTooMany, "")

	r := w.raw("tom")
	for path, code := range map[string]string{
		"?after=x": signaling.CodeBadRequest, "?after=1&before=2": signaling.CodeBadRequest, "?limit=201": signaling.CodeBadRequest, "?before=-1": signaling.CodeBadRequest,
		"?before=3&limit=1": "", "": "",
	} {
		re := r.get("/v1/threads/" + id + "/messages" + path)
		if re.problem.Code != code {
			t.Errorf("%s: %s", path, re.body)
		}
	}
	// A meeting's chat is not to be had past the policies.
	r.get("/v1/threads/meeting.x/messages").mustBe(t, 404, signaling.CodeNotFound)
	again := http.Header{"Repeatability-Request-Id": {"one"}}
	if a, b := r.do("POST", "/v1/threads/"+id+"/messages", `{"text":"once"}`, again), r.do("POST", "/v1/threads/"+id+"/messages", `{"text":"once"}`, again); a.status != 201 || a.body != b.body {
		t.Errorf("got %s and %s", a.body, b.body)
	}
	if got := strings.Count(texts(t, tom.ThreadChat(id)), "once"); got != 1 {
		t.Errorf("%d messages", got)
	}
}

// A token for chats only chats, is told, and neither calls nor is called.
func TestATokenForChatsOnlyChats(t *testing.T) {
	s, _ := service(t)
	n := &notary{}
	w := newWorld(t, hosting(&processor{}, func(cfg *signaling.Config) {
		verified(n)(cfg)
		cfg.Chat = s
	}))
	mia := w.bearing("mia")
	n.mu.Lock()
	n.scopes = []string{"chat"}
	n.mu.Unlock()
	tom := w.bearing("tom")
	id, err := tom.CreateThread(ctx(t), "mia")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tom.ThreadChat(id).Send(ctx(t), "hello"); err != nil {
		t.Fatal(err)
	}
	if n := next(t, mia, signaling.NotifyChatMessage); n.Message == nil || n.Message.Text != "hello" {
		t.Errorf("mia is told %+v", n)
	}
	_, err = tom.JoinGroup(ctx(t), group)
	mustBe(t, err, signaling.CodeScope, "")
	n.mu.Lock()
	n.scopes = []string{"voip"}
	n.mu.Unlock()
	voip := w.bearing("mia") // a newer WebSocket, whose token is not for chats
	n.mu.Lock()
	n.scopes = []string{"chat"}
	n.mu.Unlock()
	if _, err := tom.ThreadChat(id).Send(ctx(t), "secret"); err != nil {
		t.Fatal(err)
	}
	if n := next(t, voip, signaling.NotifyChatMessage); n.Message != nil || n.Reason == "" {
		t.Errorf("without the scope mia is told %+v", n)
	}
	n.mu.Lock()
	n.scopes = []string{"voip"}
	n.mu.Unlock()
	_, err = mia.Invite(ctx(t), "tom", offer())
	mustBe(t, err, signaling.CodeCalleeOffline, "")
	if _, err := mia.CreateGroup(ctx(t), signaling.GroupRequest{Invited: []string{"tom", "olga"}}); err != nil {
		t.Fatal(err)
	}
	if n := next(t, tom, signaling.NotifyGroupInvite); n.From != "" || !strings.Contains(n.Reason, "scope voip") {
		t.Errorf("without the scope tom is told %+v", n)
	}
	_, err = mia.ThreadChat(id).Send(ctx(t), "hello")
	mustBe(t, err, signaling.CodeScope, "")
}

func TestWithoutAChatThereAreNoChats(t *testing.T) {
	w, _ := meetings(t, nil)
	_, err := w.join("mia").CreateThread(ctx(t), "tom")
	mustBe(t, err, signaling.CodeNotFound, "")
}
