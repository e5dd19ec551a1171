//go:build !linux

package account

import (
	"errors"
	"time"
)

// errLinux is the error of everything on systems that keep other books.
var errLinux = errors.New("the benchmark needs Linux")

// Take fails.
func Take(...int) (Books, error) { return Books{}, errLinux }

// Process fails.
func Process(int) (time.Duration, error) { return 0, errLinux }

// Resident fails.
func Resident(int) (uint64, error) { return 0, errLinux }

// Thread fails.
func Thread() (time.Duration, error) { return 0, errLinux }
