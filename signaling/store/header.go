package store

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// In the file, beside the buckets of the records, there is a bucket with a name that
// none of them can have: what is needed to find the keys.
const (
	headerBucket = "callpath"
	headerFormat = "format"
	headerKey    = "key"
	fileFormat   = "1"
)

// readHeader returns the ID of the file's key, "" for a new file.
func readHeader(b *bolt) (id string, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		h := tx.Bucket([]byte(headerBucket))
		if h == nil {
			if first, _ := tx.Cursor().First(); first != nil {
				return fmt.Errorf("%w: it is not a store of callpath", ErrDamaged)
			}
			return nil
		}
		if format := h.Get([]byte(headerFormat)); string(format) != fileFormat {
			return fmt.Errorf("format %.20q, wanted %q", format, fileFormat)
		}
		if id = string(h.Get([]byte(headerKey))); id == "" {
			return fmt.Errorf("%w: it doesn't name its key", ErrDamaged)
		}
		return nil
	})
	return id, err
}

func writeHeader(b *bolt, id string) error {
	return b.update(func(tx *bbolt.Tx) error {
		h, err := tx.CreateBucketIfNotExists([]byte(headerBucket))
		if err != nil {
			return err
		}
		if err := h.Put([]byte(headerFormat), []byte(fileFormat)); err != nil {
			return err
		}
		return h.Put([]byte(headerKey), []byte(id))
	})
}
