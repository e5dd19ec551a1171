package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// What an operator does to the customer's keys of a running server, by its control
// socket.

// errNoRoot says that a root key is none of the tenant's.
var errNoRoot = errors.New("there is no such root key")

// DataEncryptionPolicy says which keys protect the chats.
type DataEncryptionPolicy struct {
	Tenant string    `json:"tenant"`
	Name   string    `json:"name"`
	Roots  [2]string `json:"roots"`
	// Versions is how many keys the policy has had; the last is for new messages.
	Versions int `json:"versions"`
}

func (s *Server) controlChat(mux *http.ServeMux, done func(http.ResponseWriter, error)) {
	keys, tenant := s.chat.Keys(), s.cfg.Meetings.Tenant
	mux.HandleFunc("GET /customer-keys", func(w http.ResponseWriter, r *http.Request) {
		p, versions, err := keys.Policy(r.Context(), tenant)
		if err != nil {
			done(w, err)
			return
		}
		// An error means that the client has gone.
		_ = json.NewEncoder(w).Encode(DataEncryptionPolicy{Tenant: p.Tenant, Name: p.Name, Roots: p.Roots, Versions: versions})
	})
	mux.HandleFunc("POST /customer-keys/rotate", func(w http.ResponseWriter, r *http.Request) {
		done(w, keys.Rotate(r.Context(), tenant))
	})
	for action, do := range map[string]func(context.Context, string, string) error{"revoke": keys.Revoke, "restore": keys.Restore} {
		mux.HandleFunc("POST /customer-keys/{root}/"+action, func(w http.ResponseWriter, r *http.Request) {
			root := r.PathValue("root")
			if p, _, err := keys.Policy(r.Context(), tenant); err == nil && !slices.Contains(p.Roots[:], root) {
				done(w, fmt.Errorf("%w: %q; valid: %s, %s", errNoRoot, root, p.Roots[0], p.Roots[1]))
				return
			}
			done(w, do(r.Context(), tenant, root))
		})
	}
}

// CustomerKeys is the policy that protects the chats.
func (c Control) CustomerKeys(ctx context.Context) (DataEncryptionPolicy, error) {
	var p DataEncryptionPolicy
	body, err := c.ask(ctx, http.MethodGet, "/customer-keys")
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(body, &p)
}

// RotateCustomerKey makes a new key of the policy for new messages; old messages keep
// theirs.
func (c Control) RotateCustomerKey(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodPost, "/customer-keys/rotate")
	return err
}

// RevokeRootKey makes one of the two root keys unusable at once. With both revoked no
// chat can be read or written.
func (c Control) RevokeRootKey(ctx context.Context, root string) error {
	_, err := c.ask(ctx, http.MethodPost, "/customer-keys/"+url.PathEscape(root)+"/revoke")
	return err
}

// RestoreRootKey makes a revoked root key usable again.
func (c Control) RestoreRootKey(ctx context.Context, root string) error {
	_, err := c.ask(ctx, http.MethodPost, "/customer-keys/"+url.PathEscape(root)+"/restore")
	return err
}
