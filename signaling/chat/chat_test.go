package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/store"
)

func TestAMessageReachesEveryMember(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	sent, err := b.Send(t.Context(), as("alice"), chat.Draft{ClientID: "c-1", Text: "  hello\r\nyou "})
	must(t, err)
	m := sent.Message
	if m.Text != "hello\nyou" || m.Sender != "alice" || m.Number != 1 || m.Thread != "t" || m.ID == "" || m.Sent.IsZero() || m.ClientID != "c-1" || m.Masked {
		t.Errorf("sent %+v", m)
	}
	if !slices.Equal(sent.Recipients, []string{"bob", "eve"}) || sent.Repeated || sent.Notices != nil {
		t.Errorf("recipients %q, repeated %t, notices %v", sent.Recipients, sent.Repeated, sent.Notices)
	}
	for person, clientID := range map[string]string{"alice": "c-1", "bob": "", "eve": ""} {
		h, err := b.History(t.Context(), as(person), chat.Page{})
		must(t, err)
		want := m
		want.ClientID = clientID
		if len(h.Messages) != 1 || h.Messages[0] != want || h.More || h.Next != 1 {
			t.Errorf("%s reads %+v, wanted %+v", person, h, want)
		}
	}
}

func TestSendingAgainIsTheSameMessage(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	d := chat.Draft{ClientID: "c-1", Text: "once"}
	first, err := b.Send(t.Context(), as("alice"), d)
	must(t, err)
	b.restart(t)
	d.Text = "another text"
	again, err := b.Send(t.Context(), as("alice"), d)
	must(t, err)
	if !again.Repeated || again.Message != first.Message || again.Recipients != nil {
		t.Errorf("sent again: %+v, wanted %+v", again, first.Message)
	}
	other, err := b.Send(t.Context(), as("bob"), d)
	must(t, err)
	if other.Repeated || other.Message.ID == first.Message.ID {
		t.Error("bob's message is taken for alice's, as it has the same client ID")
	}
	b.send(t, as("alice"), "twice")
	b.send(t, as("alice"), "twice")
	if got := b.texts(t, as("eve")); got != "once, another text, twice, twice" {
		t.Errorf("history: %s", got)
	}
}

func TestManySendAtOnce(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	const people, each = 8, 12
	var wait sync.WaitGroup
	var mu sync.Mutex
	numbers := map[uint64]int{}
	repeated := 0
	for range people {
		wait.Go(func() {
			for i := range each {
				// All send the same messages as alice: one of each is stored.
				sent, err := b.Send(t.Context(), as("alice"), chat.Draft{ClientID: fmt.Sprint(i), Text: fmt.Sprint("message ", i)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				numbers[sent.Message.Number]++
				if sent.Repeated {
					repeated++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(numbers) != each || repeated != (people-1)*each {
		t.Errorf("%d messages, %d repetitions; wanted %d and %d", len(numbers), repeated, each, (people-1)*each)
	}
	for n := range uint64(each) {
		if numbers[n+1] != people {
			t.Errorf("number %d was given %d times, wanted %d", n+1, numbers[n+1], people)
		}
	}
}

func TestHistoryInPages(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	b.thread(t, "u")
	for i := range 10 {
		b.send(t, as("alice"), fmt.Sprint(i+1))
		b.send(t, chat.Request{Thread: "u", Person: "bob"}, "elsewhere")
	}
	for _, c := range []struct {
		page chat.Page
		want string
		next uint64
		more bool
	}{
		{chat.Page{Limit: 4}, "7, 8, 9, 10", 7, true},
		{chat.Page{Limit: 4, Cursor: 7}, "3, 4, 5, 6", 3, true},
		{chat.Page{Limit: 4, Cursor: 3}, "1, 2", 1, false},
		{chat.Page{Limit: 4, Cursor: 1}, "", 1, false},
		{chat.Page{Limit: 10}, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10", 1, false},
		{chat.Page{Limit: 4, Forward: true}, "1, 2, 3, 4", 4, true},
		{chat.Page{Limit: 4, Forward: true, Cursor: 8}, "9, 10", 10, false},
		{chat.Page{Forward: true, Cursor: 10}, "", 10, false},
		{chat.Page{Forward: true, Cursor: 1<<64 - 1}, "", 1<<64 - 1, false},
	} {
		h, err := b.History(t.Context(), as("bob"), c.page)
		must(t, err)
		if got := texts(h); got != c.want || h.Next != c.next || h.More != c.more {
			t.Errorf("%+v: %s, next %d, more %t; wanted %s, %d, %t", c.page, got, h.Next, h.More, c.want, c.next, c.more)
		}
	}
	for _, limit := range []int{-1, chat.MaxPage + 1} {
		_, err := b.History(t.Context(), as("bob"), chat.Page{Limit: limit})
		refused(t, err, chat.Invalid)
	}
}

func TestOnlyWhoIsInTheThread(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	_, err := b.CreateThread(t.Context(), chat.Thread{ID: "m", Tenant: "contoso", Meeting: "weekly"})
	must(t, err)
	in := b.send(t, as("alice"), "secret")
	b.log()
	roster := []chat.Member{{ID: "alice"}, {ID: "bob"}}
	for name, c := range map[string]struct {
		r    chat.Request
		code chat.Code
	}{
		"not a member":                  {as("mallory"), chat.NotMember},
		"a thread that isn't there":     {chat.Request{Thread: "none", Person: "alice"}, chat.NotFound},
		"waits in the meeting's lobby":  {chat.Request{Thread: "m", Person: "mallory", Roster: roster}, chat.NotMember},
		"a meeting without its roster":  {chat.Request{Thread: "m", Person: "alice"}, chat.NotMember},
		"a roster for members' thread":  {chat.Request{Thread: "t", Person: "alice", Roster: roster}, chat.Invalid},
		"a roster with a name twice":    {chat.Request{Thread: "m", Person: "alice", Roster: append(roster, roster[0])}, chat.Invalid},
		"a roster without end":          {chat.Request{Thread: "m", Person: "alice", Roster: make([]chat.Member, chat.MaxMembers+1)}, chat.Invalid},
		"nobody":                        {as(""), chat.Invalid},
		"no thread":                     {chat.Request{Person: "alice"}, chat.Invalid},
		"a name with control character": {as("al\x00ice"), chat.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			for what, call := range map[string]func() error{
				"Send":          func() error { _, err := b.Send(ctx, c.r, chat.Draft{Text: "x"}); return err },
				"Edit":          func() error { _, err := b.Edit(ctx, c.r, in.Message.ID, chat.Draft{Text: "x"}); return err },
				"Delete":        func() error { _, err := b.Delete(ctx, c.r, in.Message.ID); return err },
				"History":       func() error { _, err := b.History(ctx, c.r, chat.Page{}); return err },
				"MarkRead":      func() error { _, err := b.MarkRead(ctx, c.r, 1); return err },
				"MarkDelivered": func() error { _, err := b.MarkDelivered(ctx, c.r, 1); return err },
				"Marks":         func() error { _, err := b.Marks(ctx, c.r); return err },
				"Members":       func() error { _, err := b.Members(ctx, c.r); return err },
				"Thread":        func() error { _, err := b.Thread(ctx, c.r); return err },
				"SetMembers":    func() error { _, err := b.SetMembers(ctx, c.r, roster); return err },
			} {
				refused(t, call(), c.code)
				// One decision, one event.
				if log := b.log(); strings.Contains(log, " ok ") || strings.Count(log, "refused") != 1 {
					t.Errorf("%s: audit %s", what, log)
				}
			}
		})
	}
	if got := b.texts(t, as("bob")); got != "secret" {
		t.Errorf("history: %s", got)
	}
}

func TestTheChatOfAMeeting(t *testing.T) {
	b := newBench(t, new(store.Memory))
	made := chat.Thread{ID: "m", Tenant: "contoso", Meeting: "weekly"}
	first, err := b.CreateThread(t.Context(), made)
	must(t, err)
	again, err := b.CreateThread(t.Context(), made)
	must(t, err)
	if again.Created != first.Created {
		t.Error("the thread of the meeting was made anew")
	}
	made.Tenant = "fabrikam"
	_, err = b.CreateThread(t.Context(), made)
	refused(t, err, chat.Exists)

	at := func(person string, roster ...chat.Member) chat.Request {
		return chat.Request{Thread: "m", Person: person, Roster: append(roster, chat.Member{ID: person})}
	}
	if sent := b.send(t, at("alice", chat.Member{ID: "bob"}), "before"); !slices.Equal(sent.Recipients, []string{"bob"}) {
		t.Errorf("recipients %q", sent.Recipients)
	}
	// Eve comes from the lobby, and is shown what comes from then on.
	eve := chat.Member{ID: "eve", External: true, Since: b.now.Add(time.Millisecond)}
	b.send(t, at("bob", eve), "after")
	r := chat.Request{Thread: "m", Person: "eve", Roster: []chat.Member{eve, {ID: "bob"}}}
	if got := b.texts(t, r); got != "after" {
		t.Errorf("eve reads: %s", got)
	}
	h, err := b.History(t.Context(), at("bob"), chat.Page{})
	must(t, err)
	r.Moderator = true
	_, err = b.Delete(t.Context(), r, h.Messages[0].ID)
	refused(t, err, chat.NotFound)
	// Nor is she told what became of what was said before her.
	edited, err := b.Edit(t.Context(), at("alice", eve, chat.Member{ID: "bob"}), h.Messages[0].ID, chat.Draft{Text: "corrected"})
	must(t, err)
	deleted, err := b.Delete(t.Context(), at("alice", eve, chat.Member{ID: "bob"}), h.Messages[0].ID)
	must(t, err)
	for _, sent := range []chat.Sent{edited, deleted} {
		if !slices.Equal(sent.Recipients, []string{"bob"}) {
			t.Errorf("what was said before eve came is told to %q", sent.Recipients)
		}
	}
	_, err = b.SetMembers(t.Context(), r, []chat.Member{eve})
	refused(t, err, chat.Invalid)
	members, err := b.Members(t.Context(), r)
	must(t, err)
	if !slices.Equal(members, r.Roster) {
		t.Errorf("members %+v", members)
	}
}

func TestMembersChange(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	b.send(t, as("alice"), "before")
	set, err := b.SetMembers(t.Context(), as("alice"), []chat.Member{{ID: "alice"}, {ID: "carol", Since: b.now.Add(time.Millisecond)}})
	must(t, err)
	b.send(t, as("alice"), "after")
	if got := b.texts(t, as("carol")); got != "after" {
		t.Errorf("carol reads: %s", got)
	}
	_, err = b.History(t.Context(), as("bob"), chat.Page{})
	refused(t, err, chat.NotMember)
	thread, err := b.Thread(t.Context(), as("carol"))
	must(t, err)
	if !slices.Equal(thread.Members, set.Members) || thread.CreatedBy != "alice" {
		t.Errorf("thread %+v", thread)
	}
	for _, bad := range [][]chat.Member{nil, {{ID: "a"}, {ID: "a"}}, {{}}, make([]chat.Member, chat.MaxMembers+1)} {
		_, err := b.SetMembers(t.Context(), as("alice"), bad)
		refused(t, err, chat.Invalid)
	}
}

func TestThreadsThatAreRefused(t *testing.T) {
	b := newBench(t, new(store.Memory))
	members := []chat.Member{{ID: "alice"}}
	for _, bad := range []chat.Thread{
		{Members: members},
		{Tenant: "contoso"},
		{Tenant: "contoso", Members: members, ID: strings.Repeat("x", chat.MaxName+1)},
		{Tenant: "contoso", Members: members, CreatedBy: "\n"},
		{Tenant: "contoso", Members: members, Meeting: "weekly"},
		{Tenant: "contoso", Meeting: "\xff"},
	} {
		_, err := b.CreateThread(t.Context(), bad)
		refused(t, err, chat.Invalid)
	}
	first, err := b.CreateThread(t.Context(), chat.Thread{Tenant: "contoso", Members: members})
	must(t, err)
	second, err := b.CreateThread(t.Context(), chat.Thread{Tenant: "contoso", Members: members})
	must(t, err)
	if first.ID == second.ID || len(first.ID) < 20 {
		t.Errorf("IDs %q and %q", first.ID, second.ID)
	}
	_, err = b.CreateThread(t.Context(), first)
	refused(t, err, chat.Exists)
}

func TestEditAndDelete(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	ctx := t.Context()
	first, second := b.send(t, as("alice"), "first").Message, b.send(t, as("bob"), "second").Message

	edited, err := b.Edit(ctx, as("alice"), first.ID, chat.Draft{Text: "better"})
	must(t, err)
	if m := edited.Message; m.Text != "better" || m.Number != first.Number || m.Sent != first.Sent || !m.Edited.After(m.Sent) || !slices.Equal(edited.Recipients, []string{"bob", "eve"}) {
		t.Errorf("edited %+v", edited)
	}
	_, err = b.Edit(ctx, as("alice"), second.ID, chat.Draft{Text: "mine"})
	refused(t, err, chat.NotAllowed)
	_, err = b.Delete(ctx, as("alice"), second.ID)
	refused(t, err, chat.NotAllowed)
	_, err = b.Edit(ctx, as("alice"), "none", chat.Draft{Text: "x"})
	refused(t, err, chat.NotFound)
	_, err = b.Edit(ctx, as("alice"), "", chat.Draft{Text: "x"})
	refused(t, err, chat.Invalid)
	_, err = b.Edit(ctx, as("alice"), first.ID, chat.Draft{Text: " "})
	refused(t, err, chat.Invalid)
	if got := b.texts(t, as("eve")); got != "better, second" {
		t.Errorf("history: %s", got)
	}

	moderator := as("alice")
	moderator.Moderator = true
	_, err = b.Edit(ctx, moderator, second.ID, chat.Draft{Text: "x"})
	refused(t, err, chat.NotAllowed)
	gone, err := b.Delete(ctx, moderator, second.ID)
	must(t, err)
	if m := gone.Message; m.Text != "" || m.Deleted.IsZero() || m.Sender != "bob" || gone.Repeated || gone.Recipients == nil {
		t.Errorf("deleted %+v", gone)
	}
	again, err := b.Delete(ctx, as("bob"), second.ID)
	must(t, err)
	if !again.Repeated || again.Recipients != nil || again.Message.Deleted != gone.Message.Deleted {
		t.Errorf("deleted again %+v", again)
	}
	_, err = b.Edit(ctx, as("bob"), second.ID, chat.Draft{Text: "x"})
	refused(t, err, chat.Deleted)
	if got := b.texts(t, as("eve")); got != "better, (deleted)" {
		t.Errorf("history: %s", got)
	}
}

func TestMarksOnlyGoForward(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	ctx := t.Context()
	_, err := b.MarkRead(ctx, as("bob"), 1)
	refused(t, err, chat.Invalid) // no message yet
	for range 5 {
		b.send(t, as("alice"), "x")
	}
	for _, step := range []struct {
		read   bool
		number uint64
		want   chat.Mark
	}{
		{false, 3, chat.Mark{Delivered: 3}},
		{true, 2, chat.Mark{Delivered: 3, Read: 2}},
		{true, 1, chat.Mark{Delivered: 3, Read: 2}},
		{false, 2, chat.Mark{Delivered: 3, Read: 2}},
		{true, 4, chat.Mark{Delivered: 4, Read: 4}},
	} {
		mark := b.MarkDelivered
		if step.read {
			mark = b.MarkRead
		}
		if got, err := mark(ctx, as("bob"), step.number); err != nil || got != step.want {
			t.Errorf("%+v gives %+v, %v", step, got, err)
		}
	}
	_, err = b.MarkRead(ctx, as("bob"), 6)
	refused(t, err, chat.Invalid)
	_, err = b.MarkRead(ctx, as("bob"), 0)
	refused(t, err, chat.Invalid)
	_, err = b.MarkDelivered(ctx, as("eve"), 5)
	must(t, err)
	b.restart(t)
	marks, err := b.Marks(ctx, as("alice"))
	if err != nil || len(marks) != 2 || marks["bob"] != (chat.Mark{Delivered: 4, Read: 4}) || marks["eve"] != (chat.Mark{Delivered: 5}) {
		t.Errorf("marks %+v, %v", marks, err)
	}
}

func TestTextsAreNormalised(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	for name, c := range map[string]struct {
		text, want string
		code       chat.Code
	}{
		"composed":             {"Zu\u0308rich", "Z\u00fcrich", ""},
		"lines":                {"a\r\nb\rc\u2028d\u0085e", "a\nb\nc\nd\ne", ""},
		"control characters":   {"\ufeffa\x00b\x1b[31m\tc\x7f", "ab[31m\tc", ""},
		"emoji with joiners":   {"👩\u200d👧", "👩\u200d👧", ""},
		"right to left":        {"שלום \u202eabc", "שלום \u202eabc", ""},
		"as long as may be":    {strings.Repeat("x", chat.MaxText), strings.Repeat("x", chat.MaxText), ""},
		"too long":             {strings.Repeat("x", chat.MaxText+1), "", chat.TooLarge},
		"too long in NFC":      {strings.Repeat("\u0958", chat.MaxText/3), "", chat.TooLarge},
		"empty":                {"", "", chat.Invalid},
		"only space":           {" \n\t\u00a0\u3000", "", chat.Invalid},
		"nothing that is seen": {"\u200b\u200d\x00", "", chat.Invalid},
		"not UTF-8":            {"a\xffb", "", chat.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			sent, err := b.Send(t.Context(), as("alice"), chat.Draft{Text: c.text})
			if c.code != "" {
				refused(t, err, c.code)
			} else if err != nil || sent.Message.Text != c.want {
				t.Errorf("sent %.60q, %v; wanted %.60q", sent.Message.Text, err, c.want)
			}
		})
	}
	_, err := b.Send(t.Context(), as("alice"), chat.Draft{Text: "x", ClientID: strings.Repeat("x", chat.MaxName+1)})
	refused(t, err, chat.Invalid)
	_, err = b.Send(t.Context(), as("alice"), chat.Draft{Text: "x", Justification: strings.Repeat("x", chat.MaxJustification+1)})
	refused(t, err, chat.Invalid)
}
