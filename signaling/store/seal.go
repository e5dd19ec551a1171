package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// In the file, a bucket has the name HMAC("bucket", Bucket) and a record the name
// HMAC("record", Bucket, Key) Number, so that a sequence stands together and in order.
const (
	hiddenBucket = 16
	hiddenKey    = 16
	hiddenRecord = hiddenKey + 8
)

// sealer has the keys of a store in use. It doesn't change.
type sealer struct {
	id    string
	aead  tink.AEAD
	names []byte
}

func (p *pair) sealer() (*sealer, error) {
	h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(p.Keyset)))
	if err != nil || len(p.Names) != 32 {
		return nil, fmt.Errorf("keys: %w: key %q", ErrDamaged, p.ID)
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("keys: %w: key %q", ErrDamaged, p.ID)
	}
	return &sealer{p.ID, a, p.Names}, nil
}

// hide is the first 16 bytes of an HMAC over parts, each with its length before it.
func (s *sealer) hide(parts ...string) []byte {
	h := hmac.New(sha256.New, s.names)
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)[:hiddenKey]
}

func (s *sealer) bucket(name string) []byte { return s.hide("bucket", name) }

func (s *sealer) record(n Name) []byte {
	return binary.BigEndian.AppendUint64(s.hide("record", n.Bucket, n.Key), n.Number)
}

// sealed is a record as it is in the file.
type sealed struct {
	bucket, record []byte
	value          []byte // nil: to be deleted
}

// seal encrypts a change.
func (s *sealer) seal(c Change) (sealed, error) {
	r := sealed{bucket: s.bucket(c.Bucket), record: s.record(c.Name)}
	if c.Delete {
		return r, nil
	}
	var err error
	r.value, err = s.aead.Encrypt(encode(c.Name, c.Value), place(r.bucket, r.record))
	if err != nil {
		return r, fmt.Errorf("can't encrypt record %s", c.Name)
	}
	return r, nil
}

// open decrypts what stands in the file at a place.
func (s *sealer) open(bucket, record, value []byte) (Record, error) {
	if len(bucket) != hiddenBucket || len(record) != hiddenRecord {
		return Record{}, ErrDamaged
	}
	plaintext, err := s.aead.Decrypt(value, place(bucket, record))
	if err != nil {
		return Record{}, ErrDamaged
	}
	r, err := decode(plaintext)
	r.Number = binary.BigEndian.Uint64(record[hiddenKey:])
	return r, err
}

// place is the associated data that binds a record to where it stands.
func place(bucket, record []byte) []byte {
	return append(append([]byte("callpath store 1\x00"), bucket...), record...)
}

// encode puts the name before the value: who reads the file from end to end learns the
// names from there.
func encode(n Name, value []byte) []byte {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(n.Bucket)+len(n.Key)+len(value))
	b = append(binary.AppendUvarint(b, uint64(len(n.Bucket))), n.Bucket...)
	b = append(binary.AppendUvarint(b, uint64(len(n.Key))), n.Key...)
	return append(b, value...)
}

// decode is the reverse. It is given only what was authenticated, and still trusts
// nothing.
func decode(b []byte) (Record, error) {
	var parts [2]string
	for i, most := range []uint64{MaxBucket, MaxKey} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size == 0 || size > most || size > uint64(len(b)-n) {
			return Record{}, ErrDamaged
		}
		parts[i], b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	if len(b) > MaxValue {
		return Record{}, ErrDamaged
	}
	return Record{Name{Bucket: parts[0], Key: parts[1]}, b}, nil
}

// String is the name for people: bucket/key, and #number in a sequence.
func (n Name) String() string {
	if n.Number > 0 {
		return fmt.Sprintf("%s/%s#%d", n.Bucket, n.Key, n.Number)
	}
	return n.Bucket + "/" + n.Key
}

// check holds the limits.
func (c Change) check() error {
	switch {
	case c.Bucket == "" || len(c.Bucket) > MaxBucket:
		return fmt.Errorf("bucket %.80q has %d bytes, wanted 1 to %d", c.Bucket, len(c.Bucket), MaxBucket)
	case c.Key == "" || len(c.Key) > MaxKey:
		return fmt.Errorf("key %.80q has %d bytes, wanted 1 to %d", c.Key, len(c.Key), MaxKey)
	case len(c.Value) > MaxValue:
		return fmt.Errorf("the value of record %.80q has %d bytes, wanted at most %d", c.Name, len(c.Value), MaxValue)
	}
	return nil
}
