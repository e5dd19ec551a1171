package negotiation

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
)

// KeyLogFile opens an NSS key log for writing; lines are appended. Who reads it
// can decrypt the calls, so it is created with mode 0600, and a file that exists
// is refused when others may read or write it, or when it is not a regular file (a
// symbolic link, for example). The writer may be used from several goroutines: each
// Write, which should hold whole lines, is written as one piece.
//
// On Windows, where modes say nothing about who may read, only the kind of file
// is checked.
func KeyLogFile(path string) (io.WriteCloser, error) {
	before, err := os.Lstat(path)
	if err == nil && !before.Mode().IsRegular() {
		return nil, fmt.Errorf("key log %s is %s; valid: a regular file or none", path, before.Mode().Type())
	}
	exists := err == nil
	// Not created through a link that somebody else put there meanwhile.
	flags := os.O_WRONLY | os.O_APPEND
	if !exists {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("key log: %w", err)
	}
	after, err := f.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("key log: %w", err)
	case exists && !os.SameFile(before, after):
		err = fmt.Errorf("key log %s was replaced while it was opened", path)
	case runtime.GOOS != "windows" && after.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("key log %s has mode %#o, so that others may use it; valid: 0600", path, after.Mode().Perm())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &keyLog{file: f}, nil
}

// keyLog is a file that is written one Write at a time.
type keyLog struct {
	mu   sync.Mutex
	file *os.File
}

func (k *keyLog) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.file.Write(p)
}

func (k *keyLog) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.file.Close()
}
