// Package capture writes the packets of a run as a pcapng file.
package capture

import (
	"errors"
	"io"
	"time"
)

// Writer writes packets as pcapng.
type Writer struct{}

// New writes the file's head to w.
func New(w io.Writer) (*Writer, error) { return &Writer{}, nil }

// Captured writes one IP packet.
func (w *Writer) Captured(t time.Time, host, iface string, outbound bool, packet []byte) error {
	return errors.ErrUnsupported
}

// Close flushes.
func (w *Writer) Close() error { return nil }
