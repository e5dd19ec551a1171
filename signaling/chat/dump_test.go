package chat_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/store"
)

// Neither the file nor, within it, the free pages show who talks to whom, or what.
func TestADumpOfTheStoreShowsNothing(t *testing.T) {
	folder := t.TempDir()
	f, err := store.Open(store.Config{Path: filepath.Join(folder, "state")})
	must(t, err)
	b := newBench(t, f)
	ctx := t.Context()
	people := []chat.Member{{ID: "alice@contoso.example"}, {ID: "bob@contoso.example"}}
	const said = "the merger with fabrikam is on friday"
	for _, id := range []string{"thread-of-the-board", "thread-of-the-team"} {
		_, err := b.CreateThread(ctx, chat.Thread{ID: id, Tenant: "contoso", Members: people})
		must(t, err)
		r := chat.Request{Thread: id, Person: people[0].ID}
		for i := range 60 {
			sent, err := b.Send(ctx, r, chat.Draft{ClientID: fmt.Sprint("client-", i), Text: fmt.Sprint(said, i)})
			must(t, err)
			switch i % 3 {
			case 0:
				_, err = b.Edit(ctx, r, sent.Message.ID, chat.Draft{Text: said + " after all"})
			case 1:
				_, err = b.Delete(ctx, r, sent.Message.ID)
			default:
				_, err = b.MarkRead(ctx, r, sent.Message.Number)
			}
			must(t, err)
			if i == 30 {
				must(t, b.Keys().Rotate(ctx, "contoso"))
			}
		}
	}
	// Blocked drafts are not there at all, and masked values neither.
	_, err = b.Send(ctx, chat.Request{Thread: "thread-of-the-team", Person: people[1].ID}, chat.Draft{Text: card1 + ", " + card2})
	refused(t, err, chat.Blocked)
	must(t, f.Close())

	dump, err := os.ReadFile(filepath.Join(folder, "state"))
	must(t, err)
	for _, secret := range []string{
		"merger", "friday", "after all", "alice", "bob", "contoso", "fabrikam", "thread-of", "client-", "chat-messages",
		"chat-threads", "chat-marks", "customer-keys", "wrapped", "vault-west", "sender", "4111",
	} {
		if bytes.Contains(dump, []byte(secret)) {
			t.Errorf("the file holds %q", secret)
		}
	}
	if len(dump) < 100_000 {
		t.Errorf("the file has only %d bytes: the traffic is not in it", len(dump))
	}
}

// With the key of the store, and without the customer's root keys, the texts stay
// hidden.
func TestTheKeyOfTheStoreDoesNotOpenTheTexts(t *testing.T) {
	s := new(store.Memory)
	b := newBench(t, s)
	b.thread(t, "t")
	b.send(t, as("alice"), "the merger is on friday")
	for _, bucket := range []string{"chat-threads", "customer-keys", "chat-marks", "chat-message-ids"} {
		must(t, s.Each(bucket, func(_ string, value []byte) error {
			if bytes.Contains(value, []byte("merger")) {
				t.Errorf("bucket %s holds the text", bucket)
			}
			return nil
		}))
	}
	records, err := s.Sequence("chat-messages", "t", 1, 10, false)
	if err != nil || len(records) != 1 || bytes.Contains(records[0].Value, []byte("merger")) || bytes.Contains(records[0].Value, []byte("alice")) {
		t.Errorf("records %q, %v", records, err)
	}
	b.vault = customerkey.NewMemoryVault() // the root keys are destroyed
	b.restart(t)
	_, err = b.History(t.Context(), as("bob"), chat.Page{})
	refused(t, err, chat.Unreadable)
}
