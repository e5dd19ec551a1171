//go:build !linux

package namespace

import "errors"

// Namespace is a network namespace.
type Namespace struct{}

// New returns errors.ErrUnsupported.
func New() (*Namespace, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Namespace) Close() {}

// Do returns errors.ErrUnsupported.
func (*Namespace) Do(func() error) error { return errors.ErrUnsupported }

// Path is empty.
func (*Namespace) Path() string { return "" }

// Within returns errors.ErrUnsupported.
func Within(string, func() error) error { return errors.ErrUnsupported }
