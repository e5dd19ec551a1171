package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keeper is what File and Memory have in common.
type keeper interface {
	Save(bucket, key string, value []byte) error
	Delete(bucket, key string) error
	Write(...store.Change) error
	Begin(...store.Change) func() error
	Get(store.Name) ([]byte, error)
	Each(bucket string, do func(key string, value []byte) error) error
	Sequence(bucket, key string, from uint64, limit int, backwards bool) ([]store.Record, error)
}

func open(t testing.TB, path string) *store.File {
	t.Helper()
	f, err := store.Open(store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all are the records of a bucket, as sorted key=value.
func all(t testing.TB, k keeper, bucket string) string {
	t.Helper()
	var found []string
	must(t, k.Each(bucket, func(key string, value []byte) error {
		found = append(found, key+"="+string(value))
		return nil
	}))
	slices.Sort(found)
	return strings.Join(found, " ")
}

func numbers(t testing.TB, k keeper, key string, from uint64, limit int, backwards bool) string {
	t.Helper()
	records, err := k.Sequence("chat", key, from, limit, backwards)
	must(t, err)
	var found []string
	for _, r := range records {
		if string(r.Value) != fmt.Sprint(key, r.Number) || r.Bucket != "chat" || r.Key != key {
			t.Errorf("sequence %s: record %+v has the value %q", key, r.Name, r.Value)
		}
		found = append(found, fmt.Sprint(r.Number))
	}
	return strings.Join(found, " ")
}

func both(t *testing.T, do func(*testing.T, keeper)) {
	t.Run("file", func(t *testing.T) { do(t, open(t, filepath.Join(t.TempDir(), "state"))) })
	t.Run("memory", func(t *testing.T) { do(t, new(store.Memory)) })
}

func TestRecordsAreKept(t *testing.T) {
	both(t, func(t *testing.T, k keeper) {
		if _, err := k.Get(store.Name{Bucket: "meetings", Key: "a"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("nothing there: %v", err)
		}
		must(t, k.Save("meetings", "a", []byte("first")))
		must(t, k.Save("meetings", "a", []byte("second")))
		must(t, k.Save("meetings", "b", nil))
		must(t, k.Save("policies", "a", []byte("other")))
		must(t, k.Write(store.Change{Name: store.Name{Bucket: "meetings", Key: "a", Number: 7}, Value: []byte("of a sequence")}))
		if got := all(t, k, "meetings"); got != "a=second b=" {
			t.Errorf("meetings: %s", got)
		}
		value, err := k.Get(store.Name{Bucket: "meetings", Key: "a"})
		if err != nil || string(value) != "second" {
			t.Errorf("got %q, %v", value, err)
		}
		value[0] = 'x' // it is the caller's
		if got := all(t, k, "meetings"); got != "a=second b=" {
			t.Errorf("after a change of what was read: %s", got)
		}
		must(t, k.Delete("meetings", "a"))
		must(t, k.Delete("meetings", "none"))
		if got := all(t, k, "meetings"); got != "b=" {
			t.Errorf("after the deletion: %s", got)
		}
		if got := all(t, k, "policies") + all(t, k, "none"); got != "a=other" {
			t.Errorf("policies: %s", got)
		}
		stop := errors.New("stop")
		if err := k.Each("policies", func(string, []byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("Each returned %v, wanted what do returned", err)
		}
	})
}

func TestSequencesAreInOrder(t *testing.T) {
	both(t, func(t *testing.T, k keeper) {
		for _, key := range []string{"x", "y", "z"} {
			must(t, k.Save("chat", key, []byte("by itself")))
			for _, n := range []uint64{300, 2, 256, 5, 1 << 60, 9} {
				must(t, k.Write(store.Change{Name: store.Name{Bucket: "chat", Key: key, Number: n}, Value: fmt.Append(nil, key, n)}))
			}
			must(t, k.Write(store.Change{Name: store.Name{Bucket: "chat", Key: key, Number: 9}, Delete: true}))
		}
		for _, c := range []struct {
			from      uint64
			limit     int
			backwards bool
			want      string
		}{
			{0, 10, false, "2 5 256 300 1152921504606846976"},
			{1, 2, false, "2 5"},
			{5, 2, false, "5 256"},
			{6, 1, false, "256"},
			{1<<60 + 1, 5, false, ""},
			{1<<64 - 1, 3, true, "1152921504606846976 300 256"},
			{300, 2, true, "300 256"},
			{299, 10, true, "256 5 2"},
			{1, 10, true, ""},
			{3, 0, false, ""},
		} {
			for _, key := range []string{"x", "y", "z"} {
				if got := numbers(t, k, key, c.from, c.limit, c.backwards); got != c.want {
					t.Errorf("%s from %d, %d records, backwards %t: %s; wanted %s", key, c.from, c.limit, c.backwards, got, c.want)
				}
			}
		}
		if got := numbers(t, k, "none", 1, 9, false) + numbers(t, k, "none", 1<<64-1, 9, true); got != "" {
			t.Errorf("a sequence that isn't there: %s", got)
		}
		if records, err := k.Sequence("none", "x", 1, 5, true); err != nil || records != nil {
			t.Errorf("a bucket that isn't there: %v, %v", records, err)
		}
	})
}

func TestChangesAreMadeTogetherOrNotAtAll(t *testing.T) {
	both(t, func(t *testing.T, k keeper) {
		for want, bad := range map[string]store.Change{
			"bucket":     {Name: store.Name{Bucket: strings.Repeat("b", store.MaxBucket+1), Key: "k"}},
			`bucket ""`:  {Name: store.Name{Key: "k"}},
			`key ""`:     {Name: store.Name{Bucket: "b"}},
			"1025 bytes": {Name: store.Name{Bucket: "b", Key: strings.Repeat("k", store.MaxKey+1)}},
			`"b/k" has`:  {Name: store.Name{Bucket: "b", Key: "k"}, Value: make([]byte, store.MaxValue+1)},
		} {
			err := k.Write(store.Change{Name: store.Name{Bucket: "b", Key: "good"}, Value: []byte("v")}, bad)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, wanted one with %q", err, want)
			}
		}
		if got := all(t, k, "b"); got != "" {
			t.Errorf("half was saved: %s", got)
		}
	})
}

func TestEachMayCallTheStore(t *testing.T) {
	both(t, func(t *testing.T, k keeper) {
		const n = 300 // more than are read at once
		for i := range n {
			k.Begin(store.Change{Name: store.Name{Bucket: "b", Key: fmt.Sprint(i)}, Value: make([]byte, 3000)})
		}
		must(t, k.Save("b", "last", nil))
		seen := map[string]int{}
		must(t, k.Each("b", func(key string, _ []byte) error {
			seen[key]++
			return k.Delete("b", key)
		}))
		if len(seen) != n+1 || all(t, k, "b") != "" {
			t.Errorf("%d records seen, wanted %d; left: %.60q", len(seen), n+1, all(t, k, "b"))
		}
	})
}

func TestAFileOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := open(t, path)
	done := f.Begin(store.Change{Name: store.Name{Bucket: "b", Key: "k"}, Value: []byte("v")})
	must(t, f.Close()) // waits for what is in line
	must(t, done())
	must(t, done())
	for name, err := range map[string]error{
		"Close": f.Close(), "Save": f.Save("b", "k", nil), "Rotate": f.Rotate(), "Check": f.Check(), "Each": f.Each("b", nil),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	f = open(t, path)
	if got := all(t, f, "b"); got != "k=v" {
		t.Errorf("after it was opened again: %s", got)
	}
	must(t, f.Check())
	for _, name := range []string{path, path + ".key"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; wanted mode 0600", name, info.Mode(), err)
		}
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	open(t, path)
	_, err := store.Open(store.Config{Path: path, LockTimeout: 20 * time.Millisecond})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, wanted ErrLocked with the path", err)
	}
}

func TestWhoWaitsForTheLockGetsTheFileOfARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := open(t, path)
	must(t, f.Save("b", "k", []byte("v")))
	got := make(chan *store.File)
	go func() {
		second, err := store.Open(store.Config{Path: path, LockTimeout: time.Minute})
		if err != nil {
			t.Error(err)
		}
		got <- second
	}()
	// Whether it waits already or not, it must not end with the file that was replaced.
	must(t, f.Rotate())
	must(t, f.Save("b", "k", []byte("after")))
	must(t, f.Close())
	second := <-got
	if value := all(t, second, "b"); value != "k=after" {
		t.Errorf("read %s, wanted the record saved after the rotation", value)
	}
	must(t, second.Close())
}

func TestFilesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		// spoil gets the path of a closed store.
		spoil func(t *testing.T, path string)
		want  string
	}{
		{"others may read it", func(t *testing.T, path string) { must(t, os.Chmod(path, 0o640)) }, "wanted a file of mode 0600"},
		{"others may read its keys", func(t *testing.T, path string) { must(t, os.Chmod(path+".key", 0o604)) }, "wanted a file of mode 0600"},
		{"its keys are gone", func(t *testing.T, path string) { must(t, os.Remove(path+".key")) }, "not among the 0"},
		{"its keys are another's", func(t *testing.T, path string) {
			other := filepath.Join(t.TempDir(), "other")
			must(t, open(t, other).Close())
			must(t, os.Rename(other+".key", path+".key"))
		}, "not among the 1"},
		{"no key ring", func(t *testing.T, path string) { must(t, os.WriteFile(path+".key", []byte("{}"), 0o600)) }, "not a key ring"},
		{"an empty key ring", func(t *testing.T, path string) { must(t, os.WriteFile(path+".key", nil, 0o600)) }, "has 0 bytes"},
		{"a key ring of later", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".key", []byte(`{"format":2,"keys":[{}]}`), 0o600))
		}, "format 2, wanted 1"},
		{"a key ring without keys", func(t *testing.T, path string) {
			data, err := os.ReadFile(path + ".key")
			must(t, err)
			must(t, os.WriteFile(path+".key", bytes.Replace(data, []byte(`"keyset":"`), []byte(`"keyset":"AAAA`), 1), 0o600))
		}, "keys: damaged"},
		{"no store at all", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("text\n"), 5000), 0o600))
		}, "damaged"},
		{"a directory", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, "state"},
		{"a directory as keys", func(t *testing.T, path string) {
			must(t, os.Remove(path+".key"))
			must(t, os.Mkdir(path+".key", 0o700))
		}, "state.key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			f := open(t, path)
			must(t, f.Save("b", "k", []byte("v")))
			must(t, f.Close())
			c.spoil(t, path)
			f, err := store.Open(store.Config{Path: path})
			if err == nil {
				f.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, wanted one with %q and the path", err, c.want)
			}
		})
	}
	if _, err := store.Open(store.Config{}); err == nil {
		t.Error("a store without a path is accepted")
	}
	if _, err := store.Open(store.Config{Path: filepath.Join(t.TempDir(), "none", "state")}); err == nil {
		t.Error("a store where there is no directory is accepted")
	}
}

func TestManySaversAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := open(t, path)
	const savers, each = 16, 10
	var wait sync.WaitGroup
	for s := range savers {
		wait.Go(func() {
			for i := range each {
				if err := f.Save("b", fmt.Sprintf("%d-%d", s, i), []byte("v")); err != nil {
					t.Error(err)
				}
				if _, err := f.Get(store.Name{Bucket: "b", Key: fmt.Sprintf("%d-%d", s, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	must(t, f.Rotate()) // among them
	wait.Wait()
	must(t, f.Close())
	f = open(t, path)
	if n := strings.Count(all(t, f, "b"), "="); n != savers*each {
		t.Errorf("%d records, wanted %d", n, savers*each)
	}
	must(t, f.Check())
}
