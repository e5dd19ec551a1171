package server

import (
	"errors"
	"os"
	"time"
)

// rotated is a file that is appended to, and made again when it was moved away or
// removed, as programs that rotate logs do. It belongs to one goroutine.
type rotated struct {
	path  string
	every time.Duration
	now   func() time.Time

	file    *os.File
	is      os.FileInfo
	checked time.Time
}

// rotationCheck is between two looks at whether a log was moved away.
const rotationCheck = time.Second

func newRotated(path string, every time.Duration, now func() time.Time) (*rotated, error) {
	r := &rotated{path: path, every: every, now: now}
	return r, r.open()
}

func (r *rotated) open() error {
	// Addresses, and who talked when, are nobody else's business.
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	is, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.is, r.checked = f, is, r.now()
	return nil
}

// Write appends. When the file cannot be made again, what comes goes to the old one.
func (r *rotated) Write(p []byte) (int, error) {
	if now := r.now(); now.Sub(r.checked) >= r.every {
		r.checked = now
		if at, err := os.Stat(r.path); err != nil || !os.SameFile(at, r.is) {
			if old := r.file; r.open() == nil {
				_ = old.Close()
			}
		}
	}
	return r.file.Write(p)
}

func (r *rotated) Close() error { return r.file.Close() }
