//go:build !linux

package kernel

import "errors"

// Path is the way through the kernel.
type Path struct{}

// Open returns errors.ErrUnsupported.
func Open(Config) (*Path, error) { return nil, errors.ErrUnsupported }

// Available returns errors.ErrUnsupported.
func Available() error { return errors.ErrUnsupported }

// Close does nothing.
func (*Path) Close() error { return nil }

// Interfaces returns none.
func (*Path) Interfaces() []string { return nil }

// Bind returns errors.ErrUnsupported.
func (*Path) Bind(Channel) (*Flow, error) { return nil, errors.ErrUnsupported }

// Meter returns errors.ErrUnsupported.
func (*Path) Meter(int64, float64) (*Meter, error) { return nil, errors.ErrUnsupported }

// Flow is one bound channel.
type Flow struct{}

// Counts returns zeros.
func (*Flow) Counts() (toPeer, toClient Count) { return }

// Permit does nothing.
func (*Flow) Permit(bool) {}

// Unbind does nothing.
func (*Flow) Unbind() {}

// Meter is a limit of bandwidth.
type Meter struct{}

// Take returns true.
func (*Meter) Take(int) bool { return true }

// Close does nothing.
func (*Meter) Close() {}
