package customerkey

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// What an administrator's process does to the file holds in the running server.
func TestAVaultSeesWhatAnotherProcessDid(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "vault")
	server, err := OpenFileVault(path)
	must(t, err)
	admin, err := OpenFileVault(path) // before there is a file
	must(t, err)
	must(t, admin.Create("a"))
	wrapped, err := server.Wrap(ctx, "a", []byte("key"), nil)
	must(t, err)
	unwraps := func() error {
		_, err := server.Unwrap(ctx, "a", wrapped, nil)
		return err
	}
	must(t, unwraps())
	must(t, admin.Revoke(ctx, "a"))
	if err := unwraps(); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked by another process: %v", err)
	}
	must(t, server.Create("b")) // keeps what the other did
	must(t, admin.Restore(ctx, "a"))
	must(t, unwraps())
	must(t, server.Ensure("b"))
	if _, err := admin.Wrap(ctx, "b", []byte("key"), nil); err != nil {
		t.Errorf("created by another process: %v", err)
	}

	data, err := os.ReadFile(path)
	must(t, err)
	for what, spoil := range map[string]func() error{
		"gone":            func() error { return os.Remove(path) },
		"damaged":         func() error { return os.WriteFile(path, []byte("{"), 0o600) },
		"open for others": func() error { return os.Chmod(path, 0o644) },
	} {
		must(t, spoil())
		if err := unwraps(); err == nil {
			t.Errorf("the vault is %s, and its keys are used", what)
		}
		if err := errors.Join(server.Revoke(ctx, "a"), server.Ensure("a")); err == nil {
			t.Errorf("the vault is %s, and written anew", what)
		}
		must(t, os.RemoveAll(path))
		must(t, os.WriteFile(path, data, 0o600))
		must(t, unwraps())
	}
}

func TestVaultFailsClosedWhenItsFileCantBeWritten(t *testing.T) {
	real := filepath.Join(t.TempDir(), "vault")
	first, err := OpenFileVault(real)
	must(t, err)
	must(t, first.Create("a"))
	file, err := os.Open(real)
	must(t, err)
	defer file.Close()
	// A path beside which nothing can be made, not even by root.
	path := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /proc here")
	}
	v, err := OpenFileVault(path)
	must(t, err)
	if v.Create("b") == nil || v.Revoke(t.Context(), "a") == nil || v.Restore(t.Context(), "a") == nil {
		t.Error("a change that was not written succeeds")
	}
	if _, err := v.Wrap(t.Context(), "b", nil, nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("key that was not written: %v, wanted ErrNoKey", err)
	}
	if _, err := v.Wrap(t.Context(), "a", nil, nil); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked key: %v, wanted ErrRevoked", err)
	}
}
