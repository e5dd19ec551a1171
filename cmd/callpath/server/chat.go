package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
	"github.com/callpath/callpath/signaling/store"
)

// The files of what must survive: meetings, policies and chats, and the keys that the
// chats are encrypted with. The store's own keys stand beside it.
const (
	fileStore = "signaling.store"
	fileVault = "customer-keys.vault"
)

// policyName is that of the tenant's data encryption policy.
const policyName = "chat"

// openStore opens the store, which only one server can have at a time.
func (s *Server) openStore() (err error) {
	if err := os.MkdirAll(s.cfg.State, 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	s.store, err = store.Open(store.Config{Path: s.keys.state.path(fileStore)})
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w; a state directory is for one server at a time", err)
	}
	return err
}

// openChat opens the chats, whose tenant gets its keys when it has none.
func (s *Server) openChat(ctx context.Context) error {
	path := s.cfg.Chat.Vault
	if path == "" {
		path = s.keys.state.path(fileVault)
	}
	vault, err := customerkey.OpenFileVault(path)
	if err != nil {
		return fmt.Errorf("chat.vault: %w", err)
	}
	s.chat, err = chat.New(chat.Config{
		Store:  s.store,
		Vault:  vault,
		Policy: func(string) *dlp.Policy { return s.current.Load().dlp },
		OnEvent: func(e chat.Event) {
			s.metrics.chatted(e)
			s.audit.chat(e)
		},
		OnKeyEvent: func(e customerkey.Event) {
			s.metrics.keyed(e)
			s.audit.key(e)
		},
	})
	if err != nil {
		return err
	}
	// Root keys are made with the policy and at no other time: to go on with a vault
	// that was lost would take a new key for the old one.
	_, _, err = s.chat.Keys().Policy(ctx, s.cfg.Meetings.Tenant)
	if !errors.Is(err, customerkey.ErrNoPolicy) {
		return err
	}
	ctx = context.WithoutCancel(ctx) // half a hierarchy of keys is of no use
	roots := [2]string(s.cfg.Chat.Roots)
	for _, root := range roots {
		if err := vault.Ensure(root); err != nil {
			return fmt.Errorf("chat.vault: %w", err)
		}
	}
	return s.chat.Keys().Ensure(ctx, customerkey.Policy{Tenant: s.cfg.Meetings.Tenant, Name: policyName, Roots: roots})
}

// readDLP reads the rules of data loss prevention; nil when there is no file.
func readDLP(read reader, file string) (*dlp.Policy, error) {
	if file == "" {
		return nil, nil
	}
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("chat.dlp: %w", err)
	}
	return dlp.Parse(file, data)
}

// chat records an event of the chats. It holds no part of a message.
func (a audit) chat(e chat.Event) {
	attrs := []slog.Attr{slog.String("event", "audit"), slog.String("part", "chat"),
		slog.String("what", string(e.Act)), slog.Bool("allowed", e.Allowed)}
	for _, f := range []struct{ key, value string }{
		{"user", e.Person}, {"tenant", e.Tenant}, {"thread", e.Thread}, {"message", e.Message}, {"rule", e.Rule}, {"reason", e.Reason},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	if e.DLP != nil && len(e.DLP.Rules) > 0 {
		attrs = append(attrs, slog.Any("dlp", e.DLP))
	}
	a.write(e.Allowed, attrs)
}

// everyMessage are the actions of keys that each message brings along.
var everyMessage = map[customerkey.Action]bool{customerkey.ActionWrap: true, customerkey.ActionUnwrap: true}

// key records an event of the customer's keys: refusals, and what an administrator does.
func (a audit) key(e customerkey.Event) {
	attrs := []slog.Attr{slog.String("event", "audit"), slog.String("part", "customer-key"),
		slog.String("what", string(e.Action)), slog.Bool("allowed", e.Allowed)}
	for _, f := range []struct{ key, value string }{
		{"tenant", e.Tenant}, {"root", e.Root}, {"thread", e.Chat}, {"message", e.Message}, {"reason", e.Reason},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	if e.Version > 0 {
		attrs = append(attrs, slog.Int("version", e.Version))
	}
	if e.Allowed && everyMessage[e.Action] {
		a.log.LogAttrs(context.Background(), slog.LevelDebug, "customer-key", attrs...)
		return
	}
	a.write(e.Allowed, attrs)
}
