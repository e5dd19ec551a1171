package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// view reads the file.
func (f *File) view(do func(*bbolt.Tx) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	err := ErrClosed
	if !f.closed {
		err = f.bolt.view(do)
	}
	if err != nil {
		return f.wrap(err)
	}
	return nil
}

// Get returns a record's value, which is the caller's, or ErrNotFound.
func (f *File) Get(n Name) (value []byte, err error) {
	err = f.view(func(tx *bbolt.Tx) error {
		bucket, record := f.sealer.bucket(n.Bucket), f.sealer.record(n)
		var stored []byte
		if b := tx.Bucket(bucket); b != nil {
			stored = b.Get(record)
		}
		if stored == nil {
			return fmt.Errorf("record %s: %w", n, ErrNotFound)
		}
		r, err := f.sealer.open(bucket, record, stored)
		if err != nil || r.Name != n {
			return fmt.Errorf("record %s: %w", n, ErrDamaged)
		}
		value = r.Value
		return nil
	})
	return value, err
}

// eachChunk is how many records Each reads at once.
const eachChunk = 128

// Each calls do for the records of a bucket that have no number, in an order without
// meaning, until do returns an error. do may call the store; whether it sees what is
// saved meanwhile is open.
func (f *File) Each(bucket string, do func(key string, value []byte) error) error {
	// do is called between the readings: one that is under way may hinder a commit.
	for from := []byte{}; from != nil; {
		var records []Record
		err := f.view(func(tx *bbolt.Tx) (err error) {
			records, from, err = f.unnumbered(tx, bucket, from)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := do(r.Key, r.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// unnumbered reads some records from a place on, and returns where to go on, nil at
// the end.
func (f *File) unnumbered(tx *bbolt.Tx, bucket string, from []byte) (records []Record, next []byte, err error) {
	hidden := f.sealer.bucket(bucket)
	b := tx.Bucket(hidden)
	if b == nil {
		return nil, nil, nil
	}
	c := b.Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if len(records) == eachChunk {
			return records, bytes.Clone(k), nil
		}
		if len(k) == hiddenRecord && binary.BigEndian.Uint64(k[hiddenKey:]) != 0 {
			continue
		}
		r, err := f.sealer.open(hidden, k, v)
		if err != nil || r.Bucket != bucket {
			return nil, nil, fmt.Errorf("bucket %s: record %x: %w", bucket, k, ErrDamaged)
		}
		records = append(records, r)
	}
	return records, nil, nil
}

// Sequence returns at most limit records of a sequence in order, from number from on;
// if backwards, in falling order from number from down.
func (f *File) Sequence(bucket, key string, from uint64, limit int, backwards bool) (records []Record, err error) {
	err = f.view(func(tx *bbolt.Tx) error {
		hidden := f.sealer.bucket(bucket)
		b := tx.Bucket(hidden)
		if b == nil {
			return nil
		}
		name := Name{bucket, key, max(from, 1)}
		first := f.sealer.record(name)
		c := b.Cursor()
		k, v := c.Seek(first)
		step := c.Next
		if backwards {
			if step = c.Prev; k == nil {
				k, v = c.Last()
			} else if !bytes.Equal(k, first) {
				k, v = c.Prev()
			}
		}
		for ; k != nil && len(records) < limit; k, v = step() {
			if !bytes.HasPrefix(k, first[:hiddenKey]) || len(k) != hiddenRecord {
				break
			}
			name.Number = binary.BigEndian.Uint64(k[hiddenKey:])
			if name.Number == 0 { // a record by itself with the same key
				break
			}
			r, err := f.sealer.open(hidden, k, v)
			if err != nil || r.Name != name {
				return fmt.Errorf("record %s: %w", name, ErrDamaged)
			}
			records = append(records, r)
		}
		return nil
	})
	return records, err
}

// Check reads all records and returns the damages that it finds, joined; of many, the
// first ones.
func (f *File) Check() error {
	const enough = 20
	return f.view(func(tx *bbolt.Tx) error {
		var found []error
		err := f.sealer.each(tx, func(_ Record, err error) error {
			if err != nil && len(found) < enough {
				found = append(found, err)
			}
			return nil
		})
		return errors.Join(append(found, err)...)
	})
}

// each reads all records of all buckets; a record that can't be read comes as an error
// that names it.
func (s *sealer) each(tx *bbolt.Tx, do func(Record, error) error) error {
	return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
		if string(bucket) == headerBucket {
			return nil
		}
		if b == nil {
			return do(Record{}, fmt.Errorf("bucket %x: %w", bucket, ErrDamaged))
		}
		return b.ForEach(func(k, v []byte) error {
			r, err := s.open(bucket, k, v)
			if err == nil && (!bytes.Equal(s.bucket(r.Bucket), bucket) || !bytes.Equal(s.record(r.Name), k)) {
				err = ErrDamaged
			}
			if err != nil {
				err = fmt.Errorf("bucket %x: record %x: %w", bucket, k, err)
			}
			return do(r, err)
		})
	})
}
