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

func (k *Keys) open(ctx context.Context, p Place, sealed []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(sealed) <= header || len(sealed) > MaxSize+maxOverhead || sealed[0] != format {
		return nil, fmt.Errorf("customerkey: %w", ErrRefused)
	}
	r, err := k.load(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(sealed[1:])
	if n < 1 || n > uint32(len(r.Versions)) {
		return nil, fmt.Errorf("customerkey: %w", ErrRefused)
	}
	e, err := k.envelope(ctx, r, int(n))
	if err != nil {
		return nil, err
	}
	plaintext, err := e.Decrypt(sealed[header:], p.associated(int(n)))
	if err != nil {
		return nil, fmt.Errorf("customerkey: %w", ErrRefused)
	}
	return plaintext, nil
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
