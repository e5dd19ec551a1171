package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// KeyRing keeps the keys of a store, as a document that is secret and opaque. It
// stands for a secret manager where there is one.
type KeyRing interface {
	// Load returns nil and no error when there are no keys yet.
	Load() ([]byte, error)
	// Save replaces the document, wholly or not at all, and returns when it is durable.
	Save([]byte) error
}

// KeyFile is a KeyRing in a file of mode 0600; the value is its path. Whoever reads
// the file and the store's has all records, so they belong on different disks, or in
// different backups.
type KeyFile string

// maxRing bounds what is read of a key ring, in bytes.
const maxRing = 1 << 20

// Load implements KeyRing. A file that others may read is refused, as the keys may be
// known to them.
func (k KeyFile) Load() ([]byte, error) {
	f, err := os.Open(string(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %v, wanted a file of mode 0600", k, mode)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRing+1))
	if err == nil && (len(data) == 0 || len(data) > maxRing) {
		err = fmt.Errorf("%s has %d bytes, wanted 1 to %d", k, info.Size(), maxRing)
	}
	return data, err
}

// Save implements KeyRing: a new file takes the old one's place, so that a crash
// leaves one of the two.
func (k KeyFile) Save(data []byte) error {
	folder := filepath.Dir(string(k))
	f, err := os.CreateTemp(folder, ".keys-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), string(k))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(folder)
}

// syncFolder makes a file's new name durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// ring is the document of a KeyRing. It has more than one pair of keys only while a
// rotation is under way.
type ring struct {
	Format int    `json:"format"`
	Keys   []pair `json:"keys"`
}

// pair is what seals the records, and what hides their names.
type pair struct {
	ID     string `json:"id"`
	Keyset []byte `json:"keyset"` // Tink's binary form, in the clear
	Names  []byte `json:"names"`  // key of HMAC-SHA-256
}

const ringFormat = 1

// loadRing reads a key ring; there may be nothing in it.
func loadRing(k KeyRing) (*ring, error) {
	data, err := k.Load()
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if data == nil {
		return &ring{Format: ringFormat}, nil
	}
	// The decoder's errors could quote a key.
	r := new(ring)
	if json.Unmarshal(data, r) != nil || len(r.Keys) == 0 {
		return nil, fmt.Errorf("keys: %w: what is there is not a key ring", ErrDamaged)
	}
	if r.Format != ringFormat {
		return nil, fmt.Errorf("keys: format %d, wanted %d", r.Format, ringFormat)
	}
	return r, nil
}

func (r *ring) save(k KeyRing) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = k.Save(data)
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

func (r *ring) find(id string) *pair {
	for i := range r.Keys {
		if r.Keys[i].ID == id {
			return &r.Keys[i]
		}
	}
	return nil
}

// newPair makes keys. XChaCha20-Poly1305, since its nonces are long enough to be drawn
// at random for any number of records; those of AES-GCM are good for 2^32.
func newPair() (*pair, error) {
	h, err := keyset.NewHandle(aead.XChaCha20Poly1305KeyTemplate())
	if err != nil {
		return nil, errors.New("keys: can't make one")
	}
	var b bytes.Buffer
	if insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)) != nil {
		return nil, errors.New("keys: can't write one")
	}
	p := &pair{Keyset: b.Bytes(), Names: make([]byte, 32)}
	id := make([]byte, 8)
	rand.Read(p.Names)
	rand.Read(id)
	p.ID = hex.EncodeToString(id)
	return p, nil
}
