package runner

import (
	"context"

	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
)

// newChat makes the chat of the organisation, under two root keys of the customer's
// and the scenario's rules.
func newChat(ctx context.Context, s *language.Scenario, records chat.Store) (*chat.Service, error) {
	rules, err := s.Protection()
	if err != nil {
		return nil, err
	}
	vault := customerkey.NewMemoryVault()
	roots := [2]string{language.FirstRootKey, language.SecondRootKey}
	for _, root := range roots {
		if err := vault.Create(root); err != nil {
			return nil, err
		}
	}
	service, err := chat.New(chat.Config{Store: records, Vault: vault, Policy: func(string) *dlp.Policy { return rules }})
	if err != nil {
		return nil, err
	}
	return service, service.Keys().Ensure(ctx, customerkey.Policy{Tenant: signaling.HomeTenant, Name: "chat", Roots: roots})
}
