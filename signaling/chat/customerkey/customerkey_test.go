package customerkey

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	policy = Policy{Tenant: "contoso", Name: "chat", Roots: [2]string{"west/1", "central/2"}}
	place  = Place{"contoso", "chat-1", "message-1"}
)

const secret = "meet me at the old mill at noon"

// bench is Keys with all that they stand on.
type bench struct {
	*Keys
	vault *Vault
	store *MemoryStore
	mu    sync.Mutex
	log   []Event
}

func newBench(t testing.TB, roots ...string) *bench {
	t.Helper()
	b := &bench{vault: NewMemoryVault(), store: new(MemoryStore)}
	for _, r := range append(roots, policy.Roots[:]...) {
		if err := b.vault.Create(r); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	b.Keys, err = New(Config{Vault: b.vault, Store: b.store, Now: func() time.Time { return time.Unix(1, 0) }, OnEvent: func(e Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.log = append(b.log, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	return b
}

// events are those since the last call, in short.
func (b *bench) events() string {
	var s []string
	for _, e := range b.log {
		verdict := "ok"
		if !e.Allowed {
			verdict = "refused"
		}
		s = append(s, strings.TrimRight(fmt.Sprintf("%s %s %d %s", e.Action, verdict, e.Version, e.Root), " "))
	}
	b.log = nil
	return strings.Join(s, ", ")
}

func (b *bench) sealed(t testing.TB, p Place) []byte {
	t.Helper()
	s, err := b.Seal(t.Context(), p, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) readable(t testing.TB, p Place, sealed []byte) {
	t.Helper()
	if got, err := b.Open(t.Context(), p, sealed); err != nil || string(got) != secret {
		t.Fatalf("opened %q, %v; wanted %q", got, err, secret)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLifeCycle(t *testing.T) {
	b, ctx := newBench(t, "new/1"), t.Context()
	step := func(want string) {
		t.Helper()
		if got := b.events(); got != want {
			t.Errorf("events: %s\nwanted: %s", got, want)
		}
	}
	step("wrap ok 1 west/1, wrap ok 1 central/2, create ok 1")
	first := b.sealed(t, place)
	b.readable(t, place, first)
	step("unwrap ok 1 west/1, unwrap ok 1 west/1")

	must(t, b.Rotate(ctx, "contoso"))
	second := b.sealed(t, place)
	b.readable(t, place, first)
	b.readable(t, place, second)
	step("wrap ok 2 west/1, wrap ok 2 central/2, rotate ok 2, unwrap ok 2 west/1, unwrap ok 1 west/1, unwrap ok 2 west/1")

	must(t, b.Revoke(ctx, "contoso", "west/1"))
	b.readable(t, place, first) // recovery by the second root key
	b.readable(t, place, b.sealed(t, place))
	b.events()
	if err := b.Rotate(ctx, "contoso"); !errors.Is(err, ErrRevoked) {
		t.Errorf("rotation with one root key: %v, wanted ErrRevoked", err)
	}
	step("wrap refused 3 west/1, rotate refused 0")

	must(t, b.Revoke(ctx, "contoso", "central/2"))
	for _, sealed := range [][]byte{first, second} {
		if got, err := b.Open(ctx, place, sealed); !errors.Is(err, ErrRevoked) || got != nil {
			t.Errorf("both revoked: opened %q, %v; wanted ErrRevoked", got, err)
		}
	}
	if _, err := b.Seal(ctx, place, []byte(secret)); !errors.Is(err, ErrRevoked) {
		t.Errorf("both revoked: sealed with %v, wanted ErrRevoked", err)
	}
	if err := b.Rewrap(ctx, "contoso", [2]string{"new/1", "west/1"}); !errors.Is(err, ErrRevoked) {
		t.Errorf("both revoked: rewrap: %v, wanted ErrRevoked", err)
	}
	b.events()

	must(t, b.Restore(ctx, "contoso", "central/2"))
	b.readable(t, place, first)
	step("restore ok 0 central/2, unwrap refused 1 west/1, unwrap ok 1 central/2")

	// The revoked root key is replaced, and no longer matters.
	must(t, b.Rewrap(ctx, "contoso", [2]string{"new/1", "central/2"}))
	must(t, b.vault.Revoke(ctx, "central/2"))
	b.readable(t, place, first)
	b.readable(t, place, second)
	if err := b.Revoke(ctx, "contoso", "west/1"); err == nil {
		t.Error("a root key that is no longer the tenant's is revoked in its name")
	}
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	b := newBench(t)
	must(t, b.Rotate(t.Context(), "contoso")) // so that another version exists
	sealed := b.sealed(t, place)
	for i := range sealed {
		for _, flip := range []byte{1, 3, 0x80, 0xff} {
			changed := bytes.Clone(sealed)
			changed[i] ^= flip
			if got, err := b.Open(t.Context(), place, changed); !errors.Is(err, ErrRefused) || got != nil {
				t.Fatalf("byte %d of %d changed by %x: opened %q, %v; wanted ErrRefused", i, len(sealed), flip, got, err)
			}
		}
	}
	for n := range sealed {
		if _, err := b.Open(t.Context(), place, sealed[:n]); !errors.Is(err, ErrRefused) {
			t.Fatalf("cut to %d bytes: %v, wanted ErrRefused", n, err)
		}
	}
	if _, err := b.Open(t.Context(), place, append(sealed, 0)); !errors.Is(err, ErrRefused) {
		t.Errorf("with a byte more: %v, wanted ErrRefused", err)
	}
}

func TestCiphertextIsBoundToItsPlace(t *testing.T) {
	b := newBench(t)
	must(t, b.Create(t.Context(), Policy{"fabrikam", "chat", policy.Roots}))
	sealed := b.sealed(t, place)
	for _, p := range []Place{
		{"fabrikam", "chat-1", "message-1"}, {"contoso", "chat-2", "message-1"}, {"contoso", "chat-1", "message-2"},
		{"contoso", "chat-1m", "essage-1"},
	} {
		if got, err := b.Open(t.Context(), p, sealed); !errors.Is(err, ErrRefused) || got != nil {
			t.Errorf("%v: opened %q, %v; wanted ErrRefused", p, got, err)
		}
	}
	// A record moved to another tenant opens nothing either.
	r, _ := b.store.Load(t.Context(), "contoso")
	must(t, b.store.Save(t.Context(), "fabrikam", bytes.Replace(r, []byte("contoso"), []byte("fabrikam"), 1)))
	if _, err := b.Open(t.Context(), Place{"fabrikam", "chat-1", "message-1"}, sealed); !errors.Is(err, ErrRefused) {
		t.Errorf("with the other tenant's record: %v, wanted ErrRefused", err)
	}
}

func TestNothingSecretIsStoredOrTold(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	sealed := b.sealed(t, place)
	record, _ := b.store.Load(ctx, "contoso")
	r, err := b.load(ctx, "contoso")
	must(t, err)
	key, err := b.unwrap(ctx, r, 1)
	must(t, err)
	for i := range sealed { // provoke each error
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		_, _ = b.Open(ctx, place, changed)
	}
	must(t, b.Revoke(ctx, "contoso", "west/1"))
	must(t, b.Revoke(ctx, "contoso", "central/2"))
	_, _ = b.Seal(ctx, place, []byte(secret))
	dump := string(sealed) + string(record) + string(r.Versions[0].Wrapped[0]) + string(r.Versions[0].Wrapped[1]) + fmt.Sprintf("%+v", b.log)
	secrets := [][]byte{[]byte(secret), []byte("old mill"), key, rawKey(key)}
	for _, k := range b.vault.keys {
		secrets = append(secrets, rawKey(k.Keyset))
	}
	for i, s := range secrets {
		for _, form := range []string{string(s), base64.StdEncoding.EncodeToString(s), fmt.Sprintf("%x", s), fmt.Sprint(s)} {
			if strings.Contains(dump, form) {
				t.Errorf("secret %d stands in what is stored or told", i)
			}
		}
	}
}

// rawKey finds the 32 bytes of the AES key in Tink's form: field 3 of AesGcmKey.
func rawKey(keyset []byte) []byte {
	i := bytes.Index(keyset, []byte{0x1a, 0x20})
	return keyset[i+2 : i+34]
}

func TestFileVault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	ctx := t.Context()
	open := func() *Vault {
		t.Helper()
		v, err := OpenFileVault(path)
		must(t, err)
		return v
	}
	v := open()
	must(t, v.Create("a"))
	wrapped, err := v.Wrap(ctx, "a", []byte("key"), []byte("place"))
	must(t, err)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; wanted 0600", info.Mode(), err)
	}
	if got, err := open().Unwrap(ctx, "a", wrapped, []byte("place")); err != nil || string(got) != "key" {
		t.Errorf("after opening again: %q, %v", got, err)
	}
	if _, err := open().Unwrap(ctx, "a", wrapped, []byte("elsewhere")); !errors.Is(err, ErrRefused) {
		t.Errorf("other associated data: %v, wanted ErrRefused", err)
	}
	must(t, v.Revoke(ctx, "a"))
	if _, err := open().Unwrap(ctx, "a", wrapped, []byte("place")); !errors.Is(err, ErrRevoked) {
		t.Errorf("a revocation is forgotten when the file is opened again: %v", err)
	}
	must(t, open().Restore(ctx, "a"))
	if _, err := open().Unwrap(ctx, "a", wrapped, []byte("place")); err != nil {
		t.Error(err)
	}
	if err := v.Create("a"); err == nil {
		t.Error("a root key is made twice")
	}
	if err := v.Create(""); err == nil {
		t.Error("a root key without a name is made")
	}
	if err := v.Revoke(ctx, "b"); !errors.Is(err, ErrNoKey) {
		t.Errorf("%v, wanted ErrNoKey", err)
	}
	must(t, os.Chmod(path, 0o640))
	if _, err := OpenFileVault(path); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a file that others may read: %v, wanted it refused", err)
	}
	for _, damaged := range []string{"", "{", "null", `{"a":null}`, `{"a":{"keyset":"AAAA"}}`, "top secret"} {
		must(t, os.WriteFile(path, []byte(damaged), 0o600))
		must(t, os.Chmod(path, 0o600))
		if _, err := OpenFileVault(path); err == nil || strings.Contains(err.Error(), "top") {
			t.Errorf("file %q: %v, wanted it refused without quoting it", damaged, err)
		}
	}
}

type brokenStore struct{ MemoryStore }

func (*brokenStore) Save(context.Context, string, []byte) error { return os.ErrPermission }

func TestRefusals(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	if _, err := New(Config{Store: b.store}); err == nil {
		t.Error("no vault is accepted")
	}
	if _, err := New(Config{Vault: b.vault}); err == nil {
		t.Error("no store is accepted")
	}
	for _, p := range []Policy{
		policy, {"", "n", policy.Roots}, {"t", "", policy.Roots}, {"t", "n", [2]string{"west/1", "west/1"}},
		{"t", "n", [2]string{"west/1"}}, {"t", "n", [2]string{"west/1", "nowhere"}},
	} {
		if err := b.Create(ctx, p); err == nil {
			t.Errorf("policy %v is accepted", p)
		}
	}
	if err := b.Rewrap(ctx, "contoso", [2]string{"west/1", "west/1"}); err == nil {
		t.Error("one root key twice is accepted")
	}
	if err := b.Rewrap(ctx, "contoso", [2]string{"west/1", "nowhere"}); !errors.Is(err, ErrNoKey) {
		t.Errorf("rewrap: %v, wanted ErrNoKey", err)
	}
	_, open := b.Open(ctx, Place{"other", "c", "m"}, make([]byte, 99))
	_, openOther := b.Open(ctx, Place{"other", "c", "m"}, append([]byte{format}, make([]byte, 99)...))
	_, seal := b.Seal(ctx, Place{"other", "c", "m"}, nil)
	for i, err := range []error{openOther, seal, b.Rotate(ctx, "other"), b.Rewrap(ctx, "other", policy.Roots), b.Restore(ctx, "other", "west/1")} {
		if !errors.Is(err, ErrNoPolicy) {
			t.Errorf("%d: %v, wanted ErrNoPolicy", i, err)
		}
	}
	if !errors.Is(open, ErrRefused) {
		t.Errorf("%v, wanted ErrRefused", open)
	}
	if _, _, err := b.Policy(ctx, "other"); !errors.Is(err, ErrNoPolicy) {
		t.Errorf("the policy of nobody: %v, wanted ErrNoPolicy", err)
	}
	if p, versions, err := b.Policy(ctx, "contoso"); p != policy || versions != 1 || err != nil {
		t.Errorf("the policy: %v, %d versions, %v, wanted %v and 1", p, versions, err, policy)
	}
	if _, err := b.Seal(ctx, place, make([]byte, MaxSize+1)); err == nil {
		t.Error("a message over MaxSize is sealed")
	}
	if s, err := b.Seal(ctx, place, make([]byte, MaxSize)); err != nil {
		t.Error(err)
	} else if _, err := b.Open(ctx, place, s); err != nil {
		t.Error(err)
	}
	if _, err := b.Seal(ctx, Place{"contoso", "", "m"}, nil); err == nil {
		t.Error("a place without chat is accepted")
	}
	if _, err := b.Open(ctx, Place{"contoso", "c", ""}, nil); err == nil {
		t.Error("a place without message is accepted")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.Seal(ended, place, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, wanted it cancelled", err)
	}
	if err := b.Revoke(ended, "contoso", "west/1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, wanted it cancelled", err)
	}
	for _, damaged := range []string{"", "{}", `{"tenant":"contoso","name":"chat","roots":["a","b"]}`} {
		must(t, b.store.Save(ctx, "contoso", []byte(damaged)))
		if err := b.Rotate(ctx, "contoso"); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("record %q: %v, wanted it damaged", damaged, err)
		}
	}
	k, err := New(Config{Vault: b.vault, Store: new(brokenStore)})
	must(t, err)
	if err := k.Create(ctx, policy); !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v, wanted the store's error", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	b := newBench(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := Place{"contoso", "c", fmt.Sprint(i)}
			for range 5 {
				if i == 0 {
					if err := b.Rotate(t.Context(), "contoso"); err != nil {
						t.Error(err)
					}
				}
				s, err := b.Seal(t.Context(), p, []byte(secret))
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := b.Open(t.Context(), p, s); err != nil || string(got) != secret {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

func FuzzOpen(f *testing.F) {
	b := newBench(f)
	sealed := b.sealed(f, place)
	f.Add(sealed)
	f.Add([]byte{format, 0, 0, 0, 1, 0, 0, 0, 9})
	f.Add([]byte{format, 0, 0, 0, 1, 255, 255, 255, 255, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := b.Open(t.Context(), place, data)
		if bytes.Equal(data, sealed) {
			if err != nil || string(got) != secret {
				t.Fatalf("opened %q, %v", got, err)
			}
		} else if !errors.Is(err, ErrRefused) || got != nil {
			t.Fatalf("%x: opened %q, %v; wanted ErrRefused", data, got, err)
		}
	})
}
