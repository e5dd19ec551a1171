package customerkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Why a vault refuses.
var (
	ErrRevoked = errors.New("the root key is revoked")
	ErrNoKey   = errors.New("there is no such root key")
)

// KeyVault holds root keys. It is safe for concurrent use. Its errors wrap ErrRevoked
// or ErrNoKey where these are the reason, and hold no secret.
type KeyVault interface {
	// Wrap encrypts a key with the root key, and Unwrap decrypts it; both with
	// associated data.
	Wrap(ctx context.Context, root string, key, associated []byte) ([]byte, error)
	Unwrap(ctx context.Context, root string, wrapped, associated []byte) ([]byte, error)
	// Revoke makes the root key unusable at once, and Restore usable again.
	Revoke(ctx context.Context, root string) error
	Restore(ctx context.Context, root string) error
}

// Vault is a KeyVault in memory or in a file. The file stands for a hardware module or
// a cloud's vault where there is none: whoever reads it has the keys. Each use looks
// whether another process replaced the file, so that what an administrator revokes
// beside a running server is revoked there too. When the file is gone, or damaged, no
// key can be used. Two processes must not change it at the same time.
type Vault struct {
	path string // "" in memory

	mu   sync.Mutex
	keys map[string]*rootKey
	seen fs.FileInfo // the file that keys come from; nil when there was none
}

type rootKey struct {
	Keyset  []byte `json:"keyset"` // Tink's binary form, in the clear
	Revoked bool   `json:"revoked"`
}

// NewMemoryVault makes an empty vault.
func NewMemoryVault() *Vault { return &Vault{keys: make(map[string]*rootKey)} }

// OpenFileVault reads a vault from a file that only its owner may read, or makes an
// empty one if there is no file; the file comes with the first key.
func OpenFileVault(path string) (*Vault, error) {
	v := NewMemoryVault()
	v.path = path
	if err := v.refresh(); err != nil {
		return nil, err
	}
	return v, nil
}

// refresh reads the file if it is not the one that was read before. v.mu is held, but
// for a new vault.
func (v *Vault) refresh() error {
	if v.path == "" {
		return nil
	}
	info, err := os.Stat(v.path)
	if errors.Is(err, fs.ErrNotExist) && v.seen == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("customerkey: key vault: %w", err)
	}
	if v.seen != nil && os.SameFile(info, v.seen) && info.ModTime().Equal(v.seen.ModTime()) && info.Size() == v.seen.Size() && info.Mode() == v.seen.Mode() {
		return nil
	}
	keys, err := readVault(v.path, info)
	if err != nil {
		return err
	}
	v.keys, v.seen = keys, info
	return nil
}

func readVault(path string, info fs.FileInfo) (map[string]*rootKey, error) {
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("customerkey: key vault %s has mode %s, wanted a file with mode 0600", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("customerkey: key vault: %w", err)
	}
	// The decoder's error could quote what it read.
	var keys map[string]*rootKey
	if json.Unmarshal(data, &keys) != nil || keys == nil {
		return nil, fmt.Errorf("customerkey: key vault %s is not one, or damaged", path)
	}
	for name, k := range keys {
		if k == nil {
			return nil, fmt.Errorf("customerkey: key vault %s: root key %q is damaged", path, name)
		}
		if _, err := k.handle(); err != nil {
			return nil, fmt.Errorf("customerkey: key vault %s: root key %q is damaged", path, name)
		}
	}
	return keys, nil
}

// Create makes a root key. The name must be free.
func (v *Vault) Create(root string) error {
	if !named(root) {
		return fmt.Errorf("customerkey: root key %q, wanted a name of 1 to %d bytes", root, maxName)
	}
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return errors.New("customerkey: can't make a root key")
	}
	data, err := exported(h)
	if err != nil {
		return err
	}
	return v.change(func() error {
		if v.keys[root] != nil {
			return fmt.Errorf("customerkey: root key %q: there is one already", root)
		}
		v.keys[root] = &rootKey{Keyset: data}
		return nil
	}, func() { delete(v.keys, root) })
}

// Ensure is Create for a name that is free, and does nothing for a key that is there,
// revoked or not.
func (v *Vault) Ensure(root string) error {
	v.mu.Lock()
	err := v.refresh()
	there := v.keys[root] != nil
	v.mu.Unlock()
	if err != nil || there {
		return err
	}
	return v.Create(root)
}

// Wrap implements KeyVault.
func (v *Vault) Wrap(ctx context.Context, root string, key, associated []byte) ([]byte, error) {
	h, err := v.usable(ctx, root)
	if err != nil {
		return nil, err
	}
	return encrypt(h, key, associated)
}

// Unwrap implements KeyVault.
func (v *Vault) Unwrap(ctx context.Context, root string, wrapped, associated []byte) ([]byte, error) {
	h, err := v.usable(ctx, root)
	if err != nil {
		return nil, err
	}
	return decrypt(h, wrapped, associated)
}

// Revoke implements KeyVault.
func (v *Vault) Revoke(ctx context.Context, root string) error { return v.set(ctx, root, true) }

// Restore implements KeyVault.
func (v *Vault) Restore(ctx context.Context, root string) error { return v.set(ctx, root, false) }

func (v *Vault) usable(ctx context.Context, root string) (*keyset.Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.refresh(); err != nil {
		return nil, err
	}
	k := v.keys[root]
	switch {
	case k == nil:
		return nil, fmt.Errorf("root key %q: %w", root, ErrNoKey)
	case k.Revoked:
		return nil, fmt.Errorf("root key %q: %w", root, ErrRevoked)
	}
	return k.handle()
}

func (v *Vault) set(ctx context.Context, root string, revoked bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var before bool
	return v.change(func() error {
		k := v.keys[root]
		if k == nil {
			return fmt.Errorf("root key %q: %w", root, ErrNoKey)
		}
		before, k.Revoked = k.Revoked, revoked
		return nil
	}, func() {
		// A revocation holds although the file could not be written: it fails closed.
		if !revoked {
			v.keys[root].Revoked = before
		}
	})
}

// change applies a change and writes the file; if that fails it takes it back.
func (v *Vault) change(apply func() error, back func()) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.refresh(); err != nil {
		return err
	}
	if err := apply(); err != nil {
		return err
	}
	if err := v.write(); err != nil {
		back()
		return fmt.Errorf("customerkey: key vault: %w", err)
	}
	return nil
}

// write replaces the file as a whole, so that a crash leaves the old one or the new.
func (v *Vault) write() (err error) {
	if v.path == "" {
		return nil
	}
	data, err := json.Marshal(v.keys)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(v.path), ".vault-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), v.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	folder, err := os.Open(filepath.Dir(v.path))
	if err != nil {
		return err
	}
	if v.seen, err = os.Stat(v.path); err != nil {
		return errors.Join(err, folder.Close())
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (k *rootKey) handle() (*keyset.Handle, error) { return imported(k.Keyset) }

func exported(h *keyset.Handle) ([]byte, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)); err != nil {
		return nil, errors.New("customerkey: can't write a keyset")
	}
	return b.Bytes(), nil
}

func imported(data []byte) (*keyset.Handle, error) {
	h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(data)))
	if err != nil {
		return nil, errors.New("customerkey: damaged keyset")
	}
	return h, nil
}

func encrypt(h *keyset.Handle, plaintext, associated []byte) ([]byte, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, errors.New("customerkey: damaged keyset")
	}
	return a.Encrypt(plaintext, associated)
}

func decrypt(h *keyset.Handle, ciphertext, associated []byte) ([]byte, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, errors.New("customerkey: damaged keyset")
	}
	plaintext, err := a.Decrypt(ciphertext, associated)
	if err != nil {
		return nil, ErrRefused
	}
	return plaintext, nil
}
