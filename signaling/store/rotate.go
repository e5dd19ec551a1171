package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// rotated is added to the path of a store for the file that is to take its place.
const rotated = ".new"

// Rotate replaces the store's keys: it writes all records into a new file under new
// keys, which takes the old one's place. Other calls wait for it. A crash leaves the
// old file or the new one, whole, and its keys. A record that can't be read fails the
// rotation: it would be lost.
func (f *File) Rotate() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.wrap(ErrClosed)
	}
	f.line.drain()
	if err := f.rotate(); err != nil {
		return f.wrap(fmt.Errorf("rotate: %w", err))
	}
	return nil
}

func (f *File) rotate() error {
	keys, err := loadRing(f.keys)
	if err != nil {
		return err
	}
	old := keys.find(f.sealer.id)
	if old == nil {
		return fmt.Errorf("keys: key %q of the file is not among the %d there are", f.sealer.id, len(keys.Keys))
	}
	fresh, err := newPair()
	if err != nil {
		return err
	}
	next, err := fresh.sealer()
	if err != nil {
		return err
	}
	// From here on the ring has the keys of whichever file a crash leaves.
	both := &ring{Format: ringFormat, Keys: []pair{*old, *fresh}}
	if err := both.save(f.keys); err != nil {
		return err
	}
	path := f.path + rotated
	copied, err := f.copyTo(path, next)
	if err == nil {
		if err = os.Rename(path, f.path); err != nil {
			err = errors.Join(err, copied.close())
		}
	}
	if err != nil {
		one := &ring{Format: ringFormat, Keys: []pair{*old}}
		return errors.Join(err, removed(path), one.save(f.keys))
	}
	before := f.bolt
	f.bolt, f.sealer = copied, next
	if err := errors.Join(before.close(), syncFolder(filepath.Dir(f.path))); err != nil {
		return err // the old keys stay, until the next Open
	}
	return (&ring{Format: ringFormat, Keys: []pair{*fresh}}).save(f.keys)
}

// copyTo writes all records into a new file under other keys.
func (f *File) copyTo(path string, next *sealer) (*bolt, error) {
	if err := removed(path); err != nil {
		return nil, err
	}
	to, err := openBolt(path, time.Second)
	if err != nil {
		return nil, err
	}
	to.db.NoSync = true // one fsync at the end
	err = f.copyRecords(to, next)
	to.db.NoSync = false
	if err == nil {
		err = to.guard(to.db.Sync)
	}
	if err != nil {
		return nil, errors.Join(err, to.close())
	}
	return to, nil
}

func (f *File) copyRecords(to *bolt, next *sealer) error {
	if err := writeHeader(to, next.id); err != nil {
		return err
	}
	const chunk = 1000
	var waiting []sealed
	flush := func() error {
		err := to.update(func(tx *bbolt.Tx) error { return put(tx, waiting) })
		waiting = waiting[:0]
		return err
	}
	err := f.bolt.view(func(tx *bbolt.Tx) error {
		return f.sealer.each(tx, func(r Record, err error) error {
			if err != nil {
				return err
			}
			s, err := next.seal(Change{Name: r.Name, Value: r.Value})
			if err != nil {
				return err
			}
			if waiting = append(waiting, s); len(waiting) < chunk {
				return nil
			}
			return flush()
		})
	})
	if err != nil {
		return err
	}
	return flush()
}

func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
