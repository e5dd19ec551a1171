package keys_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/signaling/identity/keys"
	"github.com/callpath/callpath/signaling/identity/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

// rig is a ring with a clock and its history.
type rig struct {
	t       *testing.T
	ring    *keys.Ring
	cfg     keys.Config
	now     time.Time
	history []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Unix(1_800_000_000, 0)}
	r.cfg = keys.Config{Store: &store.Memory{}, Now: func() time.Time { return r.now },
		OnChange: func(_, what string) { r.history = append(r.history, what) }}
	r.open()
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.ring, err = keys.Open(r.cfg); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) published() (kids []string) {
	r.t.Helper()
	set, err := r.ring.Public()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || k.Algorithm != "ES256" || k.Use != "sig" {
			r.t.Errorf("published %+v", k)
		}
		kids = append(kids, k.KeyID)
	}
	return kids
}

// signs returns the kid of a new signature, which must verify.
func (r *rig) signs() string {
	r.t.Helper()
	text, err := r.ring.Sign("JWT", []byte("payload"))
	if err != nil {
		r.t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		r.t.Fatal(err)
	}
	header := jws.Signatures[0].Protected
	key, err := r.ring.Key(context.Background(), header.KeyID, jose.ES256)
	if err != nil {
		r.t.Fatal(err)
	}
	if got, err := jws.Verify(key); err != nil || string(got) != "payload" || header.ExtraHeaders["typ"] != "JWT" {
		r.t.Errorf("%q, %v, header %+v", got, err, header)
	}
	return header.KeyID
}

func TestAKeyIsPublishedThenSignsThenVerifiesOnly(t *testing.T) {
	r := newRig(t)
	first := r.signs()
	for _, tc := range []struct {
		after time.Duration
		keys  int
		old   bool // the first key signs
	}{
		{0, 1, true}, {29*day - time.Second, 1, true},
		{29 * day, 2, true}, {30*day - time.Second, 2, true},
		{30 * day, 2, false}, {31*day - time.Second, 2, false},
		{31 * day, 1, false}, {59*day - time.Second, 1, false}, {59 * day, 2, false},
	} {
		r.now = time.Unix(1_800_000_000, 0).Add(tc.after)
		kids := r.published()
		if len(kids) != tc.keys || (r.signs() == first) != tc.old {
			t.Errorf("after %s: %d keys, the first signs: %v; wanted %d, %v", tc.after, len(kids), r.signs() == first, tc.keys, tc.old)
		}
	}
	want := "[made, and signs published signs withdrawn: every token that it signed has expired published]"
	if got := fmt.Sprint(r.history); got != want {
		t.Errorf("history %s, wanted %s", got, want)
	}
	if _, err := r.ring.Key(context.Background(), first, jose.ES256); !errors.Is(err, keys.ErrUnknown) {
		t.Errorf("the first key: %v", err)
	}
}

func TestAfterALongRestTheNextKeyIsStillPublishedFirst(t *testing.T) {
	r := newRig(t)
	first := r.signs()
	r.now = r.now.Add(400 * day)
	r.open() // a restart, too
	if r.signs() != first || len(r.published()) != 2 {
		t.Errorf("%d keys, and a key signs that nobody can know yet", len(r.published()))
	}
	r.now = r.now.Add(day)
	if r.signs() == first {
		t.Error("the old key still signs")
	}
	r.open()
	if len(r.published()) != 2 {
		t.Errorf("%d keys after another restart, wanted the old one to verify still", len(r.published()))
	}
}

func TestRotationByHandIsOneAtATime(t *testing.T) {
	r := newRig(t)
	first := r.signs()
	for range 3 {
		if err := r.ring.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.published()); n != 2 || r.signs() != first {
		t.Errorf("%d keys, wanted one more, which does not sign yet", n)
	}
	r.now = r.now.Add(day)
	if r.signs() == first {
		t.Error("the first key still signs")
	}
	r.now = r.now.Add(-2 * day) // the clock is set back
	r.signs()
}

func TestAWithdrawnKeyIsGoneAtOnceAndReplaced(t *testing.T) {
	r := newRig(t)
	first := r.signs()
	if err := r.ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	next := r.published()[1]
	if err := r.ring.Withdraw(first); err != nil {
		t.Fatal(err)
	}
	if kids := r.published(); len(kids) != 2 || kids[1] != next || r.signs() != kids[0] || kids[0] == first {
		t.Errorf("keys %v, wanted a new one before %s", kids, next)
	}
	if err := r.ring.Withdraw(next); err != nil {
		t.Fatal(err)
	}
	if kids := r.published(); len(kids) != 1 {
		t.Errorf("keys %v, wanted the one that signs", kids)
	}
	if err := r.ring.Withdraw(r.signs()); err != nil {
		t.Fatal(err)
	}
	r.signs()
	if err := r.ring.Withdraw(first); !errors.Is(err, keys.ErrUnknown) {
		t.Errorf("withdrawn twice: %v", err)
	}
}

func TestConfigurationsAndStoredKeysThatAreRefused(t *testing.T) {
	for want, cfg := range map[string]keys.Config{
		"Config.Period":  {Period: -1},
		"Config.Keep":    {Keep: -1},
		"Config.Publish": {Publish: time.Hour, Period: time.Hour},
	} {
		if _, err := keys.Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	const secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ"
	for name, text := range map[string]string{
		"no JSON":     `{"keys":[{"key":"` + secret,
		"another key": `{"keys":[{"key":{"kty":"oct","kid":"x","k":"` + secret + `"},"active":"2026-01-01T00:00:00Z"}]}`,
		"no key":      `{"keys":[{"active":"2026-01-01T00:00:00Z"}]}`,
	} {
		s := &store.Memory{}
		if err := s.Save("keys", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Open(keys.Config{Store: s}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// failing keeps what it has.
type failing struct {
	store.Memory
	full bool
}

var errFull = errors.New("the disk is full")

func (f *failing) Save(name string, data []byte) error {
	if f.full {
		return errFull
	}
	return f.Memory.Save(name, data)
}

func TestAKeyThatIsNotSavedIsNotUsed(t *testing.T) {
	f := &failing{}
	now := time.Now()
	ring, err := keys.Open(keys.Config{Store: f, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	f.full = true
	before, _ := ring.Public()
	for name, err := range map[string]error{"Rotate": ring.Rotate(), "Withdraw": ring.Withdraw(before.Keys[0].KeyID)} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	after, err := ring.Public()
	if err != nil || len(after.Keys) != 1 || after.Keys[0].KeyID != before.Keys[0].KeyID {
		t.Errorf("keys %+v, %v", after, err)
	}
	now = now.Add(30 * day)
	for range 2 { // it does not get used to it
		if _, err := ring.Sign("JWT", nil); !errors.Is(err, errFull) {
			t.Errorf("Sign: %v", err)
		}
	}
	if err := ring.Rotate(); !errors.Is(err, errFull) {
		t.Errorf("Rotate: %v", err)
	}
	if err := ring.Withdraw("x"); !errors.Is(err, keys.ErrUnknown) {
		t.Errorf("Withdraw: %v", err)
	}
}
