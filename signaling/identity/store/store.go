// Package store keeps the few things that an issuer must find again after a
// restart: signing keys, revocations, used one-time codes. Each is one small
// document under a name, read at the start and written whole. It is not a
// database, and not for several processes at once.
package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Store keeps documents. It is safe for concurrent use.
type Store interface {
	// Load returns a document; the error is fs.ErrNotExist when there is none.
	Load(name string) ([]byte, error)
	// Save replaces a document, wholly or not at all.
	Save(name string, data []byte) error
}

// Memory forgets with the process. The zero Memory is empty and ready.
type Memory struct {
	mu   sync.Mutex
	docs map[string][]byte
}

// Load implements Store.
func (m *Memory) Load(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.docs[name]
	if !ok {
		return nil, fmt.Errorf("store: %s: %w", name, fs.ErrNotExist)
	}
	return append([]byte(nil), data...), nil
}

// Save implements Store.
func (m *Memory) Save(name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs == nil {
		m.docs = map[string][]byte{}
	}
	m.docs[name] = append([]byte(nil), data...)
	return nil
}

// maxDocument bounds what is read of a file, in bytes.
const maxDocument = 16 << 20

// Directory keeps each document in a file of mode 0600, NAME.json, in a directory
// of mode 0700.
type Directory struct {
	path string
	mu   sync.Mutex // one writer at a time
}

// Open makes the directory when it is not there. One that others may enter is
// refused: what it holds signs for everybody.
func Open(path string) (*Directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("store: %s has mode %04o, wanted 0700", path, mode)
	}
	return &Directory{path: path}, nil
}

func (d *Directory) file(name string) (string, error) {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && c != '-' {
			return "", fmt.Errorf("store: document %q, wanted small letters and -", name)
		}
	}
	if name == "" {
		return "", errors.New("store: a document has no name")
	}
	return filepath.Join(d.path, name+".json"), nil
}

// Load implements Store. A file that others may read is refused, as its keys may
// be known to them.
func (d *Directory) Load(name string) ([]byte, error) {
	path, err := d.file(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("store: %s has mode %v, wanted a file of mode 0600", path, mode)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if len(data) > maxDocument {
		return nil, fmt.Errorf("store: %s is larger than %d bytes", path, maxDocument)
	}
	return data, nil
}

// Save implements Store: a new file takes the old one's place, so that a crash
// leaves one of the two.
func (d *Directory) Save(name string, data []byte) (err error) {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := os.CreateTemp(d.path, "."+name+"-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("store: %s: %w", name, err)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
