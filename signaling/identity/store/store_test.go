package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callpath/callpath/signaling/identity/store"
)

func TestDocumentsAreReplacedWhole(t *testing.T) {
	dir, err := store.Open(filepath.Join(t.TempDir(), "new", "state"))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]store.Store{"memory": &store.Memory{}, "directory": dir} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Load("keys"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nothing there: %v", err)
			}
			first := []byte("a longer first document")
			for _, text := range [][]byte{first, []byte("second")} {
				if err := s.Save("keys", text); err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Load("keys")
			if err != nil || string(got) != "second" {
				t.Errorf("got %q, %v", got, err)
			}
			got[0] = 'x' // it is the caller's
			if again, _ := s.Load("keys"); string(again) != "second" {
				t.Errorf("got %q after a change of what was loaded", again)
			}
		})
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	dir, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Save("keys", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{path: 0o700, filepath.Join(path, "keys.json"): 0o600} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, wanted %04o", file, info.Mode(), err, want)
		}
	}
	left, err := os.ReadDir(path)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.Chmod(filepath.Join(path, "keys.json"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Load("keys"); err == nil || !strings.Contains(err.Error(), "wanted a file of mode 0600") {
		t.Errorf("a file that a group may read: %v", err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path); err == nil || !strings.Contains(err.Error(), "wanted 0700") {
		t.Errorf("a directory that others may enter: %v", err)
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	dir, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../keys", "a/b", "A", "a.b"} {
		if err := dir.Save(name, nil); err == nil {
			t.Errorf("saved %q", name)
		}
		if _, err := dir.Load(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("loaded %q: %v", name, err)
		}
	}
	if err := os.Mkdir(filepath.Join(path, "keys.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Load("keys"); err == nil {
		t.Error("a directory was loaded")
	}
	if err := dir.Save("keys", nil); err == nil {
		t.Error("a directory was replaced")
	}
	if err := os.WriteFile(filepath.Join(path, "large.json"), make([]byte, 16<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Load("large"); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a document without end: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(file); err == nil {
		t.Error("a file was opened as a directory")
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := dir.Save("keys", nil); err == nil {
		t.Error("saved where there is no directory")
	}
}
