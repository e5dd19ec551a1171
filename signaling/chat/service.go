package chat

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/callpath/callpath/signaling/chat/customerkey"
	"github.com/callpath/callpath/signaling/chat/dlp"
	"github.com/callpath/callpath/signaling/store"
)

// Store keeps records; *store.File and *store.Memory are ones. It is safe for
// concurrent use.
type Store interface {
	// Get returns store.ErrNotFound when there is no such record.
	Get(store.Name) ([]byte, error)
	// Begin puts changes in line, to be made together or not at all, in the order of
	// the calls. done returns when they are durable, or failed.
	Begin(...store.Change) (done func() error)
	// Sequence returns at most limit records of a sequence, from number from on or, if
	// backwards, from there down.
	Sequence(bucket, key string, from uint64, limit int, backwards bool) ([]store.Record, error)
}

// Config is what a Service needs.
type Config struct {
	// Store and Vault are required: where the records are, and where the customers'
	// root keys are.
	Store Store
	Vault customerkey.KeyVault
	// Policy returns the rules of data loss prevention for a tenant, nil for none. It is
	// called for each draft, so that new rules hold at once. Nil: no tenant has any.
	Policy func(tenant string) *dlp.Policy
	// OnEvent takes the audit, and OnKeyEvent that of the keys. They are called by the
	// goroutine of the request, by several at once, and must not call the Service.
	OnEvent    func(Event)
	OnKeyEvent func(customerkey.Event)
	// Now is time.Now if nil; Rand, of which thread IDs and the IDs of messages without
	// a ClientID are made, crypto/rand.Reader. Rand is safe for concurrent use.
	Now  func() time.Time
	Rand io.Reader
}

// Service is the chat of all tenants. It is safe for concurrent use. It needs no
// closing; its Store outlives it.
type Service struct {
	cfg  Config
	keys *customerkey.Keys

	// stripes guard what is read, changed and written: a thread's members, a message
	// that is edited, a person's mark. Which one, is hashed.
	stripes [64]sync.Mutex

	mu    sync.Mutex
	lines map[string]*line // of threads to which somebody sends at this moment
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil {
		return nil, errors.New("chat: Config.Store is nil")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	keys, err := customerkey.New(customerkey.Config{
		Vault: cfg.Vault, Store: keyStore{cfg.Store}, Now: cfg.Now, OnEvent: cfg.OnKeyEvent,
	})
	if err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, keys: keys, lines: map[string]*line{}}, nil
}

// Keys is the hierarchy of keys, for its administration: create, rotate, revoke,
// restore, rewrap. Each tenant needs a data encryption policy before its first message
// (customerkey.Keys.Ensure).
func (s *Service) Keys() *customerkey.Keys { return s.keys }

// keyStore keeps the wrapped policy keys beside the chat.
type keyStore struct{ store Store }

const bucketKeys = "customer-keys"

// Load implements customerkey.Store.
func (k keyStore) Load(_ context.Context, tenant string) ([]byte, error) {
	data, err := k.store.Get(store.Name{Bucket: bucketKeys, Key: tenant})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return data, err
}

// Save implements customerkey.Store.
func (k keyStore) Save(_ context.Context, tenant string, record []byte) error {
	return k.store.Begin(store.Change{Name: store.Name{Bucket: bucketKeys, Key: tenant}, Value: record})()
}

// entered is a request that passed: the thread, who asks, and who else is there.
type entered struct {
	thread    Thread
	person    Member
	roster    []Member
	moderator bool
}

// enter decides whether a person may do anything in a thread.
func (s *Service) enter(r Request, e *Event) (*entered, error) {
	if err := checkName("Request.Thread", r.Thread); err != nil {
		return nil, err
	}
	if err := checkName("Request.Person", r.Person); err != nil {
		return nil, err
	}
	t, err := s.loadThread(r.Thread)
	if err != nil {
		return nil, err
	}
	e.Tenant = t.Tenant
	in := &entered{thread: t, roster: t.Members, moderator: r.Moderator}
	switch {
	case t.Meeting != "":
		if err := checkMembers("Request.Roster", r.Roster); err != nil {
			return nil, err
		}
		in.roster = r.Roster
	case r.Roster != nil:
		return nil, refuse(Invalid, "Request.Roster is set for thread %q, which is no meeting's", t.ID)
	}
	i := slices.IndexFunc(in.roster, func(m Member) bool { return m.ID == r.Person })
	if i < 0 {
		return nil, refuse(NotMember, "%q is not in thread %q", r.Person, t.ID)
	}
	in.person = in.roster[i]
	return in, nil
}

// others are all in the thread but the one who acts.
func (in *entered) others() []Member {
	return slices.DeleteFunc(slices.Clone(in.roster), func(m Member) bool { return m.ID == in.person.ID })
}

func checkName(field, name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return refuse(Invalid, "%s is %.250q, wanted 1 to %d bytes of UTF-8 without control characters", field, name, MaxName)
	}
	return nil
}

func checkMembers(field string, members []Member) error {
	if len(members) > MaxMembers {
		return refuse(Invalid, "%s has %d people, wanted at most %d", field, len(members), MaxMembers)
	}
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if err := checkName(field, m.ID); err != nil {
			return err
		}
		if seen[m.ID] {
			return refuse(Invalid, "%s has %q twice", field, m.ID)
		}
		seen[m.ID] = true
	}
	return nil
}

// newID is 128 random bits.
func (s *Service) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return "", refuse(Failed, "no random numbers").because(err)
	}
	return idText(b[:]), nil
}

func idText(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}
