package store

import (
	"errors"
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
type File struct{}

// Open opens a store, or makes one where there is no file. The keys are made with
// the file; a file without its keys is refused.
func Open(cfg Config) (*File, error) { return nil, errors.ErrUnsupported }

// Close waits for the changes under way and closes the file. Further calls return
// ErrClosed.
func (f *File) Close() error { return errors.ErrUnsupported }

// Save saves a record and returns when it is durable.
func (f *File) Save(bucket, key string, value []byte) error { return errors.ErrUnsupported }

// Delete deletes a record, if there is one, and returns when that is durable.
func (f *File) Delete(bucket, key string) error { return errors.ErrUnsupported }

// Write makes changes together, and returns when they are durable.
func (f *File) Write(changes ...Change) error { return errors.ErrUnsupported }

// Begin puts changes in line, to be made together or not at all. They are made in the
// order of the calls. done waits until they are durable; it may be called by any
// goroutine, any number of times, or not at all.
func (f *File) Begin(changes ...Change) (done func() error) {
	return func() error { return errors.ErrUnsupported }
}

// Get returns a record's value, which is the caller's, or ErrNotFound.
func (f *File) Get(n Name) ([]byte, error) { return nil, errors.ErrUnsupported }

// Each calls do for the records of a bucket that have no number, in an order without
// meaning, until do returns an error. do may call the store; whether it sees what is
// saved meanwhile is open.
func (f *File) Each(bucket string, do func(key string, value []byte) error) error {
	return errors.ErrUnsupported
}

// Sequence returns at most limit records of a sequence in order, from number from on;
// if backwards, in falling order from number from down.
func (f *File) Sequence(bucket, key string, from uint64, limit int, backwards bool) ([]Record, error) {
	return nil, errors.ErrUnsupported
}

// Rotate replaces the store's keys: it writes all records into a new file under new
// keys, which takes the old one's place. Other calls wait for it. A crash leaves the
// old file or the new one, whole.
func (f *File) Rotate() error { return errors.ErrUnsupported }

// Check reads everything and returns the first damage that it finds.
func (f *File) Check() error { return errors.ErrUnsupported }
