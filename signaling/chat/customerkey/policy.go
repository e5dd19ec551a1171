package customerkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Policy is a data encryption policy: which root keys protect a tenant's chat.
type Policy struct {
	Tenant string    `json:"tenant"`
	Name   string    `json:"name"`
	Roots  [2]string `json:"roots"` // two different keys
}

// Store keeps one record for each tenant. It is safe for concurrent use. A record is
// small, holds no plaintext key, and must be kept: without it the chat is lost.
type Store interface {
	// Load returns nil and no error when there is none.
	Load(ctx context.Context, tenant string) ([]byte, error)
	Save(ctx context.Context, tenant string, record []byte) error
}

// MemoryStore is a Store in memory. Its zero value is empty.
type MemoryStore struct{ records sync.Map }

// Load implements Store.
func (s *MemoryStore) Load(_ context.Context, tenant string) ([]byte, error) {
	r, _ := s.records.Load(tenant)
	record, _ := r.([]byte)
	return record, nil
}

// Save implements Store.
func (s *MemoryStore) Save(_ context.Context, tenant string, record []byte) error {
	s.records.Store(tenant, record)
	return nil
}

// Action is what was tried.
type Action string

// The actions.
const (
	ActionCreate  Action = "create"
	ActionRotate  Action = "rotate"
	ActionRewrap  Action = "rewrap"
	ActionWrap    Action = "wrap"
	ActionUnwrap  Action = "unwrap"
	ActionRevoke  Action = "revoke"
	ActionRestore Action = "restore"
	ActionSeal    Action = "seal" // only when refused
	ActionOpen    Action = "open" // only when refused
)

// Event is one record of the audit. It holds no key and no text.
type Event struct {
	Time          time.Time
	Action        Action
	Allowed       bool
	Tenant        string
	Root          string // of wrap, unwrap, revoke, restore
	Version       int    // of the policy key, 0 if it doesn't matter
	Chat, Message string
	Reason        string // when not allowed
}

// Config is what Keys needs.
type Config struct {
	Vault KeyVault
	Store Store
	// Now is time.Now if nil. OnEvent takes the audit; it is called by the goroutine
	// that called Keys, possibly by several at once, and must not call Keys.
	Now     func() time.Time
	OnEvent func(Event)
}

// Keys encrypts the chat of all tenants. It is safe for concurrent use.
type Keys struct {
	cfg Config
	mu  sync.Mutex // one change of a record at a time
}

// New makes Keys. Vault and Store are required.
func New(cfg Config) (*Keys, error) {
	if cfg.Vault == nil {
		return nil, errors.New("customerkey: Config.Vault is nil")
	}
	if cfg.Store == nil {
		return nil, errors.New("customerkey: Config.Store is nil")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Keys{cfg: cfg}, nil
}

// record is what the Store holds for a tenant.
type record struct {
	Policy
	Versions []version `json:"versions"` // version n is at n-1; the last is for new messages
}

// version is one policy key, wrapped by each root key.
type version struct {
	Wrapped [2][]byte `json:"wrapped"`
}

const (
	maxName     = 256
	maxVersions = 10_000
)

func named(s string) bool { return s != "" && len(s) <= maxName }

func (p Policy) check() error {
	switch {
	case !named(p.Tenant):
		return fmt.Errorf("customerkey: Policy.Tenant is %q, wanted 1 to %d bytes", p.Tenant, maxName)
	case !named(p.Name):
		return fmt.Errorf("customerkey: Policy.Name is %q, wanted 1 to %d bytes", p.Name, maxName)
	case !named(p.Roots[0]) || !named(p.Roots[1]) || p.Roots[0] == p.Roots[1]:
		return fmt.Errorf("customerkey: Policy.Roots are %q, wanted two different root keys", p.Roots)
	}
	return nil
}

// Create assigns a policy to a tenant that has none. Both root keys must be usable.
func (k *Keys) Create(ctx context.Context, p Policy) error {
	return k.change(ctx, p.Tenant, ActionCreate, func(r *record) error {
		if r.Tenant != "" {
			return fmt.Errorf("customerkey: tenant %q has the policy %q already", r.Tenant, r.Name)
		}
		if err := p.check(); err != nil {
			return err
		}
		r.Policy = p
		return k.addVersion(ctx, r)
	})
}

// Ensure is Create for a tenant that has no policy, and does nothing for one that has.
func (k *Keys) Ensure(ctx context.Context, p Policy) error {
	_, err := k.load(ctx, p.Tenant)
	if !errors.Is(err, ErrNoPolicy) {
		return err
	}
	return k.Create(ctx, p)
}

// Policy is a tenant's policy, and how many versions its key has; ErrNoPolicy when it
// has none. It asks no vault.
func (k *Keys) Policy(ctx context.Context, tenant string) (p Policy, versions int, err error) {
	r, err := k.load(ctx, tenant)
	if err != nil {
		return Policy{}, 0, err
	}
	return r.Policy, len(r.Versions), nil
}

// Rotate makes a new policy key for new messages. Both root keys must be usable.
func (k *Keys) Rotate(ctx context.Context, tenant string) error {
	return k.change(ctx, tenant, ActionRotate, func(r *record) error {
		if r.Tenant == "" {
			return fmt.Errorf("customerkey: tenant %q: %w", tenant, ErrNoPolicy)
		}
		return k.addVersion(ctx, r)
	})
}

// Rewrap moves all versions of the policy key to other root keys. One of the old root
// keys and both new ones must be usable; a root key may be in both pairs.
func (k *Keys) Rewrap(ctx context.Context, tenant string, roots [2]string) error {
	return k.change(ctx, tenant, ActionRewrap, func(r *record) error {
		if r.Tenant == "" {
			return fmt.Errorf("customerkey: tenant %q: %w", tenant, ErrNoPolicy)
		}
		next := record{Policy: r.Policy}
		next.Roots = roots
		if err := next.check(); err != nil {
			return err
		}
		for n := range r.Versions {
			key, err := k.unwrap(ctx, r, n+1)
			if err != nil {
				return err
			}
			v, err := k.wrap(ctx, &next, n+1, key)
			clear(key)
			if err != nil {
				return err
			}
			next.Versions = append(next.Versions, v)
		}
		*r = next
		return nil
	})
}

// Revoke makes one of the tenant's root keys unusable at once.
func (k *Keys) Revoke(ctx context.Context, tenant, root string) error {
	return k.switchRoot(ctx, ActionRevoke, tenant, root, k.cfg.Vault.Revoke)
}

// Restore makes one of the tenant's root keys usable again.
func (k *Keys) Restore(ctx context.Context, tenant, root string) error {
	return k.switchRoot(ctx, ActionRestore, tenant, root, k.cfg.Vault.Restore)
}

func (k *Keys) switchRoot(ctx context.Context, a Action, tenant, root string, do func(context.Context, string) error) error {
	r, err := k.load(ctx, tenant)
	switch {
	case err != nil:
	case root != r.Roots[0] && root != r.Roots[1]:
		err = fmt.Errorf("customerkey: %q is not a root key of tenant %q; valid: %q", root, tenant, r.Roots)
	default:
		err = do(ctx, root)
	}
	k.audit(Event{Action: a, Tenant: tenant, Root: root}, err)
	return err
}

// change loads a record, changes it, and saves it if that succeeded.
func (k *Keys) change(ctx context.Context, tenant string, a Action, apply func(*record) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, err := k.load(ctx, tenant)
	if errors.Is(err, ErrNoPolicy) {
		r, err = new(record), nil
	}
	if err == nil {
		err = apply(r)
	}
	if err == nil {
		err = k.save(ctx, r)
	}
	e := Event{Action: a, Tenant: tenant}
	if err == nil {
		e.Version = len(r.Versions)
	}
	k.audit(e, err)
	return err
}

func (k *Keys) load(ctx context.Context, tenant string) (*record, error) {
	data, err := k.cfg.Store.Load(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("customerkey: record of tenant %q: %w", tenant, err)
	}
	if data == nil {
		return nil, fmt.Errorf("customerkey: tenant %q: %w", tenant, ErrNoPolicy)
	}
	r := new(record)
	if json.Unmarshal(data, r) != nil || r.check() != nil || r.Tenant != tenant || len(r.Versions) == 0 {
		return nil, fmt.Errorf("customerkey: the record of tenant %q is damaged", tenant)
	}
	return r, nil
}

func (k *Keys) save(ctx context.Context, r *record) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = k.cfg.Store.Save(ctx, r.Tenant, data)
	}
	if err != nil {
		return fmt.Errorf("customerkey: record of tenant %q: %w", r.Tenant, err)
	}
	return nil
}

func (k *Keys) addVersion(ctx context.Context, r *record) error {
	if len(r.Versions) >= maxVersions {
		return fmt.Errorf("customerkey: tenant %q has %d versions of its policy key, which is the most", r.Tenant, maxVersions)
	}
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return errors.New("customerkey: can't make a policy key")
	}
	key, err := exported(h)
	if err != nil {
		return err
	}
	defer clear(key)
	v, err := k.wrap(ctx, r, len(r.Versions)+1, key)
	if err != nil {
		return err
	}
	r.Versions = append(r.Versions, v)
	return nil
}

// wrap wraps a policy key by both root keys.
func (k *Keys) wrap(ctx context.Context, r *record, n int, key []byte) (version, error) {
	var v version
	for i, root := range r.Roots {
		wrapped, err := k.cfg.Vault.Wrap(ctx, root, key, r.associated(n))
		k.audit(Event{Action: ActionWrap, Tenant: r.Tenant, Root: root, Version: n}, err)
		if err != nil {
			return version{}, fmt.Errorf("customerkey: wrap the policy key of tenant %q: %w", r.Tenant, err)
		}
		v.Wrapped[i] = wrapped
	}
	return v, nil
}

// unwrap takes the first root key that works.
func (k *Keys) unwrap(ctx context.Context, r *record, n int) ([]byte, error) {
	var all []error
	for i, root := range r.Roots {
		key, err := k.cfg.Vault.Unwrap(ctx, root, r.Versions[n-1].Wrapped[i], r.associated(n))
		k.audit(Event{Action: ActionUnwrap, Tenant: r.Tenant, Root: root, Version: n}, err)
		if err == nil {
			return key, nil
		}
		all = append(all, err)
	}
	return nil, fmt.Errorf("customerkey: no root key of tenant %q opens its policy key: %w", r.Tenant, errors.Join(all...))
}

// associated binds a wrapped policy key to its place.
func (r *record) associated(n int) []byte {
	return associated("policy key", n, r.Tenant, r.Name)
}

func (k *Keys) audit(e Event, err error) {
	if k.cfg.OnEvent == nil {
		return
	}
	e.Time, e.Allowed = k.cfg.Now(), err == nil
	if err != nil {
		e.Reason = err.Error()
	}
	k.cfg.OnEvent(e)
}
