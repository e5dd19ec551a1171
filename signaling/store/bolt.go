package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// bolt is a bbolt database that may be damaged. bbolt says so by a panic, and may hold
// locks then, or by a fault where the mapped file is shorter than it should be. From
// the first of these on, nothing is read or written any more.
type bolt struct {
	db     *bbolt.DB
	file   *os.File
	broken atomic.Pointer[error]
}

func (b *bolt) view(do func(*bbolt.Tx) error) error {
	return b.guard(func() error { return b.db.View(do) })
}

func (b *bolt) update(do func(*bbolt.Tx) error) error {
	return b.guard(func() error { return b.db.Update(do) })
}

func (b *bolt) close() error {
	err := b.guard(b.db.Close)
	if b.broken.Load() != nil {
		return abandon(b.file)
	}
	return err
}

func (b *bolt) guard(do func() error) error {
	if broken := b.broken.Load(); broken != nil {
		return *broken
	}
	panicked, err := guarded(do)
	if panicked {
		b.broken.Store(&err)
	}
	return err
}

// guarded calls do and turns a panic or fault into ErrDamaged.
func guarded(do func() error) (panicked bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			panicked, err = true, fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return false, do()
}

// openCurrent opens the file that has this name once the lock is ours: while we waited,
// a rotation may have put another one there.
func openCurrent(path string, timeout time.Duration) (*bolt, error) {
	for end := time.Now().Add(timeout); ; {
		b, err := openBolt(path, max(time.Until(end), time.Millisecond))
		if err != nil {
			return nil, err
		}
		mine, err := b.file.Stat()
		if err == nil {
			var there fs.FileInfo
			if there, err = os.Stat(path); err == nil && os.SameFile(mine, there) {
				return b, nil
			}
		}
		if closing := b.close(); closing != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, closing)
		}
	}
}

func openBolt(path string, timeout time.Duration) (*bolt, error) {
	b := new(bolt)
	options := &bbolt.Options{
		Timeout: timeout,
		// The list of free pages stays in the file: to find it by reading all pages,
		// bbolt takes a goroutine of its own, whose panic about a damaged file would end
		// the process.
		FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err != nil {
				return nil, err
			}
			info, err := f.Stat()
			if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0) {
				err = fmt.Errorf("the mode is %v, wanted a file of mode 0600", info.Mode())
			}
			if err != nil {
				return nil, errors.Join(err, f.Close())
			}
			b.file = f
			return f, nil
		},
	}
	err := b.guard(func() (err error) {
		b.db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w (waited %s)", ErrLocked, timeout.Round(time.Millisecond))
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case b.broken.Load() != nil && b.file != nil:
		return nil, errors.Join(err, abandon(b.file))
	case err != nil:
		return nil, err
	}
	return b, nil
}

// abandon gives up a file that bbolt can't close, as it panicked on it. What is mapped
// of it stays so.
func abandon(file *os.File) error { return errors.Join(unlock(file), file.Close()) }
