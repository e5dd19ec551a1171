package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/callpath/callpath/signaling/store"
)

// stored makes a store with some records and returns its closed file.
func stored(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state")
	f := open(t, path)
	for i := range 60 {
		f.Begin(store.Change{Name: store.Name{Bucket: "chat", Key: "thread", Number: uint64(i + 1)}, Value: bytes.Repeat([]byte{byte(i)}, 100)})
		must(t, f.Save("meetings", fmt.Sprint("meeting-", i), fmt.Append(nil, "value of ", i)))
	}
	must(t, f.Close())
	return path
}

// use does all that a store can do and returns the errors. A panic or a fault ends the
// test.
func use(path string) error {
	f, err := store.Open(store.Config{Path: path})
	if err != nil {
		return err
	}
	_, getting := f.Get(store.Name{Bucket: "meetings", Key: "meeting-7"})
	_, reading := f.Sequence("chat", "thread", 1, 100, false)
	errs := []error{
		f.Check(), getting, reading,
		f.Each("meetings", func(string, []byte) error { return nil }),
		f.Save("meetings", "meeting-7", []byte("new")), f.Delete("meetings", "meeting-8"), f.Rotate(),
	}
	return errors.Join(append(errs, f.Close())...)
}

func TestADamagedFileGivesErrorsAndNoPanic(t *testing.T) {
	path := stored(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	keys, err := os.ReadFile(path + ".key")
	must(t, err)
	try := func(what string, data []byte) (found error) {
		must(t, os.WriteFile(path, data, 0o600))
		must(t, os.WriteFile(path+".key", keys, 0o600))
		found = use(path)
		if found != nil && !strings.Contains(found.Error(), path) {
			t.Errorf("%s: error %v does not name the file", what, found)
		}
		return found
	}
	if err := try("whole", whole); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	noticed := 0
	const trials = 80
	for range trials {
		data := bytes.Clone(whole)
		at := random.IntN(len(data))
		for i := range 1 + random.IntN(8) {
			data[(at+i)%len(data)] ^= byte(1 + random.IntN(255))
		}
		if try(fmt.Sprintf("byte %d changed", at), data) != nil {
			noticed++
		}
	}
	// Free pages and the rest of a page may hold anything.
	if noticed < trials/10 {
		t.Errorf("%d of %d damages noticed", noticed, trials)
	}
	for _, size := range []int{1, 4096, 8192, len(whole) / 2, len(whole) - 4096} {
		if err := try(fmt.Sprintf("cut to %d bytes", size), whole[:size]); err == nil && size < len(whole)/2 {
			t.Errorf("cut to %d bytes: not noticed", size)
		}
	}
}

// edit changes the closed file as somebody can who has no key.
func edit(t *testing.T, path string, do func(buckets []*bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		var all []*bbolt.Bucket
		if err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if string(name) != "callpath" {
				all = append(all, b)
			}
			return nil
		}); err != nil {
			return err
		}
		return do(all)
	}))
	must(t, db.Close())
}

func TestRecordsCantBeMovedOrChanged(t *testing.T) {
	for name, do := range map[string]func([]*bbolt.Bucket) error{
		"two records of a bucket change places": func(all []*bbolt.Bucket) error {
			for _, b := range all {
				c := b.Cursor()
				k1, v1 := c.First()
				k1, v1 = bytes.Clone(k1), bytes.Clone(v1)
				k2, v2 := c.Next()
				k2, v2 = bytes.Clone(k2), bytes.Clone(v2)
				if err := errors.Join(b.Put(k1, v2), b.Put(k2, v1)); err != nil {
					return err
				}
			}
			return nil
		},
		"a record comes from another bucket": func(all []*bbolt.Bucket) error {
			for i, b := range all {
				k, v := all[(i+1)%2].Cursor().First()
				if err := b.Put(bytes.Clone(k), bytes.Clone(v)); err != nil {
					return err
				}
			}
			return nil
		},
		"a message gets another number": func(all []*bbolt.Bucket) error {
			for _, b := range all {
				k, v := b.Cursor().First()
				k, v = bytes.Clone(k), bytes.Clone(v)
				k[len(k)-1] ^= 0x80
				if err := b.Put(k, v); err != nil {
					return err
				}
			}
			return nil
		},
		"a bit of each record": func(all []*bbolt.Bucket) error {
			for _, b := range all {
				k, v := b.Cursor().First()
				v = bytes.Clone(v)
				v[len(v)/2] ^= 1
				if err := b.Put(bytes.Clone(k), v); err != nil {
					return err
				}
			}
			return nil
		},
		"a record that is none": func(all []*bbolt.Bucket) error {
			for _, b := range all {
				if err := b.Put([]byte("short"), []byte("x")); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := stored(t)
			edit(t, path, do)
			f := open(t, path)
			for what, err := range map[string]error{
				"Check": f.Check(), "Each": f.Each("meetings", func(string, []byte) error { return nil }), "Rotate": f.Rotate(),
			} {
				if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "record") {
					if what == "Each" && (strings.HasPrefix(name, "a message") || strings.HasPrefix(name, "a record comes")) {
						continue // it stands in no place that Each reads
					}
					t.Errorf("%s: %v, wanted ErrDamaged with file and record", what, err)
				}
			}
			// The store goes on under its old keys.
			must(t, f.Save("other", "k", []byte("v")))
			must(t, f.Close())
			if got := all(t, open(t, path), "other"); got != "k=v" {
				t.Errorf("after the failed rotation: %s", got)
			}
		})
	}
}

func TestADamagedRecordIsNamed(t *testing.T) {
	path := stored(t)
	edit(t, path, func(all []*bbolt.Bucket) error {
		for _, b := range all {
			if err := b.ForEach(func(k, v []byte) error { return b.Put(k, []byte("not a record")) }); err != nil {
				return err
			}
		}
		return nil
	})
	f := open(t, path)
	_, err := f.Get(store.Name{Bucket: "meetings", Key: "meeting-7"})
	if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path+": record meetings/meeting-7: damaged") {
		t.Errorf("error %v", err)
	}
	if _, err = f.Sequence("chat", "thread", 3, 1, false); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "record chat/thread#3: damaged") {
		t.Errorf("error %v", err)
	}
}

func TestAFileOfAnotherProgramIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	}))
	must(t, db.Close())
	if _, err := store.Open(store.Config{Path: path}); err == nil || !strings.Contains(err.Error(), "not a store of callpath") {
		t.Errorf("error %v", err)
	}
	for format, want := range map[string]string{"9": `format "9", wanted "1"`, "1": "doesn't name its key"} {
		db, err := bbolt.Open(path, 0o600, nil)
		must(t, err)
		must(t, db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("callpath"))
			return errors.Join(err, b.Put([]byte("format"), []byte(format)))
		}))
		must(t, db.Close())
		if _, err := store.Open(store.Config{Path: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, wanted %q", err, want)
		}
	}
}
