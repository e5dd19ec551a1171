package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrNotFound says that there is no such record.
	ErrNotFound = errors.New("there is no such record")
	// ErrLocked says that another process has the file.
	ErrLocked = errors.New("another process has the file open")
	// ErrDamaged says that the file, or a record in it, is not what was saved.
	ErrDamaged = errors.New("damaged")
	// ErrClosed says that the store was closed before.
	ErrClosed = errors.New("the store is closed")
)

// Limits of a record.
const (
	MaxBucket = 64      // bytes of a bucket's name; at least 1
	MaxKey    = 1024    // bytes of a key; at least 1
	MaxValue  = 4 << 20 // bytes of a value
)

// Name says which record. Number 0 is a record by itself; the numbers from 1 on are
// those of the sequence Bucket, Key.
type Name struct {
	Bucket, Key string
	Number      uint64
}

// Record is one record.
type Record struct {
	Name
	Value []byte
}

// Change saves a record, or deletes it, which is no error when there is none.
type Change struct {
	Name
	Value  []byte
	Delete bool
}

// Config is what Open needs.
type Config struct {
	// Path is the file; it is made, with mode 0600, when there is none.
	Path string
	// Keys has the store's keys; a KeyFile at Path with ".key" added if nil.
	Keys KeyRing
	// LockTimeout is how long to wait for another process to close the file; 5 s if 0.
	LockTimeout time.Duration
}

// File is a store in a file. It is safe for concurrent use.
type File struct {
	path string
	keys KeyRing

	// mu is held for reading by all calls, and for writing to close the file or to
	// change it for another one.
	mu     sync.RWMutex
	bolt   *bolt
	sealer *sealer
	closed bool

	line line
}

// Open opens a store, or makes one where there is no file. The keys are made with
// the file; a file without its keys is refused.
func Open(cfg Config) (*File, error) {
	if cfg.Path == "" {
		return nil, errors.New("store: Config.Path is empty")
	}
	if cfg.Keys == nil {
		cfg.Keys = KeyFile(cfg.Path + ".key")
	}
	if cfg.LockTimeout <= 0 {
		cfg.LockTimeout = 5 * time.Second
	}
	f := &File{path: cfg.Path, keys: cfg.Keys}
	var err error
	if f.bolt, err = openCurrent(cfg.Path, cfg.LockTimeout); err != nil {
		return nil, f.wrap(err)
	}
	if err := f.prepare(); err != nil {
		return nil, f.wrap(errors.Join(err, f.bolt.close()))
	}
	f.line.start(f.commit)
	return f, nil
}

// prepare finds the keys of the file, or makes both.
func (f *File) prepare() error {
	// What a rotation left that did not come to its end.
	if err := os.Remove(f.path + rotated); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keys, err := loadRing(f.keys)
	if err != nil {
		return err
	}
	id, err := readHeader(f.bolt)
	if err != nil {
		return err
	}
	if id == "" {
		return f.initialise(keys)
	}
	p := keys.find(id)
	if p == nil {
		return fmt.Errorf("keys: the file is sealed by key %q, which is not among the %d there are", id, len(keys.Keys))
	}
	if f.sealer, err = p.sealer(); err != nil {
		return err
	}
	if len(keys.Keys) > 1 {
		keys.Keys = []pair{*p}
		return keys.save(f.keys)
	}
	return nil
}

func (f *File) initialise(keys *ring) error {
	if len(keys.Keys) == 0 {
		p, err := newPair()
		if err != nil {
			return err
		}
		keys.Keys = append(keys.Keys, *p)
		if err := keys.save(f.keys); err != nil {
			return err
		}
	}
	var err error
	if f.sealer, err = keys.Keys[len(keys.Keys)-1].sealer(); err != nil {
		return err
	}
	if err := writeHeader(f.bolt, f.sealer.id); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(f.path))
}

// Close waits for the changes under way and closes the file. Further calls return
// ErrClosed.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.wrap(ErrClosed)
	}
	f.closed = true
	f.line.stop()
	if err := f.bolt.close(); err != nil {
		return f.wrap(err)
	}
	return nil
}

func (f *File) wrap(err error) error { return fmt.Errorf("store: %s: %w", f.path, err) }
