// Package user is the directory of those who sign in at the built-in issuer:
// passwords as argon2id hashes (RFC 9106), and time-based one-time passwords
// (RFC 6238) as the second factor, each good for one sign-in. It decides nothing
// but whether a password or a code is right; who may sign in with what is package
// access's to say.
//
// Users come from configuration and can be replaced while the directory runs. The
// only thing that it remembers by itself is which codes have been used.
package user

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/signaling/identity/store"
)

// Kinds of user, which are the clients that they use.
const (
	ACS   = "acs"
	Teams = "teams"
)

// User is somebody who may sign in.
type User struct {
	// ID is what others call: 1 to 64 letters, digits or any of "._-@".
	ID string `yaml:"id" json:"id"`
	// Name is for display; it may be empty.
	Name string `yaml:"name" json:"name"`
	// Kind is ACS or Teams.
	Kind   string   `yaml:"kind" json:"kind"`
	Groups []string `yaml:"groups" json:"groups"`
	// Password is a hash, as Hash returns it.
	Password string `yaml:"password" json:"password"`
	// TOTP is the secret of the second factor in base32, as NewTOTP returns it;
	// empty when the user has none.
	TOTP string `yaml:"totp" json:"totp"`
	// Scopes are what the user may have of "voip" and "chat"; both when empty.
	Scopes []string `yaml:"scopes" json:"scopes"`
	// Disabled keeps the user out, without forgetting them.
	Disabled bool `yaml:"disabled" json:"disabled"`
}

// Config configures a Directory. The zero Config is an empty one.
type Config struct {
	Users []User
	// Store keeps which codes were used; in memory only when nil.
	Store store.Store
	// Hashing is how many passwords are checked at once, each of which takes the
	// memory of its hash; 2.
	Hashing int
	Now     func() time.Time // time.Now when nil
}

// Directory is the users. It is safe for concurrent use.
type Directory struct {
	now     func() time.Time
	store   store.Store
	hashing chan struct{} // holds a place for each password under check
	// stranger stands in for a user who does not exist, so that the answer takes
	// as long as for one who does.
	stranger hash

	mu    sync.Mutex
	users map[string]*entry
	// used is the last time step of which each user's code was taken.
	used map[string]int64
}

type entry struct {
	User
	password hash
}

// maxID bounds an ID, as package signaling does.
const maxID = 64

// New makes a directory.
func New(cfg Config) (*Directory, error) {
	if cfg.Hashing == 0 {
		cfg.Hashing = 2
	}
	if cfg.Hashing < 0 {
		return nil, fmt.Errorf("user: Config.Hashing is %d, wanted 1 or more, or 0 for 2", cfg.Hashing)
	}
	if cfg.Store == nil {
		cfg.Store = &store.Memory{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Directory{now: cfg.Now, store: cfg.Store, hashing: make(chan struct{}, cfg.Hashing), stranger: stranger()}
	if err := d.loadUsed(); err != nil {
		return nil, err
	}
	return d, d.Set(cfg.Users)
}

// Set replaces the users; nothing changes when one of them is refused.
func (d *Directory) Set(users []User) error {
	all := make(map[string]*entry, len(users))
	for _, u := range users {
		e, err := check(u)
		if err != nil {
			return err
		}
		if all[u.ID] != nil {
			return fmt.Errorf("user: %q is there twice", u.ID)
		}
		all[u.ID] = e
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users = all
	return nil
}

func check(u User) (*entry, error) {
	if !ValidID(u.ID) {
		return nil, fmt.Errorf(`user: ID is %q, wanted 1 to %d letters, digits or any of "._-@"`, u.ID, maxID)
	}
	if u.Kind != ACS && u.Kind != Teams {
		return nil, fmt.Errorf("user: Kind of %s is %q; valid: acs, teams", u.ID, u.Kind)
	}
	password, err := parseHash(u.Password)
	if err != nil {
		return nil, fmt.Errorf("user: Password of %s: %w", u.ID, err)
	}
	if u.TOTP != "" && !validSecret(u.TOTP) {
		return nil, fmt.Errorf("user: TOTP of %s is not a secret in base32 of %d bytes or more", u.ID, minSecret)
	}
	for _, s := range u.Scopes {
		if s != "voip" && s != "chat" {
			return nil, fmt.Errorf("user: Scopes of %s has %q; valid: voip, chat", u.ID, s)
		}
	}
	u.Groups, u.Scopes = slices.Clone(u.Groups), slices.Clone(u.Scopes)
	return &entry{User: u, password: password}, nil
}

// ValidID says whether an ID is one that can be called.
func ValidID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z'
		return !letter && !(r >= '0' && r <= '9') && !strings.ContainsRune("._-@", r)
	})
}

// Find returns a user, without secrets.
func (d *Directory) Find(id string) (User, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.users[id]
	if e == nil {
		return User{}, false
	}
	u := e.User
	u.Password, u.TOTP = "", ""
	return u, true
}

// HasCode says whether the user has a second factor.
func (d *Directory) HasCode(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.users[id]
	return e != nil && e.TOTP != ""
}

// ErrBusy is the error when too many passwords wait to be checked.
var ErrBusy = errors.New("user: too many passwords are being checked")
