package chat_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
	"github.com/callpath/callpath/signaling/store"
)

// A server's start, a message that goes out masked, one that is withheld until its
// sender overrides the rule, and what the revocation of both root keys does.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "chat")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)

	file, err := store.Open(store.Config{Path: filepath.Join(folder, "state")}) // its keys: state.key
	if err != nil {
		panic(err)
	}
	defer file.Close()
	vault, err := customerkey.OpenFileVault(filepath.Join(folder, "vault"))
	if err != nil {
		panic(err)
	}
	roots := [2]string{"first", "second"}
	for _, root := range roots {
		if err := vault.Ensure(root); err != nil {
			panic(err)
		}
	}
	policy, err := dlp.Parse("policy.yaml", []byte(`
name: contoso
rules:
  - name: hide cards
    content: [{type: payment-card}]
    action: mask
  - name: justify accounts
    content: [{type: iban}]
    action: warn
    override: justify
    notice: Do you have to send an account number?
`))
	if err != nil {
		panic(err)
	}
	service, err := chat.New(chat.Config{Store: file, Vault: vault, Policy: func(string) *dlp.Policy { return policy }})
	if err != nil {
		panic(err)
	}
	if err := service.Keys().Ensure(ctx, customerkey.Policy{Tenant: "contoso", Name: "chat", Roots: roots}); err != nil {
		panic(err)
	}

	thread, err := service.CreateThread(ctx, chat.Thread{Tenant: "contoso", Members: []chat.Member{{ID: "alice"}, {ID: "bob"}}})
	if err != nil {
		panic(err)
	}
	alice, bob := chat.Request{Thread: thread.ID, Person: "alice"}, chat.Request{Thread: thread.ID, Person: "bob"}
	sent, err := service.Send(ctx, alice, chat.Draft{ClientID: "1", Text: "my card is 4111 1111 1111 1111"})
	fmt.Println(sent.Message.Text, sent.Recipients, err)

	draft := chat.Draft{ClientID: "2", Text: "IBAN DE89 3704 0044 0532 0130 00"}
	_, err = service.Send(ctx, alice, draft)
	var refused *chat.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Code, refused.Override, refused.Notices[0].Text)
	}
	draft.Override, draft.Justification = true, "the invoice of June"
	_, err = service.Send(ctx, alice, draft)
	fmt.Println(err)

	for _, root := range roots {
		if err := service.Keys().Revoke(ctx, "contoso", root); err != nil {
			panic(err)
		}
	}
	_, err = service.History(ctx, bob, chat.Page{})
	fmt.Println(errors.Is(err, customerkey.ErrRevoked))
	if err := service.Keys().Restore(ctx, "contoso", "second"); err != nil {
		panic(err)
	}
	history, err := service.History(ctx, bob, chat.Page{})
	fmt.Println(len(history.Messages), err)
	// Output:
	// my card is **** **** **** **** [bob] <nil>
	// withheld justify Do you have to send an account number?
	// <nil>
	// true
	// 2 <nil>
}
