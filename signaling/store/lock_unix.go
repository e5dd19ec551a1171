//go:build unix && !aix && !solaris

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// unlock gives up bbolt's lock: what is mapped of a file keeps it although the file is
// closed.
func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
