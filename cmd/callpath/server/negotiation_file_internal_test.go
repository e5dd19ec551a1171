package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A log that was moved away is begun again; one that cannot be begun again goes on.
func TestARotatedLogIsBegunAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path, now := filepath.Join(dir, "n.log"), time.Unix(0, 0)
	r, err := newRotated(path, time.Second, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if _, err := r.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	has := func(path, want string) {
		t.Helper()
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %q and %v, wanted %q", filepath.Base(path), text, err, want)
		}
	}
	move := func(to string) {
		t.Helper()
		if err := os.Rename(path, to); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	move(path + ".1")
	write("b") // not looked at yet
	now = now.Add(time.Second)
	write("c")
	has(path+".1", "ab")
	has(path, "c")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the new file: %v, %v; wanted 0600", info, err)
	}
	// Nor is the directory there.
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	write("d")
	has(filepath.Join(dir+".old", "n.log"), "cd")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
