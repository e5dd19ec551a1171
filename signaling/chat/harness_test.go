package chat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
	"github.com/callpath/callpath/signaling/store"
)

func TestMain(m *testing.M) {
	if writing() {
		return
	}
	goleak.VerifyTestMain(m)
}

var roots = [2]string{"vault-west/chat", "vault-central/chat"}

const rules = `
name: contoso-chat
rules:
  - {name: no card lists, action: block, content: [{type: payment-card, count: 2, confidence: low}]}
  - {name: hide cards, action: mask, content: [{type: payment-card, confidence: low}]}
  - {name: think of accounts, action: warn, notice: Is it wise?, content: [{type: iban}]}
  - {name: justify BSN, action: warn, override: justify, content: [{type: netherlands-bsn, confidence: low}]}
  - {name: no tax numbers outside, action: block, external: true, content: [{type: germany-tax-id, confidence: low}]}
`

const (
	card1, card2 = "4111 1111 1111 1111", "5555 5555 5555 4444"
	account      = "DE89 3704 0044 0532 0130 00"
	bsn          = "111222333"
	taxID        = "86095742719"
)

// bench is a Service with all that it stands on.
type bench struct {
	*chat.Service
	store chat.Store
	vault *customerkey.Vault

	mu     sync.Mutex
	now    time.Time
	events []chat.Event
	keys   []customerkey.Event
}

func newBench(t testing.TB, s chat.Store) *bench {
	t.Helper()
	b := &bench{store: s, vault: customerkey.NewMemoryVault(), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	for _, r := range roots {
		must(t, b.vault.Create(r))
	}
	b.restart(t)
	must(t, b.Keys().Ensure(t.Context(), customerkey.Policy{Tenant: "contoso", Name: "chat", Roots: roots}))
	return b
}

// restart makes the service anew on the same store and vault.
func (b *bench) restart(t testing.TB) {
	t.Helper()
	policy, err := dlp.Parse("rules.yaml", []byte(rules))
	must(t, err)
	b.Service, err = chat.New(chat.Config{
		Store: b.store, Vault: b.vault,
		Policy: func(tenant string) *dlp.Policy {
			if tenant == "contoso" {
				return policy
			}
			return nil
		},
		Now: func() time.Time {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.now = b.now.Add(time.Second)
			return b.now
		},
		OnEvent: func(e chat.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
		OnKeyEvent: func(e customerkey.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.keys = append(b.keys, e)
		},
	})
	must(t, err)
}

// log is the audit since the last call, in short; audited gives all of it as text.
func (b *bench) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, e := range b.events {
		verdict := "ok"
		if !e.Allowed {
			verdict = "refused"
		}
		all = append(all, fmt.Sprintf("%s %s %s by %s", e.Person, e.Act, verdict, e.Rule))
	}
	b.events = nil
	return strings.Join(all, "; ")
}

func (b *bench) audited(t testing.TB) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	data, err := json.Marshal([]any{b.events, b.keys})
	must(t, err)
	return string(data)
}

// thread makes a thread of alice, bob and eve, who is external.
func (b *bench) thread(t testing.TB, id string) {
	t.Helper()
	_, err := b.CreateThread(t.Context(), chat.Thread{ID: id, Tenant: "contoso", CreatedBy: "alice",
		Members: []chat.Member{{ID: "alice"}, {ID: "bob"}, {ID: "eve", External: true}}})
	must(t, err)
}

func as(person string) chat.Request { return chat.Request{Thread: "t", Person: person} }

func (b *bench) send(t testing.TB, r chat.Request, text string) chat.Sent {
	t.Helper()
	sent, err := b.Send(t.Context(), r, chat.Draft{Text: text})
	must(t, err)
	return sent
}

// texts is the newest page as person sees it.
func (b *bench) texts(t testing.TB, r chat.Request) string {
	t.Helper()
	h, err := b.History(t.Context(), r, chat.Page{})
	must(t, err)
	return texts(h)
}

func texts(h chat.History) string {
	var all []string
	for _, m := range h.Messages {
		text := m.Text
		if !m.Deleted.IsZero() {
			text = "(deleted)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused wants an error with a code, and returns it.
func refused(t testing.TB, err error, want chat.Code) *chat.Error {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("error %v, wanted one with code %s", err, want)
		return &chat.Error{}
	}
	return e
}

var _ = []chat.Store{new(store.Memory), new(store.File)}
