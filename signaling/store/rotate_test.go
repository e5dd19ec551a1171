package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/callpath/callpath/signaling/store"
)

// ring is a KeyRing in memory whose Save fails in one call, by then done or not.
type ring struct {
	data          []byte
	saves, failAt int
	done          bool
}

func (r *ring) Load() ([]byte, error) { return r.data, nil }

func (r *ring) Save(data []byte) error {
	r.saves++
	if r.saves == r.failAt {
		if r.done {
			r.data = data
		}
		return errors.New("the vault is away")
	}
	r.data = data
	return nil
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := open(t, path)
	const n = 1200 // more than are copied at once
	for i := range n {
		f.Begin(store.Change{Name: store.Name{Bucket: "chat", Key: "x", Number: uint64(i + 1)}, Value: fmt.Append(nil, "x", i+1)})
	}
	must(t, f.Save("meetings", "a", []byte("first")))
	must(t, f.Close())
	var ciphertexts [][]byte
	edit(t, path, func(all []*bbolt.Bucket) error {
		for _, b := range all {
			if err := b.ForEach(func(_, v []byte) error {
				ciphertexts = append(ciphertexts, bytes.Clone(v))
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if len(ciphertexts) != n+1 {
		t.Fatalf("%d records, wanted %d", len(ciphertexts), n+1)
	}
	oldKeys, err := os.ReadFile(path + ".key")
	must(t, err)

	f = open(t, path)
	must(t, f.Rotate())
	check := func() {
		t.Helper()
		if got := all(t, f, "meetings"); got != "a=first" {
			t.Errorf("meetings: %s", got)
		}
		if got := strings.Fields(numbers(t, f, "x", 1, n+1, false)); len(got) != n {
			t.Errorf("%d messages, wanted %d", len(got), n)
		}
		must(t, f.Check())
	}
	check()
	must(t, f.Save("meetings", "b", []byte("after")))
	must(t, f.Delete("meetings", "b"))
	must(t, f.Close())
	f = open(t, path)
	check()

	after, err := os.ReadFile(path)
	must(t, err)
	for _, c := range ciphertexts {
		if bytes.Contains(after, c[:24]) {
			t.Fatal("ciphertext of before is in the file after the rotation")
		}
	}
	must(t, f.Close())
	must(t, os.WriteFile(path+".key", oldKeys, 0o600))
	if _, err := store.Open(store.Config{Path: path}); err == nil || !strings.Contains(err.Error(), "not among the 1") {
		t.Errorf("opened with the old keys: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A rotation that ends in the middle, at each of its changes of the ring.
func TestARotationThatFailsLosesNothing(t *testing.T) {
	for _, done := range []bool{false, true} {
		for _, at := range []int{2, 3} { // 1 makes the first keys; 2 adds the new ones; 3 drops the old ones
			t.Run(fmt.Sprintf("save %d of the ring fails, done %t", at, done), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				keys := &ring{failAt: at, done: done}
				f, err := store.Open(store.Config{Path: path, Keys: keys})
				must(t, err)
				must(t, f.Save("b", "k", []byte("v")))
				if err := f.Rotate(); err == nil {
					t.Error("the rotation said nothing")
				}
				must(t, f.Save("b", "l", []byte("w")))
				must(t, f.Close())
				must(t, os.WriteFile(path+".new", []byte("half a file"), 0o600))
				for range 2 {
					f, err = store.Open(store.Config{Path: path, Keys: keys})
					must(t, err)
					if got := all(t, f, "b"); got != "k=v l=w" {
						t.Errorf("records: %s", got)
					}
					must(t, f.Rotate())
					must(t, f.Close())
				}
				if n := bytes.Count(keys.data, []byte(`"keyset"`)); n != 1 {
					t.Errorf("%d keys are left, wanted 1", n)
				}
			})
		}
	}
}

func TestARingThatCantBeReadOrWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if _, err := store.Open(store.Config{Path: path, Keys: &ring{failAt: 1}}); err == nil || !strings.Contains(err.Error(), "the vault is away") {
		t.Errorf("error %v", err)
	}
	keys := new(ring)
	f, err := store.Open(store.Config{Path: path, Keys: keys})
	must(t, err)
	keys.data = nil
	if err := f.Rotate(); err == nil || !strings.Contains(err.Error(), "not among the 0") {
		t.Errorf("rotation without the old keys in the ring: %v", err)
	}
	keys.data = []byte("{")
	if err := f.Rotate(); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("rotation with a damaged ring: %v", err)
	}
	must(t, f.Close())
	if err := store.KeyFile(filepath.Join(t.TempDir(), "none", "keys")).Save([]byte("x")); err == nil {
		t.Error("saved keys where there is no directory")
	}
	folder := filepath.Join(t.TempDir(), "folder")
	must(t, os.MkdirAll(filepath.Join(folder, "x"), 0o700))
	if err := store.KeyFile(folder).Save([]byte("x")); err == nil {
		t.Error("replaced a directory by keys")
	}
}
