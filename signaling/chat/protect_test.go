package chat_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
	"github.com/callpath/callpath/signaling/store"
)

func TestDataLossPrevention(t *testing.T) {
	inside := []chat.Member{{ID: "alice"}, {ID: "bob"}}
	outside := append(slices.Clone(inside), chat.Member{ID: "eve", External: true})
	for _, c := range []struct {
		name   string
		roster []chat.Member
		draft  chat.Draft
		// code is that of the refusal, "" for none; rule the one that decided.
		code      chat.Code
		rule      string
		delivered string
		override  dlp.Override
	}{
		{"nothing found", outside, chat.Draft{Text: "hello"}, "", "", "hello", 0},
		{"blocked", inside, chat.Draft{Text: card1 + ", " + card2}, chat.Blocked, "no card lists", "", 0},
		{"blocked, whatever the sender says", inside, chat.Draft{Text: card1 + ", " + card2, Override: true, Justification: "I must"}, chat.Blocked, "no card lists", "", 0},
		{"masked", inside, chat.Draft{Text: "my card: " + card1}, "", "hide cards", "my card: **** **** **** ****", 0},
		{"masked though it is written otherwise", inside, chat.Draft{Text: "my card: 4111\u00ad 1111\u20031111\r\n 1111"}, "", "hide cards", "my card: **** ****\u2003****\n ****", 0},
		{"warned", inside, chat.Draft{Text: "IBAN " + account}, "", "think of accounts", "IBAN " + account, 0},
		{"withheld", inside, chat.Draft{Text: "BSN " + bsn}, chat.Withheld, "justify BSN", "", dlp.Justify},
		{"withheld for want of a reason", inside, chat.Draft{Text: "BSN " + bsn, Override: true}, chat.Withheld, "justify BSN", "", dlp.Justify},
		{"overridden", inside, chat.Draft{Text: "BSN " + bsn, Override: true, Justification: "payroll"}, "", "justify BSN", "BSN " + bsn, 0},
		{"nobody external receives it", inside, chat.Draft{Text: "Steuer-ID " + taxID}, "", "", "Steuer-ID " + taxID, 0},
		{"somebody external would receive it", outside, chat.Draft{Text: "Steuer-ID " + taxID}, chat.Blocked, "no tax numbers outside", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, new(store.Memory))
			_, err := b.CreateThread(t.Context(), chat.Thread{ID: "t", Tenant: "contoso", Members: c.roster})
			must(t, err)
			first := b.send(t, as("alice"), "first")
			b.log()
			check := func(act string, sent chat.Sent, err error) {
				t.Helper()
				history := b.texts(t, as("bob"))
				if c.code != "" {
					e := refused(t, err, c.code)
					if e.Rule != c.rule || e.Override != c.override || len(e.Notices) == 0 || e.Notices[0].Text == "" {
						t.Errorf("%s refused by %q, override %s, notices %+v; wanted %q, %s and a policy tip", act, e.Rule, e.Override, e.Notices, c.rule, c.override)
					}
					if history != "first" {
						t.Errorf("%s: delivered nevertheless: %s", act, history)
					}
				} else if err != nil || sent.Message.Text != c.delivered || !strings.HasSuffix(history, c.delivered) {
					t.Errorf("%s: %q, %v; history %s; wanted %q", act, sent.Message.Text, err, history, c.delivered)
				}
				if sent.Message.Masked != strings.Contains(c.delivered, "**") {
					t.Errorf("%s: masked %t", act, sent.Message.Masked)
				}
				verdict, rule := "ok", "member"
				if c.code != "" {
					verdict = "refused"
				}
				if c.rule != "" {
					rule = "dlp: " + c.rule
				}
				audit := b.audited(t)
				if want, got := fmt.Sprintf("alice %s %s by %s; bob read ok by member", act, verdict, rule), b.log(); got != want {
					t.Errorf("audit: %s\nwanted: %s", got, want)
				}
				for _, secret := range []string{"4111", "5555", account, bsn, taxID, "hello", "my card"} {
					if strings.Contains(audit, secret) {
						t.Errorf("the audit holds %q: %s", secret, audit)
					}
				}
			}
			sent, err := b.Send(t.Context(), as("alice"), c.draft)
			check("send", sent, err)
			if c.code == "" {
				return
			}
			sent, err = b.Edit(t.Context(), as("alice"), first.Message.ID, c.draft)
			check("edit", sent, err)
			// What was blocked is nowhere: the sequence has the first message only.
			if all, err := b.store.Sequence("chat-messages", "t", 1, 10, false); err != nil || len(all) != 1 {
				t.Errorf("%d records, %v; wanted the first message only", len(all), err)
			}
		})
	}
}

func TestWhatTheSenderIsTold(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	sent := b.send(t, as("alice"), "IBAN "+account)
	if n := sent.Notices; len(n) != 1 || n[0].Rule != "think of accounts" || n[0].Text != "Is it wise?" {
		t.Errorf("notices %+v", n)
	}
	sent, err := b.Edit(t.Context(), as("alice"), sent.Message.ID, chat.Draft{Text: card1})
	if err != nil || len(sent.Notices) != 1 || sent.Notices[0].Rule != "hide cards" || !sent.Message.Masked {
		t.Errorf("edited %+v, %v", sent, err)
	}
	// The audit has the reason, without the value that is in it.
	b.log()
	_, err = b.Send(t.Context(), as("alice"), chat.Draft{Text: "BSN " + bsn, Override: true, Justification: "payroll of " + bsn})
	must(t, err)
	if audit := b.audited(t); !strings.Contains(audit, "payroll of *********") || !strings.Contains(audit, `"Overridden":["justify BSN"]`) {
		t.Errorf("audit %s", audit)
	}
	// Tenants have their own rules.
	must(t, b.Keys().Ensure(t.Context(), customerkey.Policy{Tenant: "fabrikam", Name: "chat", Roots: roots}))
	_, err = b.CreateThread(t.Context(), chat.Thread{ID: "f", Tenant: "fabrikam", Members: []chat.Member{{ID: "alice"}}})
	must(t, err)
	if sent := b.send(t, chat.Request{Thread: "f", Person: "alice"}, card1+", "+card2); sent.Message.Masked {
		t.Error("the rules of one tenant hold for another")
	}
}

// Revocation, recovery with the second key, rotation, and new root keys.
func TestCustomerKeys(t *testing.T) {
	b := newBench(t, new(store.Memory))
	b.thread(t, "t")
	ctx, keys := t.Context(), b.Keys()
	sent, err := b.Send(ctx, as("alice"), chat.Draft{ClientID: "1", Text: "one"})
	must(t, err)
	must(t, keys.Rotate(ctx, "contoso"))
	b.send(t, as("alice"), "two")

	must(t, keys.Revoke(ctx, "contoso", roots[0]))
	b.send(t, as("bob"), "three")
	if got := b.texts(t, as("bob")); got != "one, two, three" {
		t.Errorf("with one root key revoked: %s", got)
	}
	must(t, keys.Revoke(ctx, "contoso", roots[1]))
	b.restart(t)
	b.log()
	keys = b.Keys()
	for what, call := range map[string]func() error{
		"Send":    func() error { _, err := b.Send(ctx, as("alice"), chat.Draft{Text: "x"}); return err },
		"again":   func() error { _, err := b.Send(ctx, as("alice"), chat.Draft{ClientID: "1", Text: "x"}); return err },
		"Edit":    func() error { _, err := b.Edit(ctx, as("alice"), sent.Message.ID, chat.Draft{Text: "x"}); return err },
		"Delete":  func() error { _, err := b.Delete(ctx, as("alice"), sent.Message.ID); return err },
		"History": func() error { _, err := b.History(ctx, as("alice"), chat.Page{}); return err },
	} {
		err := call()
		if refused(t, err, chat.Unreadable); !errors.Is(err, customerkey.ErrRevoked) {
			t.Errorf("%s: %v, wanted ErrRevoked", what, err)
		}
		if log := b.log(); !strings.HasSuffix(log, "refused by customer-key") {
			t.Errorf("%s: audit %s", what, log)
		}
	}
	must(t, keys.Restore(ctx, "contoso", roots[1]))
	if got := b.texts(t, as("bob")); got != "one, two, three" {
		t.Errorf("recovered by the second root key: %s", got)
	}
	must(t, b.vault.Create("new"))
	must(t, keys.Rewrap(ctx, "contoso", [2]string{"new", roots[1]}))
	must(t, keys.Rotate(ctx, "contoso"))
	must(t, keys.Revoke(ctx, "contoso", roots[1]))
	b.send(t, as("alice"), "four")
	if got := b.texts(t, as("bob")); got != "one, two, three, four" {
		t.Errorf("under the new root key: %s", got)
	}
	if b.audited(t) == "[null,null]" || len(b.keys) == 0 {
		t.Error("no event of the keys came")
	}

	_, err = b.CreateThread(ctx, chat.Thread{ID: "f", Tenant: "fabrikam", Members: []chat.Member{{ID: "alice"}}})
	must(t, err)
	_, err = b.Send(ctx, chat.Request{Thread: "f", Person: "alice"}, chat.Draft{Text: "x"})
	if refused(t, err, chat.Unreadable); !errors.Is(err, customerkey.ErrNoPolicy) {
		t.Errorf("a tenant without policy: %v", err)
	}
}

func TestAllOutlivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	open := func() *store.File {
		f, err := store.Open(store.Config{Path: path})
		must(t, err)
		return f
	}
	f := open()
	b := newBench(t, f)
	b.thread(t, "t")
	first := b.send(t, as("alice"), "first")
	b.send(t, as("alice"), "second")
	_, err := b.Edit(t.Context(), as("alice"), first.Message.ID, chat.Draft{Text: "edited"})
	must(t, err)
	_, err = b.MarkRead(t.Context(), as("bob"), 2)
	must(t, err)
	must(t, f.Rotate())
	must(t, f.Close())
	_, err = b.Send(t.Context(), as("alice"), chat.Draft{Text: "x"})
	if refused(t, err, chat.Failed); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after the store was closed: %v", err)
	}
	f = open()
	b.store = f
	b.restart(t)
	if got := b.texts(t, as("bob")); got != "edited, second" {
		t.Errorf("history: %s", got)
	}
	if sent := b.send(t, as("bob"), "third"); sent.Message.Number != 3 {
		t.Errorf("number %d, wanted 3", sent.Message.Number)
	}
	marks, err := b.Marks(t.Context(), as("alice"))
	if err != nil || marks["bob"].Read != 2 {
		t.Errorf("marks %+v, %v", marks, err)
	}
	must(t, f.Close())
}

func TestWhatANewServiceNeeds(t *testing.T) {
	if _, err := chat.New(chat.Config{Vault: customerkey.NewMemoryVault()}); err == nil || !strings.Contains(err.Error(), "Config.Store") {
		t.Errorf("without a store: %v", err)
	}
	if _, err := chat.New(chat.Config{Store: new(store.Memory)}); err == nil || !strings.Contains(err.Error(), "Config.Vault") {
		t.Errorf("without a vault: %v", err)
	}
	// Without rules, audit, clock and random numbers of the caller's.
	vault := customerkey.NewMemoryVault()
	for _, r := range roots {
		must(t, vault.Create(r))
	}
	s, err := chat.New(chat.Config{Store: new(store.Memory), Vault: vault})
	must(t, err)
	must(t, s.Keys().Ensure(t.Context(), customerkey.Policy{Tenant: "contoso", Name: "chat", Roots: roots}))
	thread, err := s.CreateThread(t.Context(), chat.Thread{Tenant: "contoso", Members: []chat.Member{{ID: "alice"}}})
	must(t, err)
	sent, err := s.Send(t.Context(), chat.Request{Thread: thread.ID, Person: "alice"}, chat.Draft{Text: card1 + ", " + card2})
	if err != nil || sent.Message.Text != card1+", "+card2 {
		t.Errorf("sent %+v, %v", sent, err)
	}
	dry, err := chat.New(chat.Config{Store: new(store.Memory), Vault: vault, Rand: strings.NewReader("")})
	must(t, err)
	_, err = dry.CreateThread(t.Context(), chat.Thread{Tenant: "contoso", Members: []chat.Member{{ID: "alice"}}})
	refused(t, err, chat.Failed)
}
