// Package keys is an issuer's ring of signing keys, ECDSA P-256 for ES256
// (RFC 7518, section 3.4), and their rotation. A new key is published before it
// signs, so that verifiers have it when its first token comes; an old one is
// published until the last token that it signed has expired. All of that follows
// from the times in the ring whenever somebody looks: there is no goroutine.
//
// Start reading at Ring.advance.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callpath/callpath/signaling/identity/store"
)

// Config configures a Ring. The zero Config is usable.
type Config struct {
	// Store keeps the keys; they live in memory only when it is nil.
	Store store.Store
	// Period is how long a key signs; 30 days.
	Period time.Duration
	// Publish is how long a key is published before it signs: longer than
	// verifiers keep a key set. 24 hours.
	Publish time.Duration
	// Keep is how long a key verifies after it signed for the last time: as long
	// as the longest token lives. 24 hours.
	Keep time.Duration
	// OnChange, when set, is told in words of each step of the rotation. It is
	// called with a lock held.
	OnChange func(kid, what string)
	Now      func() time.Time // time.Now when nil
}

// Ring is a ring of keys. It is safe for concurrent use.
type Ring struct {
	cfg Config
	mu  sync.Mutex
	// keys are in the order in which they sign. There is always one that signs.
	keys []key
}

// key signs from Active until the next one does.
type key struct {
	JWK    jose.JSONWebKey `json:"key"` // private
	Active time.Time       `json:"active"`
	// Retired is when the key signed for the last time; zero while it may still.
	Retired time.Time `json:"retired,omitzero"`
}

// document is the name of the ring's document in the store.
const document = "keys"

type saved struct {
	Keys []key `json:"keys"`
}

// ErrUnknown is the error for a key that the ring does not have.
var ErrUnknown = errors.New("keys: no such key")

// Open loads the ring, or makes one with its first key.
func Open(cfg Config) (*Ring, error) {
	for _, f := range []struct {
		name     string
		field    *time.Duration
		standard time.Duration
	}{
		{"Period", &cfg.Period, 30 * 24 * time.Hour},
		{"Publish", &cfg.Publish, 24 * time.Hour},
		{"Keep", &cfg.Keep, 24 * time.Hour},
	} {
		if *f.field == 0 {
			*f.field = f.standard
		}
		if *f.field < 0 {
			return nil, fmt.Errorf("keys: Config.%s is %s, wanted more than 0, or 0 for %s", f.name, *f.field, f.standard)
		}
	}
	if cfg.Publish >= cfg.Period {
		return nil, fmt.Errorf("keys: Config.Publish is %s, wanted less than Period, which is %s", cfg.Publish, cfg.Period)
	}
	if cfg.Store == nil {
		cfg.Store = &store.Memory{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func(string, string) {}
	}
	r := &Ring{cfg: cfg}
	if err := r.load(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.advance(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Ring) load() error {
	data, err := r.cfg.Store.Load(document)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		// The parser's words may hold part of a key.
		return errors.New("keys: the stored keys are not the JSON that is wanted; restore them, or remove them for new ones")
	}
	for _, k := range s.Keys {
		if private, ok := k.JWK.Key.(*ecdsa.PrivateKey); !ok || private.Curve != elliptic.P256() || k.JWK.KeyID == "" {
			return errors.New("keys: a stored key is not one of ES256 with a kid; restore the keys, or remove them for new ones")
		}
	}
	r.keys = s.Keys
	return nil
}

// change is one step of the rotation, in words.
type change struct{ kid, what string }

// advance takes the steps that are due. r.mu is held.
func (r *Ring) advance() error {
	now := r.cfg.Now()
	keys := slices.Clone(r.keys)
	var changes []change
	did := func(k key, what string) { changes = append(changes, change{k.JWK.KeyID, what}) }
	if len(keys) == 0 {
		k, err := r.generate(now)
		if err != nil {
			return err
		}
		keys = append(keys, k)
		did(k, "made, and signs")
	}
	if due := keys[len(keys)-1].Active.Add(r.cfg.Period); !now.Before(due.Add(-r.cfg.Publish)) {
		// Late, when nobody has looked for long, it still is published first.
		if earliest := now.Add(r.cfg.Publish); due.Before(earliest) {
			due = earliest
		}
		k, err := r.generate(due)
		if err != nil {
			return err
		}
		keys = append(keys, k)
		did(k, "published")
	}
	for i := range keys[:len(keys)-1] {
		if k, next := &keys[i], keys[i+1]; k.Retired.IsZero() && !now.Before(next.Active) {
			// Nobody has signed with it since the last look; that may be long ago.
			k.Retired = now
			did(next, "signs")
		}
	}
	keys = slices.DeleteFunc(keys, func(k key) bool {
		gone := !k.Retired.IsZero() && !now.Before(k.Retired.Add(r.cfg.Keep))
		if gone {
			did(k, "withdrawn: every token that it signed has expired")
		}
		return gone
	})
	if len(changes) == 0 {
		return nil
	}
	return r.set(keys, changes)
}

// set puts other keys in place once they are saved. r.mu is held.
func (r *Ring) set(keys []key, changes []change) error {
	data, err := json.MarshalIndent(saved{keys}, "", "  ")
	if err == nil {
		err = r.cfg.Store.Save(document, data)
	}
	if err != nil {
		return fmt.Errorf("keys: not saved: %w", err)
	}
	r.keys = keys
	for _, c := range changes {
		r.cfg.OnChange(c.kid, c.what)
	}
	return nil
}

// generate makes a key that signs from active on.
func (r *Ring) generate(active time.Time) (key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key{}, fmt.Errorf("keys: no new key: %w", err)
	}
	jwk := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
	print, err := jwk.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return key{}, fmt.Errorf("keys: no new key: %w", err)
	}
	// In hexadecimal, as an operator types it: base64 may begin with a dash.
	jwk.KeyID = hex.EncodeToString(print[:12])
	return key{JWK: jwk, Active: active}, nil
}

// signing is the key that signs now. r.mu is held, and advance has been called.
func (r *Ring) signing() key {
	now := r.cfg.Now()
	for _, k := range slices.Backward(r.keys) {
		if !now.Before(k.Active) {
			return k
		}
	}
	return r.keys[0] // the clock has been set back
}

// Sign returns payload as a compact JWS (RFC 7515, section 7.1) of a type, for
// example "at+jwt".
func (r *Ring) Sign(typ jose.ContentType, payload []byte) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.advance(); err != nil {
		return "", err
	}
	k := r.signing()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.JWK},
		(&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", fmt.Errorf("keys: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("keys: %w", err)
	}
	return jws.CompactSerialize()
}

// Public is the key set (RFC 7517, section 5) as it is to be published: keys yet
// to sign, the one that signs, and old ones.
func (r *Ring) Public() (jose.JSONWebKeySet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.advance(); err != nil {
		return jose.JSONWebKeySet{}, err
	}
	var set jose.JSONWebKeySet
	for _, k := range r.keys {
		set.Keys = append(set.Keys, k.JWK.Public())
	}
	return set, nil
}

// Key returns the public key for a kid, or ErrUnknown. The ring waits for nobody:
// ctx is there for key sets that do.
func (r *Ring) Key(_ context.Context, kid string, _ jose.SignatureAlgorithm) (crypto.PublicKey, error) {
	set, err := r.Public()
	if err != nil {
		return nil, err
	}
	for _, k := range set.Key(kid) {
		return k.Key, nil
	}
	return nil, ErrUnknown
}

// Rotate begins a rotation before its time: the next key is published now and
// signs after Config.Publish. It does nothing when one is under way.
func (r *Ring) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.advance(); err != nil {
		return err
	}
	now := r.cfg.Now()
	if now.Before(r.keys[len(r.keys)-1].Active) {
		return nil
	}
	k, err := r.generate(now.Add(r.cfg.Publish))
	if err != nil {
		return err
	}
	return r.set(append(slices.Clone(r.keys), k), []change{{k.JWK.KeyID, "published"}})
}

// Withdraw throws a key away at once, with all tokens that it signed: for one
// that has become known. Another takes its place.
func (r *Ring) Withdraw(kid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.keys, func(k key) bool { return k.JWK.KeyID == kid })
	if i < 0 {
		return fmt.Errorf("%w: %q", ErrUnknown, kid)
	}
	keys := slices.Delete(slices.Clone(r.keys), i, i+1)
	changes := []change{{kid, "withdrawn at once"}}
	now := r.cfg.Now()
	pending := func(k key) bool { return now.Before(k.Active) }
	if !slices.ContainsFunc(keys, func(k key) bool { return k.Retired.IsZero() && !pending(k) }) {
		k, err := r.generate(now)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(keys, pending)
		if at < 0 {
			at = len(keys)
		}
		keys = slices.Insert(keys, at, k)
		changes = append(changes, change{k.JWK.KeyID, "made, and signs"})
	}
	return r.set(keys, changes)
}
