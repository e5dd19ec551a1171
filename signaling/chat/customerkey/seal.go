package customerkey

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
)

// Why Seal and Open refuse, besides what the vault and the store say.
var (
	// ErrRefused says that a ciphertext was changed, or is of another tenant, chat or
	// message. Which, it doesn't say.
	ErrRefused  = errors.New("the ciphertext is not of this place, or was changed")
	ErrNoPolicy = errors.New("there is no data encryption policy")
)

// Place says whose a ciphertext is. Each has 1 to 256 bytes.
type Place struct{ Tenant, Chat, Message string }

const (
	// MaxSize is the longest plaintext, in bytes.
	MaxSize = 1 << 20
	// maxOverhead bounds what sealing adds: in fact some 120 bytes.
	maxOverhead = 1 << 10
	// format is the first byte of a ciphertext, then four bytes with the version of the
	// policy key, then Tink's envelope.
	format = 1
	header = 5
)

// Seal encrypts a message under the newest version of the tenant's policy key, with a
// data key of its own.
func (k *Keys) Seal(ctx context.Context, p Place, plaintext []byte) ([]byte, error) {
	sealed, err := k.seal(ctx, p, plaintext)
	if err != nil {
		k.audit(Event{Action: ActionSeal, Tenant: p.Tenant, Chat: p.Chat, Message: p.Message}, err)
	}
	return sealed, err
}

// Open decrypts what Seal returned for the same place.
func (k *Keys) Open(ctx context.Context, p Place, sealed []byte) ([]byte, error) {
	plaintext, err := k.open(ctx, p, sealed)
	if err != nil {
		k.audit(Event{Action: ActionOpen, Tenant: p.Tenant, Chat: p.Chat, Message: p.Message}, err)
	}
	return plaintext, err
}

func (k *Keys) seal(ctx context.Context, p Place, plaintext []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(plaintext) > MaxSize {
		return nil, fmt.Errorf("customerkey: the message has %d bytes, wanted at most %d", len(plaintext), MaxSize)
	}
	r, err := k.load(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	n := len(r.Versions)
	e, err := k.envelope(ctx, r, n)
	if err != nil {
		return nil, err
	}
	sealed, err := e.Encrypt(plaintext, p.associated(n))
	if err != nil {
		return nil, errors.New("customerkey: can't encrypt the message")
	}
	return append(binary.BigEndian.AppendUint32([]byte{format}, uint32(n)), sealed...), nil
}

// Sealed is a ciphertext of a tenant and the place that it is of.
type Sealed struct {
	Chat, Message string
	Data          []byte
}

// OpenAll decrypts several messages of a tenant and asks the vault once for each
// version of the policy key among them, not once for each message. The error is about
// the keys, and then nothing is returned. A ciphertext that was changed, or is of
// another place, gives nil in its place, and an event.
func (k *Keys) OpenAll(ctx context.Context, tenant string, all []Sealed) ([][]byte, error) {
	r, err := k.load(ctx, tenant)
	if err != nil {
		k.audit(Event{Action: ActionOpen, Tenant: tenant}, err)
		return nil, err
	}
	opened := make([][]byte, len(all))
	versions := make(map[int]*aead.KMSEnvelopeAEAD)
	for i, s := range all {
		p := Place{tenant, s.Chat, s.Message}
		n, err := r.version(p, s.Data)
		if err == nil && versions[n] == nil {
			if versions[n], err = k.envelope(ctx, r, n); err != nil {
				k.audit(Event{Action: ActionOpen, Tenant: tenant}, err)
				return nil, err
			}
		}
		if err == nil {
			opened[i], err = decryptAt(versions[n], p, n, s.Data)
		}
		if err != nil {
			k.audit(Event{Action: ActionOpen, Tenant: tenant, Chat: s.Chat, Message: s.Message}, err)
		}
	}
	return opened, nil
}

func (k *Keys) open(ctx context.Context, p Place, sealed []byte) ([]byte, error) {
	if err := wellFormed(p, sealed); err != nil {
		return nil, err
	}
	r, err := k.load(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	n, err := r.version(p, sealed)
	if err != nil {
		return nil, err
	}
	e, err := k.envelope(ctx, r, n)
	if err != nil {
		return nil, err
	}
	return decryptAt(e, p, n, sealed)
}

func wellFormed(p Place, sealed []byte) error {
	if err := p.check(); err != nil {
		return err
	}
	if len(sealed) <= header || len(sealed) > MaxSize+maxOverhead || sealed[0] != format {
		return fmt.Errorf("customerkey: %w", ErrRefused)
	}
	return nil
}

// version reads from a ciphertext which policy key it is under.
func (r *record) version(p Place, sealed []byte) (int, error) {
	if err := wellFormed(p, sealed); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(sealed[1:])
	if n < 1 || n > uint32(len(r.Versions)) {
		return 0, fmt.Errorf("customerkey: %w", ErrRefused)
	}
	return int(n), nil
}

// decryptAt never returns nil without an error.
func decryptAt(e *aead.KMSEnvelopeAEAD, p Place, n int, sealed []byte) ([]byte, error) {
	plaintext, err := e.Decrypt(sealed[header:], p.associated(n))
	if err != nil {
		return nil, fmt.Errorf("customerkey: %w", ErrRefused)
	}
	return append([]byte{}, plaintext...), nil
}

// envelope is Tink's envelope encryption under one version of the policy key, good for
// one call.
func (k *Keys) envelope(ctx context.Context, r *record, n int) (*aead.KMSEnvelopeAEAD, error) {
	key, err := k.unwrap(ctx, r, n)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	h, err := imported(key)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, errors.New("customerkey: damaged policy key")
	}
	return aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), a), nil
}

func (p Place) check() error {
	if !named(p.Tenant) || !named(p.Chat) || !named(p.Message) {
		return fmt.Errorf("customerkey: place %q, wanted a tenant, chat and message of 1 to %d bytes each", p, maxName)
	}
	return nil
}

func (p Place) associated(n int) []byte {
	return associated("message", n, p.Tenant, p.Chat, p.Message)
}

// associated puts names together so that no two lists give the same bytes: each has
// its length before it.
func associated(kind string, n int, names ...string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	for _, s := range append([]string{"callpath customerkey 1", kind}, names...) {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}
