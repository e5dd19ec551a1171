package user_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/identity/store"
	"github.com/callpath/callpath/signaling/identity/user"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password = "correct horse"
	// secret is RFC 6238's, appendix B, for SHA-1: "12345678901234567890".
	secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// cheap is a hash that costs nothing.
func cheap() string {
	salt := []byte("0123456789abcdef")
	b64 := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=8,t=1,p=1$" + b64(salt) + "$" + b64(argon2.IDKey([]byte(password), salt, 1, 8, 1, 32))
}

func directory(t *testing.T, now *time.Time, s store.Store, users ...user.User) *user.Directory {
	t.Helper()
	d, err := user.New(user.Config{Users: users, Store: s, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPasswords(t *testing.T) {
	now := time.Now()
	real, err := user.Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(real, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %s", real)
	}
	if again, _ := user.Hash(password); again == real {
		t.Error("two hashes of a password are the same: there is no salt")
	}
	d := directory(t, &now, nil, user.User{ID: "alice", Kind: "teams", Password: real},
		user.User{ID: "bob", Kind: "acs", Password: cheap()}, user.User{ID: "off", Kind: "acs", Password: cheap(), Disabled: true})
	for _, tc := range []struct {
		id, password string
		right        bool
	}{
		{"alice", password, true}, {"bob", password, true},
		{"alice", password + " ", false}, {"alice", "", false}, {"bob", strings.Repeat("x", 2000), false},
		{"off", password, false}, {"nobody", password, false}, {"", "", false},
	} {
		if right, err := d.CheckPassword(t.Context(), tc.id, tc.password); right != tc.right || err != nil {
			t.Errorf("%s with %.20q: %v, %v", tc.id, tc.password, right, err)
		}
	}
	for _, short := range []string{"", "1234567", strings.Repeat("x", 1025)} {
		if _, err := user.Hash(short); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("hash of %d bytes: %v", len(short), err)
		}
	}
}

// The memory of a hash is bounded by how many are made at once; who cannot wait is
// told so.
func TestPasswordsWaitForTheirTurn(t *testing.T) {
	slow := strings.Replace(cheap(), "m=8,t=1", "m=65536,t=16", 1)
	d, err := user.New(user.Config{Hashing: 1, Users: []user.User{{ID: "a", Kind: "acs", Password: slow}}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		go func() {
			_, err := d.CheckPassword(ctx, "a", password)
			done <- err
		}()
	}
	cancel() // one of them may be under way
	for range 2 {
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// RFC 6238, appendix B: the last six digits of the eight there.
func TestCodesAreThoseOfTheRFC(t *testing.T) {
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got, err := user.Code(secret, time.Unix(at, 0)); got != want || err != nil {
			t.Errorf("at %d: %s, %v, wanted %s", at, got, err, want)
		}
	}
	if _, err := user.Code("!", time.Now()); err == nil || strings.Contains(err.Error(), "!") {
		t.Errorf("no base32: %v", err)
	}
}

func TestEachCodeIsGoodOnce(t *testing.T) {
	now := time.Unix(1_800_000_015, 0)
	s := &store.Memory{}
	bob := user.User{ID: "bob", Kind: "acs", Password: cheap(), TOTP: secret}
	d := directory(t, &now, s, bob, user.User{ID: "eve", Kind: "acs", Password: cheap(), TOTP: secret},
		user.User{ID: "plain", Kind: "acs", Password: cheap()}, user.User{ID: "off", Kind: "acs", Password: cheap(), TOTP: secret, Disabled: true})
	code := func(after time.Duration) string {
		c, err := user.Code(secret, time.Unix(1_800_000_015, 0).Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tc := range []struct {
		name string
		at   time.Duration // the clock
		id   string
		code string
		want error
	}{
		{"too old", 0, "bob", code(-time.Minute), user.ErrWrongCode},
		{"too new", 0, "bob", code(time.Minute), user.ErrWrongCode},
		{"no code", 0, "bob", "", user.ErrWrongCode},
		{"letters", 0, "bob", "abcdef", user.ErrWrongCode},
		{"eight digits", 0, "bob", "12345678", user.ErrWrongCode},
		{"nobody", 0, "nobody", code(0), user.ErrNoSecondFactor},
		{"no second factor", 0, "plain", code(0), user.ErrNoSecondFactor},
		{"disabled", 0, "off", code(0), user.ErrNoSecondFactor},
		{"the step before", 0, "bob", code(-30 * time.Second), nil},
		{"it again", 0, "bob", code(-30 * time.Second), user.ErrUsedCode},
		{"the present step", 0, "bob", code(0), nil},
		{"the one before, after it", 0, "bob", code(-30 * time.Second), user.ErrUsedCode},
		{"another user's use of the same", 0, "eve", code(0), nil},
		{"the next step", 0, "bob", code(30 * time.Second), nil},
		{"it again in its time", 30 * time.Second, "bob", code(30 * time.Second), user.ErrUsedCode},
		{"the one after", 60 * time.Second, "bob", code(60 * time.Second), nil},
	} {
		now = time.Unix(1_800_000_015, 0).Add(tc.at)
		if err := d.CheckCode(tc.id, tc.code); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, wanted %v", tc.name, err, tc.want)
		}
	}
	d = directory(t, &now, s, bob)
	if err := d.CheckCode("bob", code(60*time.Second)); !errors.Is(err, user.ErrUsedCode) {
		t.Errorf("after a restart: %v", err)
	}
	now = now.Add(time.Hour)
	if err := d.CheckCode("bob", code(60*time.Second+time.Hour)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestASecretComesWithItsURL(t *testing.T) {
	made, text, err := user.NewTOTP("callpath", "bob")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "otpauth" || u.Query().Get("secret") != made || u.Query().Get("issuer") != "callpath" {
		t.Errorf("%s, %v", text, err)
	}
	now := time.Now()
	d := directory(t, &now, nil, user.User{ID: "bob", Kind: "acs", Password: cheap(), TOTP: made})
	code, err := user.Code(made, now)
	if err == nil {
		err = d.CheckCode("bob", code)
	}
	if err != nil || !d.HasCode("bob") || d.HasCode("nobody") {
		t.Errorf("the code of a new secret: %v", err)
	}
	if _, _, err := user.NewTOTP("", "bob"); err == nil {
		t.Error("a secret of nobody's")
	}
}

func TestUsersAreReplacedAllOrNone(t *testing.T) {
	now := time.Now()
	alice := user.User{ID: "alice", Name: "Alice", Kind: "teams", Groups: []string{"sales"}, Password: cheap(), TOTP: secret}
	d := directory(t, &now, nil, alice)
	if err := d.Set([]user.User{{ID: "bob", Kind: "acs", Password: cheap()}, {ID: "bob", Kind: "acs", Password: cheap()}}); err == nil {
		t.Error("bob is there twice")
	}
	got, ok := d.Find("alice")
	if !ok || got.Password != "" || got.TOTP != "" || fmt.Sprint(got.Groups) != "[sales]" {
		t.Errorf("found %+v, %v, wanted alice without secrets", got, ok)
	}
	if err := d.Set([]user.User{{ID: "bob", Kind: "acs", Password: cheap()}}); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Find("alice"); ok {
		t.Error("alice is still there")
	}
}

func TestUsersThatAreRefusedByName(t *testing.T) {
	for want, change := range map[string]func(*user.User){
		`ID is "a:b"`:               func(u *user.User) { u.ID = "a:b" },
		`ID is ""`:                  func(u *user.User) { u.ID = "" },
		`Kind of a is "zoom"`:       func(u *user.User) { u.Kind = "zoom" },
		`Scopes of a has "admin"`:   func(u *user.User) { u.Scopes = []string{"admin"} },
		"TOTP of a is not a secret": func(u *user.User) { u.TOTP = "GEZDGNBV" },
		"TOTP of a is not":          func(u *user.User) { u.TOTP = "!" },
		"Password of a: it is not":  func(u *user.User) { u.Password = password },
		"Password of a: it is":      func(u *user.User) { u.Password = "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c3VtIHN1bSBzdW0gc3Vt" },
		"a: it is not a hash":       func(u *user.User) { u.Password = "$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHQ$c3VtIHN1bSBzdW0gc3Vt" },
		"it is not a hash of":       func(u *user.User) { u.Password = "$argon2id$v=19$m=8$c2FsdHNhbHQ$c3VtIHN1bSBzdW0gc3Vt" },
		"not a hash of the":         func(u *user.User) { u.Password = "$argon2id$v=19$m=8,t=1,p=1$!$c3VtIHN1bSBzdW0gc3Vt" },
		"not a hash of the form":    func(u *user.User) { u.Password = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$!" },
		"its cost is m=4294967295": func(u *user.User) {
			u.Password = "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$c3VtIHN1bSBzdW0gc3Vt"
		},
		"its cost is m=8,t=0":         func(u *user.User) { u.Password = "$argon2id$v=19$m=8,t=0,p=1$c2FsdHNhbHQ$c3VtIHN1bSBzdW0gc3Vt" },
		"its salt or its sum has too": func(u *user.User) { u.Password = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c3Vt" },
	} {
		u := user.User{ID: "a", Kind: "acs", Password: cheap()}
		change(&u)
		_, err := user.New(user.Config{Users: []user.User{u}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := user.New(user.Config{Hashing: -1}); err == nil {
		t.Error("Hashing -1")
	}
	for _, text := range []string{`["x"]`, `{`} {
		s := &store.Memory{}
		if err := s.Save("used-codes", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := user.New(user.Config{Store: s}); err == nil {
			t.Errorf("used codes %s", text)
		}
	}
	s := &store.Memory{}
	if err := s.Save("used-codes", []byte("null")); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d := directory(t, &now, s, user.User{ID: "bob", Kind: "acs", Password: cheap(), TOTP: secret})
	if code, _ := user.Code(secret, now); d.CheckCode("bob", code) != nil {
		t.Error("after a document that is null")
	}
}

func FuzzHash(f *testing.F) {
	f.Add(cheap())
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := user.New(user.Config{Users: []user.User{{ID: "a", Kind: "acs", Password: text}}})
		if err != nil && len(text) > 40 && strings.Contains(err.Error(), text) {
			t.Errorf("the error tells the hash: %v", err)
		}
	})
}

func FuzzCode(f *testing.F) {
	now := time.Unix(59, 0)
	f.Add("287082")
	f.Add(" 287082 ")
	f.Add("")
	f.Fuzz(func(t *testing.T, code string) {
		d := directory(t, &now, nil, user.User{ID: "a", Kind: "acs", Password: cheap(), TOTP: secret})
		if err := d.CheckCode("a", code); err == nil {
			if trimmed := strings.TrimSpace(code); len(trimmed) != 6 {
				t.Errorf("%q was taken", code)
			}
		} else if !errors.Is(err, user.ErrWrongCode) {
			t.Errorf("%q: %v", code, err)
		}
	})
}
