//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestADeviceOrAPipeIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := writeWhole(path, func(w io.Writer) error { _, err := w.Write([]byte("report")); return err }); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != "report" {
		t.Errorf("read %q (%v) from the pipe, wanted the report", got, err)
	}
	if !isDevice(path) {
		t.Error("the pipe was replaced by a file")
	}
}
